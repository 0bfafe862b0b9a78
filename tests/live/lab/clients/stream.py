"""A client's stream with every login that ejabberd supports; each login returns a condition and a text."""

import contextlib
import re
import uuid

from .. import sasl
from ..sasl import SASL, SASL2
from .connection import Connection


class Stream(Connection):
    """`text` is everything that was read; `certificate` is (certificate, key) for a port with TLS."""

    def __init__(self, port, source="127.0.0.1", frm=None, host="localhost", within=5, certificate=None):
        super().__init__(port, source)
        self.host, self.within, self.frm = host, within, frm
        if certificate:
            self.encrypt(certificate)
        self.head()
        self.features = self.until("</stream:features>")

    def head(self):
        frm = f" from='{self.frm}'" if self.frm else ""
        self.send(
            f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
            f" to='{self.host}'{frm} version='1.0' xml:lang='en'>"
        )

    def send(self, xml):
        try:
            super().send(xml)
        except OSError:
            self.closed = True

    def until(self, pattern, within=None):
        """Text up to the pattern, or everything read when the stream or the time ended."""
        text = self.read_until(pattern, within or self.within)
        if text is None:
            text, self.buf = self.buf, ""
        return text

    def rest(self, within=2):
        """Everything until the server closes."""
        return self.read_to_end(within)

    def close(self):
        with contextlib.suppress(OSError):
            self.s.sendall(b"</stream:stream>")
        super().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- logins -------------------------------------------------------------------------------------------------------
    def plain(self, user, pw, authzid="", mechanism="PLAIN"):
        return self.auth(mechanism, sasl.plain(user, pw, authzid))

    def auth(self, mechanism, initial):
        self.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{initial}</auth>")
        return self.outcome()

    def outcome(self):
        self.last = self.until(r"</success>|<success[^>]*/>|</failure>|</challenge>|</stream:error>")
        return self.result(self.last)

    def result(self, text):
        """(condition, text), such as ('success', ''), ('account-disabled', 'You are …') or ('closed', '')."""
        if "<success" in text:
            return "success", ""
        m = re.search(r"<(?:failure|stream:error|error)[^>]*>\s*<([a-z-]+)", text)
        if not m:
            return ("challenge", "") if "<challenge" in text else ("closed" if self.closed else "nothing", "")
        t = re.search(r"<text[^>]*>([^<]*)</text>", text)
        return m.group(1), t.group(1) if t else ""

    def scram_first(self, user, letter="n", extension=""):
        self.exchange = sasl.Scram(user, letter=letter, extension=extension)
        return self.auth("SCRAM-SHA-1", self.exchange.first())

    def scram_last(self, pw):
        self.send(f"<response xmlns='{SASL}'>{self.exchange.proof(self.last, pw)}</response>")
        return self.outcome()

    def scram(self, user, pw, **spelling):
        first = self.scram_first(user, **spelling)
        return self.scram_last(pw) if first[0] == "challenge" else first

    def sasl2(self, mechanism, initial, more="", agent=None):
        agent = f"<user-agent id='{agent}'><software>lab</software></user-agent>" if agent else ""
        self.send(
            f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{initial}</initial-response>"
            f"{agent}{more}</authenticate>"
        )
        return self.outcome()

    def sasl2_scram(self, user, pw):
        exchange = sasl.Scram(user)
        out = self.sasl2("SCRAM-SHA-1", exchange.first())
        if out[0] != "challenge":
            return out
        self.send(f"<response xmlns='{SASL2}'>{exchange.proof(self.last, pw)}</response>")
        return self.outcome()

    def fast_token(self, user, pw, agent):
        out = self.sasl2(
            "PLAIN", sasl.plain(user, pw), "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", agent
        )
        assert out[0] == "success", self.text
        return re.search(r"token=['\"]([^'\"]*)", self.last).group(1)

    def fast(self, user, token, agent):
        return self.sasl2("HT-SHA-256-NONE", sasl.fast(user, token), "<fast xmlns='urn:xmpp:fast:0'/>", agent)

    def legacy(self, user, pw, resource="old"):
        """The login from before SASL (XEP-0078)."""
        self.send(
            f"<iq type='set' id='l1'><query xmlns='jabber:iq:auth'><username>{user}</username><password>{pw}</password>"
            f"<resource>{resource}</resource></query></iq>"
        )
        self.last = self.until(r"<iq[^>]*/>|</iq>|</stream:error>")
        return ("success", "") if "type='result'" in self.last else self.result(self.last)

    # -- a session ----------------------------------------------------------------------------------------------------
    def bind(self, resource="r"):
        self.head()
        self.until("</stream:features>")
        self.send(
            f"<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
            f"<resource>{resource}</resource></bind></iq>"
        )
        out = self.until("</iq>")
        assert "<jid>" in out, out
        return self

    def iq(self, kind, payload, to="", ident=None):
        ident = ident or uuid.uuid4().hex
        to = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{ident}'{to}>{payload}</iq>")
        return self.until(rf"<iq[^>]*id='{ident}'[^>]*(/>|>.*?</iq>)")
