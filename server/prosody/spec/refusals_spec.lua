describe("refusals", function ()
	local provider, loaded, accounts, refusals;

	before_each(function ()
		provider, loaded = {}, {};
		package.loaded["prosody.core.modulemanager"] = {
			is_loaded = function (host, name) return loaded[name] == host; end;
		};
		package.loaded["prosody.core.usermanager"] = {
			get_provider = function () return provider; end;
			user_is_enabled = function (username) return provider.is_enabled(username); end;
		};
		local module = new_module();
		accounts, refusals = module:require "accounts", module:require "refusals";
	end);
	after_each(function ()
		package.loaded["prosody.core.usermanager"], package.loaded["prosody.core.modulemanager"] = nil, nil;
	end);

	local function exists(...)
		local results = table.pack(...);
		provider.user_exists = function () return table.unpack(results, 1, results.n); end;
		return accounts.exists("alice");
	end

	it("know an account that exists from one that does not", function ()
		assert.equal("yes", exists(true));
		assert.equal("no", exists(false));
		assert.equal("no", exists(nil));
		assert.equal("no", exists(false, "whatever it says"));
		assert.equal("no", exists(nil, "Auth failed. Invalid username"));
		assert.equal("no", exists(nil, "not-authorized")); -- mod_auth_external
	end);

	it("take no account for unknown because its provider is out of reach", function ()
		assert.equal("failed", exists(nil, "unreachable"));
		assert.equal("failed", exists(nil, { condition = "timeout" }));
		assert.equal("failed", exists(nil, "not-authorized to read the directory"));
		provider.user_exists = function () error("connection refused"); end;
		assert.equal("failed", accounts.exists("alice"));
	end);

	it("know nothing of a provider that never says", function ()
		assert.is_nil(exists(nil, "method not implemented"));
		assert.is_nil(exists(nil, "Only anonymous users are supported."));
	end);

	local function told(enabled)
		provider.is_enabled = function () return enabled; end;
		local answer, by = refusals.of("alice"), {};
		for refusal in answer:childtags("refusal") do by[#by+1] = refusal.attr.by; end
		return table.concat(by, " "), answer.attr.asked, answer.attr["not-asked"];
	end

	it("tell an account that is disabled, and one that does not exist", function ()
		exists(true);
		assert.same({ "", "account disabled" }, { told(true) });
		assert.same({ "disabled", "account disabled" }, { told(false) });
		assert.same({ "", "account", "disabled" }, { told(nil) });
		exists(false);
		assert.same({ "no-account", "account" }, { told(nil) });
	end);

	it("name what was not asked", function ()
		loaded = { firewall = "example.org", limit_auth = "*", limits = "example.net" };
		exists(nil, "unreachable");
		assert.same({ "", nil, "mod_firewall mod_limit_auth account disabled" }, { told(nil) });
		assert.equal("mod_limit_auth", refusals.beside());
		assert.equal("mod_firewall mod_limit_auth", refusals.of(nil).attr["not-asked"]);
	end);

	it("tell of no module that counts connections instead of failed logins", function ()
		loaded = { c2s_conn_throttle = "example.org" };
		assert.is_nil(refusals.beside());
		assert.equal("mod_c2s_conn_throttle", refusals.of(nil).attr["not-asked"]);
	end);

	it("are about an account of this host, an address or both", function ()
		assert.equal("alice", refusals.read({ account = "Alice@example.org" }));
		assert.equal("alice", refusals.read({ account = "alice@example.org", address = "192.0.2.7" }));
		assert.is_false(refusals.read({ address = "2001:db8::1" }));
		for _, attr in ipairs({ {}, { account = "alice@example.net" }, { account = "example.org" }, { address = "x" },
			{ account = "alice@example.org", address = "192.0.2" } }) do
			assert.is_nil(refusals.read(attr));
		end
	end);
end);
