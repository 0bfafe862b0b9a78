"""The real hook module on each server, the real portcullis, and attackers with addresses of their own (127.x.y.z).

Windows and terms are short, so that a test sees bans grow and end.
"""
import itertools
import re
import time

import pytest

import lab
from lab.raw import RawClient
from parts import need

PAIR_BAN = 4
RULES = [
    {"name": "pair-failures", "key": "pair", "counts": "failures", "limit": 4, "window": "60s", "ban": f"{PAIR_BAN}s",
     "growth": {"factor": 1, "cap": "1h"}},
    {"name": "address-spray", "key": "address", "counts": "accounts", "limit": 5, "window": "60s", "ban": "5m"},
    {"name": "account-networks", "key": "account", "counts": "networks", "limit": 4, "window": "60s", "ban": "5m"},
]
TOKEN = "a-token-for-the-tests-only"
_third = itertools.count(1)


def address(last=9):
    """A source that no other test uses, in a /24 of its own."""
    number = next(_third)
    return f"127.{100 + number // 250}.{number % 250}.{last}"


class Guarded:
    """A server with the module, and portcullis with short rules."""

    def __init__(self, name, **more):
        self.server = lab.SERVERS[name](module=True, **more)
        self.server.start()
        self.bot = lab.Portcullis(self.server, exempt={"loopback": False}, rules=RULES, http={"token": TOKEN},
                                  log_level="info,portcullis=debug")
        self.bot.start()
        self.wait_level_2()
        self._admin = None

    def wait_level_2(self, within=30):
        lab.wait_for(lambda: "hook module is there" in self.bot.log_since_start(), within, what="a hello of the module")

    @property
    def admin(self):
        if self._admin is None or not self._admin.online:
            self._admin = lab.Client(self.server, "admin")
        return self._admin

    def say(self, line):
        return self.admin.ask(self.bot.jid, line)

    def close(self):
        if self._admin:
            self._admin.close()
        self.bot.stop()
        self.server.stop()


@pytest.fixture(scope="session", params=list(lab.SERVERS))
def guarded(request):
    need(request.param)
    one = Guarded(request.param)
    yield one
    one.close()


@pytest.fixture
def house(guarded):
    """Everything up again, whatever the test before ended."""
    if guarded.server.process is None:
        guarded.server.start()
    if not guarded.bot.running():
        guarded.bot.start()
        guarded.wait_level_2()
    return guarded


_names = itertools.count(1)


@pytest.fixture
def fresh(house):
    def make():
        name = f"guarded{next(_names)}"
        house.server.add_user(name)
        return name
    return make


def attempt(house, user, source, pw=None, mechanism="PLAIN"):
    """Everything a client reads: "" for a login that went well, else the failure or the stream error."""
    try:
        client = RawClient(house.server, user, pw, source)
    except (ConnectionError, AssertionError, OSError) as e:
        return f"closed at the start: {e}"
    if "stream:error" in client.features or "</stream:stream>" in client.features:
        return client.features
    try:
        answer = client.auth(mechanism)
        return "" if "<success" in answer else answer
    except AssertionError as e:
        return f"closed: {e}"
    finally:
        client.s.close()


def guess(house, user, source, times=4, mechanism="PLAIN"):
    for _ in range(times):
        attempt(house, user, source, "wrong", mechanism)


def refused_soon(house, user, source, within=5):
    return lab.wait_for(lambda: attempt(house, user, source), within, what=f"{user} from {source} is refused")


def wait_banned(house, subject, times=1):
    """Outcomes are reported a moment after they are told to the client; a success before would make somebody known."""
    lab.wait_for(lambda: len(bans_in_log(house, subject)) >= times, 5, what=f"a rule bans {subject}")


def bans_in_log(house, subject):
    """The how-manieth it was, of each automatic ban of a subject."""
    rows = []
    for line in house.bot.log().splitlines():
        m = re.search(r"banned by a rule.*subject=(.+?) until=Some\(\"([^\"]+)\"\).*ordinal=(\d+)", line)
        if m and m.group(1) == subject:
            rows.append(int(m.group(3)))
    return rows


# -- automatic bans -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_a_guesser_is_refused_after_the_limit_and_nobody_else(house, fresh, mechanism):
    victim, innocent, guesser, home = fresh(), fresh(), address(), address()
    assert attempt(house, victim, home, mechanism=mechanism) == ""
    guess(house, victim, guesser, 4, mechanism)
    wait_banned(house, f"{victim}@{house.server.host} from {guesser}")
    # With the right password, too.
    answer = refused_soon(house, victim, guesser)
    assert "temporary-auth-failure" in answer and "Logins to this account from here are refused until" in answer, answer
    assert attempt(house, victim, home, mechanism=mechanism) == "", "the owner at home"
    assert attempt(house, innocent, guesser, mechanism=mechanism) == "", "somebody else behind the same address"
    assert attempt(house, innocent, address(), mechanism=mechanism) == ""


def test_terms_grow_with_each_attack_and_end(house, fresh):
    victim, guesser = fresh(), address()
    lengths = []
    for times in range(1, 5):
        guess(house, victim, guesser)
        wait_banned(house, f"{victim}@{house.server.host} from {guesser}", times)
        refused_soon(house, victim, guesser)
        began = time.time()
        lab.wait_for(lambda: attempt(house, victim, guesser) == "", 60, every=0.2, what="the ban ends")
        lengths.append(time.time() - began)
    assert bans_in_log(house, f"{victim}@{house.server.host} from {guesser}") == [1, 2, 3, 4]
    print(f"terms {[round(length, 1) for length in lengths]} s")
    assert all(after > before * 1.4 for before, after in itertools.pairwise(lengths)), lengths


def test_spraying_over_accounts_bans_the_source(house, fresh):
    sprayer, innocent = address(), fresh()
    for _ in range(6):
        attempt(house, fresh(), sprayer, "wrong")
    wait_banned(house, sprayer)
    answer = refused_soon(house, innocent, sprayer)
    assert "You are banned until" in answer, answer
    assert attempt(house, innocent, address()) == ""


def test_an_account_under_attack_lets_its_owner_in_from_home(house, fresh):
    victim, home = fresh(), address()
    assert attempt(house, victim, home) == ""
    for _ in range(4):
        attempt(house, victim, address(), "wrong")
    wait_banned(house, f"guard of {victim}@{house.server.host}")
    answer = refused_soon(house, victim, address())
    assert "temporary-auth-failure" in answer, answer
    assert attempt(house, victim, home) == ""


# -- bans by hand -------------------------------------------------------------------------------------------------------

def test_an_address_banned_by_hand_is_refused_at_the_door_and_out(house, fresh):
    user, bad = fresh(), address()
    inside = RawClient(house.server, user, source=bad)
    inside.login()
    assert "Banned" in house.say(f"ban {bad} 1h spam relay")
    end = inside.wait_closed(10)
    assert "policy-violation" in end and "spam relay" in end, end
    answer = lab.wait_for(lambda: attempt(house, user, bad), 5)
    assert "policy-violation" in answer and "You are banned until" in answer and "spam relay" in answer, answer
    assert attempt(house, user, address()) == ""
    assert "Un-banned" in house.say(f"unban {bad}")
    lab.wait_for(lambda: attempt(house, user, bad) == "", 10, what="the address is free")


def test_an_allowed_address_is_refused_when_an_admin_insists(house, fresh):
    user, source, neighbour = fresh(), address(), address()
    assert f"Exempt from bans: {source}" in house.say(f"allow {source} office")
    assert "unallow first if you mean it, or add --force" in house.say(f"ban {source} 1h x")
    assert attempt(house, user, source) == ""
    assert f"{source} is EXEMPT from bans" in house.say(f"ban {source} 1h stolen laptop --force")
    assert f"{source} until" in house.say("yes")
    assert "stolen laptop" in attempt(house, user, source)
    assert attempt(house, user, neighbour) == ""
    assert "Un-banned" in house.say(f"unban {source}")
    lab.wait_for(lambda: attempt(house, user, source) == "", 10, what="it is let in again")


def test_a_banned_account_hears_the_reason_and_is_out(house, fresh):
    user = fresh()
    inside = RawClient(house.server, user, source=address())
    inside.login()

    def is_told(mechanism):
        # Until the module holds the ban, ejabberd answers the first message of SCRAM by the record, in its own words.
        said = attempt(house, user, address(), mechanism=mechanism)
        assert "account-disabled" in said and "spam in rooms" in said, said
        return "You are banned until" in said
    answer = house.say(f"ban {house.server.jid(user)} 1h spam in rooms")
    assert "Banned" in answer, answer
    end = inside.wait_closed(10)
    assert "spam in rooms" in end, end
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        lab.wait_for(lambda mechanism=mechanism: is_told(mechanism), 5, what=f"the text of the ban at {mechanism}")
    assert "Un-banned" in house.say(f"unban {house.server.jid(user)}")
    lab.wait_for(lambda: attempt(house, user, address()) == "", 10, what="the account is free")


def test_status_shows_the_module(house):
    status = house.say("status")
    assert "Level: 2" in status or "2 (" in status, status
    assert "hook module 1.0.0 answers" in status, status


@pytest.mark.parametrize("name", ["prosody-13"])
def test_on_prosody_the_module_needs_no_right_beside_it(name):
    need(name)
    house = Guarded(name, privilege=False, configure=False)
    try:
        inside = RawClient(house.server, "alice", source=address())
        inside.login()
        answer = house.say("ban alice@localhost 1h no rights needed")
        assert "Banned" in answer and "NOT" not in answer, answer
        assert "no rights needed" in inside.wait_closed(10)
        said = attempt(house, "alice", address())
        assert "account-disabled" in said and "no rights needed" in said, said
        assert "Un-banned" in house.say("unban alice@localhost")
        lab.wait_for(lambda: attempt(house, "alice", address()) == "", 10, what="alice is free")
        assert "2 (" in house.say("status")
    finally:
        house.close()


# -- nothing is lost ----------------------------------------------------------------------------------------------------

def test_no_ban_is_lost_by_kill_9_nor_by_a_restart_of_the_server(house, fresh):
    by_hand, victim, guesser, bad = fresh(), fresh(), address(), address()
    house.say(f"ban {house.server.jid(by_hand)} 1h by hand")
    house.say(f"ban {bad} 1h bad place")
    for _ in range(6):
        attempt(house, fresh(), guesser, "wrong")
    wait_banned(house, guesser)
    refused_soon(house, victim, guesser)
    time.sleep(1)  # the module asks after the news

    def all_refused():
        return ("account-disabled" in attempt(house, by_hand, address()) and attempt(house, victim, bad) != ""
                and attempt(house, victim, guesser) != "")
    assert all_refused()
    house.bot.kill9()
    time.sleep(0.5)
    assert all_refused(), "portcullis is away: the module holds them"
    assert attempt(house, victim, address()) == ""
    house.bot.start()
    house.wait_level_2()
    assert all_refused(), "portcullis is back"
    house.bot.kill9()
    house.server.restart()
    assert all_refused(), "the server has started again without portcullis"
    house.bot.start()
    house.wait_level_2()
    assert all_refused()
    assert attempt(house, victim, address()) == ""


def test_failures_before_a_restart_of_portcullis_still_count(house, fresh):
    victim, guesser = fresh(), address()
    guess(house, victim, guesser, 3)
    time.sleep(1)
    house.bot.restart()
    house.wait_level_2()
    guess(house, victim, guesser, 1)
    wait_banned(house, f"{victim}@{house.server.host} from {guesser}")
    assert refused_soon(house, victim, guesser)


def test_a_module_that_was_away_catches_up(house, fresh):
    user, freed = fresh(), fresh()
    house.say(f"ban {house.server.jid(freed)} 1h first")
    time.sleep(1)
    house.server.unload_module()
    try:
        bad = address()
        house.say(f"ban {bad} 1h while away")
        house.say(f"unban {house.server.jid(freed)}")
    finally:
        house.server.load_module()
    assert refused_soon(house, user, bad, 20)
    house.bot.kill9()
    time.sleep(0.3)
    assert attempt(house, user, bad) != "", "held by the module itself"
    assert attempt(house, freed, address()) == "", "and what was lifted meanwhile is not"
    house.bot.start()
    house.wait_level_2()


# -- the HTTP twin ------------------------------------------------------------------------------------------------------

def test_other_programs_ask_over_http(house, fresh):
    user, bad = fresh(), address()
    house.say(f"ban {bad} 1h over http")
    said = house.bot.post("/v1/check", {"account": house.server.jid(user), "address": bad}, TOKEN)
    assert said[0] == 200 and said[1]["action"] == "refuse" and said[1]["by"] == "address", said
    assert "over http" in said[1]["text"], said
    assert house.bot.post("/v1/check", {"address": address()}, TOKEN) == (200, {"action": "allow"})
    assert house.bot.post("/v1/check", {"address": bad}, "wrong")[0] == 401
