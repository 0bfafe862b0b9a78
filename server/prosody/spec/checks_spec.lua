describe("checks", function ()
	local st = require "prosody.util.stanza";
	local async = require "prosody.util.async";
	local is_away, answer, away, checks, held, bans, errors;

	local function verdict(attr)
		attr.xmlns = "urn:portcullis:hook:1";
		return st.stanza("iq", { type = "result" }):tag("verdict", attr);
	end

	before_each(function ()
		package.loaded["prosody.util.timer"] = { add_task = function (delay, f) if delay == 0 then f(); end end, stop = function () end };
		is_away, errors = false, {};
		answer = function () return verdict({ action = "allow" }); end;
		local module = new_module();
		held = module:require "held";
		bans = held.new();
		local component = {
			is_away = function () return is_away; end;
			request = function (_, stanza, _, callback) callback(answer(stanza.attr)); end;
			result_child = function (reply, name) return reply and reply:get_child(name, "urn:portcullis:hook:1"); end;
		};
		local settings = { wait = 0.5, away_limit = 5, away_window = 600, default_text = "Banned", closed_text = "Later" };
		local storage = { set = function () return true; end, get = function () end };
		local known = module:require "known"();
		away = module:require "away"(settings, storage, known);
		local reports = { failure_count = function () return 0; end, failed_since = function () return false; end, add = function () end };
		local sync = { epoch = "e", seq = 1, is_running = function () return false; end, announced = function () end };
		local clock = { now = function () return 1000; end, set = function () end };
		checks = module:require "checks"(settings, component, clock, bans, sync, reports, away, known);
	end);
	after_each(function () package.loaded["prosody.util.timer"] = nil; end);

	-- The refusal, or nil; questions can only be asked in a coroutine.
	local function check(session, account, stage)
		local refusal;
		async.runner(function () refusal = checks.check(session, account, "PLAIN", stage); end, {
			error = function (_, err) errors[#errors+1] = err; end;
		}):run(true);
		return refusal;
	end

	local function fail(account, address, times)
		for _ = 1, times do away.failed({ account = account, address = address, outcome = "failure" }); end
	end

	it("do not count a login that is looked at again against itself", function ()
		is_away = true;
		fail("a@example.org", "203.0.113.7", 4);
		local session = { ip = "203.0.113.7" };
		assert.is_nil(check(session, "a@example.org", "decides"));
		assert.is_nil(check(session, "a@example.org"), "its password was right");
		assert.is_true(away.is_over("a@example.org", "203.0.113.7"), "it counts for others all the same");
		assert.equal("unknown", check({ ip = "203.0.113.7" }, "b@example.org", "decides").by);
		checks.end_try(session);
		assert.is_false(away.is_trying("a@example.org", "203.0.113.7"));
		assert.is_nil(check({ ip = "203.0.113.7" }, "b@example.org"));
	end);

	it("give the place of a question back after an error", function ()
		answer = function () error("broken"); end;
		for _ = 1, 20 do check({ ip = "203.0.113.7" }, "a@example.org"); end
		assert.equal(20, #errors);
		assert.is_truthy(errors[20]:find("broken", 1, true));
		answer = function () return verdict({ action = "allow" }); end;
		assert.is_nil(check({ ip = "203.0.113.7" }, "a@example.org"));
	end);

	it("take a refusal by a network for confirmed at this address only, by an account from anywhere", function ()
		local asked = 0;
		answer = function (question)
			asked = asked + 1;
			return question.account and verdict({ action = "refuse", by = "account", ban = "1" })
				or verdict({ action = "refuse", by = "network", ban = "2" });
		end;
		held.add(bans, { kind = "account", subject = "a@example.org", id = "1" }, 9);
		held.add(bans, { kind = "network", subject = "203.0.113.0/24", id = "2", door = "start" }, 9);
		local function ask(address, account)
			asked = 0;
			assert.is_table(check({ ip = address }, account, not account and "start" or nil));
			return asked;
		end
		assert.same({ 1, 0, 1, 0 }, { ask("203.0.113.7"), ask("203.0.113.7"), ask("203.0.113.8"), ask("203.0.113.8") });
		assert.same({ 1, 0 }, { ask("192.0.2.1", "a@example.org"), ask("192.0.2.2", "a@example.org") });
	end);
end);
