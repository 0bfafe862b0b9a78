-- The time of portcullis: that of this machine, less the difference between the two clocks that its last answer showed.
-- The ends of held bans are in its time, and so are the times that are reported to it.

local datetime = require "prosody.util.datetime";
local time_now = require "prosody.util.time".now;

local clock = { skew = 0 }; -- seconds that this machine is ahead of portcullis

-- `their_now`: the time of portcullis a moment ago (XEP-0082), or nil if it did not tell.
function clock.set(their_now)
	local theirs = their_now and datetime.parse(their_now);
	if theirs then clock.skew = time_now() - theirs; end
end

-- Seconds since 1970.
function clock.now() return time_now() - clock.skew; end

return clock;
