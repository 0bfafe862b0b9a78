"""Every kind of login is checked before its password, and the answer is obeyed."""

import hmac
import re
import threading
import time

import pytest

from lab import wait
from lab.accounts import password
from lab.clients.raw_client import RawClient
from lab.fake_component import NS, FakeComponentOnProsody
from lab.odd_logins import ODD_LOGINS
from lab.sasl import REPLY, SASL, b64, plain

COMPONENT, HOST = "portcullis.localhost", "localhost"


TEXT = "You are banned until tomorrow: spam"


def is_refused(reply, rest, condition="account-disabled", text=TEXT):
    assert "<failure" in reply and f"<{condition}" in reply and text in reply, reply
    assert "<policy-violation" in rest and text in rest and "</stream:stream>" in rest, rest


@pytest.mark.parametrize("sasl2", [False, True], ids=["sasl1", "sasl2"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_a_banned_account_is_refused_with_its_right_password(server, portcullis, mechanism, sasl2):
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c = RawClient(server, "alice", source="127.0.0.7")
    reply = c.auth(mechanism, sasl2)
    is_refused(reply, c.wait_closed())
    assert ("alice@localhost", "127.0.0.7", mechanism) in portcullis.questions
    wait.until(lambda: portcullis.logins)
    assert portcullis.outcomes() == ["refused"]


@pytest.mark.parametrize("by", ["address", "network", "pair", "guard"])
def test_other_bans_than_of_the_account_refuse_temporarily(server, portcullis, by):
    portcullis.decide = lambda account, address, m: portcullis.refuse(by) if account else "allow"
    c = RawClient(server)
    is_refused(c.auth("PLAIN"), c.wait_closed(), "temporary-auth-failure")


def test_the_question_comes_before_the_password_check(server, portcullis):
    """Wrong and right passwords get the same answer, and neither is reported as a failure."""
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    replies = set()
    for pw in ("pw-alice", "wrong"):
        c = RawClient(server, "alice", pw)
        replies.add(c.auth("PLAIN"))
    assert len(replies) == 1
    wait.until(lambda: len(portcullis.logins) == 2)
    assert portcullis.outcomes() == ["refused", "refused"]


def test_every_try_on_one_stream_is_asked(server, portcullis):
    c = RawClient(server, "alice", "wrong")
    for _ in range(5):
        assert "<not-authorized" in c.auth("PLAIN")
        assert "<not-authorized" in c.auth("SCRAM-SHA-1")
    assert len([x for x in portcullis.questions if x[0]]) >= 10
    portcullis.decide = lambda account, address, m: portcullis.refuse("address") if account else "allow"
    c.pw = "pw-alice"
    is_refused(c.auth("PLAIN"), c.wait_closed(), "temporary-auth-failure")


def test_a_wrong_password_first_does_not_lose_the_guard(server, portcullis):
    """clean_clone() gives an unguarded handler after a failure; the mechanism hides the name until its end."""
    c = RawClient(server, "alice", "wrong")
    assert "<not-authorized" in c.auth("SCRAM-SHA-1")
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c.pw = "pw-alice"
    is_refused(c.auth("SCRAM-SHA-1"), c.wait_closed())


def test_a_challenge_from_before_the_ban_cannot_be_used_after_it(server, portcullis):
    c = RawClient(server, "alice")
    answer = c.scram_first()
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    portcullis.ban("alice@localhost")
    is_refused(c.scram_final(answer), c.wait_closed())


def test_streams_opened_before_the_ban_are_asked_again(server, portcullis):
    streams = [RawClient(server, "alice") for _ in range(10)]
    portcullis.decide = lambda account, address, m: portcullis.refuse("address") if account else "allow"
    for c in streams:
        is_refused(c.auth("PLAIN"), c.wait_closed(), "temporary-auth-failure")


@pytest.mark.parametrize("sasl2", [False, True])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_the_deciding_question_says_hold_and_gets_an_outcome(server, portcullis, mechanism, sasl2):
    for user, pw in (("alice", None), ("alice", "wrong"), ("nosuch", "wrong")):
        RawClient(server, user, pw).auth(mechanism, sasl2=sasl2)
    held = [check["account"] for check in portcullis.checks if check.get("account") and "hold" in check]
    # The second message of SCRAM is not checked again if the first was checked a moment ago. The first decides if
    # there is no such account.
    assert held == (["alice@localhost"] * 2 if mechanism == "PLAIN" else []) + ["nosuch@localhost"]
    wait.until(lambda: len(portcullis.logins) == 3)
    assert [x["outcome"] for x in portcullis.logins] == ["success", "failure", "failure"]


def test_no_outcome_is_awaited_for_a_client_that_left_before_the_answer(server, portcullis):
    portcullis.late = {"check": 0.3}
    c = RawClient(server, "alice")
    c.send_first()
    c.close()
    wait.until(lambda: [x for x in portcullis.logins if x["outcome"] == "error" and x["condition"] == "aborted"])


def test_a_banned_address_gets_a_stream_error_at_the_start(server, portcullis):
    portcullis.decide = lambda account, address, m: portcullis.refuse("address") if address == "127.0.0.66" else "allow"
    c = RawClient(server, source="127.0.0.66")
    assert "<policy-violation" in c.features + c.wait_closed() and TEXT in c.features
    assert (None, "127.0.0.66", None) in portcullis.questions
    assert "<success" in RawClient(server, "bob").auth()


class FastClient:
    """A client of carol's with its own identifier."""

    def __init__(self, server, ident):
        self.server, self.agent = server, f"<user-agent id='{ident}'/>"

    def stream(self):
        return RawClient(self.server, "carol", sender="carol@localhost")

    def new_token(self):
        c = self.stream()
        want = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"
        reply = c.sasl2("PLAIN", f"\0carol\0{c.pw}", self.agent + want)
        return re.search(r"\btoken=['\"]([^'\"]+)", reply).group(1)

    def login(self, token, stream=None):
        message = b"carol\0" + hmac.digest(token.encode(), b"Initiator", "sha256")
        fast = self.agent + "<fast xmlns='urn:xmpp:fast:0'/>"
        return (stream or self.stream()).sasl2("HT-SHA-256-NONE", message, fast)


def test_fast_tokens_are_asked_about_as_well(server, portcullis):
    client = FastClient(server, "asked")
    token = client.new_token()
    assert "<success" in client.login(token)
    portcullis.decide = lambda account, address, m: portcullis.refuse() if m == "HT-SHA-256-NONE" else "allow"
    stream = client.stream()
    is_refused(client.login(token, stream), stream.wait_closed())
    assert ("carol@localhost", "127.0.0.1", "HT-SHA-256-NONE") in portcullis.questions


def test_a_kick_revokes_existing_fast_tokens_and_no_later_ones(server, portcullis):
    client, other, third = (FastClient(server, ident) for ident in ("one", "two", "three"))
    token, others, thirds = client.new_token(), other.new_token(), third.new_token()
    portcullis.kick(account="carol@localhost")
    assert "<credentials-expired" in client.login(token)
    assert "<not-authorized" in client.login(token), "it is gone from the store of mod_sasl2_fast"
    wait.until(lambda: "error" in portcullis.outcomes("carol@localhost"), what="a dead token is no guess")
    assert "failure" not in portcullis.outcomes("carol@localhost")
    new, newer = client.new_token(), other.new_token()
    assert "<success" in client.login(new) and "<success" in client.login(new)
    assert "<success" not in other.login(others) and "<success" in other.login(newer)
    server.restart()
    portcullis.close().connect().settled()
    assert "<success" not in third.login(thirds), "the mark outlives a restart"
    assert "<success" in client.login(new)
    portcullis.kick(account="carol@localhost")
    assert "<success" not in client.login(new) and "<success" not in other.login(newer)


def test_a_void_token_is_void_on_a_stream_that_does_not_name_its_client(make_server):
    server = make_server()
    portcullis = FakeComponentOnProsody(server).connect().settled()
    client = FastClient(server, "unnamed")
    token = client.new_token()
    portcullis.kick(account="carol@localhost")
    stream = client.stream()
    # mod_sasl2_fast reads the client's identifier, then mod_sasl2 fails: the stream never learns the identifier.
    stream.send(f"<authenticate xmlns='urn:xmpp:sasl:2'>{client.agent}<fast xmlns='urn:xmpp:fast:0'/></authenticate>")
    wait.until(lambda: server.errors(), what="the error of mod_sasl2")
    message = b"carol\0" + hmac.digest(token.encode(), b"Initiator", "sha256")
    assert "<credentials-expired" in stream.sasl2("HT-SHA-256-NONE", message)
    portcullis.close()


def token_for(portcullis, account):
    return portcullis.iq("get", f"<token xmlns='urn:portcullis:tests' account='{account}'/>")[0].text


@pytest.mark.parametrize("sasl2", [False, True], ids=["sasl1", "sasl2"])
def test_oauth_tokens_are_asked_about_by_their_owner(server, portcullis, sasl2):
    token = token_for(portcullis, "dave@localhost")

    def oauth(c):
        message = f"n,,\x01auth=Bearer {token}\x01\x01"
        if sasl2:
            return c.sasl2("OAUTHBEARER", message)
        c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='OAUTHBEARER'>{b64(message)}</auth>")
        return c.until(REPLY)

    assert "<success" in oauth(RawClient(server, "dave"))
    assert [x for x in portcullis.questions if x[2]] == [("dave@localhost", "127.0.0.1", "OAUTHBEARER")], (
        "asked once, by the name in the token"
    )
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account == "dave@localhost" else "allow"
    c = RawClient(server, "dave")
    is_refused(oauth(c), c.wait_closed())
    portcullis.decide = lambda *_: "allow"
    portcullis.kick(account="dave@localhost")
    assert "<success" not in oauth(RawClient(server, "dave")), "the token outlived the kick"


def external(c, sasl2, name):
    if sasl2:
        return c.sasl2("EXTERNAL", name)
    c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{b64(name)}</auth>")
    return c.until(REPLY)


@pytest.mark.parametrize("sasl2", [False, True], ids=["sasl1", "sasl2"])
def test_external_with_a_name_is_asked_before_and_without_one_after(server, portcullis, sasl2):
    assert "<success" in external(RawClient(server), sasl2, "carol@localhost")
    assert [x for x in portcullis.questions if x[2]] == [("carol@localhost", "127.0.0.1", "EXTERNAL")]
    del portcullis.checks[:]
    assert "<success" in external(RawClient(server), sasl2, "=")
    assert [x for x in portcullis.questions if x[2]] == [
        (None, "127.0.0.1", "EXTERNAL"),
        ("carol@localhost", "127.0.0.1", "EXTERNAL"),
    ]
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account == "carol@localhost" else "allow"
    for name in ("carol@localhost", "="):
        c = RawClient(server)
        is_refused(external(c, sasl2, name), c.wait_closed())
    wait.until(lambda: len(portcullis.logins) == 4)
    assert portcullis.outcomes("carol@localhost") == ["success", "success", "refused", "refused"]


def legacy(c, pw=None, kind="set"):
    return c.iq(
        "l",
        f"<iq type='{kind}' id='l'><query xmlns='jabber:iq:auth'>"
        f"<username>{c.user}</username><password>{pw or c.pw}</password><resource>old</resource></query></iq>",
    )


@pytest.mark.parametrize("kind", ["set", "get"])
def test_authentication_without_sasl_is_checked_and_reported(server, portcullis, kind):
    """mod_legacyauth logs in with a `get` as well."""
    c = RawClient(server, "bob")
    assert "not-authorized" in legacy(c, "wrong", kind)
    assert "result" in legacy(c, kind=kind)
    wait.until(lambda: len(portcullis.logins) == 2)
    assert portcullis.outcomes("bob@localhost") == ["failure", "success"]
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c = RawClient(server, "bob")
    reply = legacy(c, kind=kind)
    assert "not-authorized" in reply and TEXT in reply
    assert "<policy-violation" in c.wait_closed()


@pytest.mark.parametrize(
    "fields",
    [
        "<username>{0}<x xmlns='a'/></username><password>{1}</password>",
        "<username><x xmlns='a'/>{0}</username><password>{1}</password>",
        "<username>{0}</username><password>{1}<x xmlns='a'/></password>",
        "<username/><username>{0}</username><password>{1}</password>",
    ],
)
def test_a_name_without_sasl_that_is_no_text_logs_nobody_in(server, portcullis, fields):
    """No such login is looked at without a question, and none of them is a fault of the server."""
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c = RawClient(server, "bob")
    fields = fields.format(c.user, c.pw)
    reply = c.iq(
        "l", f"<iq type='set' id='l'><query xmlns='jabber:iq:auth'>{fields}<resource>old</resource></query></iq>"
    )
    assert "<bad-request" in reply or "not-authorized" in reply, reply
    assert portcullis.outcomes("bob@localhost") == []


def test_a_name_without_sasl_is_asked_about_as_the_server_reads_it(server, portcullis):
    """Nodeprep alone makes `καί` of it, SASLprep before that `κάι`."""
    typed, account = "κ\u1fb3\u0301", "καί@localhost"
    server.add_user("καί")
    assert "not-authorized" in legacy(RawClient(server, typed, "wrong"))
    assert "result" in legacy(RawClient(server, typed, password("καί")))
    wait.until(lambda: portcullis.outcomes(account) == ["failure", "success"])


@pytest.mark.parametrize("pw", ["pw-alice", "wrong"])
@pytest.mark.parametrize("extra", ["{}<x xmlns='a'/>", "<x xmlns='a'/>{}"], ids=["after", "before"])
def test_an_element_in_a_sasl_message_hides_no_name(server, portcullis, pw, extra):
    """mod_saslauth would look at the password: it reads the text in front of the element."""
    message = extra.format(plain("alice", pw))
    c = RawClient(server, "alice")
    c.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{message}</auth>")
    assert "<malformed-request" in c.until(REPLY)
    assert "<challenge" in c.scram_first()
    c.send(f"<response xmlns='{SASL}'>{message}</response>")
    assert "<malformed-request" in c.until(REPLY)
    assert "success" in c.auth("PLAIN"), "the stream is as good as before"
    wait.until(lambda: portcullis.outcomes("alice@localhost") == ["success"])


@pytest.mark.parametrize("odd", ODD_LOGINS)
def test_a_banned_account_does_not_come_in_by_a_login_that_no_client_writes(server, portcullis, odd):
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account == "alice@localhost" else "allow"
    c = RawClient(server, "alice", sender="alice@localhost" if "sasl2" in odd else None)
    c.send(ODD_LOGINS[odd](plain("alice", c.pw), plain("bob", "wrong")) + "</stream:stream>")
    c.wait_closed()
    assert "<success" not in c.text, c.text


def test_a_sasl_element_addressed_to_another_host_is_asked_all_the_same(server, portcullis):
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    c = RawClient(server, "alice")
    is_refused(c.plain(" to='second.localhost'"), c.wait_closed())
    portcullis.decide = lambda *_: "allow"
    c = RawClient(server, "alice", "wrong")
    assert "<not-authorized" in c.scram_final(c.scram_first(), to=" to='second.localhost'")
    wait.until(lambda: "failure" in portcullis.outcomes("alice@localhost"))


@pytest.mark.parametrize(("name", "account"), [("ALICE", "alice"), ("ali\u00adce", "alice"), ("\uff41lice", "alice")])
def test_names_are_asked_as_the_server_knows_them(server, portcullis, name, account):
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        RawClient(server, name, "wrong").auth(mechanism)
    assert {x for x in portcullis.questions if x[0]} == {
        (f"{account}@localhost", "127.0.0.1", m) for m in ("PLAIN", "SCRAM-SHA-1")
    }


def test_nonsense_in_place_of_a_login_is_answered_and_breaks_nothing(server, portcullis):
    for text in ("", "=", "AAAA", "!!!", "AGFsaWNl"):
        for mechanism in ("PLAIN", "SCRAM-SHA-1", "X-" + "A" * 200, "HT-SHA-256-NONE", "OAUTHBEARER"):
            c = RawClient(server)
            c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")
            assert "<failure" in c.until(REPLY), (text, mechanism)
            c.close()
    assert "<success" in RawClient(server, "alice").auth()
    assert "failure" not in portcullis.outcomes(), "nonsense is not a guess"


# Messages that the server answers without having looked at a password.
NO_GUESSES = {
    "a mechanism of tokens": f"<auth xmlns='{SASL}' mechanism='HT-SHA-256-NONE'>{b64('alice' + chr(0) + 'x')}</auth>",
    "a mechanism of nobody": f"<auth xmlns='{SASL}' mechanism='X-NONE'>{plain('alice', 'x')}</auth>",
    "no base64": f"<auth xmlns='{SASL}' mechanism='PLAIN'>!!!</auth>",
    "no message": f"<auth xmlns='{SASL}' mechanism='PLAIN'/>",
    "no mechanism": f"<auth xmlns='{SASL}'>{plain('alice', 'x')}</auth>",
    "a response to nothing": f"<response xmlns='{SASL}'>{plain('alice', 'x')}</response>",
}
# The same where the server requires encryption.
NOT_ENCRYPTED = {"PLAIN": f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain('alice', 'x')}</auth>"}


def no_place_is_left(server, portcullis, messages):
    for what, message in messages.items():
        del portcullis.checks[:], portcullis.logins[:]
        c = RawClient(server)
        c.send(message)
        assert "<failure" in c.until(REPLY), what
        portcullis.in_step()
        held = [check.get("account") for check in portcullis.checks if "hold" in check]
        assert [x.get("account") for x in portcullis.logins if x["outcome"] == "error"][: len(held)] == held, what
        assert "failure" not in portcullis.outcomes(), what


def test_no_place_at_the_password_is_held_for_what_is_no_guess(server, portcullis):
    no_place_is_left(server, portcullis, NO_GUESSES)


def test_no_place_at_the_password_is_held_where_encryption_is_required(make_server):
    server = make_server(options="\tc2s_require_encryption = true\n")
    with FakeComponentOnProsody(server).connect() as portcullis:
        portcullis.settled()
        no_place_is_left(server, portcullis, NOT_ENCRYPTED)


def test_a_client_that_leaves_while_waiting_breaks_nothing(server, portcullis):
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        for sasl2 in (False, True):
            portcullis.late = {"check": 0.2}
            c = RawClient(server)
            asked, answered = len(portcullis.checks), portcullis.answered.count("check")
            c.send_first(mechanism, sasl2)
            wait.until(lambda asked=asked: len(portcullis.checks) > asked, what="the question")
            c.close()
            wait.until(
                lambda answered=answered: portcullis.answered.count("check") > answered, what="the answer is sent"
            )
            portcullis.in_step()
    portcullis.late = {}
    assert "<success" in RawClient(server, "alice").auth()


@pytest.mark.timing
def test_one_slow_answer_holds_up_nobody_else(server, portcullis):
    portcullis.decide = lambda account, address, m: None if account == "alice@localhost" else "allow"
    slow = RawClient(server, "alice")
    done = []
    waiting = threading.Thread(target=lambda: done.append(slow.auth()))
    began = time.time()
    waiting.start()
    wait.until(lambda: "alice@localhost" in [account for account, *_ in portcullis.questions], what="alice's question")
    assert "<success" in RawClient(server, "bob").auth()
    assert time.time() - began < 0.4, "bob waited for alice's answer"
    waiting.join()
    assert "<temporary-auth-failure" in done[0] and 0.45 < time.time() - began < 2


def test_another_component_cannot_answer_for_portcullis(server, portcullis):
    portcullis.decide = lambda *_: None
    stranger = FakeComponentOnProsody(server, "stranger.localhost").connect()
    answer = stranger.iq("set", f"<kick xmlns='{NS}' account='alice@localhost'/>")
    assert answer.get("type") == "error"
    answer = stranger.iq("set", f"<news xmlns='{NS}' epoch='x' seq='9'/>")
    assert answer.get("type") == "error"
    stranger.close()
    for sender in (f"bot@{COMPONENT}", f"{COMPONENT}/x"):
        answer = portcullis.iq("set", f"<kick xmlns='{NS}' account='alice@localhost'/>", sender=sender)
        assert answer.get("type") == "error"
    portcullis.decide = lambda *_: "allow"
    user = RawClient(server, "alice").login()
    answer = user.iq(
        "k",
        f"<iq type='set' id='k' to='localhost' from='{COMPONENT}'><kick xmlns='{NS}' account='bob@localhost'/></iq>",
    )
    assert "service-unavailable" in answer


def test_a_binding_after_a_ban_is_refused(server, portcullis):
    """Authenticated but not yet bound: the last point where a login can be refused."""
    c = RawClient(server, "alice")
    assert "<success" in c.auth()
    portcullis.decide = lambda account, address, m: portcullis.refuse() if account else "allow"
    portcullis.ban("alice@localhost")
    c.open()
    answer = c.iq("b", "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    assert "forbidden" in answer and TEXT in answer
    assert "policy-violation" in c.wait_closed()
