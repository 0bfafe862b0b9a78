"""The real hook module on each server, the real portcullis, and attackers with their own addresses (127.x.y.z).

Windows and terms are short, so that a test sees bans grow and end.
"""

import itertools
import time

import pytest

import lab
from lab import wait
from lab.clients.raw_client import RawClient
from lab.guarded_server import TOKEN, address, with_short_rules, wrong
from lab.require import need


@pytest.fixture(scope="session", params=list(lab.SERVERS))
def guarded(request):
    need(request.param)
    one = with_short_rules(request.param)
    yield one
    one.close()


@pytest.fixture
def site(guarded):
    """Everything running, whatever the test before ended."""
    guarded.all_up()
    return guarded


@pytest.fixture
def fresh(site):
    return site.new_user


def refused_soon(site, user, source, within=5):
    """Waits until the login is refused; returns what the client reads."""
    wait.until(lambda: site.try_login(user, source) == "refused", within, what=f"{user} from {source} is refused")
    return site.said


# -- automatic bans ----------------------------------------------------------------------------------------------------


def test_a_guesser_is_refused_after_the_limit_and_nobody_else(site, fresh):
    victim, innocent, guesser, home = fresh(), fresh(), address(), address()
    assert site.try_login(victim, home) == "in"
    site.guess(victim, guesser)
    site.wait_banned(f"{victim}@{site.server.host} from {guesser}")
    # With the right password, too.
    answer = refused_soon(site, victim, guesser)
    assert "temporary-auth-failure" in answer and "Logins to this account from here are refused until" in answer, answer
    assert site.try_login(victim, home) == "in", "the owner at home"
    assert site.try_login(innocent, guesser) == "in", "somebody else behind the same address"
    assert site.try_login(innocent, address()) == "in"


@pytest.mark.timing
def test_terms_grow_with_each_attack_and_end(site, fresh):
    victim, guesser = fresh(), address()
    lengths = []
    for times in range(1, 4):
        site.guess(victim, guesser)
        site.wait_banned(f"{victim}@{site.server.host} from {guesser}", times)
        refused_soon(site, victim, guesser)
        began = time.time()
        wait.until(lambda: site.try_login(victim, guesser) == "in", 60, every=0.2, what="the ban ends")
        lengths.append(time.time() - began)
    assert site.ordinals(f"{victim}@{site.server.host} from {guesser}") == [1, 2, 3]
    assert all(after > before * 1.4 for before, after in itertools.pairwise(lengths)), lengths


# -- bans by hand ------------------------------------------------------------------------------------------------------


def test_an_address_banned_by_hand_is_refused_at_the_door_and_out(site, fresh):
    user, bad = fresh(), address()
    inside = RawClient(site.server, user, source=bad)
    inside.login()
    assert "Banned" in site.say(f"ban {bad} 1h spam relay")
    end = inside.wait_closed(10)
    assert "policy-violation" in end and "spam relay" in end, end
    answer = refused_soon(site, user, bad)
    assert "policy-violation" in answer and "You are banned until" in answer and "spam relay" in answer, answer
    assert site.try_login(user, address()) == "in"
    assert "Un-banned" in site.say(f"unban {bad}")
    wait.until(lambda: site.try_login(user, bad) == "in", 10, what="the address is free")


def test_an_allowed_address_is_refused_after_a_forced_ban(site, fresh):
    user, source, neighbour = fresh(), address(), address()
    assert f"Exempt from bans: {source}" in site.say(f"allow {source} office")
    assert "unallow first if you mean it, or add --force" in site.say(f"ban {source} 1h x")
    assert site.try_login(user, source) == "in"
    assert f"{source} is EXEMPT from bans" in site.say(f"ban {source} 1h stolen laptop --force")
    assert f"{source} until" in site.say("yes")
    assert "stolen laptop" in site.answer_to(user, source)
    assert site.try_login(user, neighbour) == "in"
    assert "Un-banned" in site.say(f"unban {source}")
    wait.until(lambda: site.try_login(user, source) == "in", 10, what="it is let in again")


def test_a_banned_account_hears_the_reason_and_is_out(site, fresh):
    user = fresh()
    inside = RawClient(site.server, user, source=address())
    inside.login()

    def is_told(mechanism):
        # Until the module holds the ban, ejabberd answers the first message of SCRAM from the record, in its
        # own words.
        said = site.answer_to(user, address(), mechanism=mechanism)
        assert "account-disabled" in said and "spam in rooms" in said, said
        return "You are banned until" in said

    answer = site.say(f"ban {site.server.jid(user)} 1h spam in rooms")
    assert "Banned" in answer, answer
    end = inside.wait_closed(10)
    assert "spam in rooms" in end, end
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        wait.until(lambda mechanism=mechanism: is_told(mechanism), 5, what=f"the text of the ban at {mechanism}")
    assert "Un-banned" in site.say(f"unban {site.server.jid(user)}")
    wait.until(lambda: site.try_login(user, address()) == "in", 10, what="the account is free")


def test_status_shows_the_module(site):
    status = site.say("status")
    assert site.bot.status_of("level").startswith("2 "), status
    assert "hook module 1.1.0 answers" in status, status


@pytest.mark.parametrize("name", ["prosody-13"])
def test_on_prosody_the_module_needs_no_right_beside_it(name):
    need(name)
    site = with_short_rules(name, privilege=False, configure=False)
    try:
        inside = RawClient(site.server, "alice", source=address())
        inside.login()
        answer = site.say("ban alice@localhost 1h no rights needed")
        assert "Banned" in answer and "NOT" not in answer, answer
        assert "no rights needed" in inside.wait_closed(10)
        said = site.answer_to("alice", address())
        assert "account-disabled" in said and "no rights needed" in said, said
        assert "Un-banned" in site.say("unban alice@localhost")
        wait.until(lambda: site.try_login("alice", address()) == "in", 10, what="alice is free")
        assert site.bot.status_of("level").startswith("2 ")
    finally:
        site.close()


# -- nothing is lost ---------------------------------------------------------------------------------------------------


def test_no_ban_is_lost_by_kill_9_nor_by_a_restart_of_the_server(site, fresh):
    by_hand, victim, guesser, bad = fresh(), fresh(), address(), address()
    site.say(f"ban {site.server.jid(by_hand)} 1h by hand")
    site.say(f"ban {bad} 1h bad place")
    for _ in range(6):
        site.try_login(fresh(), guesser, wrong())
    site.wait_banned(guesser)
    refused_soon(site, victim, guesser)
    time.sleep(1)  # the module fetches the news, and nothing outside it reports when it has

    def all_refused():
        return (
            "account-disabled" in site.answer_to(by_hand, address())
            and site.try_login(victim, bad) == "refused"
            and site.try_login(victim, guesser) == "refused"
        )

    assert all_refused()
    site.bot.kill9()
    assert all_refused(), "portcullis is away: the module holds them"
    assert site.try_login(victim, address()) == "in"
    site.bot.start()
    site.wait_hello()
    assert all_refused(), "portcullis is back"
    site.bot.kill9()
    site.server.restart()
    assert all_refused(), "the server has started again without portcullis"
    site.bot.start()
    site.wait_hello()
    assert all_refused()
    assert site.try_login(victim, address()) == "in"


def test_a_module_that_was_away_catches_up(site, fresh):
    user, freed = fresh(), fresh()
    site.say(f"ban {site.server.jid(freed)} 1h first")
    time.sleep(1)  # the module fetches the news, and nothing outside it reports when it has
    site.server.unload_module()
    try:
        bad = address()
        site.say(f"ban {bad} 1h while away")
        site.say(f"unban {site.server.jid(freed)}")
    finally:
        site.server.load_module()
    assert refused_soon(site, user, bad, 20)
    site.bot.kill9()
    assert site.try_login(user, bad) == "refused", "held by the module itself"
    assert site.try_login(freed, address()) == "in", "and what was lifted meanwhile is not"
    site.bot.start()
    site.wait_hello()


# -- the HTTP twin -----------------------------------------------------------------------------------------------------


def test_other_programs_ask_over_http(site, fresh):
    user, bad = fresh(), address()
    site.say(f"ban {bad} 1h over http")
    said = site.bot.post("/v1/check", {"account": site.server.jid(user), "address": bad}, TOKEN)
    assert said[0] == 200 and said[1]["action"] == "refuse" and said[1]["by"] == "address", said
    assert "over http" in said[1]["text"], said
    assert site.bot.post("/v1/check", {"address": address()}, TOKEN) == (200, {"action": "allow"})
    assert site.bot.post("/v1/check", {"address": bad}, "wrong")[0] == 401
