-- The host's store "portcullis": keeps the held bans, and what other parts give it, so that they outlive a restart.

local held = module:require "held";

local WRITE_AT_ONCE = 8;    -- buckets; the rest are written one by one, with clients in between
local WRITE_INTERVAL = 0.02; -- seconds between them
local RETRY_DELAY = 5;      -- seconds after a failed write

-- `bans`: the held bans. `health`: what is wrong with the module, by kind.
return function (bans, health)
	local storage = {};
	local store = module:open_store("portcullis", "keyval");
	local changed = {}; -- buckets that differ from what is stored
	local writing = false;

	-- No username begins with "@": deleting an account purges its key from every store.
	local function key_of(bucket) return ("@held-%03d"):format(bucket); end

	-- Returns whether it worked; nil removes the key.
	function storage.set(key, value)
		local ok, err = store:set(key, value);
		if ok then
			health.store = nil;
			return true;
		end
		if not health.store then
			module:log("error", "Held bans and failed logins cannot be written to storage, they will not survive a restart: %s", err or "unknown error");
		end
		health.store = "held bans and failed logins cannot be written to storage";
		return false;
	end

	-- The value of a key, or nil.
	function storage.get(key)
		local value, err = store:get(key);
		if err then
			module:log("error", "Held bans and failed logins cannot be read from storage: %s", err);
			health.store = "held bans and failed logins could not be read from storage";
		end
		return value;
	end

	local function write_bucket(bucket)
		local lines = held.lines_of(bans, bucket);
		local ok = storage.set(key_of(bucket), lines[1] and lines or nil);
		if ok then changed[bucket] = nil; end
		return ok;
	end

	local function write_some(limit)
		for bucket in pairs(changed) do
			if limit == 0 or not write_bucket(bucket) then return; end
			limit = limit - 1;
		end
	end

	-- Marks a bucket to be written.
	function storage.touch(bucket) changed[bucket] = true; end

	-- Marks all buckets that hold a ban now.
	function storage.touch_all()
		for bucket = 0, held.BUCKETS - 1 do
			if held.lines_of(bans, bucket)[1] then changed[bucket] = true; end
		end
	end

	-- Writes what is marked, over some time if it is much.
	function storage.write_soon()
		if writing then return; end
		write_some(WRITE_AT_ONCE);
		if next(changed) == nil then return; end
		writing = true;
		module:add_timer(WRITE_INTERVAL, function ()
			write_some(1);
			if next(changed) ~= nil then return health.store and RETRY_DELAY or WRITE_INTERVAL; end
			writing = false;
		end);
	end

	function storage.write_all() write_some(math.huge); end

	-- Adds what is stored to the held bans, at most `limit`.
	function storage.read_all(limit)
		for bucket = 0, held.BUCKETS - 1 do
			for _, line in ipairs(storage.get(key_of(bucket)) or {}) do
				local ban = held.from_line(line);
				if ban then held.add(bans, ban, limit); end
			end
		end
	end

	return storage;
end
