"""Every kind of login is checked before its password, and refused as the protocol says."""

import collections
import uuid

import pytest

from lab.clients.stream import Stream
from lab.odd_logins import ODD_LOGINS
from lab.sasl import b64, plain

TEXT = "You are banned until 2030-01-01 12:00 UTC: spam & more"


def oauth_token(ej, user):
    answer = ej.ctl("oauth_issue_token", jid=f"{user}@localhost", ttl=3600, scopes=["sasl_auth"])
    if "token" not in answer:
        pytest.skip(f"no OAuth tokens here (Debian: install erlang-p1-oauth2): {answer}")
    return answer["token"]


TOKENS = {"X-OAUTH2", "FAST"}  # nobody guesses them
WAYS = ["PLAIN", "SCRAM-SHA-1", "X-OAUTH2", "SASL2 PLAIN", "SASL2 SCRAM-SHA-1", "FAST", "legacy"]


class Way:
    """One way to log in as `user`, prepared (tokens fetched) before anybody is banned."""

    def __init__(self, name, ej, open_stream, pw, user="alice", source="127.0.0.1"):
        self.name, self.open_stream, self.pw, self.user, self.source = name, open_stream, pw, user, source
        self.mechanism = {"FAST": "HT-SHA-256-NONE"}.get(name, name.removeprefix("SASL2 "))
        self.agent = str(uuid.uuid4())
        if name == "X-OAUTH2":
            self.token = oauth_token(ej, user)
        if name == "FAST":
            self.token = open_stream(frm=f"{user}@localhost").fast_token(user, pw(user), self.agent)

    def open(self):
        two = self.name.startswith("SASL2") or self.name == "FAST"
        self.stream = self.open_stream(self.source, frm=f"{self.user}@localhost" if two else None)
        return self

    def go(self, right=True):
        s, user, pw = self.stream, self.user, self.pw(self.user) if right else "wrong"
        if self.name == "PLAIN":
            return s.plain(user, pw)
        if self.name == "SCRAM-SHA-1":
            return s.scram(user, pw)
        if self.name == "X-OAUTH2":
            return s.plain(user, self.token if right else "wrong", mechanism="X-OAUTH2")
        if self.name == "SASL2 PLAIN":
            return s.sasl2("PLAIN", b64(f"\0{user}\0{pw}"))
        if self.name == "SASL2 SCRAM-SHA-1":
            return s.sasl2_scram(user, pw)
        if self.name == "FAST":
            return s.fast(user, self.token if right else "wrong", self.agent)
        return s.legacy(user, pw)


@pytest.fixture(params=WAYS)
def way(request, ej, component, open_stream, pw):
    return Way(request.param, ej, open_stream, pw)


def test_a_login_is_asked_about_and_its_success_reported(way, component):
    if way.name == "legacy":  # ejabberd itself knows no such login for an account whose password is stored as SCRAM
        assert way.open().go()[0] == "not-authorized"
    else:
        assert way.open().go()[0] == "success"
        component.reported(account="alice@localhost", address="127.0.0.1", mechanism=way.mechanism, outcome="success")
    asked = [c for c in component.checks if c.get("account")]
    assert asked and all(
        c["account"] == "alice@localhost" and c["address"] == "127.0.0.1" and c["mechanism"] == way.mechanism
        for c in asked
        if c["mechanism"] == way.mechanism
    )
    assert any("account" not in c and c["address"] == "127.0.0.1" for c in component.checks), (
        "nothing was asked at the start"
    )


def test_a_wrong_secret_is_reported_as_a_failure(way, component):
    assert way.open().go(right=False)[0] == "not-authorized"
    outcome = "error" if way.name in TOKENS else "failure"
    login = component.reported(account="alice@localhost", mechanism=way.mechanism, outcome=outcome)
    assert login["condition"] == "not-authorized" and login["address"] == "127.0.0.1" and "unknown" not in login
    assert login["at"].endswith("Z") and login["node"].endswith("@localhost")


def test_the_deciding_question_says_hold_and_gets_an_outcome(way, component, open_stream, pw):
    way.open().go()
    way.open().go(right=False)
    if way.name in ("PLAIN", "SCRAM-SHA-1"):
        Way(way.name, None, open_stream, pw, user="nosuch").open().go(right=False)
    if way.name == "PLAIN":  # two names
        open_stream().plain("bob", pw("bob"), authzid="alice@localhost")

    def held():
        return collections.Counter(c["account"] for c in component.checks if c.get("hold") == "250")

    tokens = {"X-OAUTH2", "HT-SHA-256-NONE"}

    def came():
        decided = [x for x in component.logins if x["outcome"] != "refused" and x["mechanism"] not in tokens]
        return collections.Counter(x["account"] for x in decided)

    component.wait(lambda: came() == held())
    named = [c for c in component.checks if c.get("account")]
    assert len(named) >= 2 and all(("hold" in c) == (c["mechanism"] not in tokens) for c in named)


@pytest.mark.parametrize("how", ["no resource", "no legacy module", "no from", "from before SASL"])
def test_what_the_server_never_checks_is_not_asked_about(how, component, open_stream, ej):
    """Otherwise a stranger could hold up the owner of an account, and no failure would ever be counted."""
    if how == "no legacy module":
        ej.erlang('gen_mod:stop_module(<<"localhost">>, mod_legacy_auth)')
    try:
        for _ in range(3):
            if how == "no resource":
                assert open_stream().legacy("alice", "x", resource="")[0] == "not-acceptable"
            elif how == "no legacy module":
                open_stream(within=1).legacy("alice", "x")
            elif how == "no from":
                assert open_stream().sasl2("PLAIN", b64("\0alice\0x"))[0] == "not-authorized"
            else:
                s = open_stream(frm="alice@localhost")
                s.auth("X-NO-SUCH", b64("x"))
                assert s.sasl2("PLAIN", b64("\0alice\0x"))[0] == "not-authorized"
    finally:
        if how == "no legacy module":
            ej.erlang('gen_mod:start_module(<<"localhost">>, mod_legacy_auth)')
    assert not [c for c in component.checks if c.get("account") or "hold" in c]


def test_a_mechanism_that_the_server_lacks_does_not_hold(component, open_stream):
    assert open_stream().auth("SCRAM-SHA-512-PLUS", b64("p=x,,n=nosuch,r=x"))[0] == "invalid-mechanism"
    assert open_stream().auth("X-NO-SUCH", b64("x"))[0] == "invalid-mechanism"
    assert not [c for c in component.checks if "hold" in c]


def test_the_allowed_one_of_two_names_gets_an_outcome_when_the_other_is_refused(component, open_stream, pw):
    component.ban("bob@localhost")
    assert open_stream().plain("bob", pw("bob"), authzid="alice@localhost")[0] == "account-disabled"
    component.reported(account="bob@localhost", outcome="refused")
    component.reported(account="alice@localhost", outcome="error")


def test_names_of_anonymous_logins_are_not_remembered(ej):
    known = 'timer:sleep(100), ets:member(mod_portcullis_known_localhost, <<"~s@localhost">>)'
    for mechanism, module, name in (
        ("ANONYMOUS", "undefined", "made-up1"),
        ("PLAIN", "ejabberd_auth_anonymous", "made-up2"),
        ("PLAIN", "ejabberd_auth_mnesia", "made-up3"),
    ):
        state = (
            f'#{{lserver => <<"localhost">>, ip => {{{{127,0,0,1}},1}}, sasl_mech => <<"{mechanism}">>,'
            f' auth_module => {module}, portcullis_names => [<<"{name}">>]}}'
        )
        call = f'mod_portcullis_login:c2s_auth_result({state}, true, <<"{name}">>), '
        assert ej.erlang(call + known.replace("~s", name)) == str(name == "made-up3").lower()


def test_a_banned_account_is_refused_before_its_password_is_looked_at(way, component):
    component.ban("alice@localhost", text=TEXT)
    for right in (True, False):
        condition, text = way.open().go(right)
        assert text.replace("&amp;", "&") == TEXT
        assert condition == ("policy-violation" if way.name == "legacy" else "account-disabled")
        way.stream.rest()
        rest = way.stream.text
        assert "<policy-violation" in rest and "</stream:stream>" in rest, rest
        assert "<success" not in rest and "type='result'" not in rest and "not-authorized" not in rest
    login = component.reported(account="alice@localhost", outcome="refused", mechanism=way.mechanism)
    assert login["reason"] == TEXT
    assert not [x for x in component.logins if x["outcome"] == "failure" and x["mechanism"] == way.mechanism]


@pytest.mark.parametrize("odd", ODD_LOGINS)
def test_a_banned_account_does_not_come_in_by_a_login_that_no_client_writes(component, open_stream, pw, odd):
    component.ban("alice@localhost", text=TEXT)
    s = open_stream(frm="alice@localhost" if "sasl2" in odd else None)
    s.send(ODD_LOGINS[odd](plain("alice", pw("alice")), plain("bob", "wrong")) + "</stream:stream>")
    s.rest()
    assert "<success" not in s.text, s.text


def test_a_banned_address_is_refused_at_the_start_with_the_text(component, open_stream, ej, pw):
    component.ban("127.0.0.77", kind="address", text=TEXT)
    s = open_stream("127.0.0.77")
    assert s.result(s.features + s.rest()) == ("policy-violation", TEXT.replace("&", "&amp;"))
    assert "mechanism" not in s.text and "</stream:stream>" in s.text
    assert open_stream("127.0.0.78").plain("alice", pw("alice"))[0] == "success"
    assert "account" not in component.reported(address="127.0.0.77", outcome="refused")


def test_a_stream_opened_before_the_ban_is_refused_at_the_check(way, component, open_stream, ej, pw):
    way.source = "127.0.0.70"
    way.open()
    component.ban("127.0.0.64/27", kind="network", text=TEXT)
    condition, text = way.go()
    assert text.replace("&amp;", "&") == TEXT
    assert condition == ("policy-violation" if way.name == "legacy" else "temporary-auth-failure")
    way.stream.rest()
    assert "<policy-violation" in way.stream.text and "</stream:stream>" in way.stream.text


def test_a_pair_is_refused_there_and_nowhere_else(component, open_stream, pw):
    component.ban("alice@localhost", kind="pair", address="127.0.0.71")
    assert open_stream("127.0.0.71").plain("alice", pw("alice"))[0] == "temporary-auth-failure"
    assert open_stream("127.0.0.71").plain("bob", pw("bob"))[0] == "success"
    assert open_stream("127.0.0.72").scram("alice", pw("alice"))[0] == "success"


def test_a_scram_exchange_begun_before_the_ban_cannot_be_finished(component, open_stream, pw):
    s = open_stream()
    assert s.scram_first("alice")[0] == "challenge"
    component.ban("alice@localhost")
    assert s.scram_last(pw("alice"))[0] == "account-disabled"
    s.rest()
    assert "<policy-violation" in s.text and "<success" not in s.text


def test_every_try_on_one_stream_is_asked(component, open_stream, pw):
    s = open_stream()
    for n in range(4):
        assert s.plain("alice", f"wrong{n}")[0] == "not-authorized"
    assert len([c for c in component.checks if c.get("account")]) == 4
    component.ban("alice@localhost")
    assert s.plain("alice", pw("alice"))[0] == "account-disabled"
    s.rest()
    assert s.closed


def test_no_spelling_of_a_name_bypasses_the_check(component, open_stream, pw):
    component.ban("alice@localhost")
    for name in ("ALICE", "Alice", "alice@localhost", "alice@elsewhere"):
        assert open_stream().plain(name, pw("alice"))[0] == "account-disabled", name
    assert open_stream().scram("aLiCe", pw("alice"))[0] == "account-disabled"
    # ejabberd accepts any letter for the name attribute, and an `n=` after it is an extension. It aborts at the
    # first message, where only a ban that the module holds already is refused in our words.
    component.wait_held()
    assert open_stream().scram("alice", pw("alice"), letter="x")[0] == "account-disabled"
    assert open_stream().scram("alice", pw("alice"), letter="x", extension=",n=bob")[0] == "account-disabled"


def test_two_names_are_both_asked_about(component, open_stream, pw):
    component.ban("alice@localhost")
    assert open_stream().plain("bob", pw("bob"), authzid="alice@localhost")[0] == "account-disabled"
    assert open_stream().plain("alice", pw("alice"), authzid="bob@localhost")[0] == "account-disabled"


def test_escaped_names_are_read_as_the_server_reads_them(component, open_stream):
    component.ban("a,b=c@localhost")
    assert open_stream().scram_first("a,b=c")[0] == "account-disabled"
    assert open_stream().plain("a,b=c", "x")[0] == "account-disabled"
    assert any(c.get("account") == "a,b=c@localhost" for c in component.checks)


def test_unknown_accounts_are_reported_as_unknown(component, open_stream):
    assert open_stream().plain("nosuch", "x")[0] == "not-authorized"
    assert component.reported(account="nosuch@localhost", mechanism="PLAIN", outcome="failure")["unknown"] == "true"
    assert open_stream().scram_first("nosuch2")[0] == "not-authorized"
    assert (
        component.reported(account="nosuch2@localhost", mechanism="SCRAM-SHA-1", outcome="failure")["unknown"] == "true"
    )


@pytest.mark.parametrize(
    "mechanism", ["A" * 2_000, "PL&amp;AIN", "", "ÄÖ"], ids=["long", "escaped", "empty", "umlauts"]
)
def test_a_mechanism_that_a_client_makes_up_is_named_other(component, open_stream, mechanism):
    assert open_stream().plain("bob", "x", mechanism=mechanism)[0] == "invalid-mechanism"
    component.reported(outcome="error", mechanism="other", condition="invalid-mechanism")
    assert {c.get("mechanism") for c in component.checks} == {None, "other"}


def test_errors_that_are_no_guesses_are_not_reported_as_failures(component, open_stream, ej):
    s = open_stream()
    assert s.scram_first("bob")[0] == "challenge"
    s.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
    assert s.outcome()[0] == "aborted"
    assert component.reported(mechanism="SCRAM-SHA-1", outcome="error")["condition"] == "aborted"
    assert s.auth("X-NO-SUCH", b64("x"))[0] == "invalid-mechanism"
    assert component.reported(mechanism="X-NO-SUCH", outcome="error")["condition"] == "invalid-mechanism"
    assert open_stream().auth("PLAIN", "")[0] == "not-authorized"
    assert component.reported(mechanism="PLAIN", outcome="error")["reason"] == "Response decoding failed"
    ej.ctl("ban_account", user="dave", host="localhost", reason="by hand")
    try:
        assert open_stream().plain("dave", "x")[0] == "account-disabled"
        login = component.reported(account="dave@localhost", outcome="error")
        assert login["reason"].startswith("Account is banned: ") and login["condition"] == "account-disabled"
    finally:
        ej.ctl("unban_account", user="dave", host="localhost")


def test_an_ipv4_address_behind_an_ipv6_socket_is_ipv4(ej):
    assert (
        ej.erlang(
            "{mod_portcullis_net:fold({0,0,0,0,0,65535,16#cb00,16#7107}),"
            'mod_portcullis_net:parse(<<"::ffff:203.0.113.7">>)}'
        )
        == "{{203,0,113,7},{<<203,0,113,7>>,32}}"
    )


@pytest.mark.parametrize("authzid", ["alice@localhost", ""], ids=["named", "by the certificate alone"])
def test_a_login_by_certificate_is_asked_about(ej, component, authzid):
    certificate = ej.client_certificate("alice")
    initial = b64(authzid) if authzid else "="
    with Stream(ej.tls, certificate=certificate) as s:
        assert "EXTERNAL" in s.features, s.features
        assert s.auth("EXTERNAL", initial)[0] == "success", s.text
    component.reported(account="alice@localhost", mechanism="EXTERNAL", outcome="success")
    assert any(c.get("account") == "alice@localhost" and c["mechanism"] == "EXTERNAL" for c in component.checks)
    component.ban("alice@localhost", text=TEXT)
    with Stream(ej.tls, certificate=certificate) as s:
        assert s.auth("EXTERNAL", initial)[0] == "account-disabled"
        s.rest()
        assert "<policy-violation" in s.text and "<success" not in s.text
    component.reported(account="alice@localhost", mechanism="EXTERNAL", outcome="refused")
