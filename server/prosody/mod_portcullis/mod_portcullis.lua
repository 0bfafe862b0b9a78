-- mod_portcullis: asks portcullis before each login, obeys, and reports the outcome.
--
-- For Prosody 13, on a VirtualHost; portcullis is an external component (XEP-0114) of the same server. The protocol is
-- urn:portcullis:hook:1; numbers in brackets are the sections of docs/hook-protocol.md of portcullis.
--
-- This module decides nothing about whom to ban, and makes nobody wait but the client that it asks about. It counts failed
-- logins only for the time while portcullis is away. Every way in that a client can take is a hook under "Entry points".

local base64 = require "prosody.util.encodings".base64;
local filters = require "prosody.util.filters";
local jid = require "prosody.util.jid";
local st = require "prosody.util.stanza";
local usermanager = require "prosody.core.usermanager";

local xmlns_hook = "urn:portcullis:hook:1";
local xmlns_sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
local xmlns_sasl2 = "urn:xmpp:sasl:2";
local xmlns_legacy = "jabber:iq:auth";

local VERSION = "1.1.0";
local CHALLENGE_LIFETIME = 1; -- seconds that the verdict on the first SASL message is good for the second
local LOGIN_LIFETIME = 60;    -- seconds that the verdict before the password is good for what comes after it
local RECHECK_TIMEOUT = 10;   -- seconds

local host = module.host;

if module:get_host_type() ~= "local" then
	error("mod_portcullis guards logins: load it on a VirtualHost, not on a component or globally", 0);
end

-- Options ---------------------------------------------------------------------------------------------------------

local options = module:require "options";

local function component_option()
	local node, domain, resource = jid.prepped_split(module:get_option_string("portcullis_component", ""));
	if not domain or node or resource then
		error("mod_portcullis: set portcullis_component to the domain of portcullis, as in: Component \"portcullis.example.org\"", 0);
	end
	return domain;
end

local settings = {
	version = VERSION;
	component = component_option();
	wait = options.period("portcullis_wait", 0.5, 0.01, 30);
	fail_closed = module:get_option_enum("portcullis_fail", "open", "closed") ~= "open"; -- also for a wrong word, which is logged
	ask_at_start = module:get_option_boolean("portcullis_ask_at_start", true) ~= false;
	guard_record = module:get_option_boolean("portcullis_guard_record", true) ~= false;
	tell_unknown = module:get_option_boolean("portcullis_tell_unknown", true) ~= false;
	away_limit = options.integer("portcullis_away_limit", 5, 0, 1000);
	away_window = options.period("portcullis_away_window", 600, 1, 86400);
	max_held = options.integer("portcullis_max_held", 100000, 100, 10000000);
	closed_text = options.text("portcullis_closed_text", "Logins cannot be checked at the moment. Please try again later.");
	default_text = options.text("portcullis_default_text", "You are banned from this server.");
};

-- Parts -----------------------------------------------------------------------------------------------------------

local shared = module:shared("live"); -- what lives across a reload, for clients who wait during it
local health = {};                    -- what is wrong, by kind; empty if all is well
local held = module:require "held";
local bans = held.new();

local component = module:require "component"(settings.component, shared);
local clock = module:require "clock";
local storage = module:require "storage"(bans, health);
local known = module:require "known"();
local away = module:require "away"(settings, storage, known);
local reports = module:require "reports"(component, shared, clock, away);
local accounts = module:require "accounts";
local refusals = module:require "refusals";
local sync = module:require "sync"(settings, component, clock, bans, storage, reports, health, refusals.beside);
local checks = module:require "checks"(settings, component, clock, bans, sync, reports, away, known);
local sessions = module:require "sessions";
local tokens = module:require "tokens"(health);
local usernames = module:require "usernames";
module:require "kick"(settings, component, sessions, tokens);
refusals.answer(component);

if settings.guard_record then
	local ok, err = pcall(module.depends, module, "portcullis_record");
	if not ok then
		health.record = "mod_portcullis_record cannot be loaded, users can change their ban record";
		module:log("error", "%s: %s", health.record, err);
	end
end

local function account_of(username) return username and username.."@"..host; end

-- A mechanism's name fit for a report. A client can write anything there.
local function mechanism_name(mechanism)
	if type(mechanism) ~= "string" or mechanism == xmlns_legacy then return mechanism; end
	return #mechanism <= 64 and mechanism:match("^[A-Za-z0-9_-]+$") or "other";
end

-- There is no such account, as far as the authentication provider can tell.
local function is_unknown(account)
	if not account or not settings.tell_unknown then return false; end
	return accounts.exists(jid.node(account)) == "no";
end

-- The outcome of a login on this stream, which may have been a try.
local function report(session, login)
	checks.end_try(session);
	login.address = session.ip;
	login.mechanism = mechanism_name(login.mechanism);
	reports.add(login);
end

local function report_refused(session, account, mechanism, refusal)
	report(session, {
		account = account, mechanism = mechanism;
		outcome = "refused", condition = refusal.condition, reason = refusal.text;
	});
end

-- Lets the hooks of other modules work on an event of a login, then reports a try of which they told no outcome.
local function report_open_try(session, ok, ...)
	local try = checks.end_try(session);
	if try then
		reports.add({
			account = try.account, address = try.address, mechanism = try.mechanism, outcome = "error", condition = "undefined-condition";
		});
	end
	if not ok then error((...), 0); end
	return ...;
end

local function watch_outcome(event_name)
	module:wrap_event(event_name, function (handlers, name, event)
		local session = event.origin;
		if session.type ~= "c2s_unauthed" then return handlers(name, event); end
		return report_open_try(session, xpcall(handlers, debug.traceback, name, event));
	end);
end

-- Entry points ----------------------------------------------------------------------------------------------------
--
-- The hooks run in the client's coroutine, before the modules that do the work. Nothing else needs to be wrapped: a wrapped
-- SASL handler is lost with clean_clone(), and mod_sasl2_fast makes its own.
--
-- session.portcullis_attempt: { account, mechanism, passed } of the login in progress, as the client named them.
-- session.portcullis_verdict, session.portcullis_try: see checks.lib.lua.
-- session.portcullis_refused: a refusal that Prosody is about to report as an authentication failure.

-- A SASL element addressed to another host would be handled by the modules of that host, past the hooks of this one.
local function drop_foreign_to(stanza, session)
	local attr = stanza.attr;
	if attr and attr.to and attr.to ~= session.host and session.type == "c2s_unauthed" then attr.to = nil; end
	return stanza;
end
shared.drop_foreign_to = shared.drop_foreign_to or drop_foreign_to; -- the same one after a reload: a filter is added once

local function watch_addressing(session)
	filters.add_filter(session, "stanzas/in", shared.drop_foreign_to, 1000);
end

-- The start of a stream: asked about by the address alone, before TLS and again after it if bans have changed. The held bans
-- decide where nobody is asked.
local function check_start(session)
	if component.is_away() or not settings.ask_at_start then return checks.held_at_start(session.ip); end
	if session.portcullis_start and session.portcullis_start == sync.seq then return nil; end
	return checks.check(session, nil, nil, "start");
end

module:hook("stream-features", function (event)
	local session = event.origin;
	if session.type ~= "c2s_unauthed" then return; end
	watch_addressing(session);
	local refusal = check_start(session);
	if not refusal then
		session.portcullis_start = sync.seq;
		return;
	end
	if not refusal.gone then
		module:log("info", "Refusing a stream from %s (%s)", session.ip, refusal.by);
		sessions.close(session, refusal.text);
	end
	event.features:tag("closed", { xmlns = xmlns_hook }):up(); -- never sent; Prosody warns of streams without features
	return true;
end, 1000);

local function sasl_failure(xmlns, refusal)
	local failure = st.stanza("failure", { xmlns = xmlns });
	failure:tag(refusal.condition, xmlns ~= xmlns_sasl and { xmlns = xmlns_sasl } or nil):up();
	return failure:text_tag("text", refusal.text);
end

-- Answers a SASL message with a refusal. Always returns true: the message is handled.
local function refuse_sasl(session, xmlns, account, mechanism, refusal)
	if refusal.gone then return true; end
	report_refused(session, account, mechanism, refusal);
	session.send(sasl_failure(xmlns, refusal));
	if not refusal.keep_stream then
		module:log("info", "Refusing a login as %s from %s (%s)", account or "(unknown)", session.ip, refusal.by);
		sessions.close(session, refusal.text);
	elseif session.sasl_handler and session.sasl_handler.selected then
		session.sasl_handler = session.sasl_handler:clean_clone();
	end
	return true;
end

-- Whether the first message of this mechanism decides, so that the password is looked at next. The first of SCRAM decides only
-- that there is no such account. A mechanism that the handler has not got is refused without an outcome.
local function is_decided_by_first(handler, account, mechanism)
	if type(mechanism) ~= "string" or not checks.is_guessable(mechanism) then return false; end
	if not handler or not handler:mechanisms()[mechanism] then return false; end
	return not mechanism:match("^SCRAM%-") or is_unknown(account);
end

-- Returns true if the login is refused, nil if it goes on.
local function check_first_message(session, xmlns, handler, mechanism, text)
	local message = text and text ~= "" and base64.decode(text) or nil;
	local account = account_of(usernames.in_message(session, mechanism, message));
	local decides = is_decided_by_first(handler, account, mechanism);
	mechanism = mechanism_name(mechanism);
	session.portcullis_attempt = { account = account, mechanism = mechanism };
	local refusal = checks.check(session, account, mechanism, decides and "decides" or nil);
	if refusal then return refuse_sasl(session, xmlns, account, mechanism, refusal); end
end

-- The second message of SCRAM decides. The verdict on the first is good for it only while it is fresh: a challenge that
-- was fetched before a ban is of no use after it.
local function check_next_message(session, xmlns)
	local handler, attempt = session.sasl_handler, session.portcullis_attempt or {};
	if not handler or not handler.selected then return; end -- there was no first message, nothing will be looked at
	-- Whom the exchange is about, not whom another element on this stream has named since.
	local account = account_of(handler.username) or attempt.account;
	local mechanism = mechanism_name(handler.selected);
	if checks.begin_if_fresh(session, account, mechanism, CHALLENGE_LIFETIME) then return; end
	local refusal = checks.check(session, account, mechanism, "decides");
	if refusal then return refuse_sasl(session, xmlns, account, mechanism, refusal); end
end

-- After the password was right: asks if nobody has asked about this account yet, because the mechanism hid its name.
local function check_after_success(session, username, mechanism)
	if mechanism == "ANONYMOUS" or not username then return nil; end
	local account = account_of(username);
	if checks.is_fresh(session, account, LOGIN_LIFETIME) then return nil; end
	return checks.check(session, account, mechanism_name(mechanism));
end

-- SASL (RFC 6120)

-- Takes and returns what a SASL handler's process() returns.
function shared.after_sasl_success(session, handler, status, ret, text)
	local refusal = check_after_success(session, handler.username, handler.selected);
	if not refusal then return status, ret, text; end
	if refusal.gone then
		session.base_type = "c2s"; -- mod_saslauth needs one
		return "error", "undefined-condition";
	end
	session.portcullis_refused = refusal;
	if not refusal.keep_stream then sessions.close_soon(session, refusal.text); end
	return "failure", refusal.condition, refusal.text;
end

local function watch_success(session, handler)
	if handler.portcullis_watched then return; end
	handler.portcullis_watched = true;
	local process, live = handler.process, shared;
	function handler:process(message)
		local status, ret, text = process(self, message);
		if status ~= "success" or not live.after_sasl_success then return status, ret, text; end
		return live.after_sasl_success(session, self, status, ret, text);
	end
end

-- Of a message with an element in it mod_saslauth reads what stands before the element. Its text is not all that counts, then,
-- and no mechanism has a use for elements (RFC 6120 section 6.5.7).
local function refuse_elements(session, stanza)
	if not stanza.tags[1] then return nil; end
	session.send(st.stanza("failure", { xmlns = xmlns_sasl }):tag("malformed-request"):up());
	return true;
end

module:hook("stanza/"..xmlns_sasl..":auth", function (event)
	local session, stanza = event.origin, event.stanza;
	if session.type ~= "c2s_unauthed" then return; end
	if refuse_elements(session, stanza) then return true; end
	local handler = session.sasl_handler;
	if not handler or handler.selected then -- mod_saslauth would make a new one now
		handler = usermanager.get_sasl_handler(host, session);
		session.sasl_handler = handler;
	end
	if handler then watch_success(session, handler); end
	return check_first_message(session, xmlns_sasl, handler, stanza.attr.mechanism, stanza:get_text());
end, 1000);
watch_outcome("stanza/"..xmlns_sasl..":auth");

module:hook("stanza/"..xmlns_sasl..":response", function (event)
	local session = event.origin;
	if session.type ~= "c2s_unauthed" then return; end
	return refuse_elements(session, event.stanza) or check_next_message(session, xmlns_sasl);
end, 1000);
watch_outcome("stanza/"..xmlns_sasl..":response");

module:hook("stanza/"..xmlns_sasl..":abort", function (event)
	local session = event.origin;
	local attempt = session.type == "c2s_unauthed" and session.portcullis_attempt;
	if not attempt then return; end
	session.portcullis_attempt = nil;
	report(session, { account = attempt.account, mechanism = attempt.mechanism, outcome = "error", condition = "aborted" });
end, 1000);

-- SASL2 (XEP-0388) and FAST (XEP-0484)

module:hook("stanza/"..xmlns_sasl2..":authenticate", function (event)
	local session, stanza = event.origin, event.stanza;
	if session.type ~= "c2s_unauthed" then return; end
	local handler = session.sasl_handler or usermanager.get_sasl_handler(host, session);
	return check_first_message(session, xmlns_sasl2, handler, stanza.attr.mechanism, stanza:get_child_text("initial-response"));
end, 1000);
watch_outcome("stanza/"..xmlns_sasl2..":authenticate");

module:hook("stanza/"..xmlns_sasl2..":response", function (event)
	if event.origin.type == "c2s_unauthed" then return check_next_message(event.origin, xmlns_sasl2); end
end, 1000);
watch_outcome("stanza/"..xmlns_sasl2..":response");

local function fail_sasl2(session, condition, text)
	module:fire_event("sasl2/c2s/failure", { session = session, message = condition, error_text = text });
	return true;
end

module:hook("sasl2/c2s/success", function (event)
	local session = event.session;
	local handler = session.sasl_handler;
	if not handler then return; end
	local refusal = check_after_success(session, handler.username, handler.selected);
	if not refusal then
		if tokens.used_void(session) then return fail_sasl2(session, "credentials-expired"); end
		return;
	end
	if refusal.gone then return true; end
	session.portcullis_refused = refusal;
	fail_sasl2(session, refusal.condition, refusal.text);
	if not refusal.keep_stream then sessions.close_soon(session, refusal.text); end
	return true;
end, 2000);

-- Non-SASL authentication (XEP-0078)

-- mod_legacyauth fires no event for the outcome: it shows in what has become of the stream.
local function legacy_outcome(session, query)
	local attempt = session.portcullis_attempt;
	if attempt and attempt.passed or session.username then return "success"; end
	local is_complete = query:get_child("resource") and prosody.hosts[host].modules.legacyauth;
	return is_complete and not session.destroyed and "failure" or nil;
end

local function refuse_legacy(session, stanza, account, refusal)
	if refusal.gone then return true; end
	report_refused(session, account, xmlns_legacy, refusal);
	if refusal.keep_stream then
		session.send(st.error_reply(stanza, "wait", "internal-server-error", refusal.text));
	else
		session.send(st.error_reply(stanza, "auth", "not-authorized", refusal.text));
		sessions.close(session, refusal.text);
	end
	return true;
end

module:wrap_event("stanza/iq/"..xmlns_legacy..":query", function (handlers, event_name, event)
	local session, stanza = event.origin, event.stanza;
	local query = stanza.tags[1];
	-- mod_legacyauth does not look at the type of the stanza.
	if session.type ~= "c2s_unauthed" then return handlers(event_name, event); end
	if session.sasl_handler and session.sasl_handler.selected then -- a login is under way; one stream has one at a time
		session.send(st.error_reply(stanza, "wait", "unexpected-request"));
		return true;
	end
	for _, field in ipairs(query.tags) do
		if field.tags[1] then -- a name or password is text; what is read of one with an element in it is not known here
			session.send(st.error_reply(stanza, "modify", "bad-request"));
			return true;
		end
	end
	local username, password = query:get_child_text("username"), query:get_child("password");
	if not (username and password) then return handlers(event_name, event); end
	local account = account_of(usernames.normalise_node(username));
	session.portcullis_attempt = { account = account, mechanism = xmlns_legacy };
	local refusal = checks.check(session, account, xmlns_legacy, "decides");
	if refusal then return refuse_legacy(session, stanza, account, refusal); end
	local ok, handled = xpcall(handlers, debug.traceback, event_name, event);
	local outcome = ok and legacy_outcome(session, query);
	if outcome then
		report(session, {
			account = account, mechanism = xmlns_legacy;
			outcome = outcome, condition = outcome == "failure" and "not-authorized" or nil;
		});
	end
	return report_open_try(session, ok, handled);
end);

-- Any other way in. Clients show this error badly, so it is only for what came past all of the above.
module:hook("pre-resource-bind", function (event)
	local session = event.session;
	local attempt = session.portcullis_attempt;
	if attempt then attempt.passed = true; end
	if not session.ip or not session.username then return; end
	local mechanism = attempt and attempt.mechanism;
	local refusal = check_after_success(session, session.username, mechanism);
	if not refusal then return; end
	if refusal.gone then return false; end
	report_refused(session, account_of(session.username), mechanism, refusal);
	if refusal.keep_stream then
		event.error = { type = "wait", condition = "internal-server-error", text = refusal.text };
	else
		event.error = { type = "auth", condition = "forbidden", text = refusal.text };
		sessions.close_soon(session, refusal.text);
	end
	return false;
end, 1000);

-- Outcomes (4) ----------------------------------------------------------------------------------------------------

-- Whether a password was looked at and was wrong. The text is that of a provider which asks about bans itself.
local function is_wrong_password(mechanism, condition, text)
	if condition ~= nil and condition ~= "not-authorized" then return false; end
	if type(text) == "string" and text:match("^Account is banned") then return false; end
	return checks.is_guessable(mechanism);
end

module:hook("authentication-failure", function (event)
	local session = event.session;
	if type(session) ~= "table" or not session.ip then return; end
	local handler, attempt = session.sasl_handler, session.portcullis_attempt or {};
	local condition = event.condition or event.message; -- mod_saslauth, mod_sasl2
	local text = event.text or event.error_text;
	local mechanism = mechanism_name(handler and handler.selected or attempt.mechanism);
	local account = account_of(handler and handler.username or session.username) or attempt.account;
	local refusal = session.portcullis_refused;
	session.portcullis_verdict, session.portcullis_refused = nil, nil;
	if refusal then return report_refused(session, account, mechanism, refusal); end
	local is_failure = is_wrong_password(mechanism, condition, text);
	-- Where the provider cannot look an account up, it cannot compare a password either: nobody was guessing.
	local exists = is_failure and account and settings.tell_unknown and accounts.exists(jid.node(account));
	if exists == "failed" then is_failure = false; end
	report(session, {
		account = account, mechanism = mechanism, condition = condition, reason = text;
		outcome = is_failure and "failure" or "error", unknown = exists == "no" and "true" or nil;
	});
end);

module:hook("sasl2/c2s/error", function (event)
	local session = event.session;
	if session.destroyed then return; end
	local attempt = session.portcullis_attempt or {};
	report(session, {
		account = attempt.account, mechanism = attempt.mechanism;
		outcome = "error", condition = event.error and event.error.condition, reason = event.error_text;
	});
end, 1000);

module:hook("authentication-success", function (event)
	local session = event.session;
	if type(session) ~= "table" or not session.ip or not session.username then return; end
	local handler, attempt = session.sasl_handler, session.portcullis_attempt or {};
	local mechanism = handler and handler.selected or attempt.mechanism;
	if mechanism == "ANONYMOUS" then return; end -- the username was made up a moment ago
	report(session, { account = account_of(session.username), mechanism = mechanism, outcome = "success" });
end);

-- Tells the owner of an account that Prosody itself has disabled why, if we know. Below -1000 nobody changes the text again.
module:hook("authentication-failure", function (event)
	if (event.condition or event.message) ~= "account-disabled" then return; end
	local handler = event.session and event.session.sasl_handler;
	local text = handler and handler.username and checks.held_text(account_of(handler.username));
	if text then event.text, event.error_text = text, text; end
end, -1001);

-- Start and end ---------------------------------------------------------------------------------------------------

-- Streams that came in while nobody asked: this module was not loaded, or portcullis was away.
local function recheck_sessions()
	for session in pairs(sessions.all()) do
		local account = session.type ~= "c2s_unauthed" and account_of(session.username);
		if account then
			checks.recheck(account, session.ip, RECHECK_TIMEOUT, function (text)
				module:log("info", "Ending a stream of %s from %s that is banned meanwhile", account, session.ip);
				sessions.close(session, text);
			end);
		end
	end
end
sync.on_catch_up(recheck_sessions);

-- What is stored may be older than the state it would be said to be: the first sync asks for the whole set.
local function read_storage()
	storage.read_all(settings.max_held);
	sync.known = storage.get("@state");
	clock.skew = tonumber((storage.get("@clock") or {}).skew) or 0;
	known.from_list(storage.get("@known") or {});
	reports.restore(away.read_all());
end

local function greet()
	if not prosody.hosts[settings.component] then
		health.component = "there is no Component \""..settings.component.."\" on this server";
		module:log("error", "%s: nobody can be asked, only the %d held bans are in force", health.component, bans.count);
	end
	sync.hello();
end

function module.load()
	for session in pairs(sessions.all()) do -- opened before this module was loaded
		if session.type == "c2s_unauthed" then watch_addressing(session); end
	end
	component.watch(sync.connected);
	if module.reloading then return; end
	read_storage();
	module:on_ready(greet);
end

local function write_storage()
	storage.write_all();
	away.write_some(math.huge);
end

function module.save()
	write_storage();
	return {
		version = 3, epoch = sync.epoch, seq = sync.seq, bans = bans, logins = reports.save();
		skew = clock.skew, failures = away.save(), known = known.save();
	};
end

function module.restore(saved)
	if saved.version == 3 or saved.version == 2 then
		sync.epoch, sync.seq = saved.epoch, saved.seq;
		held.replace(bans, saved.bans or saved.held); -- COMPAT: version 2 says "held"
		clock.skew = saved.skew or 0;
		if saved.failures then away.restore(saved.failures); end
		known.restore(saved.known);
		reports.restore(saved.logins);
	else
		read_storage();
	end
	sync.hello();
end

local function write_at_end()
	reports.keep_failures();
	write_storage();
	storage.set("@known", known.to_list());
end

function module.unload()
	if module.reloading then return write_storage(); end
	write_at_end();
	shared.after_sasl_success = nil;
end

module:hook_global("server-stopping", write_at_end);
module:add_timer(1, function ()
	away.write_some();
	return 1;
end);
