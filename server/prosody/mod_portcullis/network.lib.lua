-- IP addresses and networks as byte strings, so that they can be compared and used as keys. Pure functions.

local net = require "prosody.util.net";

local V4_MAPPED = ("\0"):rep(10).."\255\255";

-- The 4 or 16 bytes of an address. An IPv4-mapped IPv6 address (::ffff:203.0.113.7) is the IPv4 address. nil if malformed.
local function pack(address)
	if type(address) ~= "string" then return nil; end
	local packed = net.pton((address:gsub("%%.*$", "")));
	if packed and #packed == 16 and packed:sub(1, 12) == V4_MAPPED then packed = packed:sub(13); end
	return packed;
end

-- The bytes and the prefix length of "203.0.113.0/24"; an address without a length is a network of one. nil if malformed.
local function pack_network(text)
	local address, bits = tostring(text):match("^([^/]+)/(%d+)$");
	local packed = pack(address or text);
	if not packed then return nil; end
	local full = #packed * 8;
	bits = tonumber(bits) or full;
	if #packed == 4 and (address or ""):find(":", 1, true) then bits = bits - 96; end -- the length counts the mapped prefix
	if bits < 0 or bits > full then return nil; end
	return packed, bits;
end

-- The first `bits` bits of a packed address, with zeros up to the next whole byte.
local function prefix(packed, bits)
	local whole = math.floor(bits / 8);
	local rest = bits - whole * 8;
	if rest == 0 then return packed:sub(1, whole); end
	local byte, unit = packed:byte(whole + 1), 2^(8 - rest);
	return packed:sub(1, whole)..string.char(math.floor(byte - byte % unit));
end

-- What counts as one source of logins, as a key that no account is: an IPv4 address or an IPv6 /64, which is one customer.
local function source(address)
	local packed = pack(address);
	if not packed then return "@"..tostring(address); end
	return "@"..(#packed == 16 and prefix(packed, 64) or packed);
end

return { pack = pack, pack_network = pack_network, prefix = prefix, source = source };
