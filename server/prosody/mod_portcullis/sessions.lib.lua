-- The client streams of this host: finding them and ending them.

local timer = require "prosody.util.timer";

local host = module.host;
local sessions = {};

-- All of them as a set: bound or not, also those that mod_smacks keeps for a client to come back.
function sessions.all()
	local found = {};
	for _, session in pairs(prosody.full_sessions) do
		if session.host == host then found[session] = true; end
	end
	for _, path in ipairs({ "/*/c2s/sessions", "/*/bosh/sessions" }) do
		for _, session in pairs(module:shared(path)) do
			if session.host == host and not session.destroyed then found[session] = true; end
		end
	end
	return found;
end

-- Ends a stream with the text in a policy-violation stream error.
function sessions.close(session, text)
	if not session.destroyed then session:close({ condition = "policy-violation", text = text }); end
end

-- The same, after the stanza that is being answered has been answered.
function sessions.close_soon(session, text)
	timer.add_task(0, function () sessions.close(session, text); end);
end

return sessions;
