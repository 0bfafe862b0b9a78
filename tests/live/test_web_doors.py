"""Guesses over WebSocket (RFC 7395) and BOSH (XEP-0124, XEP-0206): the same limit, for the address of the connection,
whatever a client says in X-Forwarded-For.
"""

import base64
import http.client
import os
import re
import socket
import struct

import pytest

import lab
from lab import sasl
from lab.accounts import password
from lab.guarded_server import GuardedServer, address, result_of, wrong
from lab.require import need
from lab.servers.ejabberd import Ejabberd
from lab.servers.prosody import Prosody

LIMIT = 5
TRIES = 12
CLOSE = 8  # RFC 6455, 5.2
FORGED = "203.0.113.77"
END = "<success|</failure>|stream:error|terminate"


def pytest_generate_tests(metafunc):
    if "site" in metafunc.fixturenames:
        asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
        metafunc.parametrize("site", asked or list(lab.SERVERS), indirect=True, scope="module")


class WebEjabberd(Ejabberd):
    paths = {"websocket": "/ws", "bosh": "/bosh"}

    def write_config(self):
        super().write_config()
        file = self.path / "ejabberd.yml"
        text = file.read_text().replace("/ws: ejabberd_http_ws", "/ws: ejabberd_http_ws\n      /bosh: mod_bosh")
        file.write_text(text.replace("modules:\n", "modules:\n  mod_bosh: {}\n", 1))


class WebProsody(Prosody):
    paths = {"websocket": "/xmpp-websocket", "bosh": "/http-bind"}

    def config(self):
        return super().config().replace('"blocklist";', '"blocklist"; "bosh"; "websocket";')


@pytest.fixture(scope="module")
def site(request):
    need(request.param)
    name, _, version = request.param.partition("-")
    server = WebEjabberd(version, module=True) if name == "ejabberd" else WebProsody(module=True)
    one = GuardedServer(server, exempt={"loopback": False})
    yield one
    one.close()


class WebSocket:
    def __init__(self, server, source):
        self.socket = socket.create_connection(("127.0.0.1", server.http), 10, (source, 0))
        self.socket.sendall(
            f"GET {server.paths['websocket']} HTTP/1.1\r\nHost: localhost:{server.http}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\nX-Forwarded-For: {FORGED}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.take(1)
        assert b" 101 " in head, head
        self.send("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>")
        self.said = self.read("<(stream:)?features|<close|stream:error")

    def take(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError("the connection was closed")
            data += more
        return data

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.socket.sendall(b"\x81" + struct.pack("!BH", 0x80 | 126, len(data)) + mask + masked)

    def read(self, wanted):
        got = ""
        while not re.search(wanted, got):
            kind, size = self.take(2)
            if kind & 0xF == CLOSE:
                break
            size = struct.unpack("!H", self.take(2))[0] if size == 126 else size
            got += self.take(size).decode()
        return got

    def auth(self, user, pw):
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{sasl.plain(user, pw)}</auth>")
        return self.read(END)

    def close(self):
        self.socket.close()


class Bosh:
    def __init__(self, server, source):
        self.http = http.client.HTTPConnection("127.0.0.1", server.http, 10, (source, 0))
        self.path, self.rid = server.paths["bosh"], 1000
        said = self.post("to='localhost' hold='1' wait='5' ver='1.6' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'")
        self.sid = re.search(r"\bsid=['\"]([^'\"]+)", said).group(1)
        self.said = said if re.search("features|terminate", said) else self.more("features|terminate")

    def post(self, attributes, payload=""):
        self.rid += 1
        body = f"<body xmlns='http://jabber.org/protocol/httpbind' rid='{self.rid}' {attributes}>{payload}</body>"
        headers = {"Content-Type": "text/xml", "X-Forwarded-For": FORGED}
        self.http.request("POST", self.path, body, headers)
        return self.http.getresponse().read().decode()

    def auth(self, user, pw):
        auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{sasl.plain(user, pw)}</auth>"
        said = self.post(f"sid='{self.sid}'", auth)
        return said if re.search(END, said) else self.more(END)

    def more(self, wanted):
        """Polls until the server says this."""
        got = ""
        for _ in range(10):
            got += self.post(f"sid='{self.sid}'")
            if re.search(wanted, got):
                return got
        raise AssertionError(got)

    def close(self):
        self.http.close()


def login(door, site, user, pw, source):
    client = door(site.server, source)
    try:
        return result_of(client.auth(user, pw) if "features" in client.said else client.said)
    finally:
        client.close()


@pytest.mark.parametrize("door", [WebSocket, Bosh])
def test_the_limit_holds_over_http(site, door):
    victim, other = site.new_users(2)
    source = address()
    assert login(door, site, other, password(other), address()) == "in"
    ends = [login(door, site, victim, wrong(), source) for _ in range(TRIES)]
    assert ends.count("wrong") <= LIMIT, ends
    assert ends.count("refused") >= TRIES - LIMIT, ends
    assert login(door, site, victim, password(victim), source) == "refused"
    assert login(door, site, victim, password(victim), address()) == "in"
    told = site.bot.run("list").stdout
    assert source in told and FORGED not in told


@pytest.mark.parametrize("door", [WebSocket, Bosh])
def test_a_banned_address_and_a_banned_account_do_not_get_in_over_http(site, door):
    user, banned = site.new_users(2)
    source = address()
    site.bot.run("ban", source, site.server.jid(banned), "1d", "--yes")
    assert login(door, site, user, password(user), source) == "refused"
    assert login(door, site, banned, password(banned), address()) == "refused"
    assert login(door, site, user, password(user), address()) == "in"
