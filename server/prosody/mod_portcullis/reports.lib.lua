-- Reports (4): the outcome of each login, sent to portcullis at once or kept until it takes them; and the memory of
-- recent failures, by which a verdict is known to be out of date.

local cache = require "prosody.util.cache";
local datetime = require "prosody.util.datetime";
local st = require "prosody.util.stanza";
local time_now = require "prosody.util.time".now;
local is_utf8 = require "prosody.util.encodings".utf8.valid;

local network = module:require "network";

local xmlns_hook = "urn:portcullis:hook:1";
local MAX_QUEUED = 10000;        -- logins kept while portcullis is away, the newest
local MAX_LOGINS = 100;          -- in one report
local MAX_BYTES = 65536;         -- of the texts in one report
local MAX_REASON = 256;          -- bytes
local MAX_UNANSWERED = 4;        -- reports; what happens meanwhile goes together into the next one
local ANSWER_TIMEOUT = 10;       -- seconds
local RETRY_DELAY = 5;           -- seconds
local REMEMBERED_FAILURES = 4096; -- accounts, addresses and networks

local host = module.host;

-- Errors that the same report would get again.
local PERMANENT = { ["bad-request"] = true, ["not-acceptable"] = true };

-- A text of the server's own, cut to what a report has room for.
local function clip(text)
	text = text and tostring(text):gsub("%c", " ");
	if not text or #text <= MAX_REASON then return text and is_utf8(text) and text or nil; end
	for length = MAX_REASON, MAX_REASON - 3, -1 do -- a character has four bytes at most
		if is_utf8(text:sub(1, length)) then return text:sub(1, length); end
	end
end

-- `shared`: a table that lives across reloads; a client who waited during one is reported by the instance that came after.
-- `away`: counts failures while nobody takes reports.
return function (component, shared, clock, away)
	local reports = {};

	-- Recent failures -----------------------------------------------------------------------------------------------

	local failure_count = 0;
	local forgotten = 0; -- failure_count at the last failure that was forgotten for want of room
	local last_failure = cache.new(REMEMBERED_FAILURES, function (_, count) -- account, address or network -> failure_count at its last failure
		forgotten = math.max(forgotten, count);
	end);

	-- The /24 or /48 around an address, which portcullis counts as one source. It cannot be mistaken for an account or an
	-- address: those are text, this is 3 or 6 bytes.
	local function network_of(address)
		local packed = address and network.pack(address);
		return packed and network.prefix(packed, #packed == 4 and 24 or 48);
	end

	local function remember_failure(login)
		failure_count = failure_count + 1;
		local around = network_of(login.address);
		if login.address then last_failure:set(login.address, failure_count); end
		if around then last_failure:set(around, failure_count); end
		if login.account then last_failure:set(login.account, failure_count); end
	end

	-- How many failures there were so far; a point in time for failed_since().
	function reports.failure_count() return failure_count; end

	-- Whether a login failed for this account, this address or its network since failure_count() returned `since`. After very many
	-- failures it says yes: it may have been one of them.
	function reports.failed_since(since, account, address)
		if forgotten > since then return true; end
		local function failed(key) return key and (last_failure:get(key) or 0) > since; end
		return failed(address) or failed(account) or failed(network_of(address));
	end

	-- The queue -----------------------------------------------------------------------------------------------------

	local queue = { first = 1, last = 0 };
	local unanswered, not_before = 0, 0;
	local sent = {}; -- the logins of each report without an answer, as keys -> the first one that was not taken

	local function trim()
		while queue.last - queue.first + 1 > MAX_QUEUED do
			queue[queue.first] = nil;
			queue.first = queue.first + 1;
		end
	end

	local function size_of(login)
		return #(login.account or "") + #(login.reason or "") + 200; -- the rest is short
	end

	local function take()
		local logins, bytes = {}, 0;
		while #logins < MAX_LOGINS and bytes < MAX_BYTES and queue.first <= queue.last do
			logins[#logins+1] = queue[queue.first];
			bytes = bytes + size_of(queue[queue.first]);
			queue[queue.first] = nil;
			queue.first = queue.first + 1;
		end
		return logins;
	end

	local function put_back(logins)
		for i = #logins, 1, -1 do
			queue.first = queue.first - 1;
			queue[queue.first] = logins[i];
		end
		trim();
	end

	-- Logins that were not taken, to be told again.
	local function keep(logins)
		if module.loaded == false then
			if shared.reports ~= reports then shared.reports.restore(logins); end
			return;
		end
		put_back(logins);
		not_before = time_now() + RETRY_DELAY;
		module:add_timer(RETRY_DELAY, reports.flush);
	end

	-- Sends the logins from `first` to `last`. Of a report that is refused the halves are sent, one after the other: nothing is
	-- lost for the sake of one login but that login. Calls `done` with nil, or with the first login that was not taken now.
	local function deliver(logins, first, last, done)
		local payload = st.stanza("report", { xmlns = xmlns_hook, node = "prosody@"..host });
		for n = first, last do payload:tag("login", logins[n]):up(); end
		component.request("set", payload, ANSWER_TIMEOUT, function (reply)
			local is_taken = reply and reply.attr.type == "result";
			local condition = reply and not is_taken and select(2, reply:get_error()) or nil;
			if not is_taken and not PERMANENT[condition] then return done(first); end
			if is_taken or first == last then
				if not is_taken then module:log("warn", "portcullis does not understand the report of a login, dropping it (%s)", condition); end
				away.delivered(logins, first, last);
				sent[logins] = last + 1;
				return done();
			end
			local middle = math.floor((first + last) / 2);
			deliver(logins, first, middle, function (not_taken)
				if not_taken then return done(not_taken); end
				deliver(logins, middle + 1, last, done);
			end);
		end);
	end

	local function send()
		local logins = take();
		unanswered = unanswered + 1;
		sent[logins] = 1;
		deliver(logins, 1, #logins, function (not_taken)
			unanswered = unanswered - 1;
			sent[logins] = nil;
			if not_taken then return keep({ table.unpack(logins, not_taken) }); end
			reports.flush();
		end);
	end

	-- Sends what waits, as long as few reports are unanswered. Under load reports become longer, not more.
	function reports.flush()
		if module.loaded == false then return; end -- the queue went to the next instance
		while queue.first <= queue.last and unanswered < MAX_UNANSWERED and time_now() >= not_before and component.session() do
			send();
		end
	end

	-- The same for a portcullis that is known to answer: does not wait for the next retry.
	function reports.resume()
		not_before = 0;
		reports.flush();
	end

	-- `login`: the attributes of <login/> in the hook protocol but for `at`.
	function reports.add(login)
		if module.loaded == false then
			if shared.reports ~= reports then shared.reports.add(login); end
			return;
		end
		login.at = datetime.datetime(clock.now());
		login.condition, login.reason = clip(login.condition), clip(login.reason);
		if login.outcome == "failure" then
			remember_failure(login);
			if component.is_away() then away.failed(login); end
		elseif login.outcome == "success" then
			away.succeeded(login);
		elseif queue.last - queue.first + 1 >= MAX_QUEUED then
			return; -- what counts for nothing does not push out what counts
		end
		queue.last = queue.last + 1;
		queue[queue.last] = login;
		trim();
		reports.flush();
	end

	-- The logins that were not sent yet, for the instance of the module that comes after a reload.
	function reports.save()
		local logins = {};
		for i = queue.first, queue.last do logins[#logins+1] = queue[i]; end
		return logins;
	end

	-- When the server stops, a report that is on its way may be lost together with the connection. Its failures are told after
	-- the start.
	function reports.keep_failures()
		local function keep_one(login)
			if login.outcome ~= "failure" then return; end
			local at = datetime.parse(login.at);
			away.keep(login, at and clock.now() - at or 0);
		end
		for logins, first in pairs(sent) do
			for n = first, #logins do keep_one(logins[n]); end
		end
		for i = queue.first, queue.last do keep_one(queue[i]); end
	end

	function reports.restore(logins)
		put_back(logins);
		reports.flush();
	end

	shared.reports = reports;
	-- COMPAT: the first version of this module, reloaded into this one, looks here for whoever reports its last logins.
	-- Without these it would call itself forever.
	shared.report, shared.requeue = reports.add, reports.restore;
	return reports;
end
