-- What of Prosody itself refuses a login, besides portcullis: an account that is disabled or does not exist (8).

local modulemanager = require "prosody.core.modulemanager";
local jid = require "prosody.util.jid";
local st = require "prosody.util.stanza";

local accounts = module:require "accounts";
local network = module:require "network";

local xmlns_hook = "urn:portcullis:hook:1";
-- Modules that may refuse a client as well and have nobody to ask. mod_limits is none of them: it slows traffic down and refuses
-- nobody.
local NOT_ASKED = { "firewall", "limit_auth", "c2s_conn_throttle" };
-- mod_limit_auth counts the failed logins of an address, and refuses its logins if there are too many. mod_c2s_conn_throttle limits how
-- many connections an address opens, whatever becomes of their logins.
local COUNTS_FAILURES = { "limit_auth" };

local host = module.host;

local function loaded(names)
	local list = {};
	for _, name in ipairs(names) do
		if modulemanager.is_loaded(host, name) or modulemanager.is_loaded("*", name) then table.insert(list, "mod_"..name); end
	end
	return list;
end

local refusals = {};

-- The names of other modules here that refuse logins by counting failures, or nil.
function refusals.beside()
	local names = loaded(COUNTS_FAILURES);
	return names[1] and table.concat(names, " ") or nil;
end

-- The answer about an account of this host; with nil, about an address alone.
function refusals.of(username)
	local asked, not_asked, found = {}, loaded(NOT_ASKED), {};
	if username then
		local exists = accounts.exists(username);
		local is_known = exists == "yes" or exists == "no";
		table.insert(is_known and asked or not_asked, "account");
		if exists == "no" then table.insert(found, "no-account"); end
		local enabled = exists ~= "no" and accounts.is_enabled(username) or nil;
		if exists ~= "no" then table.insert(enabled and asked or not_asked, "disabled"); end
		if enabled == "no" then table.insert(found, "disabled"); end
	end
	local answer = st.stanza("refusals", {
		xmlns = xmlns_hook;
		asked = asked[1] and table.concat(asked, " ") or nil, ["not-asked"] = not_asked[1] and table.concat(not_asked, " ") or nil;
	});
	for _, by in ipairs(found) do answer:tag("refusal", { by = by }):up(); end
	return answer;
end

-- The username of a question, `false` without an account; nil if the question is malformed.
function refusals.read(attr)
	if attr.address and not network.pack(attr.address) or not (attr.account or attr.address) then return nil; end
	if not attr.account then return false; end
	local username, domain = jid.prepped_split(attr.account);
	return username and domain == host and username or nil;
end

-- `component`: is_sender.
function refusals.answer(component)
	module:hook("iq-get/host/"..xmlns_hook..":refusals", function (event)
		if not component.is_sender(event) then return; end
		local username = refusals.read(event.stanza.tags[1].attr);
		if username == nil then
			event.origin.send(st.error_reply(event.stanza, "modify", "bad-request", "An account of this host, an address or both are needed"));
			return true;
		end
		event.origin.send(st.reply(event.stanza):add_child(refusals.of(username or nil)));
		return true;
	end);
end

return refusals;
