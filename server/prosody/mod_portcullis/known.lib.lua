-- Who logged in from where: the last sources of each account, so that its owner is told from strangers.

local cache = require "prosody.util.cache";

local network = module:require "network";

local MAX_ACCOUNTS = 10000; -- those that logged in last
local MAX_SOURCES = 8;      -- of one account: a guesser's own account does not push out those of others

return function ()
	local known = {};
	local sources_of = cache.new(MAX_ACCOUNTS); -- account -> its sources, the latest first

	function known.has(account, address)
		local sources = account and sources_of:get(account);
		if not sources then return false; end
		local source = network.source(address);
		for _, other in ipairs(sources) do
			if other == source then return true; end
		end
		return false;
	end

	function known.add(account, address)
		local source = network.source(address);
		local sources = { source };
		for _, other in ipairs(sources_of:get(account) or {}) do
			if other ~= source and #sources < MAX_SOURCES then sources[#sources+1] = other; end
		end
		sources_of:set(account, sources);
	end

	-- For the instance that comes after a reload.
	function known.save() return sources_of; end
	function known.restore(saved) sources_of = saved or sources_of; end

	return known;
end
