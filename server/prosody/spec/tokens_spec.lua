local LIFETIME = 86400*21;

describe("tokens", function ()
	local now, stored, grants, fast, revoked, tokens, module;

	local function require_tokens()
		package.loaded["prosody.core.modulemanager"] = {
			is_loaded = function (_, name) return name == "sasl2_fast" and fast ~= nil; end;
			get_module = function (_, name)
				if name == "sasl2_fast" then return fast; end
				return {
					get_user_grants = function () return grants; end;
					revoke_grant = function (_, id) grants[id] = nil; end;
				};
			end;
		};
		package.loaded["prosody.util.time"] = { now = function () return now; end };
		module = new_module();
		function module.get_option_number(_, _, default) return default; end
		function module.open_store()
			return {
				get = function (_, username) return stored[username]; end;
				set = function (_, username, value) stored[username] = value; return true; end;
				users = function () return pairs(stored); end;
			};
		end
		return module:require "tokens";
	end

	before_each(function ()
		now, stored, grants, revoked = 1000, {}, { a = {}, b = {} }, {};
		fast = { revoke_fast_tokens = function (_, client_id) table.insert(revoked, client_id); return true; end };
		tokens = require_tokens();
	end);

	after_each(function ()
		package.loaded["prosody.core.modulemanager"], package.loaded["prosody.util.time"] = nil, nil;
	end);

	local function login(client_id, mechanism, wants_token)
		return tokens.used_void({
			client_id = client_id, fast_token_request = wants_token and {} or nil;
			sasl_handler = { username = "alice", selected = mechanism };
		});
	end

	it("of a kicked account open nothing: grants at once, FAST tokens at the next login of their client", function ()
		assert.is_false(login("one", "HT-SHA-256-NONE"));
		tokens.revoke_all("alice");
		assert.same({}, grants);
		assert.is_true(login("one", "HT-SHA-256-NONE"));
		assert.is_true(login("two", "HT-SHA-256-NONE"));
		assert.same({ "one", "two" }, revoked);
	end);

	it("that a client gets later are good, also after their rotation", function ()
		tokens.revoke_all("alice");
		assert.is_false(login("one", "SCRAM-SHA-1", true));
		assert.is_false(login("one", "HT-SHA-256-NONE"));
		assert.is_false(login("one", "HT-SHA-256-NONE", true));
		assert.same({ "one" }, revoked);
	end);

	it("are void again after another kick", function ()
		tokens.revoke_all("alice");
		login("one", "SCRAM-SHA-1", true);
		tokens.revoke_all("alice");
		assert.is_true(login("one", "HT-SHA-256-NONE"));
	end);

	it("are not remembered for a login without FAST", function ()
		tokens.revoke_all("alice");
		assert.is_false(login("one", "SCRAM-SHA-1"));
		assert.is_false(login(nil, "PLAIN"));
		assert.same({}, stored.alice.clients);
	end);

	it("let nobody in when they cannot be revoked", function ()
		tokens.revoke_all("alice");
		fast.revoke_fast_tokens = nil;
		assert.is_true(login("one", "HT-SHA-256-NONE"));
		assert.is_true(login("one", "HT-SHA-256-NONE"));
	end);

	it("are forgotten when all of them have expired", function ()
		tokens.revoke_all("alice");
		now = now + LIFETIME;
		assert.is_true(login("one", "HT-SHA-256-NONE"));
		module.timers[1]();
		assert.is_table(stored.alice);
		now = now + 1;
		module.timers[1]();
		assert.is_nil(stored.alice);
	end);
end);
