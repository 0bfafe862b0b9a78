-- The bans that the module holds for the time when portcullis does not answer. Pure: no clock (the time is an argument),
-- no storage, no events.
--
-- A ban is a table { kind, subject, address, id, until, door, text } as in <ban/> of the hook protocol (3); `until` is in
-- seconds since 1970, nil if the ban has no end.
--
-- Bans are kept as lines of text, many lines in one string (a page). Lua's garbage collector marks and sweeps each table
-- and each string: with 100,000 bans in a table of strings per page the longest pause was 33 ms, with pages of text 2 ms
-- (docs/measured.md).

local network = module:require "network";
local pack, pack_network, prefix = network.pack, network.pack_network, network.prefix;

local BUCKETS = 256;         -- storage keys the bans are spread over, so that a change rewrites little
local PAGES = BUCKETS * 16;  -- strings in memory they are spread over, so that a change copies little

-- `lengths` counts the networks of each prefix length by address family (4 or 16 bytes): the lengths to look up an address with.
local function new()
	return { count = 0, pages = {}, lengths = { net = { [4] = {}, [16] = {} }, pair = { [4] = {}, [16] = {} } } };
end

-- Keys ------------------------------------------------------------------------------------------------------------

local function hex(c) return ("%02x"):format(c:byte()); end
local function network_text(packed, bits)
	return ("%d/%d/"):format(#packed, bits)..(prefix(packed, bits):gsub(".", hex));
end

local function account_key(account) return "account "..account; end
local function network_key(packed, bits) return "net "..network_text(packed, bits); end
local function pair_key(account, packed, bits) return "pair "..account.." "..network_text(packed, bits); end

-- The key of a subject: an address and a network of one address have the same. nil if the address is malformed.
-- Also returns the packed network and its length, if the subject has one.
local function key_of(kind, subject, address)
	if kind == "account" then return account_key(subject); end
	local packed, bits = pack_network(kind == "pair" and address or subject);
	if not packed then return nil; end
	return kind == "pair" and pair_key(subject, packed, bits) or network_key(packed, bits), packed, bits;
end

local function page_of(key)
	local sum = 0;
	for i = 1, #key do sum = (sum * 31 + key:byte(i)) % 16777213; end
	return sum % PAGES;
end

-- The bucket (0 to BUCKETS - 1) that a key is stored in.
local function bucket_of(key) return page_of(key) % BUCKETS; end

-- Lines -----------------------------------------------------------------------------------------------------------

local function non_empty(text) return text ~= "" and text or nil; end

-- Fields are separated by tabs; only the last one, the text, may contain a tab.
local function to_line(ban)
	local function field(value) return ((value or ""):gsub("[\t\n]", " ")); end
	local expires = ban["until"] and ("%.3f"):format(ban["until"]) or "";
	local text = (ban.text or ""):gsub("\\", "\\\\"):gsub("\n", "\\n");
	return table.concat({ ban.kind, field(ban.subject), field(ban.address), field(ban.id), expires, field(ban.door), text }, "\t");
end

-- The ban of a line, or nil if the line is not one of ours.
local function from_line(line)
	local kind, subject, address, id, expires, door, text = tostring(line):match(
		"^(%l+)\t([^\t]+)\t([^\t]*)\t([^\t]*)\t([%d.]*)\t([^\t]*)\t(.*)$");
	if not kind then return nil; end
	text = text:gsub("\\(.)", function (c) return c == "n" and "\n" or c; end);
	return {
		kind = kind, subject = subject, address = non_empty(address), id = non_empty(id);
		["until"] = tonumber(expires), door = non_empty(door), text = non_empty(text);
	};
end

local function expiry_of_line(line)
	return tonumber((line:match("^%l+\t[^\t]+\t[^\t]*\t[^\t]*\t([%d.]*)")));
end

-- Pages -----------------------------------------------------------------------------------------------------------
--
-- A page is "\n", key, "\t", line for each of its bans.

-- Returns the line of a key, and where its entry begins and ends in the page; nil if it is not there.
local function find_entry(page, key)
	if not page then return nil; end
	local first, tab = page:find("\n"..key.."\t", 1, true);
	if not first then return nil; end
	local last = (page:find("\n", tab, true) or #page + 1) - 1;
	return page:sub(tab + 1, last), first, last;
end

local function get(bans, key)
	local line = find_entry(bans.pages[page_of(key)], key);
	return line and from_line(line);
end

local function count(bans, key, packed, bits, change)
	bans.count = bans.count + change;
	if not packed then return; end
	local lengths = bans.lengths[key:match("^%l+")][#packed];
	lengths[bits] = (lengths[bits] or 0) + change;
	if lengths[bits] == 0 then lengths[bits] = nil; end
end

-- Returns whether there was one.
local function remove(bans, key)
	local number = page_of(key);
	local page = bans.pages[number];
	local line, first, last = find_entry(page, key);
	if not line then return false; end
	bans.pages[number] = non_empty(page:sub(1, first - 1)..page:sub(last + 1));
	local ban = from_line(line);
	local _, packed, bits = key_of(ban.kind, ban.subject, ban.address);
	count(bans, key, packed, bits, -1);
	return true;
end

-- Replaces a ban of the same subject. Returns the key, or nil and "malformed" or "full" (there are `limit` already).
local function add(bans, ban, limit)
	local key, packed, bits = key_of(ban.kind, ban.subject, ban.address);
	if not key then return nil, "malformed"; end
	if not remove(bans, key) and bans.count >= limit then return nil, "full"; end
	local number = page_of(key);
	bans.pages[number] = (bans.pages[number] or "").."\n"..key.."\t"..to_line(ban);
	count(bans, key, packed, bits, 1);
	return key;
end

-- `bans` becomes what `others` is, for all who refer to it.
local function replace(bans, others)
	bans.count, bans.pages, bans.lengths = others.count, others.pages, others.lengths;
end

-- The lines of a bucket, to be stored.
local function lines_of(bans, bucket)
	local lines = {};
	for number = bucket, PAGES - 1, BUCKETS do
		for line in (bans.pages[number] or ""):gmatch("\n[^\t]+\t([^\n]*)") do lines[#lines+1] = line; end
	end
	return lines;
end

-- Removes the expired bans of one page (0 to PAGES - 1). Returns whether there were any.
local function drop_expired(bans, number, now)
	local expired = {};
	for key, line in (bans.pages[number] or ""):gmatch("\n([^\t]+)\t([^\n]*)") do
		local expires = expiry_of_line(line);
		if expires and expires <= now then expired[#expired+1] = key; end
	end
	for _, key in ipairs(expired) do remove(bans, key); end
	return expired[1] ~= nil;
end

-- Look-ups --------------------------------------------------------------------------------------------------------

local function in_force(ban, now)
	return ban and (not ban["until"] or ban["until"] > now);
end

-- The ban on an account, or nil.
local function find_account(bans, account, now)
	local ban = get(bans, account_key(account));
	return in_force(ban, now) and ban or nil;
end

-- A ban on an address or on a network that contains it, and its kind; nil if there is none. With `only_start` only a
-- ban that may already refuse the start of a stream.
local function find_network(bans, address, now, only_start)
	local packed = pack(address);
	if not packed then return nil; end
	for bits in pairs(bans.lengths.net[#packed]) do
		local ban = get(bans, network_key(packed, bits));
		if in_force(ban, now) and (not only_start or ban.door == "start") then return ban, ban.kind; end
	end
end

local function find_pair(bans, account, address, now)
	local packed = pack(address);
	if not packed then return nil; end
	for bits in pairs(bans.lengths.pair[#packed]) do
		local ban = get(bans, pair_key(account, packed, bits));
		if in_force(ban, now) then return ban; end
	end
end

-- The ban that stands against a login, and its kind: account, pair, address or network. `account` may be nil.
local function find(bans, account, address, now)
	if account then
		local ban = find_account(bans, account, now) or find_pair(bans, account, address, now);
		if ban then return ban, ban.kind; end
	end
	return find_network(bans, address, now, false);
end

return {
	BUCKETS = BUCKETS, PAGES = PAGES;
	new = new, add = add, remove = remove, replace = replace, drop_expired = drop_expired;
	key_of = key_of, bucket_of = bucket_of, lines_of = lines_of, from_line = from_line;
	find_account = find_account, find_network = find_network, find = find;
};
