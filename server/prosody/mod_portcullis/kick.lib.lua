-- Kick (5): ends the streams of an account, an address or a network at the request of portcullis.

local jid = require "prosody.util.jid";
local st = require "prosody.util.stanza";

local network = module:require "network";

local xmlns_hook = "urn:portcullis:hook:1";

local host = module.host;

-- Returns a function that says whether a session is meant, and the username if an account is; nil if nobody is named.
local function parse_target(attr)
	if attr.account then
		local username, domain = jid.prepped_split(attr.account);
		if not username or domain ~= host then return nil; end
		return function (session) return session.username == username; end, username;
	end
	local packed, bits = network.pack_network(attr.network or attr.address or "");
	if not packed then return nil; end
	local wanted = network.prefix(packed, bits);
	return function (session)
		local address = network.pack(session.ip);
		return address and #address == #packed and network.prefix(address, bits) == wanted;
	end;
end

-- `settings`: default_text.
return function (settings, component, sessions, tokens)
	module:hook("iq-set/host/"..xmlns_hook..":kick", function (event)
		if not component.is_sender(event) then return; end
		local kick = event.stanza.tags[1];
		local is_meant, username = parse_target(kick.attr);
		if not is_meant then
			event.origin.send(st.error_reply(event.stanza, "modify", "bad-request", "An account of this host, an address or a network is needed"));
			return true;
		end
		if username then
			local ok, err = pcall(tokens.revoke_all, username);
			if not ok then module:log("error", "The tokens of %s could not be revoked: %s", username, err); end
		end
		local text = kick:get_child_text("text") or settings.default_text;
		local count = 0;
		for session in pairs(sessions.all()) do
			if is_meant(session) then
				sessions.close(session, text);
				count = count + 1;
			end
		end
		module:log("info", "Ended %d streams of %s at the request of portcullis", count, kick.attr.account or kick.attr.address or kick.attr.network);
		event.origin.send(st.reply(event.stanza):tag("kicked", { xmlns = xmlns_hook, count = ("%d"):format(count) }));
		return true;
	end);
end
