-- Bounds the questions in flight of one source (an address, or an IPv6 /64) and of one account. Whoever comes when they are
-- used up waits for a place, first come first served, or is told to come again.

local timer = require "prosody.util.timer";

local MAX_IN_FLIGHT = 16; -- questions of one source, and of one account
local MAX_WAITING = 2000; -- clients that wait for a place, all together

return function ()
	local places = {};

	local taken = {};   -- source or account -> how many of its places are taken
	local waiting = {}; -- source or account -> clients that wait for it to have a place, { first, last, [number] = client }
	local waiting_count = 0;

	local function full_one(keys)
		for _, key in ipairs(keys) do
			if (taken[key] or 0) >= MAX_IN_FLIGHT then return key; end
		end
	end

	local function take(keys)
		for _, key in ipairs(keys) do taken[key] = (taken[key] or 0) + 1; end
	end

	local function line_up(key, client)
		local queue = waiting[key] or { first = 1, last = 0 };
		waiting[key] = queue;
		queue.last = queue.last + 1;
		queue[queue.last] = client;
	end

	-- The client at the head of a queue, without those who have stopped waiting; nil if there is none.
	local function head_of(key)
		local queue = waiting[key];
		if not queue then return nil; end
		while queue.first <= queue.last and queue[queue.first].settled do
			queue[queue.first] = nil;
			queue.first = queue.first + 1;
		end
		if queue.first <= queue.last then return queue[queue.first], queue; end
		waiting[key] = nil;
	end

	local function settle(client, has_place)
		client.settled = true;
		waiting_count = waiting_count - 1;
		timer.stop(client.timer);
		client.callback(has_place);
	end

	-- Gives free places of a key to those who wait for it. Who also needs a place of another key that has none waits there.
	local function serve(key)
		while (taken[key] or 0) < MAX_IN_FLIGHT do
			local client, queue = head_of(key);
			if not client then return; end
			queue[queue.first] = nil;
			queue.first = queue.first + 1;
			local full = full_one(client.keys);
			if full then
				line_up(full, client);
			else
				take(client.keys);
				settle(client, true);
			end
		end
	end

	-- Calls `callback(true)` when there is a place for all of `keys`: at once, or within `timeout` seconds (nil: only at once).
	-- Else `callback(false)`. Who got a place gives it back with leave().
	function places.enter(keys, timeout, callback)
		local full = full_one(keys);
		if not full then
			take(keys);
			return callback(true);
		end
		if not timeout or waiting_count >= MAX_WAITING then return callback(false); end
		waiting_count = waiting_count + 1;
		local client = { keys = keys, callback = callback };
		client.timer = timer.add_task(timeout, function () settle(client, false); end);
		line_up(full, client);
	end

	-- The next client is served in a round of the event loop of its own: it goes on inside serve(), and may leave at once.
	function places.leave(keys)
		for _, key in ipairs(keys) do
			taken[key] = taken[key] > 1 and taken[key] - 1 or nil;
			if waiting[key] then timer.add_task(0, function () serve(key); end); end
		end
	end

	return places;
end
