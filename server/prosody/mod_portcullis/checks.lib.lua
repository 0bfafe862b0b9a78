-- The question to portcullis before a login (2): may this account log in from this address? While portcullis does not
-- answer, the held bans decide.

local async = require "prosody.util.async";
local st = require "prosody.util.stanza";
local time_now = require "prosody.util.time".now;

local held = module:require "held";

local xmlns_hook = "urn:portcullis:hook:1";

-- A stream over BOSH starts inside the XML parser of an HTTP request: in a coroutine, but one that cannot yield.
local is_yieldable = coroutine.isyieldable or function () return true; end -- COMPAT: Lua 5.2
local function can_wait() return async.ready() and is_yieldable(); end

-- `settings`: wait, fail_closed, default_text, closed_text. `bans`: the held bans.
--
-- A refusal is a table { by, condition, text, keep_stream }: what it is by (account, address, network, pair, guard, or
-- unknown if nobody answered), the SASL condition and the text for the client, and whether the client may try again on this
-- stream. A refusal { gone = true } says that the client left while it waited.
return function (settings, component, bans, sync, reports)
	local checks = {};

	local function refusal_by(by, text, keep_stream)
		return {
			by = by, text = text or settings.default_text, keep_stream = keep_stream;
			condition = by == "account" and "account-disabled" or "temporary-auth-failure";
		};
	end

	-- `hold`: how many milliseconds portcullis may keep the answer back, while other logins are being decided; or nil.
	local function check_stanza(account, address, mechanism, hold)
		return st.stanza("check", { xmlns = xmlns_hook, account = account, address = address, mechanism = mechanism, hold = hold });
	end

	-- Waits for the verdict in the client's own coroutine: no other client waits. Returns its action ("allow", "refuse")
	-- and the verdict, or nil if there was none in time.
	local function ask(account, address, mechanism, hold)
		local wait, done = async.waiter();
		local verdict;
		component.request("get", check_stanza(account, address, mechanism, hold), settings.wait, function (reply)
			verdict = component.result_child(reply, "verdict");
			done();
		end);
		wait();
		local action = verdict and verdict.attr.action;
		if action ~= "allow" and action ~= "refuse" then return nil; end
		sync.announced(nil, verdict.attr.seq);
		return action, verdict;
	end

	-- What the held bans say of the start of a stream from this address: a refusal or nil.
	function checks.held_at_start(address)
		local ban, kind = held.find_network(bans, address, time_now(), true);
		return ban and refusal_by(kind, ban.text);
	end

	local function held_at_login(account, address)
		local ban, kind = held.find(bans, account, address, time_now());
		if ban then return refusal_by(kind, ban.text); end
		return settings.fail_closed and refusal_by("unknown", settings.closed_text, true) or nil;
	end

	-- The text of the held ban on an account, or nil.
	function checks.held_text(account)
		local ban = held.find_account(bans, account, time_now());
		return ban and ban.text;
	end

	-- Half of the wait is left for the way there and back.
	local HOLD = ("%d"):format(math.floor(settings.wait * 500));

	-- Asks about a client. Returns nil (go on) or a refusal. `stage` is "start" (of a stream), "decides" (if the answer is
	-- yes the password is looked at next and the outcome is reported, which portcullis counts on) or nil.
	function checks.check(session, account, mechanism, stage)
		local address = session.ip;
		local function by_held()
			if stage == "start" then return checks.held_at_start(address); end
			return held_at_login(account, address);
		end
		session.portcullis_verdict = nil;
		if not can_wait() then return by_held(); end
		local failures, seq = reports.failure_count(), sync.seq;
		local action, verdict = ask(account, address, mechanism, stage == "decides" and HOLD or nil);
		if session.destroyed then
			if stage == "decides" and action == "allow" then -- the outcome that portcullis counts on
				reports.add({ account = account, address = address, mechanism = mechanism, outcome = "error", condition = "aborted" });
			end
			return { gone = true };
		end
		if action == "refuse" then return refusal_by(verdict.attr.by, verdict:get_child_text("text")); end
		local refusal = not action and by_held();
		if refusal then return refusal; end
		session.portcullis_verdict = { account = account, at = time_now(), failures = failures, seq = seq };
		return nil;
	end

	-- Whether the last question of this stream was about this account, at most `seconds` ago, and neither a ban nor a failure
	-- of this account, address or network came in since.
	function checks.is_fresh(session, account, seconds)
		local verdict = session.portcullis_verdict;
		return verdict and account and verdict.account == account
			and time_now() - verdict.at < seconds
			and verdict.seq == sync.seq
			and not reports.failed_since(verdict.failures, account, session.ip);
	end

	-- Looks again at a session that is logged in. Calls `refused(text)` if a held ban speaks against it and portcullis
	-- confirms that.
	function checks.recheck(account, address, timeout, refused)
		if not held.find(bans, account, address, time_now()) then return; end
		component.request("get", check_stanza(account, address), timeout, function (reply)
			local verdict = component.result_child(reply, "verdict");
			if verdict and verdict.attr.action == "refuse" then
				refused(verdict:get_child_text("text") or settings.default_text);
			end
		end);
	end

	return checks;
end
