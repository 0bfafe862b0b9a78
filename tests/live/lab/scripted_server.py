"""A scripted server in place of a real one: it accepts a component and asks as a hook module would, with any address
and as fast as a program can.
"""

import itertools
import re
import socket
import threading
import time

from . import machine, wait

_ids = itertools.count(1)
STANZA = re.compile(rb"<iq\b([^>]*?)(/>|>.*?</iq>)", re.DOTALL)


def attribute(text, name):
    found = re.search(rb"\b" + name + rb"=['\"]([^'\"]*)", text)
    return found.group(1).decode() if found else None


class ScriptedServer:
    """Takes the place of a server for `Portcullis(server)`. It refuses every IQ of portcullis, which has no rights."""

    component, host, cookie = "portcullis.localhost", "localhost", None

    def __init__(self):
        self.port, *_ = machine.ports(1)
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.link, self.answers, self.took = None, {}, []  # answers: id -> when it was asked
        self.last = None  # answer of portcullis
        threading.Thread(target=self._run, daemon=True).start()

    def jid(self, user):
        return f"{user}@{self.host}"

    def _run(self):
        while True:
            try:
                link, _ = self.listener.accept()
                self._serve(link)
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def _serve(self, link):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
            b"xmlns:stream='http://etherx.jabber.org/streams' id='1' from='portcullis.localhost'>"
        )
        seen = b""
        while b"</handshake>" not in seen:
            data = link.recv(65536)
            if not data:
                return
            seen += data
        link.sendall(b"<handshake/>")
        self.link, rest = link, b""
        while data := link.recv(1 << 18):
            rest += data
            end = 0
            for found in STANZA.finditer(rest):
                self._stanza(found.group(1), found.group())
                end = found.end()
            rest = rest[end:]
        self.link = None

    def _stanza(self, head, whole):
        ident, kind = attribute(head, b"id"), attribute(head, b"type")
        if kind in ("get", "set"):
            self.link.sendall(
                f"<iq type='error' id='{ident}' from='{attribute(head, b'to')}' to='{attribute(head, b'from')}'>"
                "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
                "</iq>".encode()
            )
        elif ident in self.answers:
            self.last = whole.decode()
            self.took.append((time.perf_counter() - self.answers.pop(ident)) * 1000)

    def ask(self, kind, payload):
        """Sends a request of the module; its answer is counted in `took` (milliseconds)."""
        ident = f"q{next(_ids)}"
        stanza = f"<iq type='{kind}' id='{ident}' from='{self.host}' to='{self.component}'>{payload}</iq>".encode()
        self.answers[ident] = time.perf_counter()
        self.link.sendall(stanza)

    def hello(self):
        wait.until(lambda: self.link, 20, what="portcullis is connected")
        self.ask(
            "set",
            "<hello xmlns='urn:portcullis:hook:1' software='scripted' version='1' module='1.1.0' node='n' "
            "health='ok'/>",
        )

    def wait_answered(self, most=0, within=60):
        """Waits until no more than so many requests have no answer."""
        wait.until(lambda: len(self.answers) <= most, within, what=f"{most} questions left")

    def close(self):
        self.listener.close()
        if self.link:
            self.link.close()
