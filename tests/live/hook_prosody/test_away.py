"""While portcullis is away the module counts by itself: no more guesses than the limit, and honest users get in."""

import signal

import pytest

from lab import wait
from lab.clients.raw_client import RawClient, refusal
from lab.fake_component import BUSY, FakeComponentOnProsody
from lab.sasl import REPLY

LIMIT = 5  # the default of portcullis_away_limit
HOST = "localhost"


def guesses(server, times, user="alice", source="127.0.0.1", mechanism="PLAIN"):
    """How many of these wrong passwords, each on its own stream, were checked."""
    ends = []
    for _ in range(times):
        c = RawClient(server, user, "wrong", source)
        ends.append(c.auth(mechanism))
        c.close()
    assert all("<not-authorized" in end or "<temporary-auth-failure" in end for end in ends), ends
    return len([end for end in ends if "<not-authorized" in end])


@pytest.fixture
def alone(make_server):
    """A server to which portcullis never connected."""
    return make_server()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_one_address_and_one_account_are_looked_at_up_to_the_limit(alone, mechanism):
    assert guesses(alone, 20, mechanism=mechanism) == LIMIT
    assert guesses(alone, 20, "bob", mechanism=mechanism) == 0, "another account from there"
    assert guesses(alone, 20, "nobody", mechanism=mechanism) == 0, "nor is it told who exists"
    assert guesses(alone, 20, "alice", "127.0.0.2", mechanism) == 0, "that account from elsewhere"
    assert refusal(alone, "bob", "127.0.0.3") is None
    assert alone.errors() == []


def test_guesses_of_one_moment_stop_at_the_limit(alone):
    """By PLAIN, and by SCRAM with all challenges fetched before the first guess."""
    streams = [RawClient(alone, "alice", "wrong", "127.0.0.4") for _ in range(100)]
    challenges = [c.scram_first() for c in streams]
    for c, challenge in zip(streams, challenges, strict=True):
        c.send_proof(challenge)
    ends = [c.until(REPLY) for c in streams]
    assert len([end for end in ends if "<not-authorized" in end]) == LIMIT
    assert len([end for end in ends if "<temporary-auth-failure" in end]) == 100 - LIMIT
    assert refusal(alone, "bob", "127.0.0.5") is None


def test_a_client_refused_for_the_moment_may_try_again_on_the_same_stream(alone):
    guesses(alone, 20, "alice", "127.0.0.6")
    c = RawClient(alone, "alice", source="127.0.0.6")
    assert "<temporary-auth-failure" in c.auth() and "<temporary-auth-failure" in c.auth("SCRAM-SHA-1")
    with FakeComponentOnProsody(alone).connect() as p:
        p.settled()
        assert "<success" in c.auth("SCRAM-SHA-1"), "portcullis is asked again"


def test_strangers_do_not_lock_out_the_owner_and_slips_are_forgiven(server, portcullis):
    assert refusal(server, "dave", "127.0.0.30") is None
    portcullis.close()
    assert guesses(server, 20, "dave", "127.0.0.31") == LIMIT
    assert refusal(server, "dave", "127.0.0.32") == "temporary-auth-failure", "from where nobody knows her"
    assert refusal(server, "dave", "127.0.0.30") is None, "at home"
    for _ in range(4):
        assert guesses(server, LIMIT - 1, "bob", "127.0.0.33") == LIMIT - 1
        assert refusal(server, "bob", "127.0.0.33") is None


def test_an_owner_is_known_at_home_also_after_a_restart(make_server):
    server = make_server()
    with FakeComponentOnProsody(server).connect() as p:
        p.settled()
        assert refusal(server, "alice", "127.0.0.35") is None
    server.restart()
    assert guesses(server, 20, "alice", "127.0.0.36") == LIMIT
    assert refusal(server, "alice", "127.0.0.35") is None
    assert "too many logins from one address or of one account have failed" in server.log()
    assert server.log().count("Refusing logins for the moment") == 1, "once a minute"


def test_a_success_with_an_own_account_removes_no_failures_of_others(server, portcullis):
    portcullis.close()
    looked_at = 0
    for _ in range(20):
        looked_at += guesses(server, 1, "carol", "127.0.0.40")
        RawClient(server, "bob", source="127.0.0.40").auth()
    assert looked_at <= 2 * LIMIT


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_counts_survive_the_server_and_are_reported_when_portcullis_is_back(make_server, how):
    server = make_server()
    assert guesses(server, 3, source="127.0.0.50") == 3
    server.restart(how)
    assert guesses(server, 9, source="127.0.0.50") == LIMIT - 3
    server.restart(how)
    assert guesses(server, 9, source="127.0.0.50") == 0
    p = FakeComponentOnProsody(server).connect().settled()
    wait.until(lambda: len(p.logins) >= LIMIT, what="the failures")
    assert [x["outcome"] for x in p.logins if x["outcome"] != "refused"] == ["failure"] * LIMIT
    assert {x["account"] for x in p.logins} == {"alice@localhost"} and len({x["at"] for x in p.logins}) == len(p.logins)
    p.in_step()
    wait.until(lambda: "delivered" in held_in_store(server), what="it is written down that they were told")
    p.close()
    server.restart(how)
    assert guesses(server, 9, source="127.0.0.50") == 0
    again = FakeComponentOnProsody(server).connect().settled()
    again.in_step()
    assert "failure" not in again.outcomes(), "they are not told twice"
    again.close()
    assert server.errors() == []


def test_failures_whose_report_has_no_answer_yet_are_told_after_a_restart(make_server):
    """The server stops just after a guess: its report may be lost together with the connection."""
    server = make_server()
    p = FakeComponentOnProsody(server).connect().settled()
    p.silent = {"report"}
    assert guesses(server, 3, source="127.0.0.51") == 3
    wait.until(lambda: sum(p.reports) >= 3, what="the reports are sent")
    p.close()
    server.restart()
    again = FakeComponentOnProsody(server).connect().settled()
    wait.until(lambda: len(again.logins) >= 3, what="the failures")
    assert again.outcomes() == ["failure"] * 3
    again.close()
    assert server.errors() == []


def held_in_store(server):
    folder = server.path / "data" / HOST / "portcullis"
    return "".join(file.read_text(errors="replace") for file in folder.glob("*away*.dat"))


def test_counts_outlive_a_reload_and_a_pause_of_the_module(alone):
    assert guesses(alone, 3, source="127.0.0.51") == 3
    assert "OK" in alone.shell("module", "reload", "portcullis", HOST)
    assert guesses(alone, 1, source="127.0.0.51") == 1
    assert "OK" in alone.shell("module", "unload", "portcullis", HOST)
    assert "OK" in alone.shell("module", "load", "portcullis", HOST)
    assert guesses(alone, 9, source="127.0.0.51") == LIMIT - 4


def test_a_portcullis_that_has_not_said_welcome_is_away(server):
    p = FakeComponentOnProsody(server)
    ready, p.answer_hello = p.answer_hello, lambda _: BUSY
    p.decide = lambda *_: None
    p.connect()
    assert guesses(server, 20, "bob", "127.0.0.60") == LIMIT
    p.answer_hello = ready
    wait.until(lambda: p.hellos, 8)
    p.in_step()
    p.decide = lambda *_: "allow"
    assert guesses(server, 9, "bob", "127.0.0.60") == 9, "it counts itself"
    p.close()


def test_hello_comes_at_once_and_reports_before_the_next_question(server, portcullis):
    portcullis.close()
    assert guesses(server, 2, "somebody", "127.0.0.61") == 2
    portcullis.asked.clear()
    portcullis.connect()
    wait.until(lambda: len(portcullis.asked) >= 2, 1)
    assert portcullis.asked[:2] == ["hello", "report"]


def test_the_limit_can_be_set_and_turned_off(make_server):
    assert guesses(make_server(options="\tportcullis_away_limit = 2\n"), 9) == 2
    assert guesses(make_server(options="\tportcullis_away_limit = 0\n"), 20) == 20


@pytest.mark.timing
def test_a_failure_counts_for_as_long_as_is_set(make_server):
    server = make_server(options='\tportcullis_away_window = "2 s"\n')
    assert guesses(server, 9) == LIMIT
    wait.until(lambda: refusal(server, "alice") is None, 4, "it is forgotten")


def test_logins_refused_by_fail_closed_are_not_counted(make_server):
    server = make_server(options='\tportcullis_fail = "closed"\n')
    assert guesses(server, 20) == 0
    assert held_in_store(server) == ""
