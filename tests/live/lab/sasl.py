"""The client's side of SASL: messages, base64-encoded as in <auth/>, <authenticate/> and <response/>."""

import base64
import functools
import hashlib
import hmac
import os
import re

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
SASL2 = "urn:xmpp:sasl:2"
HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
REPLY = r"<(success|failure|challenge)\b[^>]*(/>|>.*?</\1>)|</stream:stream>"  # what a server answers


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def plain(user, pw, authzid=""):
    """The only message of PLAIN (RFC 4616)."""
    return b64(f"{authzid}\0{user}\0{pw}")


def fast(user, token):
    """The only message of HT-SHA-256-NONE (XEP-0484)."""
    return b64(user.encode() + b"\0" + hmac.digest(token.encode(), b"Initiator", "sha256"))


@functools.cache
def _client_key(pw, salt, rounds, algorithm):
    """Computed once per account, as clients do, because it is the slow part of SCRAM."""
    return hmac.digest(
        hashlib.pbkdf2_hmac(algorithm, pw.encode(), base64.b64decode(salt), rounds), b"Client Key", algorithm
    )


class Scram:
    """One exchange (RFC 5802). `letter` and `extension` modify the first message: the letter before the name, and text
    after the nonce. `binding`: what a channel binding binds to, (type, data).
    """

    def __init__(self, user, mechanism="SCRAM-SHA-1", letter="n", extension="", binding=None):
        self.algorithm = HASHES[mechanism.removesuffix("-PLUS")]
        self.header, self.bound = (f"p={binding[0]},,", binding[1]) if binding else ("n,,", b"")
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"{letter}={name},r={b64(os.urandom(12))}{extension}"

    def first(self):
        return b64(self.header + self.bare)

    def proof(self, answer, pw):
        """The second message, for the <challenge/> in this text."""
        challenge = base64.b64decode(re.search(r"<challenge[^>]*>([^<]+)", answer).group(1)).decode()
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        key = _client_key(pw, fields["s"], int(fields["i"]), self.algorithm)
        final = f"c={b64(self.header.encode() + self.bound)},r={fields['r']}"
        signature = hmac.digest(
            hashlib.new(self.algorithm, key).digest(), f"{self.bare},{challenge},{final}".encode(), self.algorithm
        )
        return b64(f"{final},p={b64(bytes(a ^ b for a, b in zip(key, signature, strict=True)))}")
