-- The options are read by Prosody's own code, as far as it does without a running server.
describe("options", function ()
	local configured, logged, options, module;

	before_each(function ()
		configured, logged = {}, {};
		package.loaded["prosody.core.configmanager"] = { get = function (_, name) return configured[name]; end };
		package.loaded["prosody.util.timer"] = {};
		module = setmetatable(new_module(), { __index = require "prosody.core.moduleapi" });
		function module.log(_, level) logged[#logged+1] = level; end
		options = module:require "options";
	end);
	after_each(function ()
		package.loaded["prosody.core.configmanager"], package.loaded["prosody.util.timer"] = nil, nil;
	end);

	local NOT_NUMBERS = { "five", "", true, {}, { {} }, 0/0 };

	it("are the default where they are not numbers", function ()
		for _, value in ipairs(NOT_NUMBERS) do
			configured.x = value;
			assert.equal(5, options.integer("x", 5, 0, 1000));
			assert.equal(600, options.period("x", 600, 1, 86400));
		end
		assert.equal("error", logged[1]);
	end);

	it("stay within their bounds", function ()
		for value, expected in pairs({ [0] = 0, [7] = 7, [7.9] = 7, ["12"] = 12, [-1] = 0, [1e9] = 1000, [math.huge] = 1000 }) do
			configured.x = value;
			assert.equal(expected, options.integer("x", 5, 0, 1000));
		end
		for value, expected in pairs({ [0] = 1, [7.5] = 7.5, ["2 h"] = 7200, never = 86400, ["9 years"] = 86400, [-1] = 86400 }) do
			configured.x = value;
			assert.equal(expected, options.period("x", 600, 1, 86400));
		end
		configured.x = false;
		assert.equal(86400, options.period("x", 600, 1, 86400));
		configured.x = nil;
		assert.equal(5, options.integer("x", 5, 0, 1000));
		assert.equal(600, options.period("x", 600, 1, 86400));
	end);

	it("are the default where they are not texts that a stanza can have", function ()
		for _, value in ipairs({ "\228 in Latin-1", "\27[1m", {} }) do
			configured.x = value;
			assert.equal("Sorry", options.text("x", "Sorry"));
		end
		configured.x = "Später";
		assert.equal("Später", options.text("x", "Sorry"));
		configured.x = nil;
		assert.equal("Sorry", options.text("x", "Sorry"));
	end);
end);
