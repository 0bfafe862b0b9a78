"""Between portcullis and its server: passes everything on, and measures how long portcullis takes to answer checks. It
is a process of its own, so that a busy test does not slow it down.
"""

import multiprocessing
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
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=[to, theirs], daemon=True)
        self.process.start()
        self.port = self.pipe.recv()

    def times(self):
        """The milliseconds of all answers since the last call, sorted, and how many checks have no answer yet."""
        self.pipe.send("times")
        took, left = self.pipe.recv()
        return sorted(took), left

    def close(self):
        self.process.terminate()
        self.process.join(5)


def _serve(to, pipe):
    listener = socket.create_server(("127.0.0.1", 0))
    link = _Link(to)
    threading.Thread(target=link.accept, args=[listener], daemon=True).start()
    pipe.send(listener.getsockname()[1])
    while True:
        pipe.recv()
        took, link.took = link.took, []
        pipe.send((took, len(link.asked)))


class _Link:
    def __init__(self, to):
        self.to, self.asked, self.took = to, {}, []

    def accept(self, listener):
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:  # the server is not there
                near.close()
                continue
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=[far, near, CHECK, self._check], daemon=True).start()
            threading.Thread(target=self._pass, args=[near, far, VERDICT, self._verdict], daemon=True).start()

    def _pass(self, source, to, pattern, note):
        rest = b""
        try:
            while data := source.recv(1 << 18):
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
