-- What the authentication provider knows about an account of this host.

local usermanager = require "prosody.core.usermanager";

local host = module.host;

local accounts = {};

-- Providers answer nil and a text both if there is no such account and if they could not look. These texts of Prosody's own
-- providers, of mod_auth_external and of usermanager's stand-in for a missing function mean the first.
local MEANS_UNKNOWN = { "^Auth failed%. Invalid username", "^Account not available", "^not%-authorized$" };
local NO_ANSWER = { "^[Mm]ethod not implemented", "^Only anonymous users are supported" };

local function matches(text, patterns)
	for _, pattern in ipairs(patterns) do
		if text:match(pattern) then return true; end
	end
	return false;
end

-- "yes", "no", "failed" if the provider could not look (a database or a directory that is down), or nil if it never says.
function accounts.exists(username)
	-- Not usermanager.user_exists(), which says yes for whoever is online, even if the provider is out of reach.
	local ok, exists, err = pcall(function () return usermanager.get_provider(host).user_exists(username); end);
	if not ok then
		module:log("warn", "The authentication provider failed: %s", exists);
		return "failed";
	end
	if exists then return "yes"; end
	if exists == false or err == nil then return "no"; end
	err = tostring(err);
	if matches(err, NO_ANSWER) then return nil; end
	return matches(err, MEANS_UNKNOWN) and "no" or "failed";
end

-- "yes", "no" if Prosody has disabled the account, or nil if the provider does not say.
function accounts.is_enabled(username)
	local ok, enabled = pcall(usermanager.user_is_enabled, username, host);
	if not ok or enabled == nil then return nil; end
	return enabled and "yes" or "no";
end

return accounts;
