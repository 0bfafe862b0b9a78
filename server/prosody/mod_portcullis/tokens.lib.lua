-- Takes away what opens an account without its password: grants of mod_tokenauth and tokens of mod_sasl2_fast.
--
-- mod_sasl2_fast can revoke the tokens of one client, by the client's identifier, and keeps nothing but hashes of these.
-- So the tokens of a whole account are marked here as void, and those of a client are revoked when it next logs in:
-- before it gets a new token, or instead of letting it in by the old one.

local modulemanager = require "prosody.core.modulemanager";
local sha256 = require "prosody.util.hashes".sha256;
local time_now = require "prosody.util.time".now;

local DEFAULT_LIFETIME = 86400*21; -- of mod_sasl2_fast, in seconds
local LIFETIME = module:get_option_number("sasl2_fast_token_ttl", DEFAULT_LIFETIME) or DEFAULT_LIFETIME; -- nil if it is not a number
local CLEANUP = 86400; -- seconds
local MAX_CLIENTS = 100; -- per account, as clients name themselves; the tokens of further ones stay void until the mark ends

local host = module.host;

-- `health`: what is wrong with the module, by kind.
return function (health)
	local tokens = {};

	-- username -> { since, clients }: when the tokens became void, and which clients (SHA-256 of their identifier -> true)
	-- have lost theirs since
	local store = module:open_store("portcullis_void_tokens", "keyval");
	local unwritten = {}; -- username -> a mark that could not be written; it holds until the module is reloaded

	local function save(username, void)
		local ok, err = store:set(username, void);
		if not ok then module:log("error", "The FAST tokens of %s cannot be marked as void: %s", username, err or "unknown error"); end
		unwritten[username] = not ok and void or nil;
		health.tokens = next(unwritten) and "void FAST tokens cannot be written to storage" or nil;
	end

	-- The mark of an account, or nil; nil and an error if it cannot be read. All tokens that are older than a mark have
	-- expired by the time the mark does.
	local function void_tokens(username)
		local void, err = unwritten[username], nil;
		if not void then void, err = store:get(username); end
		if err then
			module:log("error", "Cannot read whether the FAST tokens of %s are void: %s", username, err);
			return nil, err;
		end
		if void and time_now() - void.since > LIFETIME then
			save(username, nil);
			return nil;
		end
		return void;
	end

	-- Nobody can log in any more by a token or grant that the account has now.
	function tokens.revoke_all(username)
		if modulemanager.is_loaded(host, "sasl2_fast") then
			save(username, { since = time_now(), clients = {} });
		end
		local tokenauth = modulemanager.get_module(host, "tokenauth");
		if tokenauth then
			for id in pairs(tokenauth.get_user_grants(username) or {}) do tokenauth.revoke_grant(username, id); end
		end
	end

	-- Notes that the void tokens of a client have been revoked, unless the client is one too many.
	local function add_client(username, void, client)
		local count = 0;
		for _ in pairs(void.clients) do count = count + 1; end
		if count >= MAX_CLIENTS then return; end
		void.clients[client] = true;
		save(username, void);
	end

	-- To be called after a SASL2 success, before mod_sasl2_fast issues a new token. Revokes the void tokens of this client.
	-- Returns whether the client has just logged in with one of them, or with one that may be void.
	function tokens.used_void(session)
		local handler = session.sasl_handler;
		local username, by_token = handler.username, handler.selected:match("^HT%-") ~= nil;
		if not (by_token or session.fast_token_request) then return false; end -- the request, as mod_sasl2_fast notes it
		local void, err = void_tokens(username);
		if not void then return by_token and err ~= nil; end
		-- mod_sasl2_fast looks a token up by the identifier in its SASL handler, and issues one for that of the session. A
		-- client can make the two differ.
		local client_id;
		if by_token then client_id = handler.client_id; else client_id = session.client_id; end
		if not client_id then return by_token; end
		local client = sha256(client_id, true);
		if void.clients[client] then return false; end
		local mod_fast = modulemanager.get_module(host, "sasl2_fast");
		if mod_fast and mod_fast.revoke_fast_tokens and mod_fast.revoke_fast_tokens(username, client_id) then
			add_client(username, void, client);
		else
			module:log("error", "The FAST tokens of a client of %s cannot be revoked", username);
		end
		return by_token;
	end

	-- Removes the marks of accounts whose owners do not come back.
	local function clean_up()
		for username, void in pairs(unwritten) do save(username, void); end
		local iterator, state, first = store:users();
		if iterator then
			for username in iterator, state, first do void_tokens(username); end
		end
		return CLEANUP;
	end
	if store.users then module:add_timer(CLEANUP, clean_up); end -- mod_storage_memory has no list

	return tokens;
end
