"""In whatever order modules, server and portcullis come and go: nobody who is banned is let in without a word."""
import itertools
import time

import pytest

from .ground import HOST, Client, Portcullis, eventually
from .test_held import refused

TEXT = "You are banned until tomorrow: spam"


def banning(p):
    p.ban("account", "alice@localhost", news=False)
    p.decide = lambda account, *_: p.refuse() if account == "alice@localhost" else "allow"
    return p


def guarded(server):
    """alice is refused by both ways in, bob is not."""
    for mechanism, sasl2 in (("PLAIN", False), ("SCRAM-SHA-1", False), ("SCRAM-SHA-1", True)):
        assert "<account-disabled" in Client(server, "alice").auth(mechanism, sasl2)
    assert "<success" in Client(server, "bob").auth("SCRAM-SHA-1")


STEPS = {
    "reload": lambda server, p: server.shell("module", "reload", "portcullis", HOST),
    "off and on": lambda server, p: (server.shell("module", "unload", "portcullis", HOST), server.shell("module", "load", "portcullis", HOST)),
    "server": lambda server, p: server.restart(),
    "portcullis": lambda server, p: (p.cut(), p.connect()),
    "configuration": lambda server, p: server.shell("config", "reload"),
    "authentication": lambda server, p: (server.shell("module", "reload", "auth_internal_hashed", HOST), server.shell("module", "reload", "saslauth", HOST)),
}


@pytest.mark.parametrize("first,second", list(itertools.permutations(STEPS, 2)))
def test_two_things_in_any_order_leave_the_guard_up(server, first, second):
    p = banning(Portcullis(server).connect().settled())
    for step in (first, second):
        STEPS[step](server, p)
        if step == "server":
            guarded(server)  # by what is held, before portcullis has come back
            p.cut().connect()
        guarded(server)
    asked = len([c for c in p.checks if c[0]])
    guarded(server)
    assert len([c for c in p.checks if c[0]]) > asked, "portcullis is asked again"
    p.cut()
    guarded(server)


def test_a_stream_opened_before_the_module_was_loaded_is_asked(make_server):
    server = make_server(module_on=False)
    p = banning(Portcullis(server).connect())
    fresh, tried, halfway = Client(server, "alice"), Client(server, "alice", "wrong"), Client(server, "alice")
    legal = Client(server, "alice").login()
    assert "<not-authorized" in tried.auth()
    tried.pw = "pw-alice"
    challenge = halfway.scram_first()
    assert "OK" in server.shell("module", "load", "portcullis", HOST)
    p.settled()
    assert "<account-disabled" in fresh.plain(" to='second.localhost'")
    assert "<account-disabled" in tried.auth("SCRAM-SHA-1")
    assert "<account-disabled" in halfway.scram_final(challenge)
    rest = legal.rest()
    assert TEXT in rest and "policy-violation" in rest, "who came in while nobody asked is found"
    assert server.tracebacks() == []


def test_who_came_in_while_portcullis_was_away_is_found_when_it_is_back(server, portcullis):
    portcullis.cut()
    c = Client(server, "alice").login()
    friend = Client(server, "bob").login()
    banning(portcullis).connect()
    rest = c.rest()
    assert TEXT in rest and "policy-violation" in rest
    assert friend.is_open()


def test_a_client_that_waits_across_a_reload_gets_the_verdict(server, portcullis):
    portcullis.decide = lambda account, *_: portcullis.refuse() if account else "allow"
    c = Client(server, "alice")
    portcullis.delay = 0.4
    import base64
    c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{base64.b64encode(bytes(1) + b'alice' + bytes(1) + b'pw-alice').decode()}</auth>")
    time.sleep(0.05)
    assert "OK" in server.shell("module", "reload", "portcullis", HOST)
    assert "<account-disabled" in c.until(c.REPLY)
    portcullis.delay = 0
    eventually(lambda: "refused" in portcullis.outcomes("alice@localhost"))


def test_a_client_that_waits_while_the_module_is_unloaded_does_not_hang(server, portcullis):
    portcullis.silent = True
    c = Client(server, "alice", open_it=False)
    c.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>")
    time.sleep(0.05)
    server.shell("module", "unload", "portcullis", HOST)
    c.until("</stream:features>", 5)
    server.shell("module", "load", "portcullis", HOST)
    portcullis.silent = False


def test_a_challenge_across_a_reload_is_still_asked_about(server, portcullis):
    c = Client(server, "alice")
    challenge = c.scram_first()
    server.shell("module", "reload", "portcullis", HOST)
    banning(portcullis).news()
    assert "<account-disabled" in c.scram_final(challenge)


def test_the_hello_says_who_speaks(server, portcullis):
    hello = portcullis.hellos[0]
    assert hello["software"] == "prosody" and hello["version"].startswith("13.") and hello["health"] == "ok"
    assert hello["module"] and hello["node"] == "prosody@localhost" and hello["bans"].isdigit()


def test_a_portcullis_that_is_not_ready_is_greeted_again(server):
    p = Portcullis(server)
    ready, p._hello = p._hello, lambda _: "error"
    p.connect()
    eventually(lambda: "hello" in p.order)
    p._hello = ready
    eventually(lambda: p.hellos, 8)
    p.cut()


def test_the_line_cut_while_clients_wait_frees_them_at_once(make_server):
    server = make_server(options="\tportcullis_wait = 20\n")
    p = Portcullis(server).connect().settled()
    c = Client(server, "bob")
    p.decide = lambda *_: None
    import base64
    c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{base64.b64encode(bytes(1) + b'bob' + bytes(1) + b'pw-bob').decode()}</auth>")
    eventually(lambda: ("bob@localhost", "127.0.0.1", "PLAIN") in p.checks)
    p.cut()
    assert "<success" in c.until(c.REPLY, 2)


@pytest.mark.parametrize("nagle", [False, True])
def test_it_works_with_and_without_nagle(make_server, nagle):
    server = make_server(nagle=nagle)
    p = banning(Portcullis(server).connect().settled())
    guarded(server)
    p.cut()
    assert server.tracebacks() == []


def test_six_hundred_clients_with_a_silent_portcullis_are_all_answered(make_server):
    server = make_server(options="\tportcullis_ask_at_start = false\n")
    p = Portcullis(server).connect().settled()
    p.ban("account", "alice@localhost")
    p.silent = True
    import base64
    streams = [Client(server, "alice" if n % 2 else "nobody", open_it=True) for n in range(600)]
    began = time.time()
    for c in streams:
        c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{base64.b64encode(f'n,,n={c.user},r=abc'.encode()).decode()}</auth>")
    for c in streams:
        assert ("<account-disabled" if c.user == "alice" else "<not-authorized") in c.until(c.REPLY)
    assert time.time() - began < 5
    for c in streams:
        c.close()
    p.cut()
    assert server.tracebacks() == []


@pytest.mark.parametrize("options,complaint", [
    ('\tportcullis_component = "user@portcullis.localhost"\n', "set portcullis_component to the domain"),
    ('\tportcullis_component = ""\n', "set portcullis_component to the domain"),
    ('\tportcullis_fail = "perhaps"\n', "portcullis_fail"),
    ('\tportcullis_wait = "soon"\n', "portcullis_wait"),
    ('\tportcullis_component = "nothere.localhost"\n', 'there is no Component "nothere.localhost"'),
])
def test_a_wrong_setting_is_told_in_the_log(make_server, options, complaint):
    server = make_server(options=options)
    eventually(lambda: complaint in server.log())


def test_an_unknown_word_for_fail_is_the_careful_one(make_server):
    server = make_server(options='\tportcullis_fail = "perhaps"\n')
    assert refused(server, "bob") == "temporary-auth-failure"
