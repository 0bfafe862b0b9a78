-- The clock of the libraries stands still until a test moves it.
local time = require "prosody.util.time";

describe("away", function ()
	local time_now, now = time.now, 1000000;
	local stored, known, away;

	local function new_away(limit)
		local module = new_module();
		local storage = {
			set = function (key, value) stored[key] = value; return true; end;
			get = function (key) return stored[key]; end;
		};
		known = module:require "known"();
		away = module:require "away"({ away_limit = limit or 5, away_window = 600 }, storage, known);
		return away;
	end

	setup(function () time.now = function () return now; end; end);
	teardown(function () time.now = time_now; end);
	before_each(function () stored = {}; new_away(); end);

	local function login(account, address) return { account = account, address = address, outcome = "failure" }; end
	local function fail(account, address, times)
		local logins = {};
		for n = 1, times or 1 do
			logins[n] = login(account, address);
			away.failed(logins[n]);
		end
		return logins;
	end

	it("refuses a source and an account that failed too often, and nobody else", function ()
		fail("a@example.org", "203.0.113.7", 4);
		assert.is_false(away.is_over("a@example.org", "203.0.113.7"));
		fail("a@example.org", "203.0.113.7");
		assert.is_true(away.is_over("a@example.org", "198.51.100.1"));
		assert.is_true(away.is_over("b@example.org", "203.0.113.7"));
		assert.is_true(away.is_over(nil, "203.0.113.7"));
		assert.is_false(away.is_over("b@example.org", "203.0.113.8"));
	end);

	it("takes an IPv6 /64 for one source", function ()
		for n = 1, 5 do fail("user"..n.."@example.org", "2001:db8:0:1::"..n); end
		assert.is_true(away.is_over("x@example.org", "2001:db8:0:1:ffff::9"));
		assert.is_false(away.is_over("x@example.org", "2001:db8:0:2::1"));
	end);

	it("counts tries in progress as if they would fail", function ()
		fail("a@example.org", "203.0.113.7", 3);
		local finish = { away.begin("a@example.org", "203.0.113.7"), away.begin("b@example.org", "203.0.113.7") };
		assert.is_true(away.is_over("c@example.org", "203.0.113.7"));
		assert.is_true(away.is_trying("a@example.org", "198.51.100.1"));
		finish[1]();
		assert.is_false(away.is_over("c@example.org", "203.0.113.7"));
		finish[2]();
		assert.is_false(away.is_trying("a@example.org", "203.0.113.7"));
	end);

	it("forgives after a success only what failed for this account from this source", function ()
		fail("a@example.org", "203.0.113.7", 3);
		fail("b@example.org", "203.0.113.7", 2);
		away.succeeded(login("a@example.org", "203.0.113.7"));
		fail("c@example.org", "203.0.113.7", 2);
		assert.is_false(away.is_over("x@example.org", "203.0.113.7"));
		fail("c@example.org", "203.0.113.7", 1);
		assert.is_true(away.is_over("x@example.org", "203.0.113.7"));
	end);

	it("lets who logged in from there before have twice the limit, so that strangers do not lock the owner out", function ()
		away.succeeded(login("a@example.org", "192.0.2.1"));
		for n = 1, 5 do fail("a@example.org", "203.0.113."..n); end
		assert.is_true(away.is_over("a@example.org", "192.0.2.2"));
		assert.is_false(away.is_over("a@example.org", "192.0.2.1"));
		fail("a@example.org", "192.0.2.1", 5);
		assert.is_true(away.is_over("a@example.org", "192.0.2.1"));
	end);

	it("forgets what is older than the window, also after a jump of the clock", function ()
		fail("a@example.org", "203.0.113.7", 5);
		now = now + 599;
		assert.is_true(away.is_over("a@example.org", "203.0.113.7"));
		now = now + 1;
		assert.is_false(away.is_over("a@example.org", "203.0.113.7"));
		fail("a@example.org", "203.0.113.7", 5);
		now = now - 3600;
		assert.is_false(away.is_over("a@example.org", "203.0.113.7"));
	end);

	it("remembers over a killed server what failed, and what portcullis has not heard of", function ()
		away.delivered(fail("a@example.org", "203.0.113.7", 3), 1, 2);
		fail("b@example.org", "203.0.113.7", 2);
		away.write_some();
		local undelivered = new_away().read_all();
		assert.same({ "a@example.org", "b@example.org", "b@example.org" },
			{ undelivered[1].account, undelivered[2].account, undelivered[3].account });
		assert.is_true(away.is_over("x@example.org", "203.0.113.7"));
		away.delivered(undelivered, 1, 3);
		away.write_some();
		assert.same({}, new_away().read_all());
		assert.is_true(away.is_over("x@example.org", "203.0.113.7"));
		now = now + 600;
		away.write_some();
		assert.same({}, stored);
	end);

	it("does not tell of a failure after a restart that a success has forgiven", function ()
		fail("a@example.org", "203.0.113.7", 2);
		away.succeeded(login("a@example.org", "203.0.113.7"));
		away.write_some();
		assert.same({}, new_away().read_all());
	end);

	it("counts what was kept when the server stopped from when it happened, at most for the window and never in the future", function ()
		for _, age in ipairs { 590, 590, -3600, 10, 1e9 } do away.keep(login("a@example.org", "203.0.113.7"), age); end
		away.write_some();
		assert.equal(5, #new_away(4).read_all());
		assert.is_true(away.is_over("a@example.org", "203.0.113.7"));
		now = now + 15;
		assert.is_false(away.is_over("a@example.org", "203.0.113.7"));
		new_away(1).read_all();
		now = now + 585;
		assert.is_false(away.is_over("a@example.org", "203.0.113.7"));
		assert.equal(5, #new_away().read_all());
	end);

	it("goes over to the instance that comes after a reload", function ()
		fail("a@example.org", "203.0.113.7", 5);
		local saved = away.save();
		new_away().restore(saved);
		assert.is_true(away.is_over("x@example.org", "203.0.113.7"));
		now = now + 600;
		assert.is_false(away.is_over("x@example.org", "203.0.113.7"));
	end);

	it("keeps no more than ten thousand, the newest, however long it goes on", function ()
		for n = 1, 25000 do
			away.failed(login("user"..n.."@example.org", ("10.%d.%d.1"):format(n // 256, n % 256)));
			if n % 1000 == 0 then away.write_some(math.huge); end
		end
		local count = 0;
		for _, page in pairs(stored) do count = count + #page; end
		assert.is_true(count > 10000 and count <= 10240);
		local undelivered = new_away().read_all();
		assert.equal("user25000@example.org", undelivered[#undelivered].account);
		assert.equal("user14900@example.org", undelivered[#undelivered - 10100].account);
	end);

	it("reads what a broken storage gives for nothing", function ()
		stored["@away-000"] = { 7, "x", {}, { number = 1.5, time = 1, login = {} }, { number = 65, time = now, login = {} } };
		assert.same({}, away.read_all());
	end);

	it("counts nothing if it is turned off", function ()
		new_away(0);
		fail("a@example.org", "203.0.113.7", 100);
		assert.is_false(away.is_over("a@example.org", "203.0.113.7"));
		assert.same({}, stored);
	end);
end);

describe("known", function ()
	it("remembers the last eight sources of an account, and of an account only its own", function ()
		local known = new_module():require "known"();
		for n = 1, 9 do known.add("a@example.org", "203.0.113."..n); end
		known.add("b@example.org", "2001:db8::1");
		assert.is_false(known.has("a@example.org", "203.0.113.1"));
		assert.is_true(known.has("a@example.org", "203.0.113.2"));
		assert.is_true(known.has("b@example.org", "2001:db8::2"));
		assert.is_false(known.has("b@example.org", "203.0.113.9") or known.has(nil, "203.0.113.9"));
	end);

	it("comes back from storage as it was", function ()
		local known, again = new_module():require "known"(), new_module():require "known"();
		for n = 1, 9 do known.add("a@example.org", "203.0.113."..n); end
		known.add("b@example.org", "2001:db8::1");
		again.from_list(known.to_list());
		assert.same(known.to_list(), again.to_list());
		assert.is_true(again.has("a@example.org", "203.0.113.9") and again.has("b@example.org", "2001:db8::9"));
		for _, broken in ipairs({ { {}, { 7, 8 }, 9, "x" }, 7, "x" }) do again.from_list(broken); end
		assert.equal(2, #again.to_list());
		again.from_list({ { "c@example.org", "4", "no hex", 7, {}, "40cb007107" } });
		assert.is_true(again.has("c@example.org", "203.0.113.7"));
	end);

	it("is stored as text that JSON can have", function ()
		local known = new_module():require "known"();
		known.add("a@example.org", "203.0.113.200");
		known.add("a@example.org", "2001:db8:ffff:eeee::1");
		assert.same({ { "a@example.org", "4020010db8ffffeeee", "40cb0071c8" } }, known.to_list());
	end);

	it("comes back from a list of the first versions, whose sources are bytes", function ()
		local known = new_module():require "known"();
		known.from_list({ { "a@example.org", "@\203\0\113\200", "@\32\1\13\184\255\255\238\238" } });
		assert.is_true(known.has("a@example.org", "203.0.113.200") and known.has("a@example.org", "2001:db8:ffff:eeee::9"));
	end);
end);
