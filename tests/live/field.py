"""A server with the hook module, the real portcullis with the rules as shipped, and what attackers and people do there.

Everybody has an address of their own, 127.x.y.z or in IPv6. A try has one of three ends: `in`, `wrong` (the password was
looked at, or there is no such account) or `refused` (nobody looked). Anything else, such as a time-out, fails the test.
"""
import itertools
import os
import random
import socket
import subprocess

import lab
from lab.raw import RawClient, socket_from

# Where nobody logged in before; portcullis is told that proxies are here.
PROXIES = "127.90.0.0/16"
# A login waits so long for an answer, in seconds. More than the modules' half a second: where this machine stands still for a
# moment, a guess that nobody judged (`fail` is open) would look like one too many.
WAIT = 2
PAIR, ADDRESS, NETWORK, ACCOUNT_NETWORKS = 5, 5, 20, 10  # the limits of the rules as shipped
_third, _wrong, _names = itertools.count(1), itertools.count(1), itertools.count(1)


def network():
    """The first three numbers of addresses that no other test uses."""
    number = next(_third)
    return f"127.{120 + number // 250}.{number % 250}"


def address():
    """A source in a /24 of its own."""
    return f"{network()}.9"


def wrong():
    """A wrong password, never the same again."""
    return f"wrong-{next(_wrong)}"


def end_of(answer):
    if "<success" in answer:
        return "in"
    if "<not-authorized" in answer:
        return "wrong"
    if "temporary-auth-failure" in answer or "account-disabled" in answer or "policy-violation" in answer:
        return "refused"
    raise AssertionError(f"neither let in nor wrong nor refused: {answer!r}")


class Field:
    def __init__(self, name, v6):
        self.server = lab.SERVERS[name](module=True, v6=v6, wait=WAIT)
        self.server.start()
        self.bot = lab.Portcullis(self.server, exempt={"loopback": False, "proxies": [PROXIES]}, log_level="info,portcullis=debug")
        self.bot.start()
        self.wait_level_2()

    def last_told(self):
        """The last lines of portcullis, and those of the server about the module."""
        lines = [line for line in self.server.log().splitlines() if "portcullis" in line][-40:]
        return "\n".join([*lines, *self.bot.log().splitlines()[-80:]])

    def wait_level_2(self, within=30):
        lab.wait_for(lambda: "hook module is there" in self.bot.log_since_start(), within, what="a hello of the module")

    def all_up(self):
        if self.server.process is None:
            self.server.start()
        if not self.bot.running():
            self.bot.start()
            self.wait_level_2()

    def people(self, count):
        """New accounts."""
        names = [f"person{next(_names)}" for _ in range(count)]
        for name in names:
            self.server.add_user(name)
        return names

    def knock(self, user, source, pw=None, mechanism="PLAIN"):
        """One try on a stream of its own; without a password the right one."""
        client = RawClient(self.server, user, pw, source)
        try:
            self.said = client.features if client.refused_at_start else client.auth(mechanism)
            return end_of(self.said)
        finally:
            client.close()

    def looked_at(self, tries, mechanism="PLAIN"):
        """How many of the (user, source) guesses, one after the other, were answered like an ordinary wrong password."""
        ends = [self.knock(user, source, wrong(), mechanism) for user, source in tries]
        assert "in" not in ends
        return ends.count("wrong")

    def is_banned(self, subject):
        return any("banned by a rule" in line and f"subject={subject} until" in line for line in self.bot.log().splitlines())

    def wait_banned(self, subject):
        lab.wait_for(lambda: self.is_banned(subject), 5, what=f"a rule bans {subject}")

    def bans(self):
        """How many bans rules have made so far."""
        return self.bot.log().count("banned by a rule")

    def close(self):
        self.bot.stop()
        self.server.stop()


class Prefix:
    """An IPv6 /48 on this machine: addresses below it can be bound without giving them to an interface."""

    def __init__(self):
        number = random.randbytes(5).hex()
        self.net = f"fd{number[:2]}:{number[2:6]}:{number[6:10]}"
        self.route = ["local", f"{self.net}::/48", "dev", "lo"]
        self.problem = None
        done = subprocess.run(["ip", "-6", "route", "add", *self.route], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.problem = done.stdout.strip() if done.returncode else self._try()

    def _try(self):
        try:
            with socket.create_server(("::1", 0), family=socket.AF_INET6) as door, socket_from(self.address(1, 1)) as s:
                s.settimeout(2)
                s.connect(door.getsockname())
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


IN_CI = bool(os.environ.get("CI"))
