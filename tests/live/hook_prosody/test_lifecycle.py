"""In whatever order modules, server and portcullis come and go, no banned user is let in."""

import itertools
import time

import pytest

from lab import wait
from lab.clients.raw_client import RawClient, refusal
from lab.fake_component import BUSY, FakeComponentOnProsody
from lab.sasl import REPLY

HOST = "localhost"


TEXT = "You are banned until tomorrow: spam"


def banning(p):
    p.ban("alice@localhost", tell=False)
    p.decide = lambda account, *_: p.refuse() if account == "alice@localhost" else "allow"
    return p


def guarded(server):
    """Whether alice is refused by both mechanisms and bob is not."""
    for mechanism, sasl2 in (("PLAIN", False), ("SCRAM-SHA-1", False), ("SCRAM-SHA-1", True)):
        assert "<account-disabled" in RawClient(server, "alice").auth(mechanism, sasl2)
    assert "<success" in RawClient(server, "bob").auth("SCRAM-SHA-1")


STEPS = {
    "reload": lambda server, p: server.shell("module", "reload", "portcullis", HOST),
    "off and on": lambda server, p: (
        server.shell("module", "unload", "portcullis", HOST),
        server.shell("module", "load", "portcullis", HOST),
    ),
    "server": lambda server, p: server.restart(),
    "portcullis": lambda server, p: (p.close(), p.connect()),
    "configuration": lambda server, p: server.shell("config", "reload"),
    "authentication": lambda server, p: (
        server.shell("module", "reload", "auth_internal_hashed", HOST),
        server.shell("module", "reload", "saslauth", HOST),
    ),
}


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(STEPS, 2)))
def test_two_things_in_any_order_leave_the_guard_up(server, first, second):
    p = banning(FakeComponentOnProsody(server).connect().settled())
    for step in (first, second):
        STEPS[step](server, p)
        if step == "server":
            guarded(server)  # by held bans, before portcullis is back
            p.close().connect()
        guarded(server)
    asked = len([c for c in p.questions if c[0]])
    guarded(server)
    assert len([c for c in p.questions if c[0]]) > asked, "portcullis is asked again"
    p.close()
    guarded(server)


def test_a_stream_opened_before_the_module_was_loaded_is_asked(make_server):
    server = make_server(module_on=False)
    p = banning(FakeComponentOnProsody(server).connect())
    fresh, tried, halfway = RawClient(server, "alice"), RawClient(server, "alice", "wrong"), RawClient(server, "alice")
    legal = RawClient(server, "alice").login()
    assert "<not-authorized" in tried.auth()
    tried.pw = "pw-alice"
    challenge = halfway.scram_first()
    assert "OK" in server.shell("module", "load", "portcullis", HOST)
    p.settled()
    assert "<account-disabled" in fresh.plain(" to='second.localhost'")
    assert "<account-disabled" in tried.auth("SCRAM-SHA-1")
    assert "<account-disabled" in halfway.scram_final(challenge)
    rest = legal.wait_closed()
    assert TEXT in rest and "policy-violation" in rest, "who came in while nobody asked is found"
    assert server.errors() == []


def test_a_banned_user_who_logged_in_while_portcullis_was_away_is_kicked_later(server, portcullis):
    portcullis.close()
    c = RawClient(server, "alice").login()
    friend = RawClient(server, "bob").login()
    banning(portcullis).connect()
    rest = c.wait_closed()
    assert TEXT in rest and "policy-violation" in rest
    assert friend.is_open()


def test_a_client_that_waits_across_a_reload_gets_the_verdict(server, portcullis):
    portcullis.decide = lambda account, *_: portcullis.refuse() if account else "allow"
    c = RawClient(server, "alice")
    portcullis.late = {"check": 0.4}
    c.send_first()
    wait.until(lambda: "alice@localhost" in [account for account, *_ in portcullis.questions], what="the question")
    assert "OK" in server.shell("module", "reload", "portcullis", HOST)
    assert "<account-disabled" in c.until(REPLY)
    portcullis.late = {}
    wait.until(lambda: "refused" in portcullis.outcomes("alice@localhost"))


def test_a_client_that_waits_while_the_module_is_unloaded_does_not_hang(server, portcullis):
    portcullis.silent = True
    c = RawClient(server, "alice", open_stream=False)
    c.send(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"
    )
    wait.until(lambda: portcullis.checks, what="the question at the start")
    server.shell("module", "unload", "portcullis", HOST)
    c.until("</stream:features>", 5)
    server.shell("module", "load", "portcullis", HOST)
    portcullis.silent = set()


def test_a_client_refused_after_the_module_was_unloaded_does_not_hang_the_server(server, portcullis):
    c = RawClient(server, "alice")
    portcullis.silent = True
    c.send_first()
    wait.until(lambda: "alice@localhost" in [account for account, *_ in portcullis.questions], what="the question")
    server.shell("module", "unload", "portcullis", HOST)
    assert "<temporary-auth-failure" in c.until(REPLY)
    assert "OK" in server.shell("module", "load", "portcullis", HOST), "the server answers"
    portcullis.silent = set()


def test_a_challenge_across_a_reload_is_still_asked_about(server, portcullis):
    c = RawClient(server, "alice")
    challenge = c.scram_first()
    server.shell("module", "reload", "portcullis", HOST)
    banning(portcullis).news()
    assert "<account-disabled" in c.scram_final(challenge)


def test_the_hello_says_who_speaks(server, portcullis):
    hello = portcullis.hellos[0]
    assert hello["software"] == "prosody" and hello["version"].startswith("13.") and hello["health"] == "ok"
    assert hello["module"] and hello["node"] == "prosody@localhost" and hello["bans"].isdigit()


def test_a_portcullis_that_is_not_ready_is_greeted_again(server):
    p = FakeComponentOnProsody(server)
    ready, p.answer_hello = p.answer_hello, lambda _: BUSY
    p.connect()
    wait.until(lambda: "hello" in p.asked)
    p.answer_hello = ready
    wait.until(lambda: p.hellos, 8)
    p.close()


@pytest.mark.timing
def test_the_line_cut_while_clients_wait_frees_them_at_once(make_server):
    server = make_server(options="\tportcullis_wait = 20\n")
    p = FakeComponentOnProsody(server).connect().settled()
    c = RawClient(server, "bob")
    p.decide = lambda *_: None
    c.send_first()
    wait.until(lambda: ("bob@localhost", "127.0.0.1", "PLAIN") in p.questions)
    p.close()
    assert "<success" in c.until(REPLY, 2)


@pytest.mark.parametrize("nagle", [False, True])
def test_it_works_with_and_without_nagle(make_server, nagle):
    server = make_server(nagle=nagle)
    p = banning(FakeComponentOnProsody(server).connect().settled())
    guarded(server)
    p.close()
    assert server.errors() == []


@pytest.mark.timing
def test_six_hundred_clients_with_a_silent_portcullis_are_all_answered(make_server):
    server = make_server(options="\tportcullis_ask_at_start = false\n")
    p = FakeComponentOnProsody(server).connect().settled()
    p.ban("alice@localhost")
    p.silent = True
    streams = [RawClient(server, "alice" if n % 2 else "nobody", open_stream=True) for n in range(600)]
    began = time.time()
    for c in streams:
        c.send_first("SCRAM-SHA-1")
    for c in streams:
        assert ("<account-disabled" if c.user == "alice" else "<temporary-auth-failure") in c.until(REPLY)
    assert time.time() - began < 5
    for c in streams:
        c.close()
    p.close()
    assert server.errors() == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ('\tportcullis_component = "user@portcullis.localhost"\n', "set portcullis_component to the domain"),
        ('\tportcullis_component = ""\n', "set portcullis_component to the domain"),
        ('\tportcullis_fail = "perhaps"\n', "portcullis_fail"),
        ('\tportcullis_wait = "soon"\n', "portcullis_wait"),
        ('\tportcullis_component = "nothere.localhost"\n', 'there is no Component "nothere.localhost"'),
    ],
)
def test_a_wrong_setting_is_an_error_in_the_log(make_server, options, complaint):
    server = make_server(options=options)
    wait.until(lambda: complaint in server.log())


def test_mistyped_options_leave_the_guard_in_place(make_server):
    server = make_server(
        options='\tportcullis_away_window = "ten minutes"\n\tportcullis_away_limit = "five"\n'
        '\tportcullis_max_held = "many"\n\tportcullis_wait = "shortly"\n\tportcullis_closed_text = "\\228"\n'
    )
    wait.until(lambda: "Config option 'portcullis_closed_text' is not a text" in server.log())
    assert [refusal(server, "bob", pw="wrong") for _ in range(6)] == ["not-authorized"] * 5 + ["temporary-auth-failure"]
    with FakeComponentOnProsody(server).connect() as p:
        p.settled()
        assert refusal(server, "bob", "127.0.0.9") is None and p.questions
    assert "Traceback" not in server.log() and "attempt to" not in server.log()


def test_an_unknown_value_of_fail_counts_as_closed(make_server):
    server = make_server(options='\tportcullis_fail = "perhaps"\n')
    assert refusal(server, "bob") == "temporary-auth-failure"
