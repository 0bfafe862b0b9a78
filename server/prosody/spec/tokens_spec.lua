local LIFETIME = 86400*21;

describe("tokens", function ()
	local now, stored, grants, fast, revoked, tokens, module, health, broken;

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
		function module.get_option_number() end -- as for a text that is not a number
		function module.open_store()
			return {
				get = function (_, username)
					if broken then return nil, "disk error"; end
					return stored[username];
				end;
				set = function (_, username, value)
					if broken then return nil, "disk error"; end
					stored[username] = value;
					return true;
				end;
				users = function () return pairs(stored); end;
			};
		end
		health = {};
		return module:require "tokens"(health);
	end

	before_each(function ()
		now, stored, grants, revoked = 1000, {}, { a = {}, b = {} }, {};
		broken = false;
		fast = { revoke_fast_tokens = function (_, client_id) table.insert(revoked, client_id); return true; end };
		tokens = require_tokens();
	end);

	after_each(function ()
		package.loaded["prosody.core.modulemanager"], package.loaded["prosody.util.time"] = nil, nil;
	end);

	local function login(client_id, mechanism, wants_token)
		return tokens.used_void({
			client_id = client_id, fast_token_request = wants_token and {} or nil;
			sasl_handler = { username = "alice", selected = mechanism, client_id = mechanism:match("^HT%-") and client_id };
		});
	end

	-- A token of the client `used` on a stream that says it is the client `named`.
	local function login_as_another(used, named)
		return tokens.used_void({
			client_id = named;
			sasl_handler = { username = "alice", selected = "HT-SHA-256-NONE", client_id = used };
		});
	end

	local function count_clients()
		local count = 0;
		for _ in pairs(stored.alice.clients) do count = count + 1; end
		return count;
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

	it("are judged by the client whose token was used, whatever the stream says", function ()
		tokens.revoke_all("alice");
		assert.is_true(login_as_another("one", nil));
		assert.is_true(login_as_another("two", "three"));
		assert.is_true(login_as_another(nil, nil));
		assert.same({ "one", "two" }, revoked);
		assert.is_true(login("three", "HT-SHA-256-NONE"));
	end);

	it("are stored by hashes of a limited number of clients; those of further ones stay void", function ()
		tokens.revoke_all("alice");
		for n = 1, 150 do login("client "..n..(" "):rep(5000), "HT-SHA-256-NONE"); end
		assert.equal(100, count_clients());
		for client in pairs(stored.alice.clients) do assert.equal(64, #client); end
		assert.is_false(login("client 1"..(" "):rep(5000), "HT-SHA-256-NONE"));
		assert.is_true(login("client 150"..(" "):rep(5000), "HT-SHA-256-NONE"));
		assert.is_false(login("one more", "SCRAM-SHA-1", true));
	end);

	it("cannot be told from others while the store cannot be read: none lets in", function ()
		broken = true;
		assert.is_true(login("one", "HT-SHA-256-NONE"));
		assert.is_false(login("one", "SCRAM-SHA-1", true));
		assert.same({}, revoked);
		broken = false;
		assert.is_false(login("one", "HT-SHA-256-NONE"));
	end);

	it("are void although the store cannot be written, and the health says so until it can", function ()
		broken = true;
		tokens.revoke_all("alice");
		broken = false;
		assert.equal("void FAST tokens cannot be written to storage", health.tokens);
		assert.is_true(login("one", "HT-SHA-256-NONE"));
		assert.is_nil(health.tokens);
		assert.equal(1, count_clients());
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
