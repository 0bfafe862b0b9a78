-- Plays random bans, lifts and questions on a book of held bans and on a plain list of them. `lua5.4 held_model.lua held.lib.lua SEED`

local ip = require "prosody.util.ip";
local folder = arg[1]:match("^.*/") or "";
module = { require = function (_, name) return dofile(folder..name..".lib.lua"); end };
local books = dofile(arg[1]);
math.randomseed(tonumber(arg[2]));

local function pick(list) return list[math.random(#list)]; end
local function address()
	if math.random() < 0.5 then return ("10.0.%d.%d"):format(math.random(0, 3), math.random(0, 40)); end
	return ("2001:db8::%x:%x"):format(math.random(0, 3), math.random(0, 20));
end
local function network()
	local base = address();
	return math.random() < 0.3 and base or base.."/"..pick(base:find(":", 1, true) and { 64, 112, 120, 128 } or { 8, 16, 24, 30, 32 });
end
local function account() return "user"..math.random(30).."@example.org"; end

local function ban(now, id)
	local kind = pick { "account", "address", "network", "pair" };
	local subject = (kind == "account" or kind == "pair") and account() or kind == "address" and address() or network();
	return {
		kind = kind, subject = subject, address = kind == "pair" and network() or nil, id = tostring(id), door = pick { "start", false } or nil;
		["until"] = math.random() < 0.7 and now + math.random(1, 300) / 2 or nil, text = pick { "spam", "a\\n\n\ttext\\", false } or nil;
	};
end

-- The plain list ----------------------------------------------------------------------------------------------------

local function parsed(text)
	local base, bits = text:match("^([^/]+)/(%d+)$");
	base = ip.new_ip(base or text);
	return base, tonumber(bits) or (base.proto == "IPv4" and 32 or 128);
end

local function lies_in(candidate, net)
	local base, bits = parsed(net);
	candidate = ip.new_ip(candidate);
	return candidate.proto == base.proto and ip.match(candidate, base, bits);
end

local function same_subject(a, b)
	local function is_net(one) return one.kind == "address" or one.kind == "network"; end
	local function same_net(x, y)
		local _, bits = parsed(x);
		local _, other = parsed(y);
		return bits == other and lies_in((x:gsub("/.*", "")), y);
	end
	if is_net(a) then return is_net(b) and same_net(a.subject, b.subject); end
	return a.kind == b.kind and a.subject == b.subject and (a.kind == "account" or same_net(a.address, b.address));
end

local function without(list, gone)
	local kept = {};
	for _, one in ipairs(list) do
		if not gone(one) then kept[#kept+1] = one; end
	end
	return kept, #kept < #list;
end

local function stands(list, now, fits)
	local found = {};
	for _, one in ipairs(list) do
		if (not one["until"] or one["until"] > now) and fits(one) then found[one.id] = one; end
	end
	return next(found) and found;
end

-- Both -----------------------------------------------------------------------------------------------------------------

local book, list, met = books.new(), {}, 0;
local function agree(what, one, others)
	assert((one == nil) == not others, what);
	if not one then return; end
	local other = assert(others[one.id], what);
	for _, part in ipairs { "kind", "subject", "address", "until", "door", "text" } do assert(one[part] == other[part], part); end
	met = met + 1;
end

for step = 1, 4000 do
	local now = 1000 + step / 4;
	local one = ban(now, step);
	local function same(other) return same_subject(one, other); end
	if math.random() < 0.6 then
		local kept, was_there = without(list, same);
		local key = books.add(book, one, 150);
		assert((key ~= nil) == (was_there or #list < 150), "held or full");
		if key then kept[#kept+1] = one; list = kept; end
	else
		local was_there;
		list, was_there = without(list, same);
		assert(books.remove(book, (books.key_of(one.kind, one.subject, one.address))) == was_there, "was held");
	end
	assert(book.count == #list, "count");

	local who, from = account(), address();
	local function is_net(other) return (other.kind == "address" or other.kind == "network") and lies_in(from, other.subject); end
	local by_account = stands(list, now, function (other) return other.kind == "account" and other.subject == who; end);
	local by_pair = stands(list, now, function (other) return other.kind == "pair" and other.subject == who and lies_in(from, other.address); end);
	agree("login", (books.find(book, who, from, now)), by_account or by_pair or stands(list, now, is_net) or nil);
	agree("account", books.find_account(book, who, now), by_account or nil);
	agree("start", (books.find_network(book, from, now, true)), stands(list, now, function (other) return other.door == "start" and is_net(other); end) or nil);

	if step % 500 == 0 then
		for number = 0, books.PAGES - 1 do books.drop_expired(book, number, now); end
		list = without(list, function (other) return other["until"] and other["until"] <= now; end);
		assert(book.count == #list, "over");
		local again = books.new();
		for bucket = 0, books.BUCKETS - 1 do
			for _, line in ipairs(books.lines_of(book, bucket)) do
				local key = books.add(again, books.from_line(line), 150);
				assert(books.bucket_of(key) == bucket, "bucket");
			end
		end
		assert(again.count == book.count, "as from disk");
		book = again;
	end
end

for _, one in ipairs(list) do books.remove(book, (books.key_of(one.kind, one.subject, one.address))); end
assert(book.count == 0 and next(book.pages) == nil, "empty");
for _, families in pairs(book.lengths) do
	for _, lengths in pairs(families) do assert(next(lengths) == nil, "no lengths"); end
end
print(met.." answers agreed");
