-- IQ requests to portcullis, an external component (XEP-0114) of this server, and their answers.
--
-- Not by module:send_iq(), which drops the oldest of more than 256 requests and whose timers end with a reload.
--
-- A request without an answer is one of two things. Either portcullis is away: it is not connected, it has not said welcome
-- yet, or it has been silent for long. Or this server or portcullis is behind, which whoever sends many logins can bring about.

local new_id = require "prosody.util.id".medium;
local st = require "prosody.util.stanza";
local timer = require "prosody.util.timer";
local monotonic = require "prosody.util.time".monotonic;

local xmlns_hook = "urn:portcullis:hook:1";
local MAX_PENDING = 2000; -- requests without an answer; further ones fail at once
local SILENT_AFTER = 10;  -- seconds without any answer, with requests waiting, after which portcullis counts as away
local LATE = 0.2;         -- seconds; a timer that fires so late shows that this server was busy, not that portcullis is silent

local host = module.host;

-- `name`: the domain of the component. `shared`: a table that lives across reloads, so that a client who waits during
-- one still gets its answer.
return function (name, shared)
	local component = {};

	-- by_id: id -> { callback, session, timer }
	local pending = shared.requests or { count = 0, by_id = {} };
	shared.requests = pending;

	-- The stream of the component, or nil while it is not connected.
	function component.session()
		local component_host = prosody.hosts[name];
		local mod_component = component_host and component_host.modules.component;
		return mod_component and mod_component.connected and mod_component.session or nil;
	end

	-- session: the stream that the rest is about. is_welcome: portcullis has said welcome there, and was not silent since.
	-- unanswered_since: when the first request was sent that came after the last answer, in monotonic time.
	local link = shared.link or {};
	shared.link = link;

	local function current_link()
		local session = component.session();
		if link.session ~= session then
			link.session, link.is_welcome, link.unanswered_since = session, false, nil;
		end
		return link;
	end

	-- Whether nobody is there to be asked.
	function component.is_away()
		return not current_link().is_welcome;
	end

	-- portcullis has answered a hello.
	function component.is_back()
		current_link().is_welcome = component.session() ~= nil;
	end

	local on_silence;

	-- Calls `callback` when portcullis has become silent on a stream that is up.
	function component.on_silence(callback) on_silence = callback; end

	-- There was no answer in time, `late` seconds after that time.
	local function note_silence(session, late)
		local now = monotonic();
		if session ~= current_link().session or not link.unanswered_since then return; end
		if late > LATE then
			link.unanswered_since = now;
		elseif link.is_welcome and now - link.unanswered_since >= SILENT_AFTER then
			link.is_welcome = false;
			module:log("warn", "portcullis is connected and has not answered for %d seconds: it counts as away", SILENT_AFTER);
			if on_silence then on_silence(); end
		end
	end

	local function settle(id, reply)
		local request = pending.by_id[id];
		if not request then return; end
		pending.by_id[id] = nil;
		pending.count = pending.count - 1;
		timer.stop(request.timer);
		if reply and request.session == link.session then link.unanswered_since = nil; end
		request.callback(reply);
	end

	-- COMPAT: requests of the first version of this module, which was reloaded into this one. Its clients wait for a verdict and
	-- its reports for an answer; this instance says hello and syncs for itself. Returns whether it was such a request.
	local function settle_compat(id, reply)
		local request = shared.pending and shared.pending[id];
		if not request then return false; end
		if component.result_child(reply, "changes") or component.result_child(reply, "welcome") then return true; end
		shared.pending[id] = nil;
		timer.stop(request.timer);
		request.callback(reply);
		return true;
	end

	-- mod_component returns what it cannot deliver to the send() of its origin.
	local origin = setmetatable({
		send = function (stanza)
			settle(stanza.attr.id, stanza);
			return true;
		end;
	}, { __index = function (_, key) return prosody.hosts[host][key]; end });

	local id_prefix, id_count = new_id(), 0;

	-- Calls `callback` exactly once: with the answer (a result or an error), or with nil if there was none in `timeout` seconds.
	function component.request(iq_type, payload, timeout, callback)
		local session = component.session();
		if not session or pending.count >= MAX_PENDING then return callback(nil); end
		id_count = id_count + 1;
		local id = ("%s-%d"):format(id_prefix, id_count);
		pending.count = pending.count + 1;
		local due = monotonic() + timeout;
		current_link().unanswered_since = link.unanswered_since or monotonic();
		pending.by_id[id] = {
			callback = callback, session = session;
			timer = timer.add_task(timeout, function ()
				note_silence(session, monotonic() - due);
				settle(id, nil);
			end);
		};
		module:send(st.iq({ type = iq_type, id = id, from = host, to = name }):add_child(payload), origin);
	end

	-- The child `child_name` of a result; nil if there is none or if the answer is an error.
	function component.result_child(reply, child_name)
		return reply and reply.attr.type == "result" and reply:get_child(child_name, xmlns_hook) or nil;
	end

	-- Whether a stanza is from the component itself, over its own stream: neither a user nor another server can fake that.
	function component.is_sender(event)
		local session = event.origin;
		return session.type == "component" and session.host == name and event.stanza.attr.from == name;
	end

	module:hook("iq/host", function (event)
		local attr = event.stanza.attr;
		if attr.type ~= "result" and attr.type ~= "error" or not component.is_sender(event) then return; end
		if not pending.by_id[attr.id] then return settle_compat(attr.id, event.stanza) or nil; end
		settle(attr.id, event.stanza);
		return true;
	end, 1000);

	-- Requests that went over a stream which has ended get no answer.
	local function fail_lost()
		local session = component.session();
		local lost = {};
		for id, request in pairs(pending.by_id) do
			if request.session ~= session then lost[#lost+1] = id; end
		end
		for _, id in ipairs(lost) do settle(id, nil); end
	end

	-- Calls `connected` each time the component has authenticated. The component's host may be activated before or after
	-- this one, and more than once.
	function component.watch(connected)
		local function watch_host()
			if not prosody.hosts[name] then return; end
			local context = module:context(name);
			context:hook("component-authenticated", connected);
			context:hook("component-disconnected", function ()
				module:add_timer(0, fail_lost); -- mod_component forgets the session after this event
			end);
		end
		watch_host();
		module:hook_global("host-activated", function (activated)
			if activated == name then watch_host(); end
		end);
	end

	return component;
end
