-- Takes away what opens an account without its password: grants of mod_tokenauth and tokens of mod_sasl2_fast.
--
-- mod_sasl2_fast can revoke the tokens of one client, by the client's identifier, and keeps nothing but hashes of these.
-- So the tokens of a whole account are marked here as void, and those of a client are revoked when it next logs in:
-- before it gets a new token, or instead of letting it in by the old one.

local modulemanager = require "prosody.core.modulemanager";
local time_now = require "prosody.util.time".now;

local LIFETIME = module:get_option_number("sasl2_fast_token_ttl", 86400*21); -- as in mod_sasl2_fast, in seconds
local CLEANUP = 86400; -- seconds

local host = module.host;
local tokens = {};

-- username -> { since, clients }: when the tokens became void, and which clients (identifier -> true) have lost theirs since
local store = module:open_store("portcullis_void_tokens", "keyval");

local function save(username, void)
	local ok, err = store:set(username, void);
	if not ok then module:log("error", "The FAST tokens of %s cannot be marked as void: %s", username, err or "unknown error"); end
end

-- The mark of an account, or nil. All tokens that are older than a mark have expired by the time the mark does.
local function void_tokens(username)
	local void, err = store:get(username);
	if err then module:log("error", "Cannot read whether the FAST tokens of %s are void: %s", username, err); end
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

-- To be called after a SASL2 success, before mod_sasl2_fast issues a new token. Revokes the void tokens of this client.
-- Returns whether the client has just logged in with one of them.
function tokens.used_void(session)
	local username, client_id = session.sasl_handler.username, session.client_id;
	local by_token = session.sasl_handler.selected:match("^HT%-") ~= nil;
	if not client_id or not (by_token or session.fast_token_request) then return false; end -- the request, as mod_sasl2_fast notes it
	local void = void_tokens(username);
	if not void or void.clients[client_id] then return false; end
	local mod_fast = modulemanager.get_module(host, "sasl2_fast");
	if mod_fast and mod_fast.revoke_fast_tokens and mod_fast.revoke_fast_tokens(username, client_id) then
		void.clients[client_id] = true;
		save(username, void);
	else
		module:log("error", "The FAST tokens of a client of %s cannot be revoked", username);
	end
	return by_token;
end

-- Removes the marks of accounts whose owners do not come back.
local function clean_up()
	local iterator, state, first = store:users();
	if iterator then
		for username in iterator, state, first do void_tokens(username); end
	end
	return CLEANUP;
end
if store.users then module:add_timer(CLEANUP, clean_up); end -- mod_storage_memory has no list

return tokens;
