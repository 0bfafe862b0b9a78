local st = require "prosody.util.stanza";

local xmlns = "urn:portcullis:hook:1";
local NAME = "portcullis.example.org";

describe("component", function ()
	local shared, on_iq;

	before_each(function ()
		package.loaded["prosody.util.timer"] = { stop = function () end };
		local module = new_module();
		function module.hook(_, _, handler) on_iq = handler; end
		shared = { pending = {} };
		module:require "component"(NAME, shared);
	end);

	after_each(function () package.loaded["prosody.util.timer"] = nil; end);

	local function answer(id, child)
		local stanza = st.stanza("iq", { type = "result", id = id, from = NAME });
		if child then stanza:tag(child, { xmlns = xmlns }):up(); end
		return on_iq({ stanza = stanza, origin = { type = "component", host = NAME } });
	end

	it("answers the clients and reports that wait since before the first version was replaced, and not its sync", function ()
		local answered = {};
		for _, id in ipairs({ "check", "report", "sync", "hello" }) do
			shared.pending[id] = { callback = function () table.insert(answered, id); end };
		end
		assert.is_true(answer("check", "verdict"));
		assert.is_true(answer("report"));
		assert.is_true(answer("sync", "changes"));
		assert.is_true(answer("hello", "welcome"));
		assert.same({ "check", "report" }, answered);
		assert.is_nil(answer("check", "verdict"));
	end);
end);
