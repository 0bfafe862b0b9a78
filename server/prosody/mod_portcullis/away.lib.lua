-- Counts the logins that failed while portcullis was away, and the tries in progress, by source (an address, or an IPv6 /64)
-- and by account: what is over the limit is refused for the moment, as long as portcullis is away.
--
-- The failures are a ring of pages. One page is one key in storage, and is written before the client hears of its failure:
-- a killed server has forgotten nothing.

local time_now = require "prosody.util.time".now;

local network = module:require "network";

local PAGE = 64;   -- failures in one page, so that a failure rewrites little
local PAGES = 160; -- of the ring: with more than 10,000 failures the oldest are forgotten
local WRITE_AT_ONCE = 8; -- pages that one call of write_some() writes

local function key_of(page) return ("@away-%03d"):format(page); end
local function page_of(number) return math.floor((number - 1) / PAGE) % PAGES; end

-- A failure as it is stored: { number, time, login, delivered }. nil if it is not one of ours.
local function is_stored(one)
	return type(one) == "table" and type(one.number) == "number" and one.number % 1 == 0 and one.number > 0
		and type(one.time) == "number" and type(one.login) == "table";
end

-- `settings`: away_limit (0: nothing is counted) and away_window in seconds. `known`: who logged in from where.
return function (settings, storage, known)
	local away = {};
	local limit, window = settings.away_limit, settings.away_window;

	-- The numbers of the failures that are kept are `first` to `last`; those below `fresh` are older than the window. A
	-- failure is { time, login, delivered, keys }; keys: what it counts toward, nil if it counts no longer.
	local failures = { first = 1, fresh = 1, last = 0 };
	local number_of = setmetatable({}, { __mode = "k" }); -- login -> number
	local counts = {};                                    -- source or account -> failures that count
	local tries = {};                                     -- source or account -> tries in progress
	local changed = {};                                   -- pages that differ from what is stored

	local function keys_of(account, address) return { network.source(address), account }; end

	local function change(numbers, keys, by)
		for _, key in ipairs(keys) do
			local number = (numbers[key] or 0) + by;
			numbers[key] = number ~= 0 and number or nil;
		end
	end

	local function forgive(failure)
		if failure.keys then change(counts, failure.keys, -1); end
		failure.keys = nil;
	end

	local function drop(number)
		local failure = failures[number];
		if not failure then return; end
		forgive(failure);
		failures[number] = nil;
		changed[page_of(number)] = true;
	end

	-- Ends what is older than the window. Reports that portcullis has not taken are kept longer. What was kept at a stop may stand
	-- behind something newer, and then counts until that is over.
	local function tidy(now)
		while failures.fresh <= failures.last do
			local failure = failures[failures.fresh];
			if failure and math.abs(now - failure.time) < window then break; end
			if failure then forgive(failure); end
			failures.fresh = failures.fresh + 1;
		end
		while failures.first < failures.fresh do
			local failure = failures[failures.first];
			if failure and not failure.delivered then break; end
			drop(failures.first);
			failures.first = failures.first + 1;
		end
	end

	local function put(number, failure)
		failures[number] = failure;
		number_of[failure.login] = number;
		failure.keys = nil;
		if math.abs(time_now() - failure.time) >= window then return; end
		failure.keys = keys_of(failure.login.account, failure.login.address);
		change(counts, failure.keys, 1);
	end

	-- Storage -------------------------------------------------------------------------------------------------------

	local function write(page)
		local stored = {};
		local start = math.floor((failures.last - 1) / PAGE / PAGES) * PAGES + page; -- this page in the current turn of the ring
		if start * PAGE >= failures.last then start = start - PAGES; end
		for number = start * PAGE + 1, start * PAGE + PAGE do
			local one = failures[number];
			if one then stored[#stored+1] = { number = number, time = one.time, login = one.login, delivered = one.delivered }; end
		end
		if not storage.set(key_of(page), stored[1] and stored or nil) then return false; end
		changed[page] = nil;
		return true;
	end

	-- Writes some of what is not stored yet. Returns whether there may be more to write now.
	function away.write_some(at_most)
		tidy(time_now());
		local left = at_most or WRITE_AT_ONCE;
		for page in pairs(changed) do
			if left == 0 or not write(page) then return; end
			left = left - 1;
		end
	end

	-- Takes what is stored. Returns the logins that portcullis has not heard of, in their order.
	function away.read_all()
		local stored, undelivered = {}, {};
		for page = 0, PAGES - 1 do
			for _, one in ipairs(storage.get(key_of(page)) or {}) do
				if is_stored(one) and page_of(one.number) == page then stored[#stored+1] = one; end
			end
		end
		table.sort(stored, function (a, b) return a.number < b.number; end);
		if not stored[1] then return undelivered; end
		failures.last = stored[#stored].number;
		failures.first = math.max(stored[1].number, failures.last - (PAGES - 1) * PAGE + 1);
		failures.fresh = failures.first;
		for _, one in ipairs(stored) do
			if one.number >= failures.first then
				put(one.number, { time = one.time, login = one.login, delivered = one.delivered });
				if not one.delivered then undelivered[#undelivered+1] = one.login; end
			end
		end
		return undelivered;
	end

	-- For the instance that comes after a reload.
	function away.save() return failures; end

	function away.restore(saved)
		for number = saved.first, saved.last do
			if saved[number] then put(number, saved[number]); end
		end
		failures.first, failures.fresh, failures.last = saved.first, saved.first, saved.last;
	end

	-- Outcomes ------------------------------------------------------------------------------------------------------

	-- `age`: how many seconds ago it happened.
	local function count(login, age)
		tidy(time_now());
		local number = failures.last + 1;
		while failures.first <= number - (PAGES - 1) * PAGE do -- the page that comes next has to be empty
			drop(failures.first);
			failures.first = failures.first + 1;
		end
		failures.fresh = math.max(failures.fresh, failures.first);
		failures.last = number;
		put(number, { time = time_now() - age, login = login });
		changed[page_of(number)] = true;
	end

	function away.failed(login)
		if limit == 0 then return; end
		count(login, 0);
		write(page_of(failures.last));
	end

	-- Keeps a failure of `age` seconds ago that was not counted here, to be told after a restart; write_some() writes it. It is
	-- neither in the future nor older than the window, whatever a clock did meanwhile.
	function away.keep(login, age)
		if limit > 0 and not number_of[login] then count(login, math.max(0, math.min(age, window))); end
	end

	-- A success forgives what failed for this account from this source, and nothing else: a guesser may have an account.
	function away.succeeded(login)
		if not login.account then return; end
		known.add(login.account, login.address);
		local source = network.source(login.address);
		if not counts[login.account] or not counts[source] then return; end
		for number = failures.fresh, failures.last do
			local failure = failures[number];
			if failure and failure.login.account == login.account and network.source(failure.login.address) == source then
				forgive(failure);
				failure.delivered = true; -- nobody needs to be told after a restart
				changed[page_of(number)] = true;
			end
		end
	end

	-- portcullis has taken the reports of these logins.
	function away.delivered(logins, first, last)
		for n = first, last do
			local number = number_of[logins[n]];
			local failure = number and failures[number];
			if failure and not failure.delivered then
				failure.delivered = true;
				changed[page_of(number)] = true;
			end
		end
	end

	-- Tries ---------------------------------------------------------------------------------------------------------

	-- A password is looked at next. Returns a function to be called, once, when the outcome is known.
	function away.begin(account, address)
		local keys = keys_of(account, address);
		change(tries, keys, 1);
		return function () change(tries, keys, -1); end
	end

	-- Whether a password for this account or from this source is being looked at right now.
	function away.is_trying(account, address)
		return tries[network.source(address)] ~= nil or account and tries[account] ~= nil;
	end

	-- Whether nobody may try now: there were too many failures. Who logged in from there before has twice the limit: guesses
	-- of strangers do not keep the owner out.
	function away.is_over(account, address)
		if limit == 0 then return false; end
		tidy(time_now());
		local allowed = known.has(account, address) and 2 * limit or limit;
		for _, key in ipairs(keys_of(account, address)) do
			if (counts[key] or 0) + (tries[key] or 0) >= allowed then return true; end
		end
		return false;
	end

	return away;
end
