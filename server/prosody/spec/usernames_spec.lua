local base64 = require "prosody.util.encodings".base64;
local usernames = new_module():require "usernames";

local session = {};

local function name_in(mechanism, message) return usernames.in_message(session, mechanism, message); end

describe("usernames", function ()
	it("reads PLAIN, with and without an authorization identity", function ()
		assert.equal("alice", name_in("PLAIN", "\0alice\0secret"));
		assert.equal("alice", name_in("PLAIN", "bob\0alice\0secret"));
		assert.is_nil(name_in("PLAIN", "alice"));
		assert.is_nil(name_in("PLAIN", nil));
	end);

	it("reads SCRAM with and without channel binding, and undoes its escapes", function ()
		assert.equal("alice", name_in("SCRAM-SHA-1", "n,,n=alice,r=abc"));
		assert.equal("alice", name_in("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=alice,r=abc"));
		assert.equal("a=b", name_in("SCRAM-SHA-1", "n,,n=a=3Db,r=abc"));
		assert.is_nil(name_in("SCRAM-SHA-1", "n,,r=abc"));
	end);

	it("reads the token mechanisms of FAST", function ()
		assert.equal("alice", name_in("HT-SHA-256-NONE", "alice\0proof"));
	end);

	it("reads the owner of a token of mod_tokenauth, and else the name beside it", function ()
		local token = base64.encode("2;grant;eighteen-byte-secr;alice@example.org");
		assert.equal("alice", name_in("OAUTHBEARER", "n,,\1auth=Bearer secret-token:"..token.."\1\1"));
		assert.equal("bob", name_in("OAUTHBEARER", "n,a=bob@example.org,\1auth=Bearer foreign\1\1"));
	end);

	it("reads EXTERNAL with a name", function ()
		assert.equal("alice", name_in("EXTERNAL", "alice@example.org"));
		assert.is_nil(name_in("EXTERNAL", "="));
	end);

	it("normalises, so that no spelling is another account", function ()
		assert.equal("alice", name_in("PLAIN", "\0ALICE\0secret"));
		assert.equal("alice", name_in("PLAIN", "\0\239\189\129lice\0secret")); -- a fullwidth a
		assert.is_nil(name_in("PLAIN", "\0al ice\0secret"));
	end);

	it("knows no account of another host, and none in a mechanism it does not know", function ()
		assert.is_nil(name_in("EXTERNAL", "alice@elsewhere.example"));
		assert.is_nil(name_in("X-OTHER", "\0alice\0secret"));
		assert.is_nil(name_in(nil, "\0alice\0secret"));
	end);
end);
