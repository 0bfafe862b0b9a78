"""While portcullis is away the module counts failures by itself and checks no more passwords than the limit."""

import contextlib
import itertools
import threading
import time

import pytest

from lab import wait
from lab.accounts import password
from lab.clients.stream import Stream
from lab.fake_component import BUSY, NOT_ACCEPTABLE, FakeComponent
from lab.sasl import REPLY, SASL, plain

LIMIT = 5
_sources = itertools.count(1)


@pytest.fixture
def source():
    """An address that no other test uses."""
    return f"127.8.0.{next(_sources)}"


@pytest.fixture
def alone(ej, component):
    """Closes the connection of portcullis."""
    ej.set_options(away_limit=str(LIMIT))
    component.wait_held()
    component.close()
    return component


def guess(ej, source, user, pw="wrong"):
    with Stream(ej.c2s, source) as s:
        return s.plain(user, pw)[0]


def looked_at(ej, source, tries, user="nosuch"):
    """How many of these guesses, each at a nonexistent account of its own, had their password checked."""
    ends = [guess(ej, source, f"{user}{next(_sources)}") for _ in range(tries)]
    assert set(ends) <= {"not-authorized", "temporary-auth-failure"}, ends
    return ends.count("not-authorized")


def test_failures_of_an_address_are_limited(ej, alone, source):
    assert looked_at(ej, source, 20) == LIMIT
    assert guess(ej, source, "bob", password("bob")) == "temporary-auth-failure", "nothing is looked at any more"
    assert guess(ej, "127.8.1.1", "bob", password("bob")) == "success", "from elsewhere"


def test_failures_of_an_account_are_limited_and_its_owner_has_more(ej, alone, source):
    assert guess(ej, source, "carol", password("carol")) == "success"
    ends = [guess(ej, f"127.8.2.{n}", "carol") for n in range(1, 20)]
    assert ends.count("not-authorized") == LIMIT
    assert guess(ej, source, "carol", password("carol")) == "success", "where she logged in before"


def test_a_success_removes_only_its_own_failures(ej, alone, source):
    for _ in range(3):
        guess(ej, source, "dave")
    assert guess(ej, source, "dave", password("dave")) == "success"
    assert looked_at(ej, source, 3) == 3
    assert guess(ej, source, "bob", password("bob")) == "success"
    assert looked_at(ej, source, 10) == LIMIT - 3


def test_guesses_of_one_moment_stop_at_the_limit(ej, alone, source):
    with contextlib.ExitStack() as streams:
        opened = [streams.enter_context(Stream(ej.c2s, source)) for _ in range(60)]
        for n, s in enumerate(opened):
            s.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain(f'moment{n}', 'x')}</auth>")
        ends = [s.result(s.until(REPLY))[0] for s in opened]
    assert ends.count("not-authorized") == LIMIT and set(ends) == {"not-authorized", "temporary-auth-failure"}


def test_honest_simultaneous_logins_all_get_in(ej, alone, source):
    users = [f"moment{n}" for n in range(30)]
    for user in users:
        ej.add_user(user)
    with contextlib.ExitStack() as streams:
        opened = [streams.enter_context(Stream(ej.c2s, source)) for _ in users]
        for user, s in zip(users, opened, strict=True):
            s.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain(user, password(user))}</auth>")
        ends = [s.result(s.until(REPLY))[0] for s in opened]
    assert set(ends) == {"success"}


def test_scram_is_counted_as_well(ej, alone, source):
    ends = []
    for _ in range(10):
        with Stream(ej.c2s, source) as s:
            ends.append(s.scram("mallory", "wrong")[0])
    assert ends.count("not-authorized") == LIMIT and set(ends) == {"not-authorized", "temporary-auth-failure"}


def test_failures_are_reported_when_portcullis_is_back_and_then_it_decides(ej, alone, source):
    looked_at(ej, source, 8, "told")
    with FakeComponent(ej) as back:
        back.carry_on(alone)
        back.wait(lambda: len(back.logins) >= LIMIT)
        assert back.outcomes() == ["failure"] * LIMIT and {x["address"] for x in back.logins} == {source}
        back.wait(lambda: guess(ej, source, "bob", password("bob")) == "success")
        assert looked_at(ej, source, 8) == 8
    assert looked_at(ej, source, 8) == 0, "it has left again"


def restart_the_module(ej):
    ej.ctl("restart_module", host="localhost", module="mod_portcullis")


def restart_the_server(ej):
    ej.restart()


def kill_the_server(ej):
    ej.kill9()
    ej.start()


def kill_the_one_that_counts(ej):
    ej.erlang("exit(whereis(mod_portcullis_away_localhost), kill)")
    ej.expected_crashes.update(ej.crashes())


@pytest.mark.parametrize(
    "happens",
    [restart_the_module, restart_the_server, kill_the_server, kill_the_one_that_counts],
    ids=lambda f: f.__name__,
)
def test_no_sequence_of_events_gives_more_guesses(ej, alone, source, happens):
    seen = looked_at(ej, source, 3, "before")
    happens(ej)
    seen += looked_at(ej, source, 1, "between")
    happens(ej)
    seen += looked_at(ej, source, 8, "after")
    assert seen == LIMIT
    assert guess(ej, "127.8.3.1", "bob", password("bob")) == "success"
    with FakeComponent(ej) as back:
        back.carry_on(alone)
        back.wait(lambda: len([x for x in back.logins if x["outcome"] == "failure"]) >= LIMIT)
        assert back.outcomes().count("failure") == LIMIT


@pytest.mark.timing
def test_failures_end_after_the_window(ej, alone, source):
    ej.set_options(away_limit=str(LIMIT), away_window="3 seconds")
    assert looked_at(ej, source, 8) == LIMIT
    wait.until(lambda: guess(ej, source, "bob", password("bob")) == "success", 5, what="the failures are old")


def test_who_is_known_from_where_survives_a_restart(ej, alone, source):
    ej.add_user("kept")
    assert guess(ej, source, "kept", password("kept")) == "success"
    restart_the_server(ej)
    ends = [guess(ej, f"127.8.6.{n}", "kept") for n in range(1, 10)]
    assert ends.count("not-authorized") == LIMIT
    assert guess(ej, source, "kept", password("kept")) == "success", "where she logged in before"


def test_tokens_are_not_counted(ej, alone, source):
    for _ in range(2 * LIMIT):
        with Stream(ej.c2s, source, frm="alice@localhost") as s:
            assert s.fast("alice", "wrong", "0b8f0a3c-9a1f-4a0e-8d9f-000000000001")[0] == "not-authorized"
    assert guess(ej, source, "bob", password("bob")) == "success"


def test_a_failure_that_is_written_late_is_reported_once(ej, alone, source):
    owner = "mod_portcullis_away_localhost"
    ej.erlang(f"sys:suspend({owner}), spawn(fun() -> timer:sleep(7000), sys:resume({owner}) end)")
    with Stream(ej.c2s, source, within=10) as s:
        assert s.plain("nosuch", "wrong")[0] == "not-authorized"
    with FakeComponent(ej) as back:
        back.wait(lambda: back.logins, 20)
        ej.erlang("timer:sleep(500)")
        restart_the_module(ej)
        back.wait(lambda: len(back.hellos) >= 2)
        time.sleep(1)
        assert back.outcomes() == ["failure"]


def test_without_a_limit_nothing_is_counted(ej, alone, source):
    ej.set_options(away_limit="0")
    assert looked_at(ej, source, 12) == 12


def test_a_connected_component_without_a_welcome_counts_as_away(ej, alone, source):
    mute = FakeComponent(ej)
    mute.silent = {"hello"}
    with mute:
        mute.wait(lambda: mute.hellos)
        assert looked_at(ej, source, 8) == LIMIT
        assert not mute.checks, "nobody is asked who did not say welcome"
        mute.silent = set()
        mute.wait(lambda: guess(ej, source, "bob", password("bob")) == "success", 15)
    with FakeComponent(ej) as back:
        back.wait(lambda: back.hellos)
        assert "welcome" not in back.hellos[0]["health"], "the trouble is over"


@pytest.mark.timing
def test_a_silent_component_soon_counts_as_away(ej, component, source):
    ej.set_options(away_limit=str(LIMIT))
    component.wait_held()
    component.silent = True
    began = time.time()
    wait.until(lambda: guess(ej, source, "bob", password("bob")) == "success", 15, what="the module notices")
    assert time.time() - began < 8
    assert looked_at(ej, source, 8) == LIMIT
    component.silent = set()
    component.wait(lambda: guess(ej, source, "bob", password("bob")) == "success", 15)


@pytest.mark.timing
def test_portcullis_is_greeted_as_soon_as_it_connects(ej, alone):
    waits = []
    for _ in range(5):
        with FakeComponent(ej) as back:
            began = time.time()
            back.wait(lambda: back.hellos)  # noqa: B023 -- called at once
            waits.append(time.time() - began)
    assert max(waits) < 0.3, waits


def test_errors_in_place_of_verdicts_open_no_door(ej, component, source):
    ej.set_options(away_limit=str(LIMIT))
    component.wait_held()
    component.answer_check = lambda body: NOT_ACCEPTABLE
    assert looked_at(ej, source, 20) == LIMIT
    assert guess(ej, "127.8.5.1", "bob", password("bob")) == "success"
    component.answer_check = lambda body: BUSY
    assert guess(ej, "127.8.5.1", "bob", password("bob")) == "temporary-auth-failure", "it is only late"


def test_questions_in_flight_are_bounded(ej, component, source):
    """At most 16 questions of one address wait for portcullis, and nobody gets in because it is late."""
    ej.set_options(ask_at_start="false")
    component.late = {"check": 0.3}
    in_flight, most, lock = [0], [0], threading.Lock()
    ask, answer = component.answer_check, component._answer

    def asked(body):
        with lock:
            in_flight[0] += body.get("address") == source
            most[0] = max(most[0], in_flight[0])
        return ask(body)

    def answered(name, reply):
        with lock:
            in_flight[0] -= name == "check"
        answer(name, reply)

    component.answer_check, component._answer = asked, answered
    with contextlib.ExitStack() as streams:
        opened = [streams.enter_context(Stream(ej.c2s, source)) for _ in range(120)]
        for n, s in enumerate(opened):
            s.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain(f'flight{n}', 'x')}</auth>")
        ends = [s.result(s.until(REPLY))[0] for s in opened]
    assert most[0] == 16
    assert set(ends) == {"not-authorized", "temporary-auth-failure"} and ends.count("not-authorized") >= 16, ends
    assert guess(ej, "127.8.4.1", "bob", password("bob")) == "success"


def test_a_held_ban_that_portcullis_has_confirmed_is_not_asked_about_again(ej, component, open_stream, source):
    component.ban("alice@localhost", text="no alice")
    component.ban(source, kind="address", door="start", text="no source")
    component.wait_held()
    for _ in range(10):
        assert open_stream().plain("alice", "x") == ("account-disabled", "no alice")
        s = open_stream(source)
        assert s.result(s.features + s.rest()) == ("policy-violation", "no source")
    asked = [c.get("account") or c["address"] for c in component.checks]
    assert asked.count("alice@localhost") <= 4 and asked.count(source) <= 4, "again after two seconds"
    component.lift("alice@localhost")
    wait.until(lambda: open_stream().plain("alice", password("alice"))[0] == "success", 2, what="the lift is heard")


def test_a_neighbour_does_not_confirm_a_ban_for_an_exempted_address(ej, component, open_stream):
    component.ban("127.9.0.0/24", kind="network", door="start")
    component.wait_held()
    component.decide = lambda account, address, mechanism: (
        "allow" if address == "127.9.0.2" else component.refuse(by="network")
    )
    for _ in range(3):
        s = open_stream("127.9.0.1")
        assert "policy-violation" in s.features + s.rest()
        assert guess(ej, "127.9.0.2", "bob", password("bob")) == "success"


def test_an_ipv6_customer_is_one_address(ej):
    def subject(address):
        return f'mod_portcullis_places:subjects(undefined, element(2, inet:parse_address("{address}")))'

    same, other = subject("2001:db8:1:2::1"), subject("2001:db8:1:3::1")
    v4 = subject("::ffff:203.0.113.7")
    assert ej.erlang(f"{same} =:= {subject('2001:db8:1:2:ffff::9')}") == "true"
    assert ej.erlang(f"{same} =:= {other}") == "false"
    assert ej.erlang(f"{v4} =:= {subject('203.0.113.7')}") == "true"


@pytest.mark.timing
def test_no_more_failures_than_the_bound_are_kept(ej, alone, source):
    most, more = 10_000, 10_300

    def idle():
        return ej.erlang("process_info(whereis(mod_portcullis_away_localhost), message_queue_len)").endswith(",0}")

    ej.erlang(
        f"[spawn(mod_portcullis_away, failed, "
        f'[<<"localhost">>, [integer_to_binary(N)], {{10, 1, N div 256, N rem 256}}, {{0, []}}]) '
        f"|| N <- lists:seq(1, {more})], ok"
    )
    wait.until(idle, 60, what="they are counted")
    try:
        assert int(ej.erlang('length(mod_portcullis_away:untold(<<"localhost">>))')) == most
        assert int(ej.erlang("ets:info(mod_portcullis_away_localhost, size)")) <= 3 * most
        assert looked_at(ej, source, 8) == LIMIT
    finally:  # nobody is to be told of them
        ej.erlang(f'mod_portcullis_away:told(<<"localhost">>, lists:seq(1, 2 * {more}))')
        wait.until(idle, 60)
