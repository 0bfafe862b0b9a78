"""A client on a plain socket, with exact bytes in both directions.

A missing answer is an AssertionError that shows everything received.
"""

import re

from .. import sasl
from ..accounts import password
from ..sasl import REPLY, SASL, SASL2, b64
from .connection import Connection


class RawClient(Connection):
    """One stream of `user`. `sender` is the `from` of its header; with `open_stream=False` nothing is sent yet."""

    def __init__(self, server, user="alice", pw=None, source="127.0.0.1", open_stream=True, sender=None):
        super().__init__(server.c2s, source)
        self.server, self.user, self.pw, self.sender = server, user, pw or password(user), sender
        if open_stream:
            self.open()

    def until(self, pattern, within=10):
        """Text up to and including the first match."""
        text = self.read_until(pattern, within)
        if text is None:
            raise AssertionError(
                f"{self.user}: no {pattern!r} within {within} s{' (closed)' if self.closed else ''}; got "
                f"{self.buf[-2000:]!r}"
            )
        return text

    def wait_closed(self, within=10):
        """Reads to the end of the stream; returns the text (with the stream error, if any)."""
        text = self.read_to_end(within)
        assert self.closed, f"{self.user}: the stream is still open after {within} s; got {text[-2000:]!r}"
        return text

    def is_open(self):
        self.read(0)
        return not self.closed

    @property
    def refused_at_start(self):
        return "<stream:error" in self.features or "</stream:stream>" in self.features

    # -- stream -------------------------------------------------------------------------------------------------------
    def open(self):
        """Sends a stream header and reads the features, or the stream error."""
        sender = f" from='{self.sender}'" if self.sender else ""
        self.send(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            f"to='{self.server.host}'{sender} version='1.0'>"
        )
        self.features = self.until("</stream:features>|</stream:stream>")

    def starttls(self, newest=None):
        """Encrypts the stream (RFC 6120 section 5) and opens it again. `newest`: the newest version of TLS to offer."""
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        self.until("<proceed[^>]*>")
        self.encrypt(newest=newest)
        self.open()

    def bind(self, resource="raw"):
        answer = self.iq(
            "bind",
            f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
            f"<resource>{resource}</resource></bind></iq>",
        )
        assert re.search(r"type=['\"]result", answer), answer

    # -- logins -------------------------------------------------------------------------------------------------------
    def send_first(self, mechanism="PLAIN", sasl2=False, name=None, to=""):
        """Sends the first message of a login (for PLAIN the only one). `to` is added to the element as an attribute."""
        if mechanism == "PLAIN":
            message = sasl.plain(name or self.user, self.pw)
        else:
            self.scram = sasl.Scram(name or self.user, mechanism)
            message = self.scram.first()
        if sasl2:
            self.send(
                f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'{to}>"
                f"<initial-response>{message}</initial-response></authenticate>"
            )
        else:
            self.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'{to}>{message}</auth>")

    def send_proof(self, challenge, sasl2=False, to=""):
        """Sends the second message of SCRAM, for the challenge in this text."""
        self.send(f"<response xmlns='{SASL2 if sasl2 else SASL}'{to}>{self.scram.proof(challenge, self.pw)}</response>")

    def plain(self, to=""):
        self.send_first(to=to)
        return self.until(REPLY)

    def scram_first(self, sasl2=False, name=None):
        self.send_first("SCRAM-SHA-1", sasl2, name)
        return self.until(REPLY)

    def scram_final(self, challenge, sasl2=False, to=""):
        self.send_proof(challenge, sasl2, to)
        return self.until(REPLY)

    def scram_plus(self, pw, binding, mechanism="SCRAM-SHA-1-PLUS"):
        """A login by SCRAM with this channel binding, (type, data); returns the last answer, verbatim."""
        self.scram, self.pw = sasl.Scram(self.user, mechanism, binding=binding), pw
        self.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{self.scram.first()}</auth>")
        answer = self.until(REPLY)
        return self.scram_final(answer) if "<challenge" in answer else answer

    def auth(self, mechanism="PLAIN", sasl2=False):
        """Logs in; returns `<success…`, or `<failure…` with condition and text, verbatim."""
        self.send_first(mechanism, sasl2)
        answer = self.until(REPLY)
        return self.scram_final(answer, sasl2) if "<challenge" in answer else answer

    def sasl2(self, mechanism, message, more=""):
        """A login by SASL2 with this message (text or bytes) and these elements beside it."""
        self.send(
            f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>"
            f"<initial-response>{b64(message)}</initial-response>{more}</authenticate>"
        )
        return self.until(REPLY)

    def login(self, mechanism="PLAIN", resource="raw"):
        """A whole session: authenticated, bound, available."""
        reply = self.auth(mechanism)
        assert "<success" in reply, f"{self.user} could not log in: {reply}"
        self.open()
        self.bind(resource)
        self.send("<presence/>")
        return self

    # -- stanzas ------------------------------------------------------------------------------------------------------
    def iq(self, ident, xml, within=10):
        """Sends a whole `<iq/>` with the id `ident` and returns its answer, verbatim."""
        self.send(xml)
        pattern = rf"<iq\b[^>]*\bid=['\"]{ident}['\"][^>]*(/>|>.*?</iq>)"
        return re.search(pattern, self.until(pattern, within), re.S).group()

    def register(self):
        """In-band registration (XEP-0077)."""
        answer = self.iq(
            "reg",
            "<iq type='set' id='reg'><query xmlns='jabber:iq:register'>"
            f"<username>{self.user}</username><password>{self.pw}</password></query></iq>",
        )
        assert re.search(r"type=['\"]result", answer), f"could not register {self.user}: {answer}"
        self.close()


def refused(server, user, mechanism="PLAIN"):
    """The `<failure/>` of a login that must not succeed, or None if it succeeded."""
    client = RawClient(server, user)
    reply = client.auth(mechanism)
    client.close()
    return None if "<success" in reply else reply


def refusal(server, user="alice", source="127.0.0.1", pw=None):
    """None if a login by PLAIN is let in, `start` if the stream is refused, else the SASL condition."""
    client = RawClient(server, user, pw, source)
    if client.refused_at_start:
        assert "policy-violation" in client.features, client.features
        return "start"
    reply = client.auth()
    client.close()
    return None if "<success" in reply else re.search(r"<failure[^>]*>\s*<([a-z-]+)", reply).group(1)
