"""A server with the hook module and the real portcullis, and addresses for attackers and users."""

import itertools
import random
import re
import socket
import subprocess

from . import wait
from .clients.connection import socket_from
from .clients.raw_client import RawClient
from .clients.slixmpp_client import Client
from .portcullis import Portcullis
from .servers import SERVERS

_networks, _wrong, _names = itertools.count(1), itertools.count(1), itertools.count(1)


def network():
    """The first three numbers of a network that no other test uses."""
    number = next(_networks)
    return f"127.{100 + number // 250}.{number % 250}"


def address():
    """A source in its own /24."""
    return f"{network()}.9"


def wrong():
    """A wrong password that was not used before."""
    return f"wrong-{next(_wrong)}"


def result_of(answer):
    """`in`, `wrong` (the password was checked, or there is no such account) or `refused` (nothing was checked). Any
    other answer, such as a time-out, fails the test.
    """
    if "<success" in answer:
        return "in"
    if "<not-authorized" in answer:
        return "wrong"
    if "temporary-auth-failure" in answer or "account-disabled" in answer or "policy-violation" in answer:
        return "refused"
    raise AssertionError(f"neither let in nor wrong nor refused: {answer!r}")


def try_login(server, user, source, pw=None, mechanism="PLAIN"):
    """One login on its own stream, with the right password by default; (result, the server's answer)."""
    client = RawClient(server, user, pw, source)
    try:
        said = client.features if client.refused_at_start else client.auth(mechanism)
        return result_of(said), said
    finally:
        client.close()


class GuardedServer:
    """Server, module and portcullis, all running once this object exists."""

    def __init__(self, server, log_level="info,portcullis=debug", **settings):
        """`settings` are those of portcullis."""
        self.server = server
        self.server.start()
        self.bot = Portcullis(self.server, log_level=log_level, **settings)
        self.bot.start()
        self.wait_hello()
        self._admin = None

    def wait_hello(self, timeout=30):
        """Waits until the module has said hello to the running portcullis."""
        wait.until(lambda: "hook module is there" in self.bot.log_since_start(), timeout, what="a hello of the module")

    def all_up(self):
        """Starts again what a test has ended."""
        if self.server.process is None:
            self.server.start()
        if not self.bot.running():
            self.bot.start()
            self.wait_hello()

    def last_logged(self):
        """The last log lines of portcullis, and those of the server about the module."""
        lines = [line for line in self.server.log().splitlines() if "portcullis" in line][-40:]
        return "\n".join([*lines, *self.bot.log().splitlines()[-80:]])

    @property
    def admin(self):
        """The client of an admin; logs in again when its stream has ended."""
        if self._admin is None or not self._admin.online:
            self._admin = Client(self.server, "admin")
        return self._admin

    def say(self, line):
        """Sends one chat line of the admin and returns the answer."""
        return self.admin.ask(self.bot.jid, line)

    def new_users(self, count):
        names = [f"person{next(_names)}" for _ in range(count)]
        for name in names:
            self.server.add_user(name)
        return names

    def new_user(self):
        return self.new_users(1)[0]

    def try_login(self, user, source, pw=None, mechanism="PLAIN"):
        """`in`, `wrong` or `refused`; `said` is the server's answer."""
        result, self.said = try_login(self.server, user, source, pw, mechanism)
        return result

    def answer_to(self, user, source, pw=None, mechanism="PLAIN"):
        """What the client reads at the end of a login."""
        self.try_login(user, source, pw, mechanism)
        return self.said

    def guess(self, user, source, times=4, mechanism="PLAIN"):
        for _ in range(times):
            assert self.try_login(user, source, wrong(), mechanism) != "in"

    def passwords_checked(self, tries, mechanism="PLAIN"):
        """How many of these guesses (user, source), made one after the other, were answered like an ordinary wrong
        password.
        """
        results = [self.try_login(user, source, wrong(), mechanism) for user, source in tries]
        assert "in" not in results
        return results.count("wrong")

    def is_banned(self, subject):
        return any(
            "banned by a rule" in line and f"subject={subject} until" in line for line in self.bot.log().splitlines()
        )

    def ordinals(self, subject):
        """The offence numbers of all bans of this subject by a rule."""
        found = (
            re.search(r"banned by a rule.*subject=(.+?) until=Some\(\"([^\"]+)\"\).*ordinal=(\d+)", line)
            for line in self.bot.log().splitlines()
        )
        return [int(m.group(3)) for m in found if m and m.group(1) == subject]

    def wait_banned(self, subject, times=1):
        """Waits until rules have banned this subject this many times. The module reports an outcome a moment after
        the client has heard it. A login that succeeds before the ban would make the guesser's source a trusted one.
        """
        wait.until(lambda: len(self.ordinals(subject)) >= times, 5, what=f"a rule bans {subject}")

    def bans(self):
        """Number of bans that rules have made so far."""
        return self.bot.log().count("banned by a rule")

    def close(self):
        if self._admin:
            self._admin.close()
        self.bot.stop()
        self.server.stop()


# -- with the rules as shipped -----------------------------------------------------------------------------------------

# Addresses where nobody logged in before; portcullis is told that proxies are here.
PROXIES = "127.90.0.0/16"
# Seconds a login waits for an answer. More than the modules' half a second: if this machine stalls for a moment, a
# guess that nobody judged (`fail` is open) would look like one too many.
WAIT = 2
PAIR, ADDRESS, NETWORK, ACCOUNT_NETWORKS = 5, 5, 20, 10  # limits of the default rules


def with_shipped_rules(name, v6, **settings):
    server = SERVERS[name](module=True, v6=v6, wait=WAIT)
    return GuardedServer(server, exempt={"loopback": False, "proxies": [PROXIES]}, **settings)


# -- with rules whose windows and terms are short enough to see bans grow and end --------------------------------------

PAIR_BAN = 4  # seconds
SHORT_RULES = [
    {
        "name": "pair-failures",
        "key": "pair",
        "counts": "failures",
        "limit": 4,
        "window": "60s",
        "ban": f"{PAIR_BAN}s",
        "growth": {"factor": 1, "cap": "1h"},
    },
    {"name": "address-spray", "key": "address", "counts": "accounts", "limit": 5, "window": "60s", "ban": "5m"},
    {"name": "account-networks", "key": "account", "counts": "networks", "limit": 4, "window": "60s", "ban": "5m"},
]
TOKEN = "a-token-for-the-tests-only"


def with_short_rules(name, **more):
    return GuardedServer(
        SERVERS[name](module=True, **more), exempt={"loopback": False}, rules=SHORT_RULES, http={"token": TOKEN}
    )


# -- IPv6 --------------------------------------------------------------------------------------------------------------


class Prefix:
    """An IPv6 /48 on this machine: addresses below it can be bound without giving them to an interface."""

    def __init__(self):
        number = random.randbytes(5).hex()
        self.net = f"fd{number[:2]}:{number[2:6]}:{number[6:10]}"
        self.route = ["local", f"{self.net}::/48", "dev", "lo"]
        self.problem = None
        done = subprocess.run(
            ["ip", "-6", "route", "add", *self.route], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.problem = done.stdout.strip() if done.returncode else self._try()

    def _try(self):
        try:
            with (
                socket.create_server(("::1", 0), family=socket.AF_INET6) as listener,
                socket_from(self.address(1, 1)) as s,
            ):
                s.settimeout(2)
                s.connect(listener.getsockname())
            return None
        except OSError as e:
            return str(e)

    def address(self, subnet, host):
        return f"{self.net}:{subnet:x}::{host:x}"

    def close(self):
        subprocess.run(["ip", "-6", "route", "del", *self.route], stderr=subprocess.DEVNULL)


def has_v6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
