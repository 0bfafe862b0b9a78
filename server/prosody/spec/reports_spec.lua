local st = require "prosody.util.stanza";

-- A component that keeps what it is asked; the test answers.
local function new_component()
	local component = { requests = {}, connected = true };
	function component.session() return component.connected; end
	function component.is_away() return not component.connected; end
	function component.request(_, payload, _, callback)
		table.insert(component.requests, { payload = payload, callback = callback });
	end
	return component;
end

local clock = { now = function () return 1000000000.5; end };

-- What is counted while portcullis is away.
local function new_away()
	local away = { failures = {}, successes = {}, taken = {}, kept = {} };
	function away.failed(login) table.insert(away.failures, login.account); end
	function away.keep(login) table.insert(away.kept, login.account); end
	function away.succeeded(login) table.insert(away.successes, login.account); end
	function away.delivered(logins, first, last)
		for n = first, last do table.insert(away.taken, logins[n].account); end
	end
	return away;
end

local RESULT = st.stanza("iq", { type = "result" });
local function failure(condition)
	return st.error_reply(st.iq({ type = "set", id = "1" }), "cancel", condition);
end

describe("reports", function ()
	local module, component, shared, away, reports;

	before_each(function ()
		module, component, shared, away = new_module(), new_component(), {}, new_away();
		reports = module:require "reports"(component, shared, clock, away);
	end);

	local function add(count)
		for n = 1, count do reports.add({ account = "user"..n.."@example.org", address = "203.0.113.7", outcome = "success" }); end
	end
	local function logins_of(request) return #request.payload.tags; end

	it("are sent at once, and together while four are unanswered", function ()
		add(10);
		assert.equal(4, #component.requests);
		component.requests[1].callback(RESULT);
		assert.equal(5, #component.requests);
		assert.equal(6, logins_of(component.requests[5]));
	end);

	it("leave their failures behind when the server stops, whether they were sent or not", function ()
		component.connected = false;
		for n = 1, 6 do reports.add({ account = "user"..n.."@example.org", outcome = n % 3 == 0 and "success" or "failure" }); end
		away.failures = {};
		component.connected = true;
		reports.flush();
		component.connected = false;
		reports.add({ account = "late@example.org", outcome = "failure" });
		reports.keep_failures();
		table.sort(away.kept);
		assert.same({ "late@example.org", "user1@example.org", "user2@example.org", "user4@example.org", "user5@example.org" }, away.kept);
		away.kept = {};
		component.requests[1].callback(RESULT);
		reports.keep_failures();
		assert.same({ "late@example.org" }, away.kept);
	end);

	it("leave their failures behind as old as they are", function ()
		local ages, now = {}, clock.now();
		component.connected = false;
		reports.add({ account = "a@example.org", outcome = "failure" });
		function away.keep(_, age) table.insert(ages, age); end
		local later = { now = function () return now + 30; end };
		local rest = reports.save();
		reports = module:require "reports"(component, {}, later, away);
		reports.restore(rest);
		reports.keep_failures();
		assert.same({ 30 }, ages);
	end);

	it("that come in halves leave behind what was not taken when the server stops, and nothing that was", function ()
		component.connected = false;
		for n = 1, 4 do reports.add({ account = "user"..n.."@example.org", outcome = "failure" }); end
		component.connected = true;
		reports.flush();
		component.requests[1].callback(failure("bad-request"));
		reports.keep_failures();
		assert.same({ "user1@example.org", "user2@example.org", "user3@example.org", "user4@example.org" }, away.kept);
		away.kept = {};
		component.requests[2].callback(RESULT);
		reports.keep_failures();
		assert.same({ "user3@example.org", "user4@example.org" }, away.kept);
		away.kept = {};
		component.requests[3].callback(RESULT);
		reports.keep_failures();
		assert.same({}, away.kept);
	end);

	it("hold a hundred logins at most", function ()
		component.connected = false;
		add(250);
		component.connected = true;
		reports.flush();
		local sizes = {};
		for i, request in ipairs(component.requests) do sizes[i] = logins_of(request); end
		assert.same({ 100, 100, 50 }, sizes);
	end);

	it("come again in their order if nobody answered, after a while or a hello", function ()
		add(1);
		component.requests[1].callback(nil);
		add(1);
		assert.equal(1, #component.requests);
		reports.resume();
		assert.equal(2, #component.requests);
		assert.equal(2, logins_of(component.requests[2]));
	end);

	local function accounts_of(request)
		local accounts = {};
		for _, login in ipairs(request.payload.tags) do accounts[#accounts+1] = login.attr.account:match("^%a+%d+"); end
		return table.concat(accounts, " ");
	end

	it("that are refused come again in halves, until only the login that was refused is dropped", function ()
		component.connected = false;
		add(5);
		component.connected = true;
		reports.flush();
		local answered = 0;
		while component.requests[answered + 1] do
			answered = answered + 1;
			local request = component.requests[answered];
			request.callback(accounts_of(request):find("user2", 1, true) and failure("not-acceptable") or RESULT);
		end
		local sent = {};
		for i, request in ipairs(component.requests) do sent[i] = accounts_of(request); end
		assert.same({ "user1 user2 user3 user4 user5", "user1 user2 user3", "user1 user2", "user1", "user2", "user3", "user4 user5" }, sent);
		assert.equal(5, #away.taken);
		add(1);
		assert.equal(1, logins_of(component.requests[#component.requests]));
	end);

	it("of which a half was taken when nobody answered any more come again without that half", function ()
		component.connected = false;
		add(4);
		component.connected = true;
		reports.flush();
		component.requests[1].callback(failure("bad-request"));
		component.requests[2].callback(RESULT);
		component.requests[3].callback(nil);
		reports.resume();
		assert.equal("user3 user4", accounts_of(component.requests[4]));
		assert.same({ "user1@example.org", "user2@example.org" }, away.taken);
	end);

	it("hold no more text than a stanza may", function ()
		component.connected = false;
		for n = 1, 100 do
			reports.add({ account = ("a"):rep(1023).."@"..n, outcome = "error", reason = ("é"):rep(1000), condition = "a\nb" });
		end
		component.connected = true;
		reports.flush();
		for _, request in ipairs(component.requests) do assert.is_true(#tostring(request.payload) < 80000); end
		local login = component.requests[1].payload.tags[1].attr;
		assert.equal(("é"):rep(128), login.reason);
		assert.equal("a b", login.condition);
		assert.equal("2001-09-09T01:46:40.500000Z", login.at);
	end);

	it("of failures are counted here as well while portcullis is away", function ()
		reports.add({ account = "a@example.org", outcome = "failure" });
		component.connected = false;
		reports.add({ account = "b@example.org", outcome = "failure" });
		reports.add({ account = "c@example.org", outcome = "success" });
		reports.add({ account = "d@example.org", outcome = "refused" });
		assert.same({ "b@example.org" }, away.failures);
		assert.same({ "c@example.org" }, away.successes);
	end);

	it("are dropped if portcullis will never understand them", function ()
		add(1);
		component.requests[1].callback(failure("bad-request"));
		reports.resume();
		assert.equal(1, #component.requests);
		component.requests[1].callback(failure("resource-constraint"));
		reports.resume();
		assert.equal(2, #component.requests);
	end);

	it("keep the newest ten thousand logins while portcullis is away", function ()
		component.connected = false;
		add(10005);
		local kept = reports.save();
		assert.equal(10000, #kept);
		assert.equal("user6@example.org", kept[1].account);
	end);

	it("that count for nothing do not push out those that count", function ()
		component.connected = false;
		add(9999);
		for _ = 1, 10 do reports.add({ account = "x@example.org", outcome = "refused" }); end
		reports.add({ account = "last@example.org", outcome = "failure" });
		local kept = reports.save();
		assert.same({ "user2@example.org", "last@example.org" }, { kept[1].account, kept[10000].account });
	end);

	it("of a client that waited across a reload go to the next instance", function ()
		add(1);
		module.loaded = false;
		local next_reports = new_module():require "reports"(component, shared, clock, away);
		reports.add({ account = "late@example.org", outcome = "success" });
		assert.equal(2, #component.requests);
		component.requests[1].callback(nil);
		next_reports.resume();
		assert.equal("user1@example.org", component.requests[3].payload.tags[1].attr.account);
	end);

	it("are dropped without an endless loop when no instance came after", function ()
		module.loaded = false;
		add(1);
		assert.equal(0, #component.requests);
	end);

	it("of the first version of the module go to the instance that was loaded in its place", function ()
		shared.report({ account = "late@example.org", outcome = "success" });
		shared.requeue({ { account = "unsent@example.org", outcome = "success" } });
		assert.equal(2, #component.requests);
		assert.equal("late@example.org", component.requests[1].payload.tags[1].attr.account);
	end);

	it("remember which account, address and network failed since a moment", function ()
		local since = reports.failure_count();
		reports.add({ account = "alice@example.org", address = "203.0.113.7", outcome = "failure" });
		assert.is_truthy(reports.failed_since(since, "alice@example.org", "198.51.100.1"));
		assert.is_truthy(reports.failed_since(since, nil, "203.0.113.200"));
		assert.is_falsy(reports.failed_since(since, "bob@example.org", "198.51.100.1"));
		assert.is_falsy(reports.failed_since(reports.failure_count(), "alice@example.org", "203.0.113.7"));
	end);

	it("have no blind spot for failures that were forgotten for want of room", function ()
		reports.add({ account = "alice@example.org", address = "203.0.113.7", outcome = "failure" });
		local since = reports.failure_count() - 1;
		for n = 1, 3000 do reports.add({ account = "user"..n.."@example.org", address = "10.0."..(n // 250).."."..(n % 250), outcome = "failure" }); end
		assert.is_true(reports.failed_since(since, "alice@example.org", "203.0.113.7"));
	end);
end);
