-- The longest pause of a loop that makes garbage as logins do, beside held bans. Not a test: machines differ.
-- LUA_PATH="/usr/lib/prosody/?.lua;/usr/lib/?.lua;;" LUA_CPATH="/usr/lib/prosody/?.so;/usr/lib/?.so;;" \
--   lua5.4 pauses.lua server/prosody/mod_portcullis/held.lib.lua 100000

collectgarbage("incremental", 105, 500); -- as Prosody's util.startup sets it

local st = require "prosody.util.stanza";
local folder = arg[1]:match("^.*/") or "";
module = { require = function (_, name) return dofile(folder..name..".lib.lua"); end };
local held = dofile(arg[1]);
local count, rounds = tonumber(arg[2]), 30000;
local now = 1000000000;

local function memory()
	collectgarbage();
	collectgarbage();
	return collectgarbage("count");
end

local before = memory();
local bans = held.new();
for n = 1, count do
	local subject = n % 2 == 0 and "user"..n.."@example.org" or ("10.%d.%d.%d"):format(n // 65536, n // 256 % 256, n % 256);
	held.add(bans, {
		kind = n % 2 == 0 and "account" or "address", subject = subject, id = tostring(n), ["until"] = now + n;
		text = "You are banned until 2030-01-01 12:00 UTC: spam";
	}, count);
end
local kept = memory() - before;

local pauses, began = {}, os.clock();
for n = 1, rounds do
	local start = os.clock();
	local iq = st.iq({ type = "get", id = "x"..n, from = "example.org", to = "portcullis.example.org" });
	local text = tostring(iq:tag("check", { account = "user"..n.."@example.org", address = "127.0.0.1" }));
	local garbage = {};
	for i = 1, 10 do garbage[i] = { text..i, {}, {} }; end
	held.find(bans, "user"..(n * 7 % (2 * count)).."@example.org", "10.1."..(n % 256)..".7", now);
	pauses[n] = os.clock() - start;
end
table.sort(pauses);
print(("%d bans: %.1f MB, processor time of a round: worst %.2f ms, p99.9 %.2f ms, median %.3f ms, all %.2f s"):format(
	count, kept / 1024, pauses[rounds] * 1000, pauses[math.floor(rounds * 0.999)] * 1000, pauses[rounds // 2] * 1000, os.clock() - began));
