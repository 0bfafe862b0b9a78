-- Reads the options of the module so that each has a usable value. Prosody logs a value that it does not understand, and then
-- returns nil (for a number with bounds it raises an error). The guard must not fail to load for that: it takes the default.

local is_utf8 = require "prosody.util.encodings".utf8.valid;

local options = {};

-- NaN is between no bounds.
local function within(value, default, min, max)
	if not value or value ~= value then return default; end
	return math.max(min, math.min(value, max));
end

function options.integer(name, default, min, max)
	if not module:get_option_number(name, default) then return default; end -- not a number: with bounds it would be an error
	return within(module:get_option_integer(name, default, min, max), default, min, max);
end

-- Seconds. "never", which is infinity for Prosody, is the maximum.
function options.period(name, default, min, max)
	return within(module:get_option_period(name, default, min, max), default, min, max);
end

-- A text that XML can have: valid UTF-8 without control characters, except tabs and ends of lines.
function options.text(name, default)
	local text = module:get_option_string(name, default);
	if text and is_utf8(text) and not text:find("[\0-\8\11\12\14-\31]") then return text; end
	module:log("error", "Config option '%s' is not a text in UTF-8, using the default", name);
	return default;
end

return options;
