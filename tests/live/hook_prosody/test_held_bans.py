"""Held bans apply while portcullis is away or silent, and survive restarts. Other logins follow portcullis_fail."""

import signal
import time

import pytest

from lab import wait
from lab.clients.raw_client import RawClient, refusal
from lab.fake_component import NS, FakeComponentOnProsody

HOST = "localhost"


def fill(p):
    p.ban("alice@localhost", text="No more alice")
    p.ban("127.0.0.5", kind="address")
    p.ban("127.0.0.6", kind="address", door="start")
    p.ban("127.1.128.0/17", kind="network")
    p.ban("bob@localhost", kind="pair", address="127.0.0.8")
    p.ban("carol@localhost", seconds=2)
    p.ban("dave@localhost")
    p.lift("dave@localhost")


HELD = ("No more alice", "127.0.0.5", "127.0.0.6", "127.1.128.0", "127.0.0.8", "carol@localhost")  # parts of these


def held_on_disk(server):
    return "".join(
        file.read_text(errors="replace") for file in (server.path / "data" / HOST / "portcullis").glob("*.dat")
    )


def holds(server):
    assert refusal(server, "alice") == "account-disabled"
    assert refusal(server, "bob") is None
    assert refusal(server, "bob", "127.0.0.5") == "temporary-auth-failure"
    assert refusal(server, "bob", "127.0.0.6") == "start"
    assert refusal(server, "bob", "127.1.200.1") == "temporary-auth-failure"
    assert refusal(server, "bob", "127.1.127.1") is None
    assert refusal(server, "bob", "127.0.0.8") == "temporary-auth-failure"
    assert refusal(server, "dave", "127.0.0.8") is None
    return True


@pytest.mark.timing
def test_known_bans_hold_while_portcullis_is_away_and_end_by_themselves(server, portcullis):
    fill(portcullis)
    assert refusal(server, "alice") is None, "portcullis says allow and is there: its word counts"
    portcullis.close()
    assert refusal(server, "carol") == "account-disabled"
    holds(server)
    wait.until(lambda: refusal(server, "carol") is None, 4, "the ban has an end")
    RawClient(server, "alice").auth()


@pytest.mark.timing
def test_known_bans_hold_while_portcullis_is_silent(server, portcullis):
    fill(portcullis)
    portcullis.silent = True
    began = time.time()
    assert refusal(server, "alice") == "account-disabled"
    assert 0.9 < time.time() - began < 2, "once at the start and once at the check, portcullis_wait each"
    assert refusal(server, "bob") == "temporary-auth-failure", "it is there, and may answer the next time"
    wait.until(lambda: refusal(server, "bob") is None, 15, "after ten seconds of silence it counts as away")
    assert refusal(server, "alice") == "account-disabled"
    portcullis.silent = set()
    wait.until(lambda: portcullis.answered.count("hello") > 1, 15, "it is greeted until it answers")
    portcullis.decide = lambda account, *_: portcullis.refuse("address") if account else "allow"
    assert refusal(server, "bob") == "temporary-auth-failure", "and then asked again"


@pytest.mark.timing
def test_what_portcullis_refused_a_moment_ago_needs_no_question(server, portcullis):
    def refusing(account, *_):
        return portcullis.refuse() if account == "alice@localhost" else "allow"

    def asked(user, source="127.0.0.1"):
        """How a login ended, and whether portcullis was asked about its account."""
        del portcullis.checks[:]
        return refusal(server, user, source), any(account for account, *_ in portcullis.questions)

    fill(portcullis)
    portcullis.ban("127.2.0.0/16", kind="network", door="start")
    portcullis.decide = refusing
    assert asked("alice") == ("account-disabled", True)
    assert asked("alice", "127.0.0.9") == ("account-disabled", False)
    portcullis.decide = lambda *_: "allow"  # an exemption: these are not announced
    wait.until(lambda: asked("alice") == (None, True), 3, "portcullis is asked again")
    assert asked("bob", "127.1.200.1") == (None, True), "who is known in a banned network is for portcullis to tell"
    assert asked("bob", "127.2.3.4") == (None, True), "an exemption holds at the start, too"
    portcullis.decide = refusing
    assert asked("alice") == ("account-disabled", True)
    portcullis.decide = lambda *_: "allow"
    portcullis.late = {"sync": 0.5}
    portcullis.lift("alice@localhost", tell=False)
    portcullis.iq("set", f"<news xmlns='{NS}' epoch='{portcullis.epoch}' seq='{portcullis.seq}'/>")
    assert asked("alice") == (None, True), "while changes are fetched a held ban is not the last word"


def test_an_exempted_neighbour_gets_in_while_a_banned_one_knocks(server, portcullis):
    """A ban on a network is confirmed for each address, and the start of a stream is asked about."""
    portcullis.ban("127.3.0.0/16", kind="network", door="start")
    exempt = "127.3.0.9"
    portcullis.decide = lambda _, address, __: "allow" if address == exempt else portcullis.refuse("network")
    for _ in range(3):
        assert refusal(server, "bob", "127.3.0.1") == "start"
        assert refusal(server, "bob", exempt) is None
    knocks = [address for _, address, _ in portcullis.questions if address != exempt]
    assert knocks == ["127.3.0.1"], "for two seconds the answer is known"


def test_the_text_of_a_held_ban_reaches_the_user(server, portcullis):
    fill(portcullis)
    portcullis.close()
    c = RawClient(server, "alice")
    assert "No more alice" in c.auth() and "No more alice" in c.wait_closed()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_known_bans_survive_a_restart_of_the_server_without_portcullis(server, portcullis, how):
    fill(portcullis)
    wait.until(lambda: all(word in held_on_disk(server) for word in HELD), what="all of them are on disk")
    portcullis.close()
    server.restart(how)
    holds(server)


def test_known_bans_survive_a_reload_and_a_pause_of_the_module(server, portcullis):
    fill(portcullis)
    portcullis.close()
    assert "OK" in server.shell("module", "reload", "portcullis", HOST)
    holds(server)
    assert "OK" in server.shell("module", "unload", "portcullis", HOST)
    assert refusal(server, "alice") is None, "it was told to stop"
    assert "OK" in server.shell("module", "load", "portcullis", HOST)
    holds(server)


def test_after_a_restart_the_whole_set_is_fetched_again(server, portcullis):
    fill(portcullis)
    portcullis.close()
    server.restart()
    again = FakeComponentOnProsody(server)
    again.carry_on(portcullis)
    again.connect().settled()
    assert "epoch" not in again.syncs[0] and "since" not in again.syncs[0]
    assert (again.hellos[0]["epoch"], again.hellos[0]["seq"]) == (again.epoch, str(again.seq)), "what it knew before"
    again.close()
    holds(server)
    again.connect()
    wait.until(lambda: len(again.hellos) == 2)
    assert again.hellos[1]["epoch"] == again.epoch and again.hellos[1]["seq"] == str(again.seq)
    again.in_step()
    assert len(again.syncs) == 1, "nothing was missed, nothing is asked"
    again.close()


def test_a_new_epoch_replaces_everything_held(server, portcullis):
    fill(portcullis)
    portcullis.state, portcullis.epoch, portcullis.seq = {}, "another", 0
    portcullis.ban("bob@localhost")
    portcullis.close()
    assert refusal(server, "alice") is None and refusal(server, "bob", "127.0.0.5") == "account-disabled"
    assert refusal(server, "carol", "127.0.0.5") is None


def test_what_was_missed_is_fetched_page_by_page_when_portcullis_is_back(server, portcullis):
    portcullis.ban("alice@localhost")
    portcullis.close()
    for n in range(950):
        portcullis.ban(f"user{n}@localhost", tell=False)
    portcullis.ban("bob@localhost", tell=False)
    portcullis.connect()
    wait.until(lambda: len(portcullis.syncs) >= 6)
    portcullis.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
    portcullis.close()
    assert refusal(server, "bob") == "account-disabled" and refusal(server, "alice") == "account-disabled"


def test_a_line_that_breaks_in_a_whole_sync_leaves_the_old_bans_in_force(server, portcullis):
    portcullis.ban("alice@localhost")
    portcullis.close()
    portcullis.epoch, portcullis.state, portcullis.seq, portcullis.page = "third", {}, 0, 2
    for n in range(9):
        portcullis.ban(f"user{n}@localhost", tell=False)
    whole, pages = portcullis.answer_sync, []

    def two_pages(p):
        pages.append(p.attrib)
        return whole(p) if len(pages) < 3 else None

    portcullis.answer_sync = two_pages
    portcullis.connect()
    wait.until(lambda: len(pages) == 3)
    portcullis.close()
    assert refusal(server, "alice") == "account-disabled"


def test_a_verdict_with_a_later_number_is_news_too(server, portcullis):
    portcullis.ban("alice@localhost", tell=False)
    assert refusal(server, "bob") is None
    wait.until(lambda: portcullis.syncs and portcullis.syncs[-1].get("since") == "0")
    portcullis.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
    portcullis.close()
    assert refusal(server, "alice") == "account-disabled"


@pytest.mark.timing
def test_fail_closed_refuses_what_it_cannot_ask_about_and_lets_clients_try_again(make_server):
    server = make_server(options='\tportcullis_fail = "closed"\n\tportcullis_wait = 0.2\n')
    c = RawClient(server, "bob")
    for _ in range(2):
        assert "<temporary-auth-failure" in c.auth() and "<temporary-auth-failure" in c.auth("SCRAM-SHA-1")
    p = FakeComponentOnProsody(server).connect().settled()
    assert "<success" in c.auth("SCRAM-SHA-1"), "on the same stream, when portcullis is back"
    p.ban("alice@localhost")
    p.silent = True
    assert refusal(server, "bob") == "temporary-auth-failure"
    c = RawClient(server, "alice")
    assert "account-disabled" in c.auth() and "policy-violation" in c.wait_closed()
    c = RawClient(server, "carol")
    p.silent = set()
    answer = c.scram_first()
    p.silent = True
    time.sleep(1.1)  # an answer is good for a second; after it the next message asks again
    assert "<temporary-auth-failure" in c.scram_final(answer), "the second message asks again after a second"
    p.silent = set()
    assert "<success" in c.auth("SCRAM-SHA-1")
    c = RawClient(server, "carol")
    answer = c.scram_first(sasl2=True)
    p.silent = True
    time.sleep(1.1)  # an answer is good for a second; after it the next message asks again
    assert "<temporary-auth-failure" in c.scram_final(answer, sasl2=True)
    p.silent = set()
    assert "<success" in c.auth("SCRAM-SHA-1", sasl2=True)
    assert server.errors() == []


def test_more_bans_than_fit_are_reported(make_server):
    server = make_server(options="\tportcullis_max_held = 100\n")
    p = FakeComponentOnProsody(server).connect().settled()
    for n in range(150):
        p.ban(f"user{n}@localhost", tell=False)
    p.news()
    p.close()
    p.connect()
    wait.until(lambda: len(p.hellos) == 2)
    assert p.hellos[1]["bans"] == "100" and "portcullis_max_held" in p.hellos[1]["health"]
    p.close()


def test_a_storage_failure_is_reported(make_server):
    server = make_server()
    (server.path / "data" / HOST / "portcullis").mkdir(exist_ok=True)
    (server.path / "data" / HOST / "portcullis").chmod(0o500)
    p = FakeComponentOnProsody(server).connect().settled()
    p.ban("alice@localhost")
    p.close()
    assert refusal(server, "alice") == "account-disabled", "in memory it holds all the same"
    p.connect()
    wait.until(lambda: len(p.hellos) == 2)
    assert "storage" in p.hellos[1]["health"]
    p.close()
