"""The same checks for clients that use HTTP (XEP-0206). WebSockets use the code of ordinary streams."""

import re
import urllib.request

import pytest

from lab import sasl
from lab.fake_component import FakeComponentOnProsody
from lab.require import need
from lab.servers.hook_prosody import HookProsody

HOST = "localhost"


BIND = "http://jabber.org/protocol/httpbind"


class Bosh:
    def __init__(self, server):
        self.server, self.rid = server, 1000
        self.features = self.post(
            f"to='{HOST}' hold='1' wait='5' ver='1.6' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'"
        )
        found = re.search(r"\bsid=['\"]([^'\"]+)", self.features)
        self.sid = found and found.group(1)

    def post(self, attributes, payload=""):
        self.rid += 1
        body = f"<body xmlns='{BIND}' rid='{self.rid}' {attributes}>{payload}</body>".encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.server.http}/http-bind", body, {"Content-Type": "text/xml", "Host": HOST}
        )
        return urllib.request.urlopen(request, timeout=10).read().decode()

    def auth(self, pw):
        text = sasl.plain("alice", pw)
        return self.post(
            f"sid='{self.sid}'", f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{text}</auth>"
        )


@pytest.fixture(scope="module")
def bosh_server():
    need("prosody-13")
    with HookProsody(modules='"bosh";') as server:
        server.start()
        yield server


def test_a_login_over_http_is_asked_and_obeyed(bosh_server):
    p = FakeComponentOnProsody(bosh_server).connect().settled()
    assert "<not-authorized" in Bosh(bosh_server).auth("wrong")
    assert "<success" in Bosh(bosh_server).auth("pw-alice")
    p.decide = lambda account, *_: p.refuse(text="No bosh for alice") if account else "allow"
    got = Bosh(bosh_server).auth("pw-alice")
    assert (
        "No bosh for alice" in got
        and ("<account-disabled" in got or "policy-violation" in got)
        and "<success" not in got
    )
    p.close()
    assert bosh_server.errors() == []


def test_a_banned_address_over_http_is_asked_about_at_the_login_and_refused_at_the_start_while_portcullis_is_away(
    bosh_server,
):
    """The start of a stream over HTTP cannot wait for an answer, and the address may have been exempted since."""
    p = FakeComponentOnProsody(bosh_server).connect().settled()
    p.ban("127.0.0.1", kind="address", door="start", text="No bosh from here")
    assert "<success" in Bosh(bosh_server).auth("pw-alice")
    p.decide = None
    got = Bosh(bosh_server).auth("pw-alice")
    assert "No bosh from here" in got and "<success" not in got
    p.close()
    got = Bosh(bosh_server)
    assert "No bosh from here" in got.features and "<mechanisms" not in got.features
    assert bosh_server.errors() == []
