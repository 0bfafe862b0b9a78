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

	-- To be stored: a list of { account, source... }, the accounts that logged in last first.
	function known.to_list()
		local list = {};
		for account, sources in sources_of:items() do list[#list+1] = { account, table.unpack(sources) }; end
		return list;
	end

	function known.from_list(list)
		for n = #list, 1, -1 do
			local account = list[n][1];
			if type(account) == "string" then sources_of:set(account, { table.unpack(list[n], 2, MAX_SOURCES + 1) }); end
		end
	end

	return known;
end
