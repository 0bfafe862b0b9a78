-- Random bans, lifts and questions, answered by the held bans and by a plain list of them.

local ip = require "prosody.util.ip";
local held = new_module():require "held";

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

local function random_ban(now, id)
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

-- Those that fit, by id; nil if there are none.
local function in_force(list, now, fits)
	local found = {};
	for _, one in ipairs(list) do
		if (not one["until"] or one["until"] > now) and fits(one) then found[one.id] = one; end
	end
	return next(found) and found or nil;
end

-- Both ------------------------------------------------------------------------------------------------------------

local LIMIT = 150;

describe("held bans", function ()
	local seed = os.time();

	it("answer as a plain list of bans does (seed "..seed..")", function ()
		math.randomseed(seed);
		local bans, list, agreed = held.new(), {}, 0;

		-- `ban` is the answer of the held bans, `others` are the bans of the list that may be the answer, by id.
		local function agree(what, ban, others)
			assert.equal(others == nil, ban == nil, what);
			if not ban then return; end
			local other = assert.is_table(others[ban.id], what) and others[ban.id];
			for _, part in ipairs { "kind", "subject", "address", "until", "door", "text" } do assert.equal(other[part], ban[part], part); end
			agreed = agreed + 1;
		end

		for step = 1, 4000 do
			local now = 1000 + step / 4;
			local ban = random_ban(now, step);
			local kept, was_there = without(list, function (other) return same_subject(ban, other); end);
			if math.random() < 0.6 then
				local key = held.add(bans, ban, LIMIT);
				assert.equal(was_there or #list < LIMIT, key ~= nil, "held or full");
				if key then kept[#kept+1] = ban; list = kept; end
			else
				list = kept;
				assert.equal(was_there, held.remove(bans, (held.key_of(ban.kind, ban.subject, ban.address))), "was held");
			end
			assert.equal(#list, bans.count, "count");

			local who, from = account(), address();
			local function is_network(other)
				return (other.kind == "address" or other.kind == "network") and lies_in(from, other.subject);
			end
			local by_account = in_force(list, now, function (other) return other.kind == "account" and other.subject == who; end);
			local by_pair = in_force(list, now, function (other)
				return other.kind == "pair" and other.subject == who and lies_in(from, other.address);
			end);
			local at_start = in_force(list, now, function (other) return other.door == "start" and is_network(other); end);
			agree("login", (held.find(bans, who, from, now)), by_account or by_pair or in_force(list, now, is_network));
			agree("account", held.find_account(bans, who, now), by_account);
			agree("start", (held.find_network(bans, from, now, true)), at_start);

			if step % 500 == 0 then
				for number = 0, held.PAGES - 1 do held.drop_expired(bans, number, now); end
				list = without(list, function (other) return other["until"] and other["until"] <= now; end);
				assert.equal(#list, bans.count, "expired");
				local stored = held.new();
				for bucket = 0, held.BUCKETS - 1 do
					for _, line in ipairs(held.lines_of(bans, bucket)) do
						assert.equal(bucket, held.bucket_of(held.add(stored, held.from_line(line), LIMIT)), "bucket");
					end
				end
				assert.equal(bans.count, stored.count, "as from storage");
				held.replace(bans, stored);
			end
		end
		assert.is_true(agreed > 1000);

		for _, ban in ipairs(list) do held.remove(bans, (held.key_of(ban.kind, ban.subject, ban.address))); end
		assert.same(held.new(), bans);
	end);

	it("take a stored line that is not theirs for nothing", function ()
		for _, line in ipairs({ "", "account", "account\tx", 7, {} }) do assert.is_nil(held.from_line(line)); end
	end);
end);
