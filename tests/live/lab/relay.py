"""A TCP relay in front of a server's port. It can fall silent without closing, or forward only a few bytes a second."""

import selectors
import socket
import threading
import time

from . import machine

PIECE = 65536
PAUSE = 0.05  # seconds between two pieces of a slow relay


class Relay:
    """`Relay(port)` listens on `.port` and forwards to `port` on loopback.

    `half_open()`: connections stay, what arrives is read and thrown away, and new connections are accepted and get no
    answer, as behind a firewall that lost its state. `slow(rate)`: to the server pass at most `rate` bytes a second,
    and no more is read from the component meanwhile. `resume()`: everything passes again; connections that were half
    open are cut.
    """

    def __init__(self, target):
        self.target, self.rate, self.is_silent = target, None, False
        self.port, *_ = machine.ports(1)
        self.accepted = 0
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def half_open(self):
        self.is_silent = True

    def slow(self, rate):
        self.rate = rate

    def resume(self):
        self.rate = None
        if self.is_silent:
            self.cut()
        self.is_silent = False

    def cut(self):
        for one in list(self.open):
            one.close()
        self.open.clear()

    def close(self):
        self.listener.close()
        self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            # Small buffers, so that a slow relay is felt soon.
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            far = None
            if not self.is_silent:
                try:
                    far = socket.create_connection(("127.0.0.1", self.target), 5)
                except OSError:
                    near.close()
                    continue
            self.open += [one for one in (near, far) if one]
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near, far):
        with selectors.DefaultSelector() as ready:
            try:
                for one in (near, far):
                    if one:
                        ready.register(one, selectors.EVENT_READ)
                while True:
                    for key, _ in ready.select(0.5):
                        source = key.fileobj
                        is_slow = self.rate is not None and source is near
                        data = source.recv(max(1, int(self.rate * PAUSE)) if is_slow else PIECE)
                        if not data:
                            raise OSError("closed")
                        if is_slow:
                            time.sleep(PAUSE)  # makes the rate
                        if not self.is_silent and far:
                            (far if source is near else near).sendall(data)
            except (OSError, ValueError):
                for one in (near, far):
                    if one:
                        one.close()
