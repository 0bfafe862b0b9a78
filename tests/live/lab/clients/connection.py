"""A TCP connection to a server's client port that sends and reads text, and keeps everything it read."""

import re
import select
import socket
import ssl
import time

FREEBIND = 78  # IPV6_FREEBIND: allows a source address that no interface has


def socket_from(source):
    """A TCP socket that will connect from this address."""
    if ":" in source:
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.IPPROTO_IPV6, FREEBIND, 1)
    else:
        s = socket.socket()
    s.bind((source, 0))
    return s


class Connection:
    """`source`: the local address, any in 127.0.0.0/8, or in IPv6 if the server listens there."""

    def __init__(self, port, source="127.0.0.1"):
        self.s = socket_from(source)
        self.s.settimeout(10)
        self.s.connect(("::1" if ":" in source else "127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf, self.text, self.closed = "", "", False

    def send(self, text):
        self.s.sendall(text.encode())

    def encrypt(self, certificate=None, newest=None):
        """Begins TLS without looking at the server's certificate; `certificate` is ours, (certificate, key). `newest`:
        the newest version of TLS to offer.
        """
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if newest:
            context.maximum_version = newest
        if certificate:
            context.load_cert_chain(*certificate)
        self.s = context.wrap_socket(self.s)

    def read(self, within):
        """Reads what arrives within this time; notices the end of the connection."""
        # TLS may hold decrypted bytes that the socket no longer has.
        held = isinstance(self.s, ssl.SSLSocket) and self.s.pending()
        if not held and not select.select([self.s], [], [], max(0, within))[0]:
            return
        try:
            data = self.s.recv(65536)
        except OSError:
            data = b""
        self.closed = self.closed or not data
        self.buf += data.decode(errors="replace")
        self.text += data.decode(errors="replace")

    def read_until(self, pattern, within):
        """Text up to and including the first match; None if the time is up or the connection ends before."""
        end, rx = time.monotonic() + within, re.compile(pattern, re.S)
        while True:
            found = rx.search(self.buf)
            if found:
                text, self.buf = self.buf[: found.end()], self.buf[found.end() :]
                return text
            left = end - time.monotonic()
            if self.closed or left <= 0:
                return None
            self.read(left)

    def read_to_end(self, within):
        """Reads until the server closes the connection or the time is up; returns everything not returned before."""
        end = time.monotonic() + within
        while not self.closed and time.monotonic() < end:
            self.read(end - time.monotonic())
        text, self.buf = self.buf, ""
        return text

    def close(self):
        self.closed = True
        self.s.close()
