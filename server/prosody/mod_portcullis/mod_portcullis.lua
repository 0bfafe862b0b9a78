-- mod_portcullis: asks portcullis before each login, obeys, and reports what came of it.
--
-- Prosody 13. Load it on a VirtualHost; portcullis is an external component (XEP-0114) of the same server.
-- Protocol: urn:portcullis:hook:1, see docs/hook-protocol.md of portcullis; its sections are named here as (1)..(7).
--
-- What it never does: decide whom to ban, count failures, or wait for anything but the answer to one question of one
-- client. Start reading at "The doors": every way in that a client can take is one hook there.

local async = require "prosody.util.async";
local base64 = require "prosody.util.encodings".base64;
local cache = require "prosody.util.cache";
local datetime = require "prosody.util.datetime";
local filters = require "prosody.util.filters";
local jid = require "prosody.util.jid";
local modulemanager = require "prosody.core.modulemanager";
local new_id = require "prosody.util.id".medium;
local st = require "prosody.util.stanza";
local time_now = require "prosody.util.time".now;
local timer = require "prosody.util.timer";
local usermanager = require "prosody.core.usermanager";

local books = module:require "held";
local names = module:require "names";
local pack, pack_network, prefix, bucket_of = books.pack, books.pack_network, books.prefix, books.bucket_of;

local VERSION = "1.0.0";
local NS = "urn:portcullis:hook:1";
local NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl";
local NS_SASL2 = "urn:xmpp:sasl:2";
local NS_PRIVATE = "jabber:iq:private";
local NS_RECORD = "jabber:ejabberd:banned";

local MAX_IN_FLIGHT = 2000;   -- questions without an answer yet; more are decided by the held bans
local MAX_REPORTS = 10000;    -- outcomes kept while portcullis is away, the newest
local BATCH = 100;            -- outcomes in one report
local UNANSWERED = 4;         -- so many reports may be without an answer; what comes meanwhile goes together in the next
local HEARTBEAT = 60;         -- seconds between hellos
local RETRY = 5;              -- seconds until something that was not answered is tried again
local PATIENCE = 10;          -- seconds to wait for an answer that no client waits for
local VERDICT_KEEPS = 1;      -- seconds a verdict of the first SASL message is good for at the second
local PASS_KEEPS = 60;        -- seconds between the password and the resource binding
local SWEEP = 1;              -- seconds between looks for held bans that are over, at a part of the book each time
local BUCKETS_AT_ONCE = 8;     -- written at once; the rest one by one, with clients in between
local REMEMBERED = 4096;      -- addresses and accounts whose last failure is remembered

local host = module.host;

if module:get_host_type() ~= "local" then
	error("mod_portcullis guards logins: load it on a VirtualHost, not on a component or globally", 0);
end

-- Options ---------------------------------------------------------------------------------------------------------

local component = module:get_option_string("portcullis_component");
do
	local node, domain, resource = jid.prepped_split(component or "");
	if not domain or node or resource then
		error("mod_portcullis: set portcullis_component to the domain of portcullis, as in: Component \"portcullis.example.org\"", 0);
	end
	component = domain;
end
local wait = module:get_option_period("portcullis_wait", 0.5, 0.01, 30) or 0.5;
if wait > 30 then wait = 30; end -- "never" is infinity
local fail = module:get_option_enum("portcullis_fail", "open", "closed");
local fail_closed = fail ~= "open"; -- a word that is neither was logged as an error; then the careful one
local ask_at_start = module:get_option_boolean("portcullis_ask_at_start", true) ~= false;
local guard_record = module:get_option_boolean("portcullis_guard_record", true) ~= false;
local tell_unknown = module:get_option_boolean("portcullis_tell_unknown", true) ~= false;
local max_held = module:get_option_integer("portcullis_max_held", 100000, 100, 10000000);
local closed_text = module:get_option_string("portcullis_closed_text", "Logins cannot be checked at the moment. Please try again later.");
local default_text = module:get_option_string("portcullis_default_text", "You are banned from this server.");

-- Shared with an instance of this module that comes after a reload: a client that waits across it gets its answer.
local shared = module:shared("live");
shared.pending = shared.pending or {};
local pending = shared.pending; -- id -> { callback, link, timer }
local pending_count = 0;

local health = {}; -- what is wrong, by kind; empty: all is well
local function health_text()
	local kinds = {};
	for kind in pairs(health) do kinds[#kinds+1] = kind; end
	table.sort(kinds);
	for i, kind in ipairs(kinds) do kinds[i] = health[kind]; end
	return kinds[1] and table.concat(kinds, "; ") or "ok";
end

-- Held bans (3): what is in force, for when portcullis is away ------------------------------------------------------

local held = books.new();
local epoch, seq; -- which state of portcullis' bans `held` is; nil until a whole sync has been taken

-- ... on disk. Keys begin with "@", which no account name can: deleting an account purges its key from every store.
local store = module:open_store("portcullis", "keyval");
local dirty = {}; -- buckets that differ from what is on disk
local writing = false;

local function write_bucket(bucket)
	local list = books.lines_of(held, bucket);
	local ok, err = store:set(("@held-%03d"):format(bucket), list[1] and list or nil);
	if ok then
		dirty[bucket] = nil;
		health.store = nil;
		return true;
	end
	if not health.store then
		module:log("error", "Held bans cannot be written to storage, they will not survive a restart: %s", err or "unknown error");
	end
	health.store = "held bans cannot be written to storage";
	return false;
end

local function write_some(most)
	for bucket in pairs(dirty) do
		if most == 0 or not write_bucket(bucket) then return; end
		most = most - 1;
	end
end

local function write_all() write_some(-1); end

local function write_soon()
	if writing then return; end
	write_some(BUCKETS_AT_ONCE);
	if next(dirty) == nil then return; end
	writing = true;
	module:add_timer(0.02, function ()
		write_some(1);
		if next(dirty) ~= nil then return health.store and RETRY or 0.02; end
		writing = false;
	end);
end

local function read_all()
	for bucket = 0, books.BUCKETS - 1 do
		local list, err = store:get(("@held-%03d"):format(bucket));
		if err then
			module:log("error", "Held bans cannot be read from storage: %s", err);
			health.store = "held bans could not be read from storage";
		end
		for _, line in ipairs(list or {}) do
			local ban = books.ban_of(line);
			if ban then books.add(held, ban, max_held); end
		end
	end
end

-- The line to portcullis ------------------------------------------------------------------------------------------

-- The component's connection, or nil. Asked of mod_component each time: nothing here can be out of date.
local function link()
	local component_host = prosody.hosts[component];
	local mod = component_host and component_host.modules.component;
	return mod and mod.connected and mod.session or nil;
end

local function settle(id, reply)
	local question = pending[id];
	if not question then return false; end
	pending[id] = nil;
	pending_count = math.max(0, pending_count - 1);
	timer.stop(question.timer);
	question.callback(reply);
	return true;
end

-- mod_component bounces what it cannot deliver to the origin's send(): that is an answer like any other.
local bounce = setmetatable({
	send = function (stanza)
		settle(stanza.attr.id, stanza);
		return true;
	end;
}, { __index = function (_, k) return prosody.hosts[host][k]; end });

local id_start, id_count = new_id(), 0;

-- Sends an IQ; `callback` is called exactly once with the answer, or with nil when there was none in time. Not
-- module:send_iq(): that one drops the oldest of more than 256, and its timers die with the module in a reload.
local function tell(iq_type, payload, seconds, callback)
	local to = link();
	if not to or pending_count >= MAX_IN_FLIGHT then return callback(nil); end
	id_count = id_count + 1;
	local id = ("%s-%d"):format(id_start, id_count);
	pending_count = pending_count + 1;
	pending[id] = {
		callback = callback, link = to;
		timer = timer.add_task(seconds, function () settle(id, nil); end);
	};
	module:send(st.iq({ type = iq_type, id = id, from = host, to = component }):add_child(payload), bounce);
end

-- Exactly the component itself, on the component's own connection: neither a user nor another server can be that.
local function is_portcullis(event)
	local origin = event.origin;
	return origin.type == "component" and origin.host == component and event.stanza.attr.from == component;
end

module:hook("iq/host", function (event)
	local attr = event.stanza.attr;
	if (attr.type == "result" or attr.type == "error") and pending[attr.id] and is_portcullis(event) then
		return settle(attr.id, event.stanza);
	end
end, 1000);

local function payload_of(reply, name)
	return reply and reply.attr.type == "result" and reply:get_child(name, NS) or nil;
end

-- Report (4) ------------------------------------------------------------------------------------------------------

local queue = { first = 1, last = 0 };
local reports_out, report_pause = 0, 0;
local failures = 0;                          -- a clock of failures: how many there were so far
local last_failure = cache.new(REMEMBERED);  -- account, address or network -> that clock at its last failure
local pump;

-- The network that portcullis sees around an address: a /24, a /48. Its bytes are no account and no address in text.
local function network_of(address)
	local packed = address and pack(address);
	return packed and prefix(packed, #packed == 4 and 24 or 48);
end

local function queue_trim()
	while queue.last - queue.first + 1 > MAX_REPORTS do
		queue[queue.first] = nil;
		queue.first = queue.first + 1;
	end
end

local function queue_back(logins)
	for i = #logins, 1, -1 do
		queue.first = queue.first - 1;
		queue[queue.first] = logins[i];
	end
	queue_trim();
end

local function send_report()
	local logins = {};
	local payload = st.stanza("report", { xmlns = NS, node = "prosody@"..host });
	while #logins < BATCH and queue.first <= queue.last do
		local login = queue[queue.first];
		queue[queue.first] = nil;
		queue.first = queue.first + 1;
		logins[#logins+1] = login;
		payload:tag("login", login):up();
	end
	reports_out = reports_out + 1;
	tell("set", payload, PATIENCE, function (reply)
		reports_out = math.max(0, reports_out - 1);
		if reply and reply.attr.type == "result" then
			if queue.first <= queue.last then pump(); end
			return;
		end
		local _, condition = (reply or st.stanza("iq")):get_error();
		if condition == "bad-request" or condition == "not-acceptable" then -- asking again would give the same answer for ever
			module:log("error", "portcullis does not understand a report of %d logins, dropping it (%s)", #logins, condition);
			return;
		end
		if module.loaded == false then return shared.requeue and shared.requeue(logins); end
		queue_back(logins);
		report_pause = time_now() + RETRY; -- until then only a hello that is answered starts it again
		module:add_timer(RETRY, function () pump(); end);
	end);
end

-- At once, as long as the line is not busy: somebody may wait for what came of it. Under load the reports become
-- longer, not more.
function pump()
	while queue.first <= queue.last and reports_out < UNANSWERED and time_now() >= report_pause and link() do
		send_report();
	end
end

local function report(login)
	if module.loaded == false and shared.report then return shared.report(login); end -- a client that waited across a reload
	login.at = datetime.datetime(time_now());
	login.condition, login.reason = login.condition and tostring(login.condition), login.reason and tostring(login.reason);
	if login.outcome == "failure" then
		failures = failures + 1;
		local network = network_of(login.address);
		if login.address then last_failure:set(login.address, failures); end
		if network then last_failure:set(network, failures); end
		if login.account then last_failure:set(login.account, failures); end
	end
	queue.last = queue.last + 1;
	queue[queue.last] = login;
	queue_trim();
	pump();
end
shared.report = report;
function shared.requeue(logins) queue_back(logins); pump(); end

-- Sync (3) --------------------------------------------------------------------------------------------------------

local syncing, sync_again, sync_then;
local sweep;

local swept = 0; -- the page looked at last

-- Comes round once a heartbeat.
local function drop_expired()
	local now = time_now();
	for _ = 1, math.ceil(books.PAGES * SWEEP / HEARTBEAT) do
		swept = (swept + 1) % books.PAGES;
		if books.drop_expired(held, swept, now) then dirty[swept % books.BUCKETS] = true; end
	end
end

local KINDS = { account = true, address = true, network = true, pair = true };

local function ban_from(tag)
	local attr = tag.attr;
	if not KINDS[attr.kind] or not attr.subject then return nil; end
	local subject = attr.subject;
	if attr.kind == "account" or attr.kind == "pair" then
		local node, domain = jid.prepped_split(subject);
		if domain ~= host then return nil, "elsewhere"; end
		if not node then return nil; end
		subject = node.."@"..domain;
	end
	local untl;
	if attr["until"] then
		untl = datetime.parse(attr["until"]);
		if not untl then module:log("warn", "Ban %s has an end that is no time, holding it until portcullis says otherwise: %s", attr.id, attr["until"]); end
	end
	return {
		id = attr.id, kind = attr.kind, subject = subject, address = attr.address;
		["until"] = untl, door = attr.door, text = tag:get_child_text("text");
	};
end

local function take(book, page, mark)
	local over = 0;
	for tag in page:childtags(nil, NS) do
		if tag.name == "ban" or tag.name == "lift" then
			local ban, why = ban_from(tag);
			if ban and tag.name == "ban" then
				local key, refused = books.add(book, ban, max_held);
				if key then mark[bucket_of(key)] = true; elseif refused == "full" then over = over + 1; else why = "malformed"; end
			elseif ban then
				local key = books.key_of(ban.kind, ban.subject, ban.address);
				if key and books.remove(book, key) then mark[bucket_of(key)] = true; end
			end
			if (not ban and why ~= "elsewhere") or why == "malformed" then
				module:log("warn", "portcullis sent something that is no ban of this protocol: %s", tag:top_tag());
			end
		end
	end
	if over > 0 then
		if not health.full then module:log("error", "More bans than portcullis_max_held = %d: while portcullis is away the others do not hold", max_held); end
		health.full = ("holds only %d bans (portcullis_max_held)"):format(max_held);
	elseif book.count < max_held then
		health.full = nil;
	end
end

-- Asks for what was missed, page by page. A whole new set is put together aside and takes the place of the old one when
-- it is complete: a line that breaks in the middle leaves the old bans in force.
local function sync(after)
	sync_then = after or sync_then;
	if syncing then sync_again = true; return; end
	syncing = true;
	local book, mark, at_epoch, at_seq = nil, {}, epoch, seq;
	local function done(ok)
		syncing = false;
		if ok then
			if book then
				for bucket = 0, books.BUCKETS - 1 do
					if books.lines_of(held, bucket)[1] then dirty[bucket] = true; end
				end
				held = book;
			end
			epoch, seq = at_epoch, at_seq;
			for bucket in pairs(mark) do dirty[bucket] = true; end
			write_soon();
			local what = sync_then;
			sync_then = nil;
			if what then what(); end
		else
			module:add_timer(RETRY, function () if link() then sync(); end end);
			return;
		end
		if sync_again then sync_again = false; sync(); end
	end
	local function ask_page()
		tell("get", st.stanza("sync", { xmlns = NS, epoch = at_epoch, since = at_epoch and ("%d"):format(at_seq) or nil }), PATIENCE, function (reply)
			local page = payload_of(reply, "changes");
			local page_seq = page and tonumber(page.attr.seq);
			if not page_seq or not page.attr.epoch then return done(false); end
			if page.attr.fresh == "true" then
				book, mark = books.new(), {};
			elseif page.attr.epoch ~= at_epoch then
				at_epoch, at_seq = nil, nil; -- portcullis has changed its epoch in the middle: all over again, and whole
				return ask_page();
			end
			take(book or held, page, mark);
			local before = at_seq;
			at_epoch, at_seq = page.attr.epoch, page_seq;
			if not book then epoch, seq = at_epoch, at_seq; end
			if page.attr.more ~= "true" then return done(true); end
			if page.attr.fresh ~= "true" and before == at_seq then return done(false); end -- no progress
			return ask_page();
		end);
	end
	ask_page();
end

local function heard_of(their_epoch, their_seq, after)
	if module.loaded == false then return; end -- the instance after the reload hears it, too
	their_seq = tonumber(their_seq);
	if their_seq and (their_epoch and their_epoch ~= epoch or not seq or their_seq > seq) then
		sync(after);
	elseif after then
		after();
	end
end

-- Hello (1) -------------------------------------------------------------------------------------------------------

local hello_again;
local sweep_due = true; -- nobody may have been asked for a while: look at who came in meanwhile

local function hello()
	if not link() then
		module:set_status("warn", ("portcullis is not connected; %d bans are held"):format(held.count));
		return;
	end
	tell("set", st.stanza("hello", {
		xmlns = NS, software = "prosody", version = prosody.version, module = VERSION, node = "prosody@"..host;
		epoch = epoch, seq = epoch and ("%d"):format(seq) or nil, bans = ("%d"):format(held.count), health = health_text();
	}), PATIENCE, function (reply)
		local welcome = payload_of(reply, "welcome");
		if not welcome then
			module:set_status("warn", "portcullis does not answer");
			if link() and not hello_again then
				hello_again = module:add_timer(RETRY, function () hello_again = nil; hello(); end);
			end
			return;
		end
		module:set_status("info", ("portcullis answers; %d bans are held"):format(held.count));
		report_pause = 0;
		pump();
		heard_of(welcome.attr.epoch, welcome.attr.seq, sweep_due and sweep or nil);
	end);
end

module:add_timer(HEARTBEAT, function ()
	hello();
	return HEARTBEAT;
end);

module:add_timer(SWEEP, function ()
	drop_expired();
	write_soon();
	return SWEEP;
end);

-- The component may be activated before or after this host, and again later.
local function watch_component()
	if not prosody.hosts[component] then return; end
	local there = module:context(component);
	there:hook("component-authenticated", function ()
		sweep_due = true;
		hello();
		report_pause = 0;
		pump(); -- before anybody is asked about
	end);
	there:hook("component-disconnected", function ()
		module:add_timer(0, function () -- mod_component notices after this event
			local now = link();
			local lost = {};
			for id, question in pairs(pending) do
				if question.link ~= now then lost[#lost+1] = id; end
			end
			for _, id in ipairs(lost) do settle(id, nil); end
		end);
	end);
end
module:hook_global("host-activated", function (activated) if activated == component then watch_component(); end end);

-- The question (2) ------------------------------------------------------------------------------------------------

local GONE = { gone = true }; -- the client left while we waited

local function refusal_by(by, text, keep)
	return {
		by = by, text = text or default_text, keep = keep;
		condition = by == "account" and "account-disabled" or "temporary-auth-failure";
	};
end

local function failed_since(mark, account, address)
	local function failed(key) return key and (last_failure:get(key) or 0) > mark; end
	return failed(address) or failed(account) or failed(network_of(address));
end

local function check_stanza(account, address, mechanism, hold)
	return st.stanza("check", { xmlns = NS, account = account, address = address, mechanism = mechanism, hold = hold });
end

-- Only inside the client's own coroutine: waits for the verdict and stops nobody else.
local function ask(account, address, mechanism, hold)
	local wait_here, done = async.waiter();
	local verdict;
	tell("get", check_stanza(account, address, mechanism, hold), wait, function (reply)
		verdict = payload_of(reply, "verdict");
		done();
	end);
	wait_here();
	local action = verdict and verdict.attr.action;
	if action ~= "allow" and action ~= "refuse" then return nil; end
	heard_of(nil, verdict.attr.seq);
	return action, verdict;
end

local function by_held(account, address, at_start)
	local ban, by;
	if at_start then
		ban = books.find_net(held, address, time_now(), true);
		by = ban and ban.kind;
	else
		ban, by = books.find(held, account, address, time_now());
	end
	if ban then return refusal_by(by, ban.text); end
	if fail_closed and not at_start then return refusal_by("unknown", closed_text, true); end
end

-- A stream over BOSH starts inside the XML parser of an HTTP request, which is in a coroutine and cannot wait all the same.
local is_yieldable = coroutine.isyieldable or function () return true; end -- COMPAT: Lua 5.2
local function can_wait() return async.ready() and is_yieldable(); end

-- Half of the wait is left for the way there and back.
local HOLD = ("%d"):format(math.floor(wait * 500));

-- Returns nil (let it go on), a refusal, or GONE. `stage` is "start" (of a stream), "decides" (if the answer is yes, the
-- password is looked at next, and what comes of it is reported) or nil.
local function question(session, account, mechanism, stage)
	local address, at_start = session.ip, stage == "start";
	session.portcullis_account, session.portcullis_mark = nil, nil;
	if not can_wait() then return by_held(account, address, at_start); end
	local mark, asked_seq = failures, seq;
	local action, verdict = ask(account, address, mechanism, stage == "decides" and HOLD or nil);
	if session.destroyed then
		if stage == "decides" and action == "allow" then -- nobody need wait for what comes of it
			report({ account = account, address = address, mechanism = mechanism, outcome = "error", condition = "aborted" });
		end
		return GONE;
	end
	if not action then
		local refusal = by_held(account, address, at_start);
		if refusal then return refusal; end
	elseif action == "refuse" then
		return refusal_by(verdict.attr.by, verdict:get_child_text("text"));
	end
	session.portcullis_at, session.portcullis_mark, session.portcullis_seq = time_now(), mark, asked_seq;
	session.portcullis_account = account;
	return nil;
end

-- Was this account asked about a moment ago, and has nothing happened since?
local function still_good(session, account, seconds)
	return account and session.portcullis_account == account
		and time_now() - session.portcullis_at < seconds
		and session.portcullis_seq == seq
		and not failed_since(session.portcullis_mark, account, session.ip);
end

-- The doors -------------------------------------------------------------------------------------------------------
--
-- All hooks run in the client's coroutine and before the module whose door it is, so that nothing has to be wrapped
-- (a wrapped SASL handler is lost with clean_clone(), and FAST makes its own).

local function close(session, text)
	if not session.destroyed then session:close({ condition = "policy-violation", text = text }); end
end
local function close_soon(session, text) -- after what is being answered has been answered
	timer.add_task(0, function () close(session, text); end);
end

local function bare(username) return username and username.."@"..host; end

local function known_mechanism(mechanism)
	return type(mechanism) == "string" and #mechanism <= 64 and mechanism:match("^[%w_.:-]+$") or nil;
end

local function report_refused(session, account, mechanism, refusal)
	report({
		account = account, address = session.ip, mechanism = known_mechanism(mechanism);
		outcome = "refused", condition = refusal.condition, reason = refusal.text;
	});
end

-- A SASL element with a `to` would be handled by the modules of that host, past all hooks of this one.
local function only_here(stanza, session)
	local attr = stanza.attr;
	if attr and attr.to and attr.to ~= session.host and session.type == "c2s_unauthed" then attr.to = nil; end
	return stanza;
end
shared.only_here = shared.only_here or only_here; -- one function for all instances, or each reload would add a filter

-- Start of a stream: the address alone. Before TLS and, with the same address on the same connection, after it.
module:hook("stream-features", function (event)
	local session = event.origin;
	if session.type ~= "c2s_unauthed" then return; end
	filters.add_filter(session, "stanzas/in", shared.only_here, 1000);
	local refusal = by_held(nil, session.ip, true);
	if not refusal and ask_at_start and link() and not (session.portcullis_start and session.portcullis_start == seq) then
		refusal = question(session, nil, nil, "start");
	end
	if not refusal then
		session.portcullis_start = seq;
		return;
	end
	if refusal ~= GONE then
		module:log("info", "Refusing a stream from %s (%s)", session.ip, refusal.by);
		close(session, refusal.text);
	end
	event.features:tag("closed", { xmlns = NS }):up(); -- never sent; without it Prosody warns of a stream without features
	return true;
end, 1000);

local function sasl_failure(xmlns, refusal)
	if xmlns == NS_SASL then
		return st.stanza("failure", { xmlns = xmlns }):tag(refusal.condition):up():text_tag("text", refusal.text);
	end
	return st.stanza("failure", { xmlns = xmlns }):tag(refusal.condition, { xmlns = NS_SASL }):up():text_tag("text", refusal.text);
end

local function refuse_sasl(session, xmlns, account, mechanism, refusal)
	if refusal == GONE then return true; end
	report_refused(session, account, mechanism, refusal);
	if refusal.keep then
		if session.sasl_handler and session.sasl_handler.selected then session.sasl_handler = session.sasl_handler:clean_clone(); end
		session.send(sasl_failure(xmlns, refusal));
	else
		module:log("info", "Refusing a login as %s from %s (%s)", account or "(unknown)", session.ip, refusal.by);
		session.send(sasl_failure(xmlns, refusal));
		close(session, refusal.text);
	end
	return true;
end

-- There is nobody of that name, as far as the server can tell.
local function is_unknown(account)
	if not account then return false; end
	local ok, exists, err = pcall(usermanager.user_exists, jid.node(account), host);
	return ok and not exists and err ~= "method not implemented";
end

-- The first message, before anything is done with it.
local function first_message(session, xmlns, mechanism, text)
	local message = text and text ~= "" and base64.decode(text) or nil;
	local account = bare(names.name_in(session, mechanism, message));
	session.portcullis_try = { account = account, mechanism = mechanism };
	-- a mechanism with a challenge only tells at once that nobody has that name
	local decides = not known_mechanism(mechanism) or not mechanism:match("^SCRAM%-") or tell_unknown and is_unknown(account);
	local refusal = question(session, account, known_mechanism(mechanism), decides and "decides" or nil);
	if refusal then return refuse_sasl(session, xmlns, account, mechanism, refusal); end
end

-- The second message of SCRAM is where the password is checked. The verdict of the first is good for it if it is fresh
-- and nothing has happened since, so that challenges fetched before a ban are of no use after it.
local function next_message(session, xmlns)
	local handler, try = session.sasl_handler, session.portcullis_try or {};
	local account = try.account or bare(handler and handler.username);
	local mechanism = try.mechanism or handler and handler.selected;
	if still_good(session, account, VERDICT_KEEPS) then return; end
	local refusal = question(session, account, known_mechanism(mechanism), "decides");
	if refusal then return refuse_sasl(session, xmlns, account, mechanism, refusal); end
end

-- After the password was found right: was the question about this account? It was not if the mechanism hides the name.
local function late(session, username, mechanism)
	if mechanism == "ANONYMOUS" or not username then return nil; end
	local account = bare(username);
	if still_good(session, account, PASS_KEEPS) then return nil; end
	return question(session, account, known_mechanism(mechanism));
end

function shared.late_sasl1(session, handler, status, ret, text)
	local refusal = late(session, handler.username, handler.selected);
	if not refusal then return status, ret, text; end
	if refusal == GONE then
		session.base_type = "c2s"; -- mod_saslauth would trip over its absence
		return "error", "undefined-condition";
	end
	session.portcullis_refused = refusal;
	if not refusal.keep then close_soon(session, refusal.text); end
	return "failure", refusal.condition, refusal.text;
end

-- SASL (RFC 6120)
module:hook("stanza/"..NS_SASL..":auth", function (event)
	local session, stanza = event.origin, event.stanza;
	if session.type ~= "c2s_unauthed" then return; end
	local mechanism = stanza.attr.mechanism;
	local stop = first_message(session, NS_SASL, mechanism, stanza:get_text());
	if stop then return stop; end
	-- as mod_saslauth does it a moment later, so that it is our handler that it uses
	local handler = session.sasl_handler;
	if not handler or handler.selected then
		handler = usermanager.get_sasl_handler(host, session);
		session.sasl_handler = handler;
	end
	if handler and not handler.portcullis_watched then
		handler.portcullis_watched = true;
		local process, live = handler.process, shared;
		function handler:process(message)
			local status, ret, text = process(self, message);
			if status ~= "success" or not live.late_sasl1 then return status, ret, text; end
			return live.late_sasl1(session, self, status, ret, text);
		end
	end
end, 1000);
module:hook("stanza/"..NS_SASL..":response", function (event)
	if event.origin.type == "c2s_unauthed" then return next_message(event.origin, NS_SASL); end
end, 1000);
module:hook("stanza/"..NS_SASL..":abort", function (event)
	local session = event.origin;
	local try = session.type == "c2s_unauthed" and session.portcullis_try;
	if not try then return; end
	session.portcullis_try = nil;
	report({ account = try.account, address = session.ip, mechanism = known_mechanism(try.mechanism), outcome = "error", condition = "aborted" });
end, 1000);

-- SASL2 (XEP-0388), FAST (XEP-0484) with it
module:hook("stanza/"..NS_SASL2..":authenticate", function (event)
	local session, stanza = event.origin, event.stanza;
	if session.type ~= "c2s_unauthed" then return; end
	return first_message(session, NS_SASL2, stanza.attr.mechanism, stanza:get_child_text("initial-response"));
end, 1000);
module:hook("stanza/"..NS_SASL2..":response", function (event)
	if event.origin.type == "c2s_unauthed" then return next_message(event.origin, NS_SASL2); end
end, 1000);
module:hook("sasl2/c2s/success", function (event)
	local session = event.session;
	local handler = session.sasl_handler;
	local refusal = handler and late(session, handler.username, handler.selected);
	if not refusal then return; end
	if refusal == GONE then return true; end
	session.portcullis_refused = refusal;
	module:fire_event("sasl2/c2s/failure", { session = session, message = refusal.condition, error_text = refusal.text });
	if not refusal.keep then close_soon(session, refusal.text); end
	return true;
end, 2000);

-- Authentication of before SASL (XEP-0078). mod_legacyauth fires no events, so this looks at what has become of the stream.
module:wrap_event("stanza/iq/jabber:iq:auth:query", function (handlers, event_name, event)
	local session, stanza = event.origin, event.stanza;
	local query = stanza.tags[1];
	local username, password = query:get_child_text("username"), query:get_child("password");
	if session.type ~= "c2s_unauthed" or stanza.attr.type ~= "set" or not (username and password) then
		return handlers(event_name, event);
	end
	local account = bare(names.name_of(username));
	local address, mechanism = session.ip, "jabber:iq:auth";
	session.portcullis_try = { account = account, mechanism = mechanism };
	local refusal = question(session, account, mechanism, "decides");
	if refusal == GONE then return true; end
	if refusal then
		report_refused(session, account, mechanism, refusal);
		session.send(st.error_reply(stanza, refusal.keep and "wait" or "auth", refusal.keep and "internal-server-error" or "not-authorized", refusal.text));
		if not refusal.keep then close(session, refusal.text); end
		return true;
	end
	local ret = handlers(event_name, event);
	local try = session.portcullis_try;
	if try and try.right or session.username then
		report({ account = account, address = address, mechanism = mechanism, outcome = "success" });
	elseif not session.destroyed and query:get_child("resource") and prosody.hosts[host].modules.legacyauth then
		report({ account = account, address = address, mechanism = mechanism, outcome = "failure", condition = "not-authorized" });
	end
	return ret;
end);

-- The last door, for any other way in. Clients show the reason badly here, so it is only for what came past the others.
module:hook("pre-resource-bind", function (event)
	local session = event.session;
	if session.portcullis_try then session.portcullis_try.right = true; end
	if not session.ip or not session.username then return; end
	local mechanism = session.portcullis_try and session.portcullis_try.mechanism;
	local refusal = late(session, session.username, mechanism);
	if not refusal then return; end
	if refusal ~= GONE then
		report_refused(session, bare(session.username), mechanism, refusal);
		event.error = { type = refusal.keep and "wait" or "auth", condition = refusal.keep and "internal-server-error" or "forbidden", text = refusal.text };
		close_soon(session, refusal.text);
	end
	return false;
end, 1000);

-- Outcomes (4) ----------------------------------------------------------------------------------------------------

-- Tokens and certificates cannot be guessed: one that is refused is old or revoked, and no attempt at a password.
local function is_guessable(mechanism)
	return not (mechanism and (mechanism:match("^HT%-") or mechanism == "EXTERNAL" or mechanism == "OAUTHBEARER"));
end

module:hook("authentication-failure", function (event)
	local session = event.session;
	if type(session) ~= "table" or not session.ip then return; end
	local handler, try = session.sasl_handler, session.portcullis_try or {};
	local condition = event.condition or event.message; -- mod_saslauth, mod_sasl2
	local reason = event.text or event.error_text;
	local mechanism = known_mechanism(handler and handler.selected or try.mechanism);
	local username = handler and handler.username or session.username;
	local account = username and bare(username) or try.account;
	session.portcullis_account = nil;
	local refusal = session.portcullis_refused;
	session.portcullis_refused = nil;
	if refusal then
		report_refused(session, account, mechanism, refusal);
		return;
	end
	local login = { account = account, address = session.ip, mechanism = mechanism, outcome = "error", condition = condition, reason = reason };
	local banned = type(reason) == "string" and reason:match("^Account is banned");
	if (condition == "not-authorized" or condition == nil) and not banned and is_guessable(mechanism) then
		login.outcome = "failure";
		if tell_unknown and is_unknown(account) then login.unknown = "true"; end
	end
	report(login);
end);

module:hook("sasl2/c2s/error", function (event)
	local session, try = event.session, event.session.portcullis_try or {};
	if session.destroyed then return; end
	report({
		account = try.account, address = session.ip, mechanism = known_mechanism(try.mechanism), outcome = "error";
		condition = event.error and event.error.condition, reason = event.error_text;
	});
end, 1000);

module:hook("authentication-success", function (event)
	local session = event.session;
	if type(session) ~= "table" or not session.ip or not session.username then return; end
	local mechanism = session.sasl_handler and session.sasl_handler.selected or session.portcullis_try and session.portcullis_try.mechanism;
	if mechanism == "ANONYMOUS" then return; end -- a name that was made up a moment ago
	report({ account = bare(session.username), address = session.ip, mechanism = known_mechanism(mechanism), outcome = "success" });
end);

-- An account that Prosody itself has disabled: say why, if we know it. Below -1000 nobody changes the text any more.
module:hook("authentication-failure", function (event)
	if (event.condition or event.message) ~= "account-disabled" then return; end
	local handler = event.session and event.session.sasl_handler;
	local ban = handler and handler.username and books.find_account(held, bare(handler.username), time_now());
	if ban and ban.text then
		event.text, event.error_text = ban.text, ban.text;
	end
end, -1001);

-- Commands of portcullis --------------------------------------------------------------------------------------------

-- All streams of this host, bound or not, also the sleeping ones of mod_smacks.
local function streams()
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

-- Everything that opens the account without its password.
local function revoke_tokens(username)
	local tokenauth = modulemanager.get_module(host, "tokenauth");
	if tokenauth and tokenauth.get_user_grants and tokenauth.revoke_grant then
		for id in pairs(tokenauth.get_user_grants(username) or {}) do tokenauth.revoke_grant(username, id); end
	end
	if modulemanager.is_loaded(host, "sasl2_fast") then
		local ok, err = module:open_store("fast_tokens", "keyval"):set(username, nil);
		if not ok then module:log("error", "The FAST tokens of %s could not be removed: %s", username, err or "unknown error"); end
	end
end

module:hook("iq-set/host/"..NS..":kick", function (event)
	if not is_portcullis(event) then return; end
	local stanza = event.stanza;
	local kick = stanza.tags[1];
	local username, packed, bits;
	if kick.attr.account then
		local node, domain = jid.prepped_split(kick.attr.account);
		if node and domain == host then username = node; end
	else
		packed, bits = pack_network(kick.attr.network or kick.attr.address or "");
	end
	if not username and not packed then
		event.origin.send(st.error_reply(stanza, "modify", "bad-request", "An account of this host, an address or a network is needed"));
		return true;
	end
	if username then
		local ok, err = pcall(revoke_tokens, username);
		if not ok then module:log("error", "The tokens of %s could not be revoked: %s", username, err); end
	end
	local text = kick:get_child_text("text") or default_text;
	local count = 0;
	for session in pairs(streams()) do
		local hit;
		if username then
			hit = session.username == username;
		else
			local from = pack(session.ip);
			hit = from and #from == #packed and prefix(from, bits) == prefix(packed, bits);
		end
		if hit then
			close(session, text);
			count = count + 1;
		end
	end
	module:log("info", "Ended %d streams of %s at the request of portcullis", count, kick.attr.account or kick.attr.address or kick.attr.network);
	event.origin.send(st.reply(stanza):tag("kicked", { xmlns = NS, count = ("%d"):format(count) }));
	return true;
end);

module:hook("iq-set/host/"..NS..":news", function (event)
	if not is_portcullis(event) then return; end
	local news = event.stanza.tags[1];
	event.origin.send(st.reply(event.stanza));
	heard_of(news.attr.epoch, news.attr.seq);
	return true;
end);

-- Streams that came in while nobody asked (this module was off, or portcullis away and the ban newer than what we held).
function sweep()
	sweep_due = false;
	for session in pairs(streams()) do
		local account = bare(session.username);
		if account and session.type ~= "c2s_unauthed" and books.find(held, account, session.ip, time_now()) then
			tell("get", check_stanza(account, session.ip), PATIENCE, function (reply)
				local verdict = payload_of(reply, "verdict");
				if verdict and verdict.attr.action == "refuse" then
					module:log("info", "Ending a stream of %s from %s that is banned meanwhile", account, session.ip);
					close(session, verdict:get_child_text("text") or default_text);
				end
			end);
		end
	end
end

-- The guard of the record (7) ---------------------------------------------------------------------------------------

if guard_record then
	-- mod_privilege sends the inner IQ of a privileged one on as it is: the same table comes by below.
	local privileged = setmetatable({}, { __mode = "k" });
	module:hook("iq/bare/urn:xmpp:privilege:2:privileged_iq", function (event)
		local inner = event.stanza.tags[1].tags[1];
		if inner then privileged[inner] = true; end
	end, 1000);
	module:hook("iq/self/"..NS_PRIVATE..":query", function (event)
		local stanza = event.stanza;
		if privileged[stanza] then return; end
		for _, tag in ipairs(stanza.tags[1].tags) do
			if tag.attr.xmlns == NS_RECORD then
				event.origin.send(st.error_reply(stanza, "auth", "forbidden", "This record is kept by the server"));
				return true;
			end
		end
	end, 1000);
end

-- Beginning and end -----------------------------------------------------------------------------------------------

function module.load()
	for session in pairs(streams()) do -- opened before this module was there
		if session.type == "c2s_unauthed" then filters.add_filter(session, "stanzas/in", shared.only_here, 1000); end
	end
	if not module.reloading then
		-- What is on disk holds, but may be older than what we would have to say about it: the first sync is a whole one.
		read_all();
		watch_component();
		module:on_ready(function ()
			if not prosody.hosts[component] then
				health.component = "there is no Component \""..component.."\" on this server";
				module:log("error", "%s: nobody can be asked, only the %d held bans are in force", health.component, held.count);
			end
			hello();
		end);
	end
end

function module.save()
	write_all();
	local logins = {};
	for i = queue.first, queue.last do logins[#logins+1] = queue[i]; end
	return { version = 2, epoch = epoch, seq = seq, held = held, logins = logins };
end

function module.restore(saved)
	if saved.version == 2 then
		epoch, seq = saved.epoch, saved.seq;
		held = saved.held;
		queue_back(saved.logins);
	else
		read_all();
	end
	watch_component();
	hello();
end

function module.unload()
	write_all();
	if not module.reloading then shared.late_sasl1 = nil; end
end

module:hook_global("server-stopping", write_all);
