-- The bans that mod_portcullis holds for the time when portcullis is away: a book of them, and addresses as bytes.
-- Pure: no clock (time is an argument), no storage, no events.

local net = require "prosody.util.net";

local BUCKETS = 256;         -- files a book is spread over, so that a change rewrites little
local PAGES = BUCKETS * 16;  -- strings a book is spread over, so that a change copies little

-- Addresses -------------------------------------------------------------------------------------------------------

local V4_IN_V6 = ("\0"):rep(10).."\255\255";

-- "203.0.113.7" -> 4 bytes, "2001:db8::1" -> 16 bytes, "::ffff:203.0.113.7" -> 4 bytes; nil for anything else
local function pack(address)
	if type(address) ~= "string" then return nil; end
	local packed = net.pton((address:gsub("%%.*$", "")));
	if packed and #packed == 16 and packed:sub(1, 12) == V4_IN_V6 then packed = packed:sub(13); end
	return packed;
end

-- "203.0.113.0/24" -> 4 bytes, 24; an address alone is a network of itself
local function pack_network(text)
	local address, bits = tostring(text):match("^([^/]+)/(%d+)$");
	local packed = pack(address or text);
	if not packed then return nil; end
	local full = #packed * 8;
	bits = tonumber(bits) or full;
	if #packed == 4 and (address or ""):find(":", 1, true) then bits = bits - 96; end -- ::ffff:0:0/96 and longer
	if bits < 0 or bits > full then return nil; end
	return packed, bits;
end

-- The first `bits` of an address as a string that can be compared and looked up.
local function prefix(packed, bits)
	local whole = math.floor(bits / 8);
	local rest = bits - whole * 8;
	if rest == 0 then return packed:sub(1, whole); end
	local byte, unit = packed:byte(whole + 1), 2^(8 - rest);
	return packed:sub(1, whole)..string.char(math.floor(byte - byte % unit));
end

-- Held bans (3): what is in force, for when portcullis is away ------------------------------------------------------
--
-- A book has every ban as one line of text, each line on the page its key belongs to. Not as tables: Lua's garbage
-- collector looks at every one of them again and again, and at a large table all at once; with 100,000 bans logins
-- waited up to 100 ms for it. A string it only counts.

-- `lengths` counts the networks of each length, by family: what an address may lie in.
local function new_book()
	return { count = 0, pages = {}, lengths = { net = { [4] = {}, [16] = {} }, pair = { [4] = {}, [16] = {} } } };
end

local function hex(c) return ("%02x"):format(c:byte()); end
local function net_text(packed, bits)
	return ("%d/%d/"):format(#packed, bits)..(prefix(packed, bits):gsub(".", hex));
end

local function account_key(account) return "account "..account; end
local function net_key(packed, bits) return "net "..net_text(packed, bits); end
local function pair_key(account, packed, bits) return "pair "..account.." "..net_text(packed, bits); end

-- An address and a network of one address are the same subject. Returns the bytes and length of a network as well.
local function key_of(kind, subject, address)
	if kind == "account" then return account_key(subject); end
	local packed, bits = pack_network(kind == "pair" and address or subject);
	if not packed then return nil; end
	return kind == "pair" and pair_key(subject, packed, bits) or net_key(packed, bits), packed, bits;
end

local function page_of(key)
	local sum = 0;
	for i = 1, #key do sum = (sum * 31 + key:byte(i)) % 16777213; end
	return sum % PAGES;
end

-- The file a ban is kept in.
local function bucket_of(key) return page_of(key) % BUCKETS; end

-- One ban as one line. Only the text, which is last, may hold a tab.
local function plain(text) return (text or ""):gsub("[\t\n]", " "); end
local function line_of(ban)
	local untl = ban["until"] and ("%.3f"):format(ban["until"]) or "";
	local text = (ban.text or ""):gsub("\\", "\\\\"):gsub("\n", "\\n");
	return ("%s\t%s\t%s\t%s\t%s\t%s\t%s"):format(
		ban.kind, (plain(ban.subject)), (plain(ban.address)), (plain(ban.id)), untl, (plain(ban.door)), text);
end

local function some(text) return text ~= "" and text or nil; end
local function unescaped(text) return (text:gsub("\\(.)", function (c) return c == "n" and "\n" or c; end)); end
local function ban_of(line)
	local kind, subject, address, id, untl, door, text = tostring(line):match("^(%l+)\t([^\t]+)\t([^\t]*)\t([^\t]*)\t([%d.]*)\t([^\t]*)\t(.*)$");
	if not kind then return nil; end
	return { kind = kind, subject = subject, address = some(address), id = some(id), ["until"] = tonumber(untl), door = some(door), text = some(unescaped(text)) };
end

-- A page is "\n", key, "\t", line for each of its bans. Where the one of a key begins and ends, and where its line begins.
local function place(page, key)
	local from, tab = page:find("\n"..key.."\t", 1, true);
	if not from then return nil; end
	return from, (page:find("\n", tab, true) or #page + 1) - 1, tab + 1;
end

local function get(book, key)
	local page = book.pages[page_of(key)];
	local from, to, line = nil, nil, nil;
	if page then from, to, line = place(page, key); end
	return from and ban_of(page:sub(line, to));
end

local function counted(book, key, packed, bits, more)
	book.count = book.count + more;
	if not packed then return; end
	local lengths = book.lengths[key:match("^%l+")][#packed];
	lengths[bits] = (lengths[bits] or 0) + more;
	if lengths[bits] == 0 then lengths[bits] = nil; end
end

local function book_remove(book, key)
	local number = page_of(key);
	local page = book.pages[number];
	local from, to, line = nil, nil, nil;
	if page then from, to, line = place(page, key); end
	if not from then return; end
	local ban = ban_of(page:sub(line, to));
	book.pages[number] = some(page:sub(1, from - 1)..page:sub(to + 1));
	local _, packed, bits = key_of(ban.kind, ban.subject, ban.address);
	counted(book, key, packed, bits, -1);
	return true;
end

-- Returns the key, or nil and why it is not held.
local function book_add(book, ban, most)
	local key, packed, bits = key_of(ban.kind, ban.subject, ban.address);
	if not key then return nil, "malformed"; end
	if not book_remove(book, key) and book.count >= most then return nil, "full"; end
	local number = page_of(key);
	book.pages[number] = (book.pages[number] or "").."\n"..key.."\t"..line_of(ban);
	counted(book, key, packed, bits, 1);
	return key;
end

-- The lines of a bucket, for the disk.
local function lines_of(book, bucket)
	local list = {};
	for number = bucket, PAGES - 1, BUCKETS do
		for line in (book.pages[number] or ""):gmatch("\n[^\t]+\t([^\n]*)") do list[#list+1] = line; end
	end
	return list;
end

local function in_force(ban, now)
	return ban and (not ban["until"] or ban["until"] > now);
end

-- Takes what is over off a page; whether there was something.
local function drop_expired(book, number, now)
	local over = {};
	for key, line in (book.pages[number] or ""):gmatch("\n([^\t]+)\t([^\n]*)") do
		local untl = tonumber((line:match("^%l+\t[^\t]+\t[^\t]*\t[^\t]*\t([%d.]*)")));
		if untl and untl <= now then over[#over+1] = key; end
	end
	for _, key in ipairs(over) do book_remove(book, key); end
	return over[1] ~= nil;
end

-- The held ban on an account.
local function find_account(book, account, now)
	local ban = get(book, account_key(account));
	return in_force(ban, now) and ban or nil;
end

-- The held ban on a network that an address lies in; with `only_start` only one that holds at the start of a stream.
local function find_net(book, address, now, only_start)
	local packed = pack(address);
	if not packed then return nil; end
	for bits in pairs(book.lengths.net[#packed]) do
		local ban = get(book, net_key(packed, bits));
		if in_force(ban, now) and (not only_start or ban.door == "start") then return ban, ban.kind; end
	end
end

-- The held ban that stands against this login, and what it is by: account, pair, address, network.
local function find_held(book, account, address, now)
	local packed = pack(address);
	if account then
		local ban = find_account(book, account, now);
		if ban then return ban, "account"; end
		for bits in pairs(packed and book.lengths.pair[#packed] or {}) do
			local pair = get(book, pair_key(account, packed, bits));
			if in_force(pair, now) then return pair, "pair"; end
		end
	end
	return find_net(book, address, now, false);
end

return {
	BUCKETS = BUCKETS, PAGES = PAGES;
	pack = pack, pack_network = pack_network, prefix = prefix;
	new = new_book, add = book_add, remove = book_remove, drop_expired = drop_expired;
	key_of = key_of, bucket_of = bucket_of, lines_of = lines_of, ban_of = ban_of;
	find_account = find_account, find_net = find_net, find = find_held;
};
