-- Keeps users away from the ban record that portcullis stores in the private storage (XEP-0049) of their accounts.
-- Privileged requests (XEP-0356), by which portcullis reads and writes it, pass. Hook protocol of portcullis, section 7.

local st = require "prosody.util.stanza";

local xmlns_private = "jabber:iq:private";
local xmlns_privilege = "urn:xmpp:privilege:2";
local xmlns_record = "jabber:ejabberd:banned";

-- mod_privilege passes on the inner IQ of a privileged one as it is, so that the same table comes by below.
local privileged = setmetatable({}, { __mode = "k" });

module:hook("iq/bare/"..xmlns_privilege..":privileged_iq", function (event)
	local inner = event.stanza.tags[1].tags[1];
	if inner then privileged[inner] = true; end
end, 1000);

module:hook("iq/self/"..xmlns_private..":query", function (event)
	local stanza = event.stanza;
	if privileged[stanza] then return; end
	for _, tag in ipairs(stanza.tags[1].tags) do
		if tag.attr.xmlns == xmlns_record then
			event.origin.send(st.error_reply(stanza, "auth", "forbidden", "This record is kept by the server"));
			return true;
		end
	end
end, 1000);
