-- The question to portcullis before a login (2): may this account log in from this address? While portcullis is away the
-- held bans decide, then the option portcullis_fail, and how many logins have failed here. A portcullis that is there but
-- does not answer in time is another matter: then nobody gets in, and clients come again.

local async = require "prosody.util.async";
local cache = require "prosody.util.cache";
local st = require "prosody.util.stanza";
local time_now = require "prosody.util.time".now;

local held = module:require "held";
local network = module:require "network";

local xmlns_hook = "urn:portcullis:hook:1";
local TELL_AGAIN = 60;     -- seconds
local CONFIRMED_FOR = 2;   -- seconds that a refusal by a ban needs no further question: exemptions are not announced
local MAX_CONFIRMED = 4096; -- bans of accounts, and bans of addresses by address

-- A stream over BOSH starts inside the XML parser of an HTTP request: in a coroutine, but one that cannot yield.
local is_yieldable = coroutine.isyieldable or function () return true; end -- COMPAT: Lua 5.2
local function can_wait() return async.ready() and is_yieldable(); end

-- Tokens and certificates cannot be guessed: one that is refused is old or revoked. An anonymous login needs nothing.
local function is_guessable(mechanism)
	return not (mechanism and (mechanism:match("^HT%-") or mechanism == "EXTERNAL" or mechanism == "OAUTHBEARER" or mechanism == "ANONYMOUS"));
end

-- `settings`: wait, fail_closed, default_text, closed_text. `bans`: the held bans.
--
-- session.portcullis_try: { account, address, mechanism, finish } while a password is being looked at, that is from the
-- answer that allowed it to the outcome.
--
-- A refusal is a table { by, condition, text, keep_stream }: what it is by (account, address, network, pair, guard, or
-- unknown if nobody answered), the SASL condition and the text for the client, and whether the client may try again on this
-- stream. A refusal { gone = true } says that the client left while it waited.
return function (settings, component, clock, bans, sync, reports, away, known)
	local checks = { is_guessable = is_guessable };
	local places = module:require "places"();

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
		clock.set(verdict.attr.now);
		sync.announced(nil, verdict.attr.seq);
		return action, verdict;
	end

	local told_at = {}; -- what -> when it was last in the log

	-- Nothing is known against this client: it may try again at once, on this stream, and nothing counts. Why is in the log at
	-- most once a minute: anybody can bring it about.
	local function come_again(why)
		local now = time_now();
		if now - (told_at[why] or 0) >= TELL_AGAIN then
			told_at[why] = now;
			module:log("warn", "Refusing logins for the moment: %s", why);
		end
		return refusal_by("unknown", settings.closed_text, true);
	end

	-- The held ban that refuses a login, or the start of a stream, and its kind; nil if there is none.
	local function find_held(account, address, stage)
		if stage == "start" then return held.find_network(bans, address, clock.now(), true); end
		return held.find(bans, account, address, clock.now());
	end

	-- What the held bans say: a refusal or nil.
	local function refused_by_held(account, address, stage)
		local ban, kind = find_held(account, address, stage);
		return ban and refusal_by(kind, ban.text);
	end

	function checks.held_at_start(address) return refused_by_held(nil, address, "start"); end

	local confirmed = cache.new(MAX_CONFIRMED); -- confirmation_key() of a refusal by portcullis -> when it came

	-- A refusal by a ban on addresses is confirmed for one address only: a neighbour may have been exempted since.
	local function confirmation_key(kind, id, address)
		return ("%s %s "):format(sync.epoch, id)..(kind ~= "account" and network.pack(address) or "");
	end

	-- The same if it needs no question. It does where portcullis has not said so a moment ago, where the ban is on a network that
	-- may not be refused at the start (people known there are let in), and while changes are fetched (it may be lifted).
	local function held_for_certain(account, address, stage)
		if sync.is_running() then return nil; end
		local ban, kind = find_held(account, address, stage);
		if not ban or (kind == "address" or kind == "network") and ban.door ~= "start" then return nil; end
		local at = ban.id and confirmed:get(confirmation_key(kind, ban.id, address));
		return at and time_now() - at < CONFIRMED_FOR and refusal_by(kind, ban.text) or nil;
	end

	-- The text of the held ban on an account, or nil.
	function checks.held_text(account)
		local ban = held.find_account(bans, account, clock.now());
		return ban and ban.text;
	end

	-- Tries ---------------------------------------------------------------------------------------------------------

	local function begin_try(session, account, mechanism)
		checks.end_try(session);
		session.portcullis_try = {
			account = account, address = session.ip, mechanism = mechanism, finish = away.begin(account, session.ip);
		};
	end

	-- The outcome of the try on this stream, if there is one, is known. Returns the try.
	function checks.end_try(session)
		local try = session.portcullis_try;
		if not try then return nil; end
		session.portcullis_try = nil;
		try.finish();
		return try;
	end

	-- The decision ----------------------------------------------------------------------------------------------------

	-- Half of the wait is left for the way there and back.
	local HOLD = ("%d"):format(math.floor(settings.wait * 500));

	-- Whether too many have failed. The own try of a login that is looked at again, after its password was right, is no other's.
	local function is_over(session, account)
		local try = session.portcullis_try;
		if try then try.finish(); end
		local over = away.is_over(account, session.ip);
		if try then try.finish = away.begin(try.account, try.address); end
		return over;
	end

	-- While portcullis is away.
	local function decide_alone(session, account, mechanism, stage)
		local refusal = refused_by_held(account, session.ip, stage);
		if refusal or stage == "start" then return refusal; end
		if settings.fail_closed then return come_again("portcullis is away"); end
		if is_guessable(mechanism) and is_over(session, account) then
			return come_again("portcullis is away, and too many logins from one address or of one account have failed");
		end
		session.portcullis_verdict = { account = account, at = time_now(), is_ours = true, failures = reports.failure_count(), seq = sync.seq };
		if stage == "decides" then begin_try(session, account, mechanism); end
		return nil;
	end

	-- Asks for one of the places of this client, if need be waits for it. Returns whether there was one.
	local function enter(keys, stage)
		local wait, done = async.waiter();
		local has_place;
		places.enter(keys, stage ~= "start" and settings.wait or nil, function (result)
			has_place = result;
			done();
		end);
		wait();
		return has_place;
	end

	-- portcullis is there, and cannot be asked in time.
	local function not_now(session, account, stage, why)
		local refusal = refused_by_held(account, session.ip, stage);
		if refusal or stage == "start" then return refusal; end -- there is another question at the login
		return come_again(why);
	end

	local function ask_and_decide(session, account, mechanism, stage)
		local failures, seq = reports.failure_count(), sync.seq;
		local action, verdict = ask(account, session.ip, mechanism, stage == "decides" and HOLD or nil);
		if session.destroyed then
			if stage == "decides" and action == "allow" then -- the outcome that portcullis counts on
				reports.add({ account = account, address = session.ip, mechanism = mechanism, outcome = "error", condition = "aborted" });
			end
			return { gone = true };
		end
		if action == "refuse" then
			local by, ban = verdict.attr.by, verdict.attr.ban;
			if ban then confirmed:set(confirmation_key(by, ban, session.ip), time_now()); end
			return refusal_by(by, verdict:get_child_text("text"));
		end
		if action == "allow" then
			session.portcullis_verdict = { account = account, at = time_now(), failures = failures, seq = seq };
			if stage == "decides" then begin_try(session, account, mechanism); end
			return nil;
		end
		if component.is_away() then return decide_alone(session, account, mechanism, stage); end
		return not_now(session, account, stage, "portcullis does not answer in time");
	end

	local function decide_in_place(session, account, mechanism, stage)
		if session.destroyed then return { gone = true }; end
		return held_for_certain(account, session.ip, stage) or ask_and_decide(session, account, mechanism, stage);
	end

	-- Decides about a client. Returns nil (go on) or a refusal. `stage` is "start" (of a stream), "decides" (if the answer is
	-- yes the password is looked at next and the outcome is reported, which portcullis counts on) or nil.
	function checks.check(session, account, mechanism, stage)
		local address = session.ip;
		session.portcullis_verdict = nil;
		if component.is_away() then return decide_alone(session, account, mechanism, stage); end
		local refusal = held_for_certain(account, address, stage);
		if refusal then return refusal; end
		if not can_wait() then
			if stage == "start" then return nil; end -- the login is asked about: a held ban may spare this address by now
			return not_now(session, account, stage, "the transport cannot wait for an answer");
		end
		local keys = { network.source(address), account and not known.has(account, address) and account or nil };
		if not enter(keys, stage) then
			if session.destroyed then return { gone = true }; end
			return not_now(session, account, stage, "too many at once from one address or of one account");
		end
		local ok, result = xpcall(decide_in_place, debug.traceback, session, account, mechanism, stage);
		places.leave(keys); -- also after an error: a place that is not given back is lost until the module is loaded again
		if not ok then error(result, 0); end
		return result;
	end

	-- Whether the last verdict on this stream was about this account, at most `seconds` ago, and neither a ban nor a failure
	-- of this account, address or network came in since.
	function checks.is_fresh(session, account, seconds)
		local verdict = session.portcullis_verdict;
		return verdict and account and verdict.account == account
			and time_now() - verdict.at < seconds
			and verdict.seq == sync.seq
			and not reports.failed_since(verdict.failures, account, session.ip);
	end

	-- The same for a message that decides, where the password is looked at next. Not while another password for this account or
	-- from this source is looked at: that may fail, and many could be at it.
	function checks.begin_if_fresh(session, account, mechanism, seconds)
		if not checks.is_fresh(session, account, seconds) or session.portcullis_verdict.is_ours then return false; end
		if away.is_trying(account, session.ip) then return false; end
		begin_try(session, account, mechanism);
		return true;
	end

	-- Looks again at a session that is logged in. Calls `refused(text)` if a held ban speaks against it and portcullis
	-- confirms that.
	function checks.recheck(account, address, timeout, refused)
		if not held.find(bans, account, address, clock.now()) then return; end
		component.request("get", check_stanza(account, address), timeout, function (reply)
			local verdict = component.result_child(reply, "verdict");
			if verdict and verdict.attr.action == "refuse" then
				refused(verdict:get_child_text("text") or settings.default_text);
			end
		end);
	end

	return checks;
end
