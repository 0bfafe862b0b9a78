"""A client on a bare socket: exact bytes both ways, no manners."""
import base64
import hashlib
import hmac
import os
import re
import select
import socket
import time

from .server import password

SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"


REPLY = r"<(success|failure|challenge)\b[^>]*(/>|>.*?</\1>)|</stream:stream>"
FREEBIND = 78  # IPV6_FREEBIND: a source that no interface has


def socket_from(source):
    """A TCP socket that will connect from this address."""
    if ":" in source:
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.IPPROTO_IPV6, FREEBIND, 1)
    else:
        s = socket.socket()
    s.bind((source, 0))
    return s


class RawClient:
    def __init__(self, server, user, pw=None, source="127.0.0.1"):
        """`source`: the address it comes from, anything in 127.0.0.0/8, or in IPv6 if the server was made with `v6`."""
        self.server, self.user, self.pw = server, user, pw or password(user)
        self.s = socket_from(source)
        self.s.settimeout(10)
        self.s.connect(("::1" if ":" in source else "127.0.0.1", server.c2s))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf, self.closed = "", False
        self._open()

    # -- bytes --------------------------------------------------------------------------------------------------------
    def send(self, text):
        self.s.sendall(text.encode())

    def until(self, pattern, within=10):
        """Text up to and including the first match. AssertionError with all that came when it does not come."""
        end, rx = time.time() + within, re.compile(pattern, re.S)
        while True:
            m = rx.search(self.buf)
            if m:
                text, self.buf = self.buf[:m.end()], self.buf[m.end():]
                return text
            left = end - time.time()
            if self.closed or left <= 0:
                raise AssertionError(f"{self.user}: no {pattern!r} within {within} s{' (closed)' if self.closed else ''}; got {self.buf[-2000:]!r}")
            if not select.select([self.s], [], [], left)[0]:
                continue
            try:
                data = self.s.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.closed = True
            self.buf += data.decode(errors="replace")

    def wait_closed(self, within=10):
        """Reads to the end of the stream; returns what came (with the stream error, if any)."""
        end = time.time() + within
        while not self.closed:
            left = end - time.time()
            assert left > 0, f"{self.user}: the stream is still open after {within} s; got {self.buf[-2000:]!r}"
            if select.select([self.s], [], [], left)[0]:
                try:
                    data = self.s.recv(65536)
                except OSError:
                    data = b""
                self.closed = not data
                self.buf += data.decode(errors="replace")
        text, self.buf = self.buf, ""
        return text

    def close(self):
        self.closed = True
        self.s.close()

    @property
    def refused_at_start(self):
        return "<stream:error" in self.features or "</stream:stream>" in self.features

    # -- stream -------------------------------------------------------------------------------------------------------
    def _open(self):
        self.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                  f"to='{self.server.host}' version='1.0'>")
        self.features = self.until("</stream:features>|</stream:stream>")

    def send_first(self, mechanism="PLAIN"):
        """The first message of a login; for PLAIN the only one."""
        if mechanism == "PLAIN":
            text = f"\0{self.user}\0{self.pw}"
        else:
            self.bare = f"n={self.user},r={base64.b64encode(os.urandom(12)).decode()}"
            text = "n,," + self.bare
        self.send(f"<auth {SASL} mechanism='{mechanism}'>{base64.b64encode(text.encode()).decode()}</auth>")

    def send_proof(self, challenge, mechanism):
        """The second message of SCRAM, to the challenge in this text."""
        algorithm = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism]
        challenge = base64.b64decode(re.search(r"<challenge[^>]*>([^<]+)", challenge).group(1)).decode()
        f = dict(x.split("=", 1) for x in challenge.split(","))
        salted = hashlib.pbkdf2_hmac(algorithm, self.pw.encode(), base64.b64decode(f["s"]), int(f["i"]))
        key = hmac.digest(salted, b"Client Key", algorithm)
        final = f"c=biws,r={f['r']}"
        signature = hmac.digest(hashlib.new(algorithm, key).digest(), f"{self.bare},{challenge},{final}".encode(), algorithm)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.send(f"<response {SASL}>{base64.b64encode((final + ',p=' + proof).encode()).decode()}</response>")

    def auth(self, mechanism="PLAIN"):
        """The server's last word on a login: `<success…` or `<failure…` with condition and text, verbatim."""
        self.send_first(mechanism)
        answer = self.until(REPLY)
        if "<challenge" not in answer:
            return answer
        self.send_proof(answer, mechanism)
        return self.until(REPLY)

    def login(self, mechanism="PLAIN", resource="raw"):
        reply = self.auth(mechanism)
        assert "<success" in reply, f"{self.user} could not log in: {reply}"
        self._open()
        self.send(f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>")
        self.until("</iq>")
        self.send("<presence/>")
        return self

    def iq(self, ident, xml, within=10):
        """Sends a whole `<iq/>` with the id `ident` and returns its answer, verbatim."""
        self.send(xml)
        return self.until(rf"<iq\b[^>]*\bid=['\"]{ident}['\"][^>]*(/>|>.*?</iq>)", within)

    def register(self):
        """In-band registration (XEP-0077)."""
        answer = self.iq("reg", "<iq type='set' id='reg'><query xmlns='jabber:iq:register'>"
                                f"<username>{self.user}</username><password>{self.pw}</password></query></iq>")
        assert re.search(r"type=['\"]result", answer), f"could not register {self.user}: {answer}"
        self.close()


def refused(server, user, mechanism="PLAIN"):
    """The `<failure/>` of a login that must not succeed, or None when it did."""
    client = RawClient(server, user)
    reply = client.auth(mechanism)
    client.close()
    return None if "<success" in reply else reply
