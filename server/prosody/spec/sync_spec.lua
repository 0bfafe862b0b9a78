local datetime = require "prosody.util.datetime";
local st = require "prosody.util.stanza";
local time = require "prosody.util.time";

local xmlns = "urn:portcullis:hook:1";

-- A component that answers each request with the next of `answers`; an answer may be false: none.
local function new_component(answers)
	local component = { requests = {} };
	function component.session() return true; end
	function component.is_back() component.is_known_to_answer = true; end
	function component.on_silence() end
	function component.request(_, payload, _, callback)
		table.insert(component.requests, payload);
		local answer = table.remove(answers, 1);
		callback(answer and st.stanza("iq", { type = "result" }):add_child(answer) or nil);
	end
	function component.result_child(reply, name)
		return reply and reply:get_child(name, xmlns);
	end
	return component;
end

local function page(attr, bans, lifts)
	attr.xmlns = xmlns;
	local changes = st.stanza("changes", attr);
	for _, account in ipairs(bans) do changes:tag("ban", { xmlns = xmlns, id = "1", kind = "account", subject = account }):up(); end
	for _, account in ipairs(lifts or {}) do changes:tag("lift", { xmlns = xmlns, kind = "account", subject = account }):up(); end
	return changes;
end

describe("sync", function ()
	local moment; -- nil: as it is
	local time_now = time.now;

	-- Calls `what` at a time; the libraries were loaded with this clock.
	local function time_is(a_moment, what)
		moment = a_moment;
		local ok, err = pcall(what);
		moment = nil;
		if not ok then error(err, 0); end
	end

	before_each(function () time.now = function () return moment or time_now(); end; end);
	after_each(function () time.now = time_now; end);

	local held, bans, touched, module, caught_up, clock, stored;

	local function new_sync(answers)
		module, touched, caught_up, stored = new_module(), {}, 0, {};
		clock = module:require "clock";
		held = module:require "held";
		bans = held.new();
		local storage = {
			touch = function (bucket) touched[bucket] = true; end;
			touch_all = function () touched.all = true; end;
			write_soon = function () end;
			set = function (key, value) stored[key] = value; end;
		};
		local component = new_component(answers);
		local function nothing() end
		local settings, reports = { version = "1", max_held = 3 }, { resume = nothing };
		local sync = module:require "sync"(settings, component, clock, bans, storage, reports, {}, nothing);
		sync.on_catch_up(function () caught_up = caught_up + 1; end);
		return sync, component;
	end

	local function holds(account) return held.find_account(bans, account, 0) ~= nil; end
	local function bucket(account) return held.bucket_of((held.key_of("account", account))); end

	it("takes a whole set of several pages at their end", function ()
		local sync, component = new_sync({
			page({ epoch = "e", seq = "1", more = "true", fresh = "true" }, { "a@example.org" }),
			page({ epoch = "e", seq = "2", more = "false", fresh = "false" }, { "b@example.org" }),
		});
		assert.is_true(sync.announced("e", "2"));
		assert.is_true(holds("a@example.org") and holds("b@example.org"));
		assert.same({ "e", 2, true }, { sync.epoch, sync.seq, touched.all });
		assert.same({ nil, "1" }, { component.requests[1].attr.since, component.requests[2].attr.since });
		assert.equal(1, caught_up);
		assert.is_false(sync.announced("e", "2"));
	end);

	it("tells the state from before a restart, and asks for the whole set", function ()
		local sync, component = new_sync({ false, page({ epoch = "e", seq = "3", fresh = "true" }, { "a@example.org" }) });
		sync.known = { epoch = "e", seq = 7 };
		sync.hello();
		assert.same({ "e", "7" }, { component.requests[1].attr.epoch, component.requests[1].attr.seq });
		sync.announced("e", "3");
		local asked = component.requests[#component.requests];
		assert.same({ "sync", nil }, { asked.name, asked.attr.since });
		assert.same({ epoch = "e", seq = 3 }, stored["@state"]);
	end);

	it("keeps the old set if a new one breaks off", function ()
		local sync = new_sync({ page({ epoch = "e", seq = "1", more = "true", fresh = "true" }, { "a@example.org" }), false });
		held.add(bans, { kind = "account", subject = "old@example.org" }, 3);
		sync.announced("e", "2");
		assert.is_true(holds("old@example.org"));
		assert.is_false(holds("a@example.org"));
		assert.is_nil(sync.epoch);
		assert.equal(0, caught_up);
		assert.equal(3, #module.timers); -- the heartbeat, the expired bans, and another try
	end);

	it("keeps and stores the first page of changes if the next one does not come", function ()
		local sync = new_sync({ page({ epoch = "e", seq = "5", more = "true" }, { "a@example.org" }, { "old@example.org" }), false });
		held.add(bans, { kind = "account", subject = "old@example.org" }, 3);
		sync.epoch, sync.seq = "e", 4;
		sync.announced("e", "6");
		assert.is_true(holds("a@example.org"));
		assert.is_false(holds("old@example.org"));
		assert.equal(5, sync.seq);
		assert.same({ [bucket "a@example.org"] = true, [bucket "old@example.org"] = true }, touched);
	end);

	it("begins again with the whole set if the epoch changes between two pages", function ()
		local sync, component = new_sync({
			page({ epoch = "e", seq = "5", more = "true" }, { "a@example.org" }),
			page({ epoch = "f", seq = "1", more = "false" }, { "b@example.org" }),
			page({ epoch = "f", seq = "1", more = "false", fresh = "true" }, { "c@example.org" }),
		});
		sync.epoch, sync.seq = "e", 4;
		sync.announced("e", "6");
		assert.is_nil(component.requests[3].attr.epoch);
		assert.same({ "f", 1 }, { sync.epoch, sync.seq });
		assert.is_true(holds("c@example.org"));
		assert.is_false(holds("a@example.org") or holds("b@example.org"));
	end);

	it("stops asking if a page brings no progress", function ()
		local sync, component = new_sync({ page({ epoch = "e", seq = "4", more = "true" }, {}) });
		sync.epoch, sync.seq = "e", 4;
		sync.announced("e", "6");
		assert.equal(1, #component.requests);
	end);

	it("does nothing with an answer that comes after a reload", function ()
		local sync, component = new_sync({});
		local answer;
		function component.request(_, _, _, callback) answer = callback; end
		sync.announced("e", "1");
		module.loaded = false;
		answer(st.stanza("iq", { type = "result" }):add_child(page({ epoch = "e", seq = "1", fresh = "true" }, { "a@example.org" })));
		assert.is_false(holds("a@example.org"));
		assert.same({}, touched);
		assert.is_nil(sync.epoch);
		assert.equal(0, caught_up);
		answer(nil);
		assert.equal(2, #module.timers); -- the heartbeat and the expired bans
	end);

	it("tells its time in hello, and takes that of portcullis from welcome", function ()
		local function welcome(now) return st.stanza("welcome", { xmlns = xmlns, epoch = "e", seq = "0", now = now }); end
		local now = datetime.parse("2030-01-01T12:00:00Z");
		local sync, component = new_sync({
			welcome("2030-01-01T11:45:00.5Z"), page({ epoch = "e", seq = "0", fresh = "true" }, {}), welcome(), welcome("soon");
		});
		time_is(now, function ()
			sync.hello();
			assert.equal("2030-01-01T12:00:00Z", component.requests[1].attr.now);
			assert.is_true(component.is_known_to_answer);
			assert.equal(now - 899.5, clock.now());
			assert.same({ skew = 899.5 }, stored["@clock"]);
			sync.hello();
			sync.hello();
			assert.equal(now - 899.5, clock.now(), "an answer without a time changes nothing");
		end);
	end);

	it("drops an expired ban only after a while, by the time of portcullis", function ()
		new_sync({});
		local now = datetime.parse("2030-01-01T12:00:00Z");
		held.add(bans, { kind = "account", subject = "a@example.org", ["until"] = now }, 3);
		local drop_expired = module.timers[2];
		local function all_pages() for _ = 1, 60 do drop_expired(); end end
		clock.skew = 900;
		time_is(now + 1190, all_pages);
		assert.equal(1, bans.count);
		time_is(now + 1210, all_pages);
		assert.equal(0, bans.count);
	end);

	it("holds no more than it may, and nothing of another host", function ()
		local sync = new_sync({
			page({ epoch = "e", seq = "1", fresh = "true" }, { "a@example.org", "b@example.org", "c@example.org", "d@example.org", "e@elsewhere.example" }),
		});
		sync.announced("e", "1");
		assert.equal(3, bans.count);
	end);
end);
