-- The bans that mod_portcullis holds for the time when portcullis is away: a book of them, and addresses as bytes.
-- Pure: no clock (time is an argument), no storage, no events.

local net = require "prosody.util.net";

local BUCKETS = 256; -- files a book is spread over, so that a change rewrites little

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
-- A book has every ban by its key, and what finds them: accounts by JID, networks by length and prefix, pairs by JID.

local function new_book()
	return { all = {}, count = 0, accounts = {}, pairs = {}, nets = { [4] = {}, [16] = {} }, buckets = {} };
end

local function key_of(kind, subject, address)
	if kind == "account" then return "account "..subject; end
	local packed, bits = pack_network(kind == "pair" and address or subject);
	if not packed then return nil; end
	local net_key = ("%d/%d/"):format(#packed, bits)..(prefix(packed, bits):gsub(".", function (c) return ("%02x"):format(c:byte()); end));
	if kind == "pair" then return "pair "..subject.." "..net_key, packed, bits; end
	return "net "..net_key, packed, bits; -- an address and a network of one address are the same subject
end

-- The file a ban is kept in.
local function bucket_of(key)
	local sum = 0;
	for i = 1, #key do sum = (sum * 31 + key:byte(i)) % 16777213; end
	return sum % BUCKETS;
end

local function book_remove(book, key)
	local ban = book.all[key];
	if not ban then return; end
	book.all[key] = nil;
	book.buckets[bucket_of(key)][key] = nil;
	book.count = book.count - 1;
	if ban.kind == "account" then
		book.accounts[ban.subject] = nil;
	elseif ban.kind == "pair" then
		local list = book.pairs[ban.subject];
		list[key] = nil;
		if next(list) == nil then book.pairs[ban.subject] = nil; end
	else
		local packed, bits = pack_network(ban.subject);
		local by_bits = book.nets[#packed];
		by_bits[bits][prefix(packed, bits)] = nil;
		if next(by_bits[bits]) == nil then by_bits[bits] = nil; end
	end
	return true;
end

-- Returns the key, or nil and why it is not held.
local function book_add(book, ban, most)
	local key, packed, bits = key_of(ban.kind, ban.subject, ban.address);
	if not key then return nil, "malformed"; end
	if not book.all[key] and book.count >= most then return nil, "full"; end
	book_remove(book, key);
	book.all[key] = ban;
	book.count = book.count + 1;
	local bucket = bucket_of(key);
	if not book.buckets[bucket] then book.buckets[bucket] = {}; end
	book.buckets[bucket][key] = ban;
	if ban.kind == "account" then
		book.accounts[ban.subject] = ban;
	elseif ban.kind == "pair" then
		local list = book.pairs[ban.subject];
		if not list then list = {}; book.pairs[ban.subject] = list; end
		list[key] = ban;
	else
		local by_bits = book.nets[#packed];
		if not by_bits[bits] then by_bits[bits] = {}; end
		by_bits[bits][prefix(packed, bits)] = ban;
	end
	return key;
end

-- One ban as one line for the disk (a table each takes ten times as long to write). Only the text, which is last, may
-- hold a tab: XML has turned those of attributes into spaces.
local function line_of(ban)
	local untl = ban["until"] and ("%d"):format(math.floor(ban["until"])) or "";
	return table.concat({ ban.kind, ban.subject, ban.address or "", ban.id or "", untl, ban.door or "", ban.text or "" }, "\t");
end

local function some(text) return text ~= "" and text or nil; end
local function ban_of(line)
	local kind, subject, address, id, untl, door, text = tostring(line):match("^(%l+)\t([^\t]+)\t([^\t]*)\t([^\t]*)\t(%d*)\t([^\t]*)\t(.*)$");
	if not kind then return nil; end
	return { kind = kind, subject = subject, address = some(address), id = some(id), ["until"] = tonumber(untl), door = some(door), text = some(text) };
end

local function in_force(ban, now)
	return ban and (not ban["until"] or ban["until"] > now);
end

-- The held ban on a network that an address lies in; with `only_start` only one that holds at the start of a stream.
local function find_net(book, address, now, only_start)
	local packed = pack(address);
	if not packed then return nil; end
	for bits, nets in pairs(book.nets[#packed]) do
		local ban = nets[prefix(packed, bits)];
		if in_force(ban, now) and (not only_start or ban.door == "start") then return ban, ban.kind; end
	end
end

-- The held ban that stands against this login, and what it is by: account, pair, address, network.
local function find_held(book, account, address, now)
	local packed = pack(address);
	if account then
		local ban = book.accounts[account];
		if in_force(ban, now) then return ban, "account"; end
		for _, pair in pairs(packed and book.pairs[account] or {}) do
			local half, bits = pack_network(pair.address);
			if in_force(pair, now) and #half == #packed and prefix(half, bits) == prefix(packed, bits) then return pair, "pair"; end
		end
	end
	return find_net(book, address, now, false);
end

return {
	BUCKETS = BUCKETS;
	pack = pack, pack_network = pack_network, prefix = prefix;
	new = new_book, add = book_add, remove = book_remove, key_of = key_of, bucket_of = bucket_of;
	line_of = line_of, ban_of = ban_of;
	in_force = in_force, find_net = find_net, find = find_held;
};
