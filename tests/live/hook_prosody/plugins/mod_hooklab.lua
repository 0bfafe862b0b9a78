-- For the tests only: hands out an OAuth token as mod_http_oauth2 would, on request of the component.
local st = require "prosody.util.stanza";
local NS = "urn:portcullis:tests";
module:hook("iq-get/host/"..NS..":token", function (event)
	local tokenauth = module:depends("tokenauth");
	local who = event.stanza.tags[1].attr.account;
	local grant = assert(tokenauth.create_grant(who, who, 3600, {}));
	local token = assert(tokenauth.create_token(who, grant, "prosody:registered", 3600, "oauth2", {}));
	event.origin.send(st.reply(event.stanza):tag("token", { xmlns = NS }):text(token));
	return true;
end);
