"""Kicks, and the protection of the ban record."""

import re
import shutil

import pytest

from lab import wait
from lab.clients.raw_client import RawClient
from lab.fake_component import NS, FakeComponentOnProsody

HOST = "localhost"


RECORD = "<banned xmlns='jabber:ejabberd:banned'><reason>{}</reason></banned>"
PRIVATE = "<query xmlns='jabber:iq:private'>{}</query>"


def test_a_kick_by_account_ends_all_its_streams_with_the_reason(server, portcullis):
    first, second = RawClient(server, "alice").login(resource="a"), RawClient(server, "alice").login(resource="b")
    unbound = RawClient(server, "alice")
    unbound.auth()
    other = RawClient(server, "bob").login()
    assert portcullis.kick(account="alice@localhost", text="You are banned: bye") == 3
    for c in (first, second, unbound):
        rest = c.wait_closed()
        assert "<policy-violation" in rest and "You are banned: bye" in rest and "</stream:stream>" in rest
    assert other.is_open()
    assert portcullis.kick(account="alice@localhost") == 0


@pytest.mark.parametrize(
    ("whom", "count"),
    [
        ({"address": "127.0.0.21"}, 2),
        ({"network": "127.0.0.20/31"}, 3),
        ({"network": "127.0.0.0/8"}, 4),
        ({"address": "::ffff:127.0.0.21"}, 2),
        ({"network": "2001:db8::/32"}, 0),
    ],
)
def test_a_kick_by_address_or_network_ends_all_sessions_from_there(server, portcullis, whom, count):
    streams = [
        RawClient(server, "alice", source="127.0.0.20").login(),
        RawClient(server, "bob", source="127.0.0.21").login(),
        RawClient(server, "carol", source="127.0.0.21"),
        RawClient(server, "dave", source="127.0.0.22").login(),
    ]
    assert portcullis.kick(**whom) == count
    wait.until(lambda: sum(not c.is_open() for c in streams) == count)
    for c in streams:
        c.close()
    wait.until(lambda: portcullis.kick(network="127.0.0.0/8") == 0)


def test_a_kick_that_names_nobody_is_an_error(server, portcullis):
    user = RawClient(server, "alice").login()
    for attributes in (
        "",
        "account='alice@elsewhere.example'",
        "address='127.0.0'",
        "network='127.0.0.1/33'",
        "account='@'",
    ):
        answer = portcullis.iq("set", f"<kick xmlns='{NS}' {attributes}/>")
        assert answer.get("type") == "error" and answer.find(".//{*}bad-request") is not None, attributes
    assert user.is_open()


def test_a_sleeping_stream_is_kicked_and_cannot_be_resumed(server, portcullis):
    c = RawClient(server, "alice").login()
    c.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    ident = re.search(r"\bid=['\"]([^'\"]+)", c.until(r"<enabled[^>]*>")).group(1)
    gone = server.log().count("Client disconnected")
    c.close()  # without </stream:stream> it hibernates now
    wait.until(lambda: server.log().count("Client disconnected") > gone, what="the server notices")
    assert portcullis.kick(account="alice@localhost") == 1
    again = RawClient(server, "alice")
    assert "<success" in again.auth()
    again.open()
    again.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{ident}' h='0'/>")
    assert "<failed" in again.until(r"<(failed|resumed)\b.*?>")


def test_resuming_is_asked_about_like_any_login(server, portcullis):
    c = RawClient(server, "alice").login()
    c.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    c.until(r"<enabled[^>]*>")
    c.close()
    portcullis.decide = lambda account, *_: portcullis.refuse() if account else "allow"
    assert "<account-disabled" in RawClient(server, "alice").auth(sasl2=True)


def test_news_may_come_to_the_resource_of_the_hook_as_well(server, portcullis):
    answer = portcullis.iq("set", f"<news xmlns='{NS}' epoch='{portcullis.epoch}' seq='0'/>", to=f"{HOST}/portcullis")
    assert answer.get("type") == "result"


# -- the record


def private(c, kind, child, to=""):
    return c.iq("p", f"<iq type='{kind}' id='p'{to}>{PRIVATE.format(child)}</iq>")


def privileged(p, kind, child):
    inner = f"<iq xmlns='jabber:client' type='{kind}' id='inner'>{PRIVATE.format(child)}</iq>"
    answer = p.iq(kind, f"<privileged_iq xmlns='urn:xmpp:privilege:2'>{inner}</privileged_iq>", to="alice@localhost")
    return answer.find(".//{jabber:client}iq")


def test_a_user_can_neither_read_nor_write_the_record_and_portcullis_can(server, portcullis):
    assert privileged(portcullis, "set", RECORD.format("spam")).get("type") == "result"
    c = RawClient(server, "alice").login()
    for to in ("", " to='alice@localhost'"):
        for kind in ("get", "set"):
            for child in (
                RECORD.format("mine"),
                "<banned xmlns='jabber:ejabberd:banned'/>",
                "<other xmlns='jabber:ejabberd:banned'/>",
                "<x xmlns='y'/>" + RECORD.format("second"),
            ):
                answer = private(c, kind, child, to)
                assert "forbidden" in answer and "result" not in answer.split(">")[0], answer
    assert "error" in private(c, "get", RECORD.format(""), f" to='{HOST}'")
    got = privileged(portcullis, "get", "<banned xmlns='jabber:ejabberd:banned'/>")
    assert got.get("type") == "result" and got.find(".//{jabber:ejabberd:banned}reason").text == "spam", (
        "nobody has changed it"
    )


def test_other_private_storage_works_as_ever(server, portcullis):
    c = RawClient(server, "bob").login()
    assert "result" in private(c, "set", "<storage xmlns='storage:bookmarks'><conference jid='a@b'/></storage>")
    assert "a@b" in private(c, "get", "<storage xmlns='storage:bookmarks'/>")


def test_the_guard_can_be_left_out(make_server):
    server = make_server(options="\tportcullis_guard_record = false\n")
    c = RawClient(server, "bob").login()
    assert "result" in private(c, "set", RECORD.format("x"))


def test_without_the_module_that_guards_the_record_logins_are_checked_and_the_hello_says_what_is_missing(make_server):
    server = make_server()
    server.stop()
    shutil.rmtree(server.path / "plugins" / "mod_portcullis_record")
    server.start()
    p = FakeComponentOnProsody(server).connect().settled()
    assert "mod_portcullis_record" in p.hellos[0]["health"] and "mod_portcullis_record" in server.log()
    p.decide = lambda account, *_: p.refuse() if account else "allow"
    assert "<account-disabled" in RawClient(server, "alice").auth()
    p.close()
