-- Whose login it is: the account name in the first message of a SASL mechanism, as Prosody's own mechanisms read it.

local base64 = require "prosody.util.encodings".base64;
local jid = require "prosody.util.jid";
local stringprep = require "prosody.util.encodings".stringprep;

local host = module.host;

local prep = stringprep.nodeprep;
local saslprep = stringprep.saslprep;
local function name_of(text)
	text = text and saslprep(text);
	text = text and prep(text);
	return text and text ~= "" and text or nil;
end
local function name_of_jid(text)
	local node, domain = jid.split(text);
	if node and domain ~= host then return nil; end
	return name_of(node or text);
end

-- The account of an EXTERNAL login without a name: the only XMPP address in the certificate (XEP-0178).
local function name_in_certificate(session)
	local ok, name = pcall(function ()
		local addresses = session.conn:socket():getpeercertificate():extensions()["2.5.29.17"]["1.3.6.1.5.5.7.8.5"];
		return #addresses == 1 and name_of_jid(addresses[1]) or nil;
	end);
	return ok and name or nil;
end

-- The account name in the first message of a mechanism; nil when there is none that we can read. The same patterns as
-- Prosody's own; should they ever differ, the check after the success (late) sees the real name.
local function name_in(session, mechanism, message)
	if type(mechanism) ~= "string" then return nil; end
	message = message or "";
	if mechanism == "PLAIN" then
		return name_of(message:match("^[^%z]*%z([^%z]+)%z"));
	elseif mechanism:match("^SCRAM%-") then
		local name = message:match("^[pny]=?[^,]*,[^,]*,m?=?[^,]*,?n=([^,]*),r=");
		return name and name_of((name:gsub("=2C", ","):gsub("=3D", "=")));
	elseif mechanism:match("^HT%-") then
		return name_of(message:match("^([^%z]+)%z"));
	elseif mechanism == "OAUTHBEARER" then
		local token = message:match("\001auth=Bearer secret%-token:([^\001]+)\001");
		local owner = (base64.decode(token or "") or ""):match("^2;[^;]+;..................;(.+)$");
		return name_of_jid(owner or message:match("^n,a=([^,]+),"));
	elseif mechanism == "EXTERNAL" then
		if message == "" or message == "=" then return name_in_certificate(session); end
		return name_of_jid(message);
	end
	return nil;
end

return { name_of = name_of, name_in = name_in };
