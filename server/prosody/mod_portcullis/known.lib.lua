-- Who logged in from where: the last sources of each account, so that its owner is told from strangers.

local cache = require "prosody.util.cache";
local hex = require "prosody.util.hex";

local network = module:require "network";

local MAX_ACCOUNTS = 10000; -- those that logged in last
local MAX_SOURCES = 8;      -- of one account: a guesser's own account does not push out those of others

-- The source of a stored text, or nil. COMPAT: the first versions of this module stored it as it is; it begins with "@".
local function read_source(text)
	if type(text) ~= "string" then return nil; end
	if text:sub(1, 1) == "@" then return text; end
	return #text % 2 == 0 and text:match("^%x+$") and hex.decode(text) or nil;
end

-- The account and the sources of a stored entry, or nil.
local function read_entry(entry)
	if type(entry) ~= "table" or type(entry[1]) ~= "string" then return nil; end
	local sources = {};
	for n = 2, MAX_SOURCES + 1 do sources[#sources+1] = read_source(entry[n]); end
	return entry[1], sources;
end

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

	-- To be stored: a list of { account, source... }, the accounts that logged in last first. A source has bytes of an address,
	-- and storages that write JSON take only UTF-8, so it is stored in hexadecimal.
	function known.to_list()
		local list = {};
		for account, sources in sources_of:items() do
			local entry = { account };
			for n, source in ipairs(sources) do entry[n + 1] = hex.encode(source); end
			list[#list+1] = entry;
		end
		return list;
	end

	-- Takes what is stored, and nothing that is not like it.
	function known.from_list(list)
		for n = type(list) == "table" and #list or 0, 1, -1 do
			local account, sources = read_entry(list[n]);
			if account then sources_of:set(account, sources); end
		end
	end

	return known;
end
