-- For the tests only. Hands out an OAuth token as mod_http_oauth2 would, on request of the component, and adds EXTERNAL
-- (whoever says so is it; without a name it is carol) as an authentication provider with certificates would. Puts the
-- provider out of reach, as that of a directory or a database may be.
local jid = require "prosody.util.jid";
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

local reachable = {}; -- the functions of the provider, while it is out of reach
module:hook("iq-set/host/"..NS..":reach", function (event)
	local users = prosody.hosts[module.host].users;
	for _, name in ipairs({ "user_exists", "test_password" }) do
		reachable[name] = reachable[name] or users[name];
		local is_down = event.stanza.tags[1].attr.is == "down";
		users[name] = is_down and function () return nil, "unreachable"; end or reachable[name];
	end
	event.origin.send(st.reply(event.stanza));
	return true;
end);

local function add_external()
	local users = prosody.hosts[module.host].users;
	local get = users.get_sasl_handler;
	function users.get_sasl_handler(session)
		local handler = get(session);
		handler.profile.external = function (authzid)
			return authzid and authzid ~= "" and authzid ~= "=" and jid.node(authzid) or "carol", true;
		end;
		handler.mechs.EXTERNAL = true;
		return handler;
	end
end
module:on_ready(add_external);
module:hook("module-reloaded", function (event) if event.module == "auth_internal_hashed" then add_external(); end end);
