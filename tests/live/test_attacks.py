"""Attacks on real servers with the hook module, portcullis and the default rules; each test asserts what a perfect
guard does.

Terms that grow, and bans by hand and by rules across kill -9, are in test_rules.py; two nodes in
hook_ejabberd/test_cluster_guarded.py.
"""

import asyncio
import os
import re
import time

import pytest

import lab
from lab import wait
from lab.accounts import password
from lab.clients import load
from lab.clients.raw_client import RawClient
from lab.guarded_server import (
    ACCOUNT_NETWORKS,
    ADDRESS,
    NETWORK,
    PAIR,
    Prefix,
    address,
    has_v6,
    network,
    result_of,
    with_shipped_rules,
    wrong,
)
from lab.odd_logins import ODD_LOGINS
from lab.require import need
from lab.sasl import REPLY, plain


def pytest_generate_tests(metafunc):
    if "site" in metafunc.fixturenames:
        asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
        metafunc.parametrize("shipped", asked or list(lab.SERVERS), indirect=True, scope="module")


@pytest.fixture(scope="module")
def shipped(request):
    need(request.param)
    one = with_shipped_rules(request.param, v6=has_v6())
    yield one
    one.close()


@pytest.fixture
def site(shipped):
    shipped.all_up()
    yield shipped
    print(shipped.last_logged())  # shown with a failed test


def saw(**numbers):
    """For `pytest -rP`: what happened."""
    print(", ".join(f"{name} {value}" for name, value in numbers.items()))


# -- one guesser -------------------------------------------------------------------------------------------------------


def test_a_guesser_by_scram_stops_at_the_limit_and_the_owner_notices_nothing(site):
    [victim], guesser = site.new_users(1), address()
    seen = site.passwords_checked([(victim, guesser)] * 30, "SCRAM-SHA-1")
    saw(looked_at=f"{seen} of 30")
    assert seen == PAIR
    assert site.try_login(victim, guesser) == site.try_login(victim, guesser, mechanism="SCRAM-SHA-1") == "refused", (
        "the right password, from there"
    )
    assert site.try_login(victim, address()) == "in"


def test_all_tries_on_one_kept_stream_are_counted_like_any(site):
    [victim], guesser = site.new_users(1), address()
    client, ends, streams = None, [], 0
    for _ in range(30):
        if client is None or client.closed:
            client = RawClient(site.server, victim, None, guesser)
            streams += 1
        client.pw = wrong()
        try:
            ends.append(result_of(client.auth()))
        except (AssertionError, OSError):  # the server closed the stream, so this guess was never sent
            client.closed = True
            continue
        if ends[-1] == "refused":
            client.close()
    client.close()
    saw(looked_at=f"{ends.count('wrong')} of {len(ends)}", streams=streams)
    assert ends[:PAIR] == ["wrong"] * PAIR and set(ends[PAIR:]) == {"refused"}
    assert site.try_login(victim, address()) == "in"


@pytest.mark.parametrize("odd", ODD_LOGINS)
def test_a_login_that_no_client_writes_is_counted_like_any(site, odd):
    """Whatever logs somebody in with the right password is refused after the same number of guesses."""
    [victim], guesser = site.new_users(1), address()

    def try_(pw, source):
        client = RawClient(site.server, victim, None, source)
        if not client.refused_at_start:
            login = ODD_LOGINS[odd](plain(victim, pw), plain(f"nobody-{victim}", wrong()))
            client.send(login + "</stream:stream>")
            client.wait_closed()
        client.close()
        return client.text

    said = [try_(wrong(), guesser) for _ in range(3 * PAIR)]
    # The last answer is that to the password of the victim.
    seen = sum("<not-authorized" in one.rpartition("<failure")[2] for one in said)
    after, elsewhere = ("<success" in try_(password(victim), source) for source in (guesser, address()))
    saw(looked_at=seen, right_password_after_them=after, a_login_at_all=elsewhere)
    assert not any("<success" in one for one in said)
    assert not after and (not elsewhere or seen <= PAIR)


def test_streams_opened_before_the_ban_are_refused_at_the_check(site):
    [victim], guesser = site.new_users(1), address()
    streams = [RawClient(site.server, victim, wrong(), guesser) for _ in range(20)]
    streams[-1].pw = streams[-2].pw = password(victim)
    ends = []
    for one in streams:
        ends.append(result_of(one.auth()))
        one.close()
    saw(looked_at=f"{ends.count('wrong')} of 18", right_password=ends[-2:])
    assert ends == ["wrong"] * PAIR + ["refused"] * 15
    assert site.try_login(victim, guesser) == "refused", "the right password did not lift it"
    assert site.try_login(victim, address()) == "in"


SHAPES = {
    "one_account": (PAIR, lambda people: [(people[0], source) for source in [address()] * 25]),
    "spray": (ADDRESS, lambda people: [(person, source) for source in [address()] for person in people[:25]]),
    "network": (
        NETWORK,
        lambda people: [(person, f"{net}.{n + 1}") for net in [network()] for n, person in enumerate(people)],
    ),
    "botnet": (ACCOUNT_NETWORKS, lambda people: [(people[0], address()) for _ in range(30)]),
    "unknown": (ADDRESS, lambda people: [(f"un{person}", source) for source in [address()] for person in people[:25]]),
}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
@pytest.mark.parametrize("shape", SHAPES)
def test_guesses_of_one_moment_stop_at_the_limit(site, shape, mechanism):
    limit, tries = SHAPES[shape]
    people = site.new_users(30)
    streams = [RawClient(site.server, user, wrong(), source) for user, source in tries(people)]
    for one in streams:
        one.send_first(mechanism)
    answers = [one.until(REPLY) for one in streams]
    challenged = [n for n, answer in enumerate(answers) if "<challenge" in answer]
    for n in challenged:
        streams[n].send_proof(answers[n])
    for n in challenged:
        answers[n] = streams[n].until(REPLY)
    for one in streams:
        one.close()
    ends = [result_of(answer) for answer in answers]
    saw(looked_at=f"{ends.count('wrong')} of {len(ends)}")
    assert "in" not in ends
    assert ends.count("wrong") == limit
    if shape != "botnet":
        assert site.try_login(people[0], address()) == "in", "the owner, elsewhere"


def test_a_success_with_an_own_account_clears_only_its_own_failures(site):
    own, victim, *others = site.new_users(12)
    guesser = address()
    ends = []
    for n in range(30):
        ends.append(site.try_login(victim, guesser, wrong()))
        if n % 2:
            assert site.try_login(own, guesser) == "in"
    saw(one_victim=f"{ends.count('wrong')} of 30")
    assert ends == ["wrong"] * PAIR + ["refused"] * 25
    ends = []
    for other in others * 2:
        ends.append(site.try_login(other, guesser, wrong()))
        assert site.try_login(own, guesser) == "in", (
            f"who logged in there before is not touched by a rule about strangers; but: {site.said}"
        )
    saw(many_victims=f"{ends.count('wrong')} of 20")
    # The first victim may be among the accounts for which the address failed.
    assert ends.count("wrong") == ADDRESS - 1 and set(ends[ADDRESS - 1 :]) == {"refused"}


def test_a_spray_stops_at_the_limit_of_the_address(site):
    owners, sprayer = site.new_users(25), address()
    homes = {owner: address() for owner in owners[:3]}
    assert {site.try_login(owner, home) for owner, home in homes.items()} == {"in"}
    seen = site.passwords_checked([(owner, sprayer) for owner in owners])
    saw(looked_at=f"{seen} of 25")
    assert seen == ADDRESS
    assert site.try_login(owners[-1], sprayer) == "refused", "the right password, from there"
    assert {site.try_login(owner, home) for owner, home in homes.items()} == {"in"}
    assert site.try_login(owners[0], address()) == "in", "also from where nobody was before"


def test_unknown_names_count_like_wrong_passwords(site):
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        source = address()
        seen = site.passwords_checked([(f"nobody{n}", source) for n in range(20)], mechanism)
        saw(**{mechanism: f"{seen} of 20"})
        assert 1 <= seen <= ADDRESS


# -- many addresses ----------------------------------------------------------------------------------------------------


def test_a_botnet_on_one_account_is_kept_out_and_its_owner_is_not(site):
    [owner], home = site.new_users(1), address()
    alive = RawClient(site.server, owner, source=home).login()
    bots = [address() for _ in range(40)]
    ends, honest = [], []
    for n, bot in enumerate(bots * 2):
        ends.append(site.try_login(owner, bot, wrong()))
        if n % 8 == 0:
            honest.append(site.try_login(owner, home))
    saw(looked_at=f"{ends.count('wrong')} of 80", owner_at_home=f"{honest.count('in')} of {len(honest)}")
    assert ends.count("wrong") == ACCOUNT_NETWORKS and "in" not in ends
    assert set(honest) == {"in"}
    answer = alive.iq("still", "<iq type='get' id='still'><query xmlns='jabber:iq:roster'/></iq>")
    alive.close()
    assert re.search(r"type=['\"]result", answer), "her live session"


def test_a_slow_walk_through_a_network_is_noticed_and_known_neighbours_stay(site):
    victims, net = site.new_users(15), network()
    known, stranger, elsewhere = site.new_users(3)
    assert site.try_login(known, f"{net}.250") == "in"
    # One try each, and no account more than a few times: only the network stands out.
    seen = site.passwords_checked([(victims[n % 15], f"{net}.{n + 1}") for n in range(60)])
    saw(looked_at=f"{seen} of 60")
    assert seen == NETWORK
    site.wait_banned(f"{net}.0/24")
    assert site.try_login(known, f"{net}.250") == "in", "the known neighbour"
    assert site.try_login(stranger, f"{net}.251") == "refused", "a stranger there"
    assert site.try_login(elsewhere, f"{network()}.1") == "in", "the next network"


@pytest.fixture
def prefix():
    one = Prefix()
    yield one
    one.close()


def test_an_ipv6_customer_is_one_attacker_and_the_next_one_is_another(site, prefix):
    if prefix.problem or not site.server.v6:
        if os.environ.get("CI"):
            pytest.fail(f"no IPv6 here, and CI skips nothing: {prefix.problem}")
        pytest.skip(f"!!! no IPv6 on this machine: {prefix.problem or 'no ::1'}")
    [one_victim, known, *victims] = site.new_users(12)
    first = [prefix.address(1, n) for n in range(1, 41)]
    seen = site.passwords_checked([(one_victim, source) for source in first])
    saw(one_account=f"{seen} of 40")
    assert seen == PAIR
    assert site.try_login(one_victim, first[-1]) == "refused"
    assert site.try_login(one_victim, prefix.address(2, 1)) == "in", "the next /64"
    assert site.try_login(known, prefix.address(3, 1)) == "in"
    seen = site.passwords_checked([(victims[n % 10], prefix.address(3, 2 + n)) for n in range(40)])
    saw(many_accounts=f"{seen} of 40")
    assert seen == ADDRESS
    assert site.try_login(victims[0], prefix.address(3, 99)) == "refused", "a stranger in that /64"
    assert site.try_login(known, prefix.address(3, 98)) == "in", "who logged in from that /64 before"
    assert site.try_login(victims[0], prefix.address(4, 1)) == "in", "the next /64"


# -- many people at one address ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "quiet"])
def test_one_stale_password_does_not_close_the_office(site, busy):
    stale, *colleagues = site.new_users(7)
    office, phone = address(), address()
    honest, ends = [], []
    for n in range(30):
        ends.append(site.try_login(stale, office, "last years password"))
        if busy:
            honest.append(site.try_login(colleagues[n % 5], office))
    honest += [site.try_login(colleague, office) for colleague in colleagues]
    saw(stale=f"{ends.count('wrong')} of 30", honest=f"{honest.count('in')} of {len(honest)}")
    assert set(honest) == {"in"}
    assert not site.is_banned(office)
    assert site.try_login(stale, phone) == "in", "she herself, elsewhere"


@pytest.mark.parametrize(
    ("busy", "declared"), [(True, False), (False, False), (False, True)], ids=["busy", "quiet", "declared"]
)
def test_behind_a_proxy_the_guesser_is_banned_and_not_the_proxy(site, busy, declared):
    people = site.new_users(16)
    victims, honest_ones, newcomer = people[:2], people[2:15], people[15]
    proxy = "127.90.1.1" if declared else address()
    if not declared:  # more than [tracker] shared_accounts
        assert {site.try_login(person, proxy) for person in people[:15]} == {"in"}
    honest, ends = [], []
    for n in range(40):
        ends.append(site.try_login(victims[n % 2], proxy, wrong()))
        if busy:
            honest.append(site.try_login(honest_ones[n % 13], proxy))
    honest += [site.try_login(person, proxy) for person in [*honest_ones, newcomer]]
    saw(looked_at=f"{ends.count('wrong')} of 40 for 2 accounts", honest=f"{honest.count('in')} of {len(honest)}")
    assert ends.count("wrong") == 2 * PAIR
    assert set(honest) == {"in"}
    assert not site.is_banned(proxy)
    assert {site.try_login(victim, address()) for victim in victims} == {"in"}, "their owners, elsewhere"


def test_a_rule_that_bans_an_address_leaves_live_sessions_of_known_people(site):
    colleague, *sprayed = site.new_users(8)
    office = address()
    assert site.try_login(colleague, office) == "in"
    alive = RawClient(site.server, colleague, source=office).login()
    site.passwords_checked([(one, office) for one in sprayed])
    site.wait_banned(office)
    time.sleep(1)  # a session would be ended within this time
    assert site.try_login(colleague, office) == "in", "she may log in"
    answer = alive.iq("still", "<iq type='get' id='still'><query xmlns='jabber:iq:roster'/></iq>", 3)
    assert re.search(r"type=['\"]result", answer), "and her session lives"


# -- honest people -----------------------------------------------------------------------------------------------------


def test_honest_people_mistype_and_nobody_notices(site):
    alone = {person: address() for person in site.new_users(5)}
    home = address()
    household = dict.fromkeys(site.new_users(4), home)
    ends, before = [], site.bans()

    def slip(person, source):
        return site.try_login(person, source, wrong())

    for person, source in alone.items():
        for _ in range(3):
            ends += [slip(person, source) for _ in range(3)] + [site.try_login(person, source)]
    for _ in range(3):  # all of them at the same time
        for _ in range(3):
            ends += [slip(person, source) for person, source in household.items()]
        ends += [site.try_login(person, source) for person, source in household.items()]
    saw(slips=ends.count("wrong"), let_in=ends.count("in"), refused=ends.count("refused"))
    assert (ends.count("wrong"), ends.count("in"), ends.count("refused")) == (81, 27, 0)
    assert site.bans() == before


# -- load --------------------------------------------------------------------------------------------------------------


@pytest.mark.timing
def test_honest_logins_do_not_fail_under_a_storm_of_guesses(site):
    seconds, honest_rate, bad_rate = 5, 200, 300
    people = [(person, address()) for person in site.new_users(40)]
    for person, home in people:
        assert site.try_login(person, home) == "in"
    bots = [f"{network()}.{last}" for _ in range(10) for last in range(1, 21)]
    targets = [person for person, _ in people[:5]]

    def honest(n):
        person, home = people[n % len(people)]
        return load.login(site.server, load.scram, person, password(person), home)

    def bad(n):
        return load.login(site.server, load.plain, targets[n % len(targets)], wrong(), bots[n % len(bots)])

    async def both():
        return await asyncio.gather(load.at_rate(honest_rate, seconds, honest), load.at_rate(bad_rate, seconds, bad))

    def summed(logins):
        took = sorted(ms for _, ms in logins)
        failed = [said for said, _ in logins if "<success" not in said]
        saw(
            honest_failed=f"{len(failed)} of {len(logins)}",
            p50=f"{took[len(took) // 2]:.1f} ms",
            p99=f"{took[len(took) * 99 // 100]:.1f} ms",
        )
        return failed, took[len(took) // 2]

    quiet, pace = summed(asyncio.run(load.at_rate(honest_rate, seconds, honest)))
    logins, guesses = asyncio.run(both())
    failed, _ = summed(logins)
    # Refused at the start before our next message arrived, or the machine is too busy. No password was checked.
    ends = [result_of(said) for said, _ in guesses if not said.startswith(("ConnectionResetError", "TimeoutError"))]
    saw(looked_at=f"{ends.count('wrong')} of {len(ends)}")
    assert "in" not in ends
    assert not [said for said in failed if "<failure" in said or "policy-violation" in said], "nobody is refused"
    if quiet or pace > 1000:
        pytest.skip(f"!!! too busy for {honest_rate} logins/s without any attack: time-outs say nothing")
    assert not failed, failed[:3]
    assert ends.count("wrong") < len(ends) / 2


# -- something starts again in between ---------------------------------------------------------------------------------


def restart_server(site):
    site.server.restart()
    site.bot.wait_ready()
    wait.until(
        lambda: site.bot.log().count("hook module is there") > site.hellos, 30, what="the module says hello again"
    )


def restart_module(site):
    site.server.restart_module()


def unload_and_load_module(site):
    site.server.unload_module()
    site.server.load_module()


def restart_portcullis(site):
    site.bot.stop()
    site.bot.start()
    site.wait_hello()


def restart_portcullis_slowly(site):
    """Guesses continue while it is away, and the module keeps their outcomes for it."""
    site.bot.stop()
    [victim], guesser = site.new_users(1), address()
    assert site.passwords_checked([(victim, guesser)] * 3) == 3, "nobody is there to count"
    site.bot.start()
    site.wait_hello()
    assert site.passwords_checked([(victim, guesser)] * 10) == PAIR - 3, "but they were told afterwards"


def kill_portcullis(site):
    """kill -9 with failures that are not saved yet. These may be forgotten; those older than 5 seconds may not."""
    time.sleep(6)  # counters are saved every five seconds
    [victim], guesser = site.new_users(1), address()
    assert site.passwords_checked([(victim, guesser)] * 3) == 3
    site.bot.kill9()
    site.bot.start()
    site.wait_hello()
    seen = site.passwords_checked([(victim, guesser)] * 10)
    saw(looked_at_after_3_just_before=f"{seen} of 10")
    assert PAIR - 3 <= seen <= PAIR, "begins anew at worst"


def counted(site, user, source):
    """The counters that `check` shows for a login, as text."""
    rows = site.bot.facts("check", site.server.jid(user), source)["rows"]
    return " ".join(row["value"] for row in rows if row["var"].startswith("count"))


@pytest.mark.parametrize(
    "again",
    [
        restart_server,
        restart_module,
        unload_and_load_module,
        restart_portcullis,
        restart_portcullis_slowly,
        kill_portcullis,
    ],
)
def test_neither_a_ban_nor_a_count_is_lost_when_something_starts_again(site, again):
    victim, other, innocent = site.new_users(3)
    banned, pending = address(), address()
    assert site.passwords_checked([(victim, banned)] * 8) == PAIR
    assert site.passwords_checked([(other, pending)] * 3) == 3
    site.hellos = site.bot.log().count("hook module is there")
    again(site)
    # A module that was stopped reports what it could not deliver after the welcome, which may be a moment later.
    wait.until(lambda: "3 of" in counted(site, other, pending), 10, what="portcullis knows of the three failures")
    kept = site.try_login(victim, banned)
    seen = site.passwords_checked([(other, pending)] * 10)
    saw(ban=kept, looked_at_after_3_before=f"{seen} of 10")
    assert kept == "refused"
    assert seen == PAIR - 3
    assert site.try_login(innocent, banned) == "in"
    assert site.try_login(other, address()) == "in"
    # And it still works for a guesser who begins only now.
    assert site.passwords_checked([(innocent, address())] * 1) == 1
    late = address()
    assert site.passwords_checked([(innocent, late)] * 10) == PAIR
