local network = new_module():require "network";

local function bytes(hex) return (hex:gsub("%x%x", function (byte) return string.char(tonumber(byte, 16)); end)); end

describe("network", function ()
	it("packs addresses of both families", function ()
		assert.equal(bytes "cb007107", network.pack("203.0.113.7"));
		assert.equal(bytes "20010db8000000000000000000000001", network.pack("2001:db8::1"));
	end);

	it("takes an IPv4-mapped address for the IPv4 address", function ()
		assert.equal(network.pack("203.0.113.7"), network.pack("::ffff:203.0.113.7"));
		assert.same({ network.pack_network("203.0.113.0/24") }, { network.pack_network("::ffff:203.0.113.0/120") });
	end);

	it("leaves out the zone of an address", function ()
		assert.equal(network.pack("fe80::1"), network.pack("fe80::1%eth0"));
	end);

	it("takes an address for a network of one", function ()
		assert.same({ bytes "cb007107", 32 }, { network.pack_network("203.0.113.7") });
		assert.equal(128, select(2, network.pack_network("2001:db8::1")));
	end);

	it("refuses what is malformed", function ()
		for _, text in ipairs({ "", "203.0.113", "host.example", "203.0.113.7/33", "2001:db8::/129", "203.0.113.7/x", "::ffff:203.0.113.7/95" }) do
			assert.is_nil(network.pack_network(text), text);
		end
		assert.is_nil(network.pack(nil));
	end);

	it("cuts a prefix at any bit", function ()
		local packed = network.pack("203.0.113.255");
		assert.equal(bytes "cb0071", network.prefix(packed, 24));
		assert.equal(bytes "cb0071f0", network.prefix(packed, 28));
		assert.equal(bytes "cb007180", network.prefix(packed, 25));
		assert.equal("", network.prefix(packed, 0));
	end);
end);
