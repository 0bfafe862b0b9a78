"""Between portcullis and its server: passes everything on, and measures how long portcullis takes to answer checks."""

import re
import socket
import threading
import time

CHECK = re.compile(rb"<iq\b([^>]*)><check\b")
IDENT = re.compile(rb"\bid=['\"]([^'\"]+)['\"]")
VERDICT = re.compile(rb"<iq\b([^>]*)><verdict\b")


class TimedLink:
    """Listens on a port of its own (`port`); portcullis connects here instead of to the server."""

    def __init__(self, to):
        self.to, self.asked, self.took, self.passed = to, {}, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=[far, near, CHECK, self._check], daemon=True).start()
            threading.Thread(target=self._pass, args=[near, far, VERDICT, self._verdict], daemon=True).start()

    def _pass(self, source, to, pattern, note):
        rest = b""
        try:
            while data := source.recv(1 << 18):
                self.passed += len(data)
                # Noted before it is sent, so the time in the buffers of the sockets counts too.
                rest += data
                end = 0
                for found in pattern.finditer(rest):
                    note(IDENT.search(found.group(1)).group(1))
                    end = found.end()
                rest = rest[max(end, len(rest) - 400) :]
                to.sendall(data)
        except OSError:
            pass
        for one in (source, to):
            one.close()

    def _check(self, ident):
        self.asked[ident] = time.perf_counter()

    def _verdict(self, ident):
        began = self.asked.pop(ident, None)
        if began is not None:
            self.took.append((time.perf_counter() - began) * 1000)

    def times(self):
        """The milliseconds of all answers since the last call, sorted; (…, how many have no answer)."""
        took, self.took = sorted(self.took), []
        return took, len(self.asked)

    def close(self):
        self.listener.close()
