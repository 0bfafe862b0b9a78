local st = require "prosody.util.stanza";

-- A component that keeps what it is asked; the test answers.
local function new_component()
	local component = { requests = {}, connected = true };
	function component.session() return component.connected; end
	function component.request(_, payload, _, callback)
		table.insert(component.requests, { payload = payload, callback = callback });
	end
	return component;
end

local RESULT = st.stanza("iq", { type = "result" });
local function failure(condition)
	return st.error_reply(st.iq({ type = "set", id = "1" }), "cancel", condition);
end

describe("reports", function ()
	local module, component, shared, reports;

	before_each(function ()
		module, component, shared = new_module(), new_component(), {};
		reports = module:require "reports"(component, shared);
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

	it("of a client that waited across a reload go to the next instance", function ()
		add(1);
		module.loaded = false;
		local next_reports = new_module():require "reports"(component, shared);
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
end);
