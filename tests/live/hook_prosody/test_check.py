"""(2) Every way in is asked before the password is looked at, and the answer is obeyed."""
import base64
import hashlib
import hmac
import re
import threading
import time

import pytest

from .ground import COMPONENT, HOST, NS, Client, Portcullis, eventually

TEXT = "You are banned until tomorrow: spam"


def is_refused(reply, rest, condition="account-disabled", text=TEXT):
    assert "<failure" in reply and f"<{condition}" in reply and text in reply, reply
    assert "<policy-violation" in rest and text in rest and "</stream:stream>" in rest, rest


@pytest.mark.parametrize("sasl2", [False, True], ids=["sasl1", "sasl2"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_a_banned_account_is_refused_with_its_right_password(server, portcullis, mechanism, sasl2):
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c = Client(server, "alice", address="127.0.0.7")
    reply = c.auth(mechanism, sasl2)
    is_refused(reply, c.rest())
    assert ("alice@localhost", "127.0.0.7", mechanism) in portcullis.checks
    eventually(lambda: portcullis.logins)
    assert portcullis.outcomes() == ["refused"]


@pytest.mark.parametrize("by", ["address", "network", "pair", "guard"])
def test_what_is_not_the_account_is_refused_for_the_time_being(server, portcullis, by):
    portcullis.decide = lambda account, address, m: portcullis.refuse(by) if account else "allow"
    c = Client(server)
    is_refused(c.auth("PLAIN"), c.rest(), "temporary-auth-failure")


def test_the_question_comes_before_the_password_check(server, portcullis):
    """A refused try costs no PBKDF2: the wrong and the right password get the same answer, and nothing is reported as wrong."""
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    replies = set()
    for pw in ("pw-alice", "wrong"):
        c = Client(server, "alice", pw)
        replies.add(c.auth("PLAIN"))
    assert len(replies) == 1
    eventually(lambda: len(portcullis.logins) == 2)
    assert portcullis.outcomes() == ["refused", "refused"]


def test_every_try_on_one_stream_is_asked(server, portcullis):
    c = Client(server, "alice", "wrong")
    for _ in range(5):
        assert "<not-authorized" in c.auth("PLAIN")
        assert "<not-authorized" in c.auth("SCRAM-SHA-1")
    assert len([x for x in portcullis.checks if x[0]]) >= 10
    portcullis.decide = lambda account, address, m: portcullis.refuse("address") if account else "allow"
    c.pw = "pw-alice"
    is_refused(c.auth("PLAIN"), c.rest(), "temporary-auth-failure")


def test_a_wrong_password_first_does_not_lose_the_guard(server, portcullis):
    """clean_clone() gives an unguarded handler after a failure; the mechanism hides the name until the end."""
    c = Client(server, "alice", "wrong")
    assert "<not-authorized" in c.auth("SCRAM-SHA-1")
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c.pw = "pw-alice"
    is_refused(c.auth("SCRAM-SHA-1"), c.rest())


def test_a_challenge_fetched_before_the_ban_is_of_no_use_after_it(server, portcullis):
    c = Client(server, "alice")
    answer = c.scram_first()
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    portcullis.ban("account", "alice@localhost")
    is_refused(c.scram_final(answer), c.rest())


def test_streams_opened_before_the_ban_are_asked_again(server, portcullis):
    streams = [Client(server, "alice") for _ in range(10)]
    portcullis.decide = lambda account, address, m: portcullis.refuse("address") if account else "allow"
    for c in streams:
        is_refused(c.auth("PLAIN"), c.rest(), "temporary-auth-failure")


@pytest.mark.parametrize("sasl2", [False, True])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_what_decides_says_how_long_it_may_be_held_and_gets_an_outcome(server, portcullis, mechanism, sasl2):
    for user, pw in (("alice", None), ("alice", "wrong"), ("nosuch", "wrong")):
        Client(server, user, pw).auth(mechanism, sasl2=sasl2)
    held = [account for account, _, how in portcullis.checks if account and portcullis.holds.pop(0) is not None]
    # The second message of SCRAM is not asked about where the first was a moment ago; the first decides if there is nobody.
    assert held == (["alice@localhost"] * 2 if mechanism == "PLAIN" else []) + ["nosuch@localhost"]
    eventually(lambda: len(portcullis.logins) == 3)
    assert [x["outcome"] for x in portcullis.logins] == ["success", "failure", "failure"]


def test_who_leaves_before_the_answer_is_waited_for_by_nobody(server, portcullis):
    portcullis.delay = 0.3
    c = Client(server, "alice")
    text = base64.b64encode(b"\0alice\0" + c.pw.encode()).decode()
    c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{text}</auth>")
    c.close()
    eventually(lambda: [x for x in portcullis.logins if x["outcome"] == "error" and x["condition"] == "aborted"])


def test_a_banned_address_gets_a_stream_error_at_the_start(server, portcullis):
    portcullis.decide = lambda account, address, m: portcullis.refuse("address") if address == "127.0.0.66" else "allow"
    c = Client(server, address="127.0.0.66")
    assert "<policy-violation" in c.features + c.rest() and TEXT in c.features
    assert (None, "127.0.0.66", None) in portcullis.checks
    assert "<success" in Client(server, "bob").auth()


def test_fast_tokens_are_asked_about_as_well(server, portcullis):
    def stream():
        return Client(server, "carol", sender="carol@localhost")

    agent = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>"
    want = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"
    reply = stream().sasl2("PLAIN", "\0carol\0pw-carol", agent + want)
    token = re.search(r"\btoken=['\"]([^'\"]+)", reply).group(1)

    def fast(c):
        proof = hmac.digest(token.encode(), b"Initiator", "sha256")
        return c.sasl2("HT-SHA-256-NONE", b"carol\0" + proof, agent + "<fast xmlns='urn:xmpp:fast:0'/>")
    assert "<success" in fast(stream())
    portcullis.decide = lambda account, address, m: portcullis.refuse() if m == "HT-SHA-256-NONE" else "allow"
    c = stream()
    is_refused(fast(c), c.rest())
    assert ("carol@localhost", "127.0.0.1", "HT-SHA-256-NONE") in portcullis.checks
    portcullis.decide = lambda *_: "allow"
    portcullis.kick(account="carol@localhost")
    assert "<not-authorized" in fast(stream()), "the token outlived the kick"
    eventually(lambda: "error" in portcullis.outcomes("carol@localhost"), why="a dead token is no guess")
    assert "failure" not in portcullis.outcomes("carol@localhost")


def token_for(portcullis, account):
    return portcullis.ask(HOST, f"<token xmlns='urn:portcullis:tests' account='{account}'/>", kind="get")[0].text


@pytest.mark.parametrize("sasl2", [False, True], ids=["sasl1", "sasl2"])
def test_oauth_tokens_are_asked_about_by_their_owner(server, portcullis, sasl2):
    token = token_for(portcullis, "dave@localhost")

    def oauth(c):
        message = f"n,,\x01auth=Bearer {token}\x01\x01"
        if sasl2:
            return c.sasl2("OAUTHBEARER", message)
        c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='OAUTHBEARER'>{base64.b64encode(message.encode()).decode()}</auth>")
        return c.until(c.REPLY)
    assert "<success" in oauth(Client(server, "dave"))
    assert [x for x in portcullis.checks if x[2]] == [("dave@localhost", "127.0.0.1", "OAUTHBEARER")], "asked once, by the name in the token"
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account == "dave@localhost" else "allow"
    c = Client(server, "dave")
    is_refused(oauth(c), c.rest())
    portcullis.decide = lambda *_: "allow"
    portcullis.kick(account="dave@localhost")
    assert "<success" not in oauth(Client(server, "dave")), "the token outlived the kick"


def external(c, sasl2, name):
    if sasl2:
        return c.sasl2("EXTERNAL", name)
    c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{base64.b64encode(name.encode()).decode()}</auth>")
    return c.until(c.REPLY)


@pytest.mark.parametrize("sasl2", [False, True], ids=["sasl1", "sasl2"])
def test_external_with_a_name_is_asked_before_and_without_one_after(server, portcullis, sasl2):
    assert "<success" in external(Client(server), sasl2, "carol@localhost")
    assert [x for x in portcullis.checks if x[2]] == [("carol@localhost", "127.0.0.1", "EXTERNAL")]
    del portcullis.checks[:]
    assert "<success" in external(Client(server), sasl2, "=")
    assert [x for x in portcullis.checks if x[2]] == [(None, "127.0.0.1", "EXTERNAL"), ("carol@localhost", "127.0.0.1", "EXTERNAL")]
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account == "carol@localhost" else "allow"
    for name in ("carol@localhost", "="):
        c = Client(server)
        is_refused(external(c, sasl2, name), c.rest())
    eventually(lambda: len(portcullis.logins) == 4)
    assert portcullis.outcomes("carol@localhost") == ["success", "success", "refused", "refused"]


def legacy(c, pw=None):
    return c.iq("l", "<iq type='set' id='l'><query xmlns='jabber:iq:auth'>"
                     f"<username>{c.user}</username><password>{pw or c.pw}</password><resource>old</resource></query></iq>")


def test_the_authentication_of_before_sasl_is_asked_and_reported(server, portcullis):
    c = Client(server, "bob")
    assert "not-authorized" in legacy(c, "wrong")
    assert "result" in legacy(c)
    eventually(lambda: len(portcullis.logins) == 2)
    assert portcullis.outcomes("bob@localhost") == ["failure", "success"]
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c = Client(server, "bob")
    reply = legacy(c)
    assert "not-authorized" in reply and TEXT in reply
    assert "<policy-violation" in c.rest()


def test_a_sasl_element_addressed_to_another_host_is_asked_all_the_same(server, portcullis):
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c = Client(server, "alice")
    is_refused(c.plain(" to='second.localhost'"), c.rest())
    portcullis.decide = lambda *_: "allow"
    c = Client(server, "alice", "wrong")
    assert "<not-authorized" in c.scram_final(c.scram_first(), to=" to='second.localhost'")
    eventually(lambda: "failure" in portcullis.outcomes("alice@localhost"))


@pytest.mark.parametrize("name,account", [("ALICE", "alice"), ("ali\u00adce", "alice"), ("\uff41lice", "alice")])
def test_names_are_asked_as_the_server_knows_them(server, portcullis, name, account):
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        Client(server, name, "wrong").auth(mechanism)
    assert {x for x in portcullis.checks if x[0]} == {(f"{account}@localhost", "127.0.0.1", m) for m in ("PLAIN", "SCRAM-SHA-1")}


def test_nonsense_in_place_of_a_login_is_answered_and_breaks_nothing(server, portcullis):
    for text in ("", "=", "AAAA", "!!!", "AGFsaWNl"):
        for mechanism in ("PLAIN", "SCRAM-SHA-1", "X-" + "A" * 200, "HT-SHA-256-NONE", "OAUTHBEARER"):
            c = Client(server)
            c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")
            assert "<failure" in c.until(c.REPLY), (text, mechanism)
            c.close()
    assert "<success" in Client(server, "alice").auth()
    assert "failure" not in portcullis.outcomes(), "nonsense is not a guess"


def test_a_client_that_leaves_while_waiting_breaks_nothing(server, portcullis):
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        for sasl2 in (False, True):
            portcullis.delay = 0.2
            c = Client(server)
            text = base64.b64encode(b"\0alice\0pw-alice" if mechanism == "PLAIN" else b"n,,n=alice,r=abcdefgh").decode()
            if sasl2:
                c.send(f"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{text}</initial-response></authenticate>")
            else:
                c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")
            time.sleep(0.05)
            c.close()
            time.sleep(0.3)
    portcullis.delay = 0
    assert "<success" in Client(server, "alice").auth()


def test_one_slow_answer_holds_up_nobody_else(server, portcullis):
    portcullis.decide = lambda account, address, m: None if account == "alice@localhost" else "allow"
    slow = Client(server, "alice")
    done = []
    waiting = threading.Thread(target=lambda: done.append(slow.auth()))
    began = time.time()
    waiting.start()
    time.sleep(0.05)
    assert "<success" in Client(server, "bob").auth()
    assert time.time() - began < 0.4, "bob waited for alice's answer"
    waiting.join()
    assert "<success" in done[0] and 0.45 < time.time() - began < 2


def test_another_component_cannot_answer_for_portcullis(server, portcullis):
    portcullis.decide = lambda *_: None
    stranger = Portcullis(server, "stranger.localhost").connect()
    answer = stranger.ask(HOST, f"<kick xmlns='{NS}' account='alice@localhost'/>")
    assert answer.get("type") == "error"
    answer = stranger.ask(HOST, f"<news xmlns='{NS}' epoch='x' seq='9'/>")
    assert answer.get("type") == "error"
    stranger.cut()
    for sender in (f"bot@{COMPONENT}", f"{COMPONENT}/x"):
        answer = portcullis.ask(HOST, f"<kick xmlns='{NS}' account='alice@localhost'/>", sender=sender)
        assert answer.get("type") == "error"
    user = Client(server, "alice").login()
    answer = user.iq("k", f"<iq type='set' id='k' to='localhost' from='{COMPONENT}'><kick xmlns='{NS}' account='bob@localhost'/></iq>")
    assert "service-unavailable" in answer


def test_a_binding_after_a_ban_is_refused(server, portcullis):
    """Logged in, not yet bound: the last door."""
    c = Client(server, "alice")
    assert "<success" in c.auth()
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    portcullis.ban("account", "alice@localhost")
    c.open()
    answer = c.iq("b", "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    assert "forbidden" in answer and TEXT in answer
    assert "policy-violation" in c.rest()
