"""Requests from portcullis to the module, which nobody else can make."""

import base64
import hashlib
import uuid

import pytest

from lab.fake_component import NS, FakeComponent, tag


def session(open_stream, pw, user, source="127.0.0.1", resource="r"):
    s = open_stream(source)
    assert s.plain(user, pw(user))[0] == "success"
    return s.bind(resource)


def alive(s):
    return "type='result'" in s.iq("get", "<query xmlns='jabber:iq:roster'/>")


def test_a_kick_by_account_ends_all_its_sessions_with_the_text(component, open_stream, pw):
    a, b, other = (
        session(open_stream, pw, "alice"),
        session(open_stream, pw, "alice", "127.0.0.5", "s"),
        session(open_stream, pw, "bob"),
    )
    assert component.kick("go & rest", account="alice@localhost") == 2
    for s in (a, b):
        assert s.result(s.rest(5)) == ("policy-violation", "go &amp; rest")
        assert s.closed
    assert alive(other)
    assert component.kick(account="alice@localhost") == 0


def test_a_kick_by_address_and_by_network(component, open_stream, pw):
    near, far, out = (
        session(open_stream, pw, u, a)
        for u, a in (("alice", "127.0.3.1"), ("bob", "127.0.3.2"), ("carol", "127.0.4.1"))
    )
    assert component.kick("one", address="127.0.3.1") == 1
    assert near.result(near.rest(5)) == ("policy-violation", "one")
    assert component.kick("all", network="127.0.3.0/24") == 1
    assert far.result(far.rest(5)) == ("policy-violation", "all")
    assert alive(out)


def test_a_kick_by_network_passes_over_a_session_without_an_address(ej, component, open_stream, pw):
    """A client of a Unix domain socket has none; ejabberd stores `{local, <<>>}`."""
    ej.erlang(
        "ejabberd_sm:open_session({erlang:timestamp(), spawn(timer, sleep, [infinity])}, "
        '<<"alice">>, <<"localhost">>, <<"unix">>, [{ip, {local, <<>>}}, {conn, c2s}])'
    )
    sid = 'ejabberd_sm:get_session_sid(<<"alice">>, <<"localhost">>, <<"unix">>)'
    try:
        bob = session(open_stream, pw, "bob", "127.0.3.2")
        assert component.kick("all", network="127.0.3.0/24") == 1
        assert bob.result(bob.rest(5)) == ("policy-violation", "all")
        assert ej.erlang(sid) != "none"
    finally:
        ej.erlang(f'ejabberd_sm:close_session({sid}, <<"alice">>, <<"localhost">>, <<"unix">>)')


def test_a_kick_ends_a_session_that_waits_to_be_resumed(component, open_stream, pw):
    s = session(open_stream, pw, "alice")
    s.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    assert "<enabled" in s.until("/>|</enabled>")
    s.s.close()
    component.wait(lambda: component.kick(account="alice@localhost") == 1)
    component.wait(lambda: component.kick(account="alice@localhost") == 0)


def test_a_kick_revokes_fast_tokens_if_the_server_can(ej, component, open_stream, pw):
    agent = str(uuid.uuid4())
    token = open_stream(frm="alice@localhost").fast_token("alice", pw("alice"), agent)
    component.kick(account="alice@localhost")
    outcome = open_stream(frm="alice@localhost").fast("alice", token, agent)[0]
    assert outcome == ("success" if ej.version == "24.12" else "not-authorized")
    component.ban("alice@localhost")
    assert open_stream(frm="alice@localhost").fast("alice", token, agent)[0] == "account-disabled"


@pytest.mark.parametrize(
    "wrong",
    ["", "account='@localhost'", "account='alice@localhost' address='127.0.0.1'", "address='x'", "network='::/129'"],
)
def test_a_kick_that_names_nobody_is_refused(component, wrong):
    answer = component.iq("set", f"<kick xmlns='{NS}' {wrong}/>")
    assert (
        answer.get("type") == "error" and answer.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}bad-request") is not None
    )


def test_the_native_hash_is_the_servers_own(ej, component):
    answer = component.iq("get", f"<hash xmlns='{NS}' account='Alice@localhost'/>").find(tag("hash"))
    own = base64.b64encode(
        b"\x83m\0\0\0\x20" + hashlib.sha256(b"alicelocalhost" + ej.cookie.encode()).digest()
    ).decode()
    assert answer.attrib == {"account": "alice@localhost", "value": own}
    ej.ctl("ban_account", user="dave", host="localhost", reason="x")
    try:
        value = component.iq("get", f"<hash xmlns='{NS}' account='dave@localhost'/>").find(tag("hash")).get("value")
        assert value in ej.record("dave")
    finally:
        ej.ctl("unban_account", user="dave", host="localhost")


def test_a_user_can_neither_read_nor_write_the_record(component, open_stream, pw):
    s = session(open_stream, pw, "bob")
    for kind in ("get", "set"):
        out = s.iq(kind, "<query xmlns='jabber:iq:private'><banned xmlns='jabber:ejabberd:banned'/></query>")
        assert "<forbidden" in out and "type='error'" in out
    out = s.iq("set", "<query xmlns='jabber:iq:private'><a xmlns='x:y'/><any xmlns='jabber:ejabberd:banned'/></query>")
    assert "<forbidden" in out
    assert "type='result'" in s.iq("set", "<query xmlns='jabber:iq:private'><notes xmlns='my:notes'>hi</notes></query>")
    assert ">hi</notes>" in s.iq("get", "<query xmlns='jabber:iq:private'><notes xmlns='my:notes'/></query>")


def test_the_component_still_writes_the_record(ej, component, open_stream, pw):
    payload = (
        "<query xmlns='jabber:iq:private'><banned xmlns='jabber:ejabberd:banned'><reason>r</reason></banned></query>"
    )
    inner = f"<iq xmlns='jabber:client' type='set' id='in1' from='bob@localhost' to='bob@LOCALHOST'>{payload}</iq>"
    answer = component.iq(
        "set", f"<privileged_iq xmlns='urn:xmpp:privilege:2'>{inner}</privileged_iq>", to="bob@localhost"
    )
    assert answer.get("type") == "result"
    assert "<reason>r</reason>" in ej.record("bob")


def test_the_guard_of_the_record_can_be_switched_off(ej, component, open_stream, pw):
    ej.set_options(guard_record="false")
    s = session(open_stream, pw, "bob")
    assert "<forbidden" not in s.iq(
        "get", "<query xmlns='jabber:iq:private'><banned xmlns='jabber:ejabberd:banned'/></query>"
    )


ORDERS = [
    ("set", f"<kick xmlns='{NS}' account='bob@localhost'/>"),
    ("get", f"<hash xmlns='{NS}' account='bob@localhost'/>"),
    ("set", f"<news xmlns='{NS}' epoch='x' seq='99'/>"),
]


@pytest.mark.parametrize(("kind", "order"), ORDERS, ids=["kick", "hash", "news"])
def test_only_portcullis_can_send_requests(ej, component, open_stream, pw, kind, order):
    bob = session(open_stream, pw, "bob")
    syncs = len(component.syncs)
    out = session(open_stream, pw, "alice").iq(kind, order, to="localhost/portcullis")
    assert "type='error'" in out and "item-not-found" in out and "<hash " not in out.split("<error")[1]
    with FakeComponent(ej, domain="stranger.localhost") as stranger:
        answer = stranger.iq(kind, order)
        assert answer.get("type") == "error"
    # another address of the component's own domain is not the component either
    component.send(
        f"<iq type='{kind}' id='o1' from='someone@{component.domain}' to='localhost/portcullis'>{order}</iq>"
    )
    assert alive(bob)
    assert len(component.syncs) == syncs
