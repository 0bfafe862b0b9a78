-- Hello (1) and sync (3): keeps the held bans equal to those of portcullis, and notices whether it answers.

local datetime = require "prosody.util.datetime";
local jid = require "prosody.util.jid";
local st = require "prosody.util.stanza";
local time_now = require "prosody.util.time".now;

local held = module:require "held";

local xmlns_hook = "urn:portcullis:hook:1";
local HEARTBEAT = 60;      -- seconds between hellos
local ANSWER_TIMEOUT = 10; -- seconds
local RETRY_DELAY = 5;     -- seconds
local EXPIRED_KEPT = 300;  -- seconds; a clock that was wrong for a moment has ended no ban for good
local SKEW_TOLD = 5;       -- seconds between the clocks from which on it is told

local host = module.host;

local KINDS = { account = true, address = true, network = true, pair = true };

-- The ban that a <ban/> or <lift/> is about. nil if it is malformed; nil and "elsewhere" if it is about another host.
local function parse_ban(tag)
	local attr = tag.attr;
	local subject = attr.subject;
	if not KINDS[attr.kind] or not subject then return nil; end
	if attr.kind == "account" or attr.kind == "pair" then
		local node, domain = jid.prepped_split(subject);
		if domain ~= host then return nil, "elsewhere"; end
		if not node then return nil; end
		subject = node.."@"..domain;
	end
	local expires = attr["until"] and datetime.parse(attr["until"]);
	if attr["until"] and not expires then
		module:log("warn", "The end of ban %s is not a time, holding it until portcullis lifts it: %s", attr.id, attr["until"]);
	end
	return {
		id = attr.id, kind = attr.kind, subject = subject, address = attr.address;
		["until"] = expires, door = attr.door, text = tag:get_child_text("text");
	};
end

local function describe(health)
	local kinds = {};
	for kind in pairs(health) do kinds[#kinds+1] = kind; end
	table.sort(kinds);
	for i, kind in ipairs(kinds) do kinds[i] = health[kind]; end
	return kinds[1] and table.concat(kinds, "; ") or "ok";
end

-- `settings`: version and max_held. `bans`: the held bans. `health`: what is wrong with the module, by kind.
-- `beside`: returns the names of other modules that refuse logins by counting failures, or nil.
return function (settings, component, clock, bans, storage, reports, health, beside)
	-- epoch, seq: which state of portcullis the held bans are; nil until a whole set has been taken.
	-- known: the last such state before a restart. The bans that were stored may be older, so it is told, which shows
	-- portcullis that its store was put back to an older copy, and no sync goes on from it.
	local sync = { epoch = nil, seq = nil, known = nil };

	-- Catching up ---------------------------------------------------------------------------------------------------

	local gap = true; -- there may have been a time in which nobody was asked
	local on_catch_up;

	-- Calls `callback` when, after such a time, portcullis answers and the held bans are up to date.
	function sync.on_catch_up(callback) on_catch_up = callback; end

	local function caught_up()
		if not gap then return; end
		gap = false;
		on_catch_up();
	end

	-- Changes -------------------------------------------------------------------------------------------------------

	-- Applies one <ban/> or <lift/>. Returns the key of what changed, or nil and what is wrong with it.
	local function apply(tag, target)
		local ban, err = parse_ban(tag);
		if not ban then return nil, err or "malformed"; end
		if tag.name == "ban" then return held.add(target, ban, settings.max_held); end
		local key = held.key_of(ban.kind, ban.subject, ban.address);
		if not key then return nil, "malformed"; end
		held.remove(target, key);
		return key;
	end

	local function apply_page(page, target)
		local left_out = 0;
		for tag in page:childtags(nil, xmlns_hook) do
			if tag.name == "ban" or tag.name == "lift" then
				local key, err = apply(tag, target);
				if key then
					if target == bans then storage.touch(held.bucket_of(key)); end
				elseif err == "full" then
					left_out = left_out + 1;
				elseif err == "malformed" then
					module:log("warn", "portcullis sent a malformed ban: %s", tag:top_tag());
				end
			end
		end
		if left_out > 0 then
			if not health.full then
				module:log("error", "More bans than portcullis_max_held = %d: while portcullis is away the others do not hold", settings.max_held);
			end
			health.full = ("holds only %d bans (portcullis_max_held)"):format(settings.max_held);
		elseif target.count < settings.max_held then
			health.full = nil;
		end
	end

	-- A whole new set takes the place of the old one when it is complete. Until then the old one holds.
	local function take_whole(set)
		storage.touch_all();
		held.replace(bans, set);
		storage.touch_all();
	end

	-- Requests ------------------------------------------------------------------------------------------------------

	local running, again = false, false;

	-- Asks for what was missed, page by page.
	local function start()
		if running then again = true; return; end
		running = true;
		local epoch, seq = sync.epoch, sync.seq; -- of the last page
		local set;                               -- a whole new set, if portcullis sends one

		local function finish()
			if set then take_whole(set); end
			sync.epoch, sync.seq = epoch, seq;
			storage.write_soon();
			storage.set("@state", { epoch = epoch, seq = seq });
			running = false;
			caught_up();
			if again then again = false; start(); end
		end

		local function fail()
			running = false;
			module:add_timer(RETRY_DELAY, function ()
				if component.session() then start(); end
			end);
		end

		local function ask()
			local since = epoch and ("%d"):format(seq) or nil;
			local request = st.stanza("sync", { xmlns = xmlns_hook, epoch = epoch, since = since });
			component.request("get", request, ANSWER_TIMEOUT, function (reply)
				if module.loaded == false then return; end -- the instance that came after a reload asks for itself
				local page = component.result_child(reply, "changes");
				local page_seq = page and tonumber(page.attr.seq);
				if not page_seq or not page.attr.epoch then return fail(); end
				clock.set(page.attr.now);
				local fresh, more = page.attr.fresh == "true", page.attr.more == "true";
				if fresh then
					set = held.new();
				elseif page.attr.epoch ~= epoch then -- it changed between two pages: begin again, with the whole set
					epoch, seq = nil, nil;
					return ask();
				end
				apply_page(page, set or bans);
				local no_progress = not fresh and page_seq == seq;
				epoch, seq = page.attr.epoch, page_seq;
				if not set then sync.epoch, sync.seq = epoch, seq; end
				if not more then return finish(); end
				if no_progress then return fail(); end
				return ask();
			end);
		end
		ask();
	end

	-- portcullis says what its newest state is; `epoch` may be nil. Returns whether we missed something and now ask for it.
	function sync.announced(epoch, seq)
		if module.loaded == false then return false; end -- the instance that came after a reload is told as well
		seq = tonumber(seq);
		if not seq or (not epoch or epoch == sync.epoch) and sync.seq and seq <= sync.seq then return false; end
		start();
		return true;
	end

	-- Whether changes are being fetched: what is held may have been lifted already.
	function sync.is_running() return running; end

	-- Hello ---------------------------------------------------------------------------------------------------------

	local retry;           -- the timer of the next try
	local stored_skew = 0; -- between the clocks

	local function take_time(welcome)
		clock.set(welcome.attr.now);
		if math.abs(clock.skew - stored_skew) < 1 then return; end
		stored_skew = clock.skew;
		storage.set("@clock", { skew = stored_skew }); -- the ends of held bans are in the time of portcullis
		if math.abs(clock.skew) >= SKEW_TOLD then
			module:log("warn", "The clock here is %.0f seconds %s that of portcullis", math.abs(clock.skew), clock.skew > 0 and "ahead of" or "behind");
		end
	end

	function sync.hello()
		if not component.session() then
			module:set_status("warn", ("portcullis is not connected; %d bans are held"):format(bans.count));
			return;
		end
		local state = sync.epoch and sync or sync.known or {};
		component.request("set", st.stanza("hello", {
			xmlns = xmlns_hook, software = "prosody", version = prosody.version, module = settings.version, node = "prosody@"..host;
			epoch = state.epoch, seq = state.epoch and ("%d"):format(state.seq) or nil, bans = ("%d"):format(bans.count), health = describe(health);
			beside = beside();
			now = datetime.datetime(time_now());
		}), ANSWER_TIMEOUT, function (reply)
			if module.loaded == false then return; end
			local welcome = component.result_child(reply, "welcome");
			if not welcome then
				module:set_status("warn", "portcullis does not answer");
				if component.session() and not retry then
					retry = module:add_timer(RETRY_DELAY, function () retry = nil; sync.hello(); end);
				end
				return;
			end
			component.is_back();
			take_time(welcome);
			module:set_status("info", ("portcullis answers; %d bans are held"):format(bans.count));
			reports.resume();
			if not sync.announced(welcome.attr.epoch, welcome.attr.seq) then caught_up(); end
		end);
	end

	-- The component has connected, and may have been away for long.
	function sync.connected()
		gap = true;
		sync.hello();
		reports.resume(); -- before the next question: its answer then knows of these logins
	end
	component.on_silence(sync.hello); -- and again, until it answers

	module:add_timer(HEARTBEAT, function ()
		sync.hello();
		return HEARTBEAT;
	end);

	module:hook("iq-set/host/"..xmlns_hook..":news", function (event)
		if not component.is_sender(event) then return; end
		local news = event.stanza.tags[1];
		event.origin.send(st.reply(event.stanza));
		sync.announced(news.attr.epoch, news.attr.seq);
		return true;
	end);

	-- Expired bans --------------------------------------------------------------------------------------------------

	local PAGES_PER_SECOND = math.ceil(held.PAGES / HEARTBEAT);
	local page = 0; -- looked at last

	module:add_timer(1, function ()
		local now = clock.now() - EXPIRED_KEPT;
		for _ = 1, PAGES_PER_SECOND do
			page = (page + 1) % held.PAGES;
			if held.drop_expired(bans, page, now) then storage.touch(page % held.BUCKETS); end
		end
		storage.write_soon();
		return 1;
	end);

	return sync;
end
