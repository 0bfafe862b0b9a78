-- The username in the first message of a SASL mechanism, read with the patterns of Prosody's own mechanisms. Where they
-- disagree nobody slips through: after the success the account is checked again by the name that the mechanism found.

local base64 = require "prosody.util.encodings".base64;
local jid = require "prosody.util.jid";
local stringprep = require "prosody.util.encodings".stringprep;

local host = module.host;

local prep = stringprep.nodeprep;
local saslprep = stringprep.saslprep;

-- The normalised username of XEP-0078, or nil if it is empty or not allowed. mod_legacyauth knows no SASLprep (RFC 4013), which
-- makes another name of some (iota below a letter that has an accent, too).
local function normalise_node(text)
	text = text and prep(text);
	return text and text ~= "" and text or nil;
end

-- The same of a SASL message.
local function normalise(text) return normalise_node(text and saslprep(text)); end

-- The same for a username or a JID of this host; nil for a JID of another host.
local function normalise_jid(text)
	local node, domain = jid.split(text);
	if node and domain ~= host then return nil; end
	return normalise(node or text);
end

-- The username in a client certificate (XEP-0178), if it holds exactly one XMPP address.
local function in_certificate(session)
	local ok, username = pcall(function ()
		local addresses = session.conn:socket():getpeercertificate():extensions()["2.5.29.17"]["1.3.6.1.5.5.7.8.5"];
		return #addresses == 1 and normalise_jid(addresses[1]) or nil;
	end);
	return ok and username or nil;
end

-- `message`: the decoded initial response, or nil. Returns nil when it names nobody that we can read.
local function in_message(session, mechanism, message)
	if type(mechanism) ~= "string" then return nil; end
	message = message or "";
	if mechanism == "PLAIN" then
		return normalise(message:match("^[^%z]*%z([^%z]+)%z"));
	elseif mechanism:match("^SCRAM%-") then
		local username = message:match("^[pny]=?[^,]*,[^,]*,m?=?[^,]*,?n=([^,]*),r=");
		return username and normalise((username:gsub("=2C", ","):gsub("=3D", "=")));
	elseif mechanism:match("^HT%-") then
		return normalise(message:match("^([^%z]+)%z"));
	elseif mechanism == "OAUTHBEARER" then
		local token = message:match("\001auth=Bearer secret%-token:([^\001]+)\001");
		local owner = (base64.decode(token or "") or ""):match("^2;[^;]+;..................;(.+)$");
		return normalise_jid(owner or message:match("^n,a=([^,]+),"));
	elseif mechanism == "EXTERNAL" then
		if message == "" or message == "=" then return in_certificate(session); end
		return normalise_jid(message);
	end
	return nil;
end

return { normalise_node = normalise_node, in_message = in_message };
