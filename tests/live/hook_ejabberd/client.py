"""A client on a bare socket, from any loopback address, with every way in that ejabberd knows; wire text is kept."""
import base64
import hashlib
import hmac
import os
import re
import socket
import ssl
import time
import uuid

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


class Stream:
    """One stream to a c2s port. `text` is everything that was read."""

    def __init__(self, port, source="127.0.0.1", frm=None, host="localhost", within=5, certificate=None):
        self.host, self.within = host, within
        self.sock = socket.create_connection(("127.0.0.1", port), within, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if certificate:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(*certificate)
            self.sock = context.wrap_socket(self.sock)
        self.frm, self.buf, self.text, self.ended = frm, "", "", False
        self.head()
        self.features = self.until("</stream:features>")

    def head(self):
        frm = f" from='{self.frm}'" if self.frm else ""
        self.send(f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
                  f" to='{self.host}'{frm} version='1.0' xml:lang='en'>")

    def send(self, xml):
        try:
            self.sock.sendall(xml.encode())
        except OSError:
            self.ended = True

    def until(self, pattern, within=None):
        """Text up to the pattern, or what there was at the end of the stream or of the time."""
        end = time.time() + (within or self.within)
        rx = re.compile(pattern, re.S)
        while True:
            m = rx.search(self.buf)
            if m:
                out, self.buf = self.buf[:m.end()], self.buf[m.end():]
                return out
            left = end - time.time()
            data = b""
            if left > 0 and not self.ended:
                self.sock.settimeout(left)
                try:
                    data = self.sock.recv(65536)
                    self.ended = self.ended or not data
                except socket.timeout:
                    continue
                except OSError:
                    self.ended = True
            if not data and (self.ended or left <= 0):
                out, self.buf = self.buf, ""
                return out
            self.buf += data.decode(errors="replace")
            self.text += data.decode(errors="replace")

    def rest(self, within=2):
        """Everything until the server closes."""
        return self.until(r"\Z(?!)", within)

    def close(self):
        try:
            self.sock.sendall(b"</stream:stream>")
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- ways in ------------------------------------------------------------------------------------------------------
    def plain(self, user, pw, authzid="", mechanism="PLAIN"):
        return self._auth(mechanism, b64(f"{authzid}\0{user}\0{pw}"))

    def _auth(self, mechanism, initial):
        self.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{initial}</auth>")
        return self.outcome()

    def outcome(self):
        self.last = self.until(r"</success>|<success[^>]*/>|</failure>|</challenge>|</stream:error>")
        return self.result(self.last)

    def result(self, text):
        """(condition, text): ('success', ''), ('account-disabled', 'You are …'), ('policy-violation', …), ('closed', '')."""
        if "<success" in text:
            return "success", ""
        m = re.search(r"<(?:failure|stream:error|error)[^>]*>\s*<([a-z-]+)", text)
        if not m:
            return ("challenge", "") if "<challenge" in text else ("closed" if self.ended else "nothing", "")
        t = re.search(r"<text[^>]*>([^<]*)</text>", text)
        return m.group(1), t.group(1) if t else ""

    def scram_first(self, user, letter="n", after=""):
        self.nonce = b64(os.urandom(12))
        self.bare = f"{letter}={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}{after}"
        self.send(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{b64('n,,' + self.bare)}</auth>")
        return self.outcome()

    def scram_last(self, pw):
        challenge = base64.b64decode(re.search(r">([^<]*)</challenge>", self.last).group(1)).decode()
        self.send(f"<response xmlns='{SASL}'>{b64(proof(self.bare, challenge, pw))}</response>")
        return self.outcome()

    def scram(self, user, pw, **spelling):
        first = self.scram_first(user, **spelling)
        return self.scram_last(pw) if first[0] == "challenge" else first

    def sasl2(self, mechanism, initial, more="", agent=None):
        agent = f"<user-agent id='{agent}'><software>lab</software></user-agent>" if agent else ""
        self.send(f"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{initial}</initial-response>"
                  f"{agent}{more}</authenticate>")
        return self.outcome()

    def sasl2_scram(self, user, pw):
        self.nonce = b64(os.urandom(12))
        self.bare = f"n={user},r={self.nonce}"
        out = self.sasl2("SCRAM-SHA-1", b64("n,," + self.bare))
        if out[0] != "challenge":
            return out
        challenge = base64.b64decode(re.search(r">([^<]*)</challenge>", self.last).group(1)).decode()
        self.send(f"<response xmlns='urn:xmpp:sasl:2'>{b64(proof(self.bare, challenge, pw))}</response>")
        return self.outcome()

    def fast_token(self, user, pw, agent):
        out = self.sasl2("PLAIN", b64(f"\0{user}\0{pw}"), "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", agent)
        assert out[0] == "success", self.text
        return re.search(r"token='([^']*)'|token=\"([^\"]*)\"", self.last).group(1)

    def fast(self, user, token, agent):
        mac = hmac.digest(token.encode(), b"Initiator", "sha256")
        return self.sasl2("HT-SHA-256-NONE", b64(user.encode() + b"\0" + mac), "<fast xmlns='urn:xmpp:fast:0'/>", agent)

    def legacy(self, user, pw, resource="old"):
        self.send(f"<iq type='set' id='l1'><query xmlns='jabber:iq:auth'><username>{user}</username><password>{pw}</password>"
                  f"<resource>{resource}</resource></query></iq>")
        self.last = self.until(r"<iq[^>]*/>|</iq>|</stream:error>")
        return ("success", "") if "type='result'" in self.last else self.result(self.last)

    # -- a session ----------------------------------------------------------------------------------------------------
    def bind(self, resource="r"):
        self.head()
        self.until("</stream:features>")
        self.send(f"<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>")
        out = self.until("</iq>")
        assert "<jid>" in out, out
        return self

    def iq(self, kind, payload, to="", ident=None):
        ident = ident or uuid.uuid4().hex
        to = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{ident}'{to}>{payload}</iq>")
        return self.until(rf"<iq[^>]*id='{ident}'[^>]*(/>|>.*?</iq>)")


def proof(bare, challenge, pw):
    d = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha1", pw.encode(), base64.b64decode(d["s"]), int(d["i"]))
    key = hmac.digest(salted, b"Client Key", "sha1")
    without = f"c=biws,r={d['r']}"
    signature = hmac.digest(hashlib.sha1(key).digest(), f"{bare},{challenge},{without}".encode(), "sha1")
    return f"{without},p={b64(bytes(a ^ b for a, b in zip(key, signature)))}"
