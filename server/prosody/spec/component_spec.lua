local st = require "prosody.util.stanza";

local xmlns = "urn:portcullis:hook:1";
local NAME = "portcullis.example.org";
local hosts = _G.prosody.hosts;

describe("component", function ()
	local time = require "prosody.util.time";
	local monotonic = time.monotonic;
	local module, component, shared, on_iq, now, timers, sent;

	before_each(function ()
		now, timers, sent = 1000, {}, {};
		time.monotonic = function () return now; end;
		package.loaded["prosody.util.timer"] = {
			add_task = function (delay, callback) table.insert(timers, { due = now + delay, callback = callback }); return timers[#timers]; end;
			stop = function (timer) if timer then timer.callback = nil; end end;
		};
		module = new_module();
		function module.hook(_, _, handler) on_iq = handler; end
		function module.send(_, stanza) table.insert(sent, stanza.attr.id); end
		hosts[NAME] = { modules = { component = { connected = true, session = {} } } };
		shared = { pending = {} };
		component = module:require "component"(NAME, shared);
	end);

	after_each(function ()
		package.loaded["prosody.util.timer"] = nil;
		hosts[NAME] = nil;
		time.monotonic = monotonic;
	end);

	local function connect() hosts[NAME].modules.component.session = {}; end
	local function disconnect() hosts[NAME].modules.component.connected = false; end

	-- Lets so many seconds pass, without looking at timers any earlier.
	local function pass(seconds)
		now = now + seconds;
		local all = timers;
		timers = {};
		for _, timer in ipairs(all) do
			if timer.callback and timer.due > now then
				table.insert(timers, timer);
			elseif timer.callback then
				timer.callback();
			end
		end
	end

	local function answer(id, child)
		local stanza = st.stanza("iq", { type = "result", id = id, from = NAME });
		if child then stanza:tag(child, { xmlns = xmlns }):up(); end
		return on_iq({ stanza = stanza, origin = { type = "component", host = NAME } });
	end

	local function ask(timeout)
		local answers = { count = 0 };
		component.request("get", st.stanza("check", { xmlns = xmlns }), timeout or 0.5, function (reply)
			answers.count, answers.reply = answers.count + 1, reply;
		end);
		return answers;
	end

	it("is away until it has said welcome on this connection", function ()
		assert.is_true(component.is_away());
		component.is_back();
		assert.is_false(component.is_away());
		connect();
		assert.is_true(component.is_away());
		component.is_back();
		disconnect();
		assert.is_true(component.is_away());
		component.is_back();
		assert.is_true(component.is_away());
	end);

	it("stays welcome across a reload", function ()
		component.is_back();
		assert.is_false(new_module():require "component"(NAME, shared).is_away());
	end);

	it("is away after ten seconds without any answer, and not before", function ()
		local silences = 0;
		component.on_silence(function () silences = silences + 1; end);
		component.is_back();
		for _ = 1, 19 do
			local asked = ask();
			pass(0.5);
			assert.same({ count = 1 }, asked);
			assert.is_false(component.is_away());
		end
		ask();
		pass(0.5);
		assert.is_true(component.is_away());
		assert.equal(1, silences);
	end);

	it("is not away if anything was answered meanwhile, or nothing was asked", function ()
		component.is_back();
		ask();
		pass(0.5);
		pass(9);
		ask();
		answer(sent[2], "verdict");
		pass(60);
		ask();
		pass(0.5);
		assert.is_false(component.is_away());
	end);

	it("is not taken for silent when this server was too busy to look", function ()
		component.is_back();
		ask();
		pass(30);
		assert.is_false(component.is_away());
		ask();
		pass(0.5);
		assert.is_false(component.is_away());
	end);

	it("fails a question at once when too many wait for an answer", function ()
		for _ = 1, 2000 do ask(); end
		assert.same({ count = 1 }, ask());
		assert.equal(2000, #sent);
	end);

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
