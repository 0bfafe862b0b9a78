"""How much longer a login takes with the module and portcullis: `just measure [--server NAME] [--bans N] [--seconds
S] [--rate R]`.

Two servers of each kind run side by side: one without the module, one with the module, the real portcullis and that
many bans. They are measured in turn, so that other load affects both. A login is: connect, stream, features, SASL; no
TLS, no binding. Prints two tables: one login after the other, and logins that begin at a fixed rate, whether earlier
ones have ended or not.
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time

import lab
from lab import machine, wait
from lab.accounts import password
from lab.clients import load

WAYS = {"PLAIN": load.plain, "SCRAM-SHA-1": load.scram}
PEOPLE = 100
# Prosody has one thread that also computes PBKDF2: even without a module, a login takes half a second at 500 a
# second.
RATES = {"prosody-13": 50}
PARTS = 5  # how many times the two servers take turns


class Side:
    def __init__(self, name, bans):
        self.server = (
            lab.SERVERS[name](module=bans is not None, loglevel="warning")
            if name.startswith("ejabberd")
            else lab.SERVERS[name](module=bans is not None)
        )
        self.server.start()
        self.people = [(f"person{n}", f"127.200.{n}.1") for n in range(PEOPLE)]
        for person, _ in self.people:
            self.server.add_user(person)
        self.bot = None
        if bans is not None:
            self.bot = lab.Portcullis(self.server, exempt={"loopback": False})
            self.bot.start()
            wait.until(lambda: "hook module is there" in self.bot.log(), 30)
            self.impose(bans)

    def impose(self, bans):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.writelines(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255} 1d measured\n" for n in range(bans))
            file.flush()
            done = self.bot.run("import", "--yes", file.name, within=300)
        assert done.returncode == 0, done.stdout
        # Wait until all bans are carried out and Prosody's module has them on disk: this measures logins, not
        # the import.
        wait.until(
            lambda: re.search(r"Unfinished work\W+none", self.bot.run("status").stdout),
            600,
            every=2,
            what="all of them are carried out",
        )
        time.sleep(30)  # Prosody's module writes them to disk in pieces and does not report when it has finished.

    def login(self, way, n):
        person, home = self.people[n % PEOPLE]
        return load.login(self.server, WAYS[way], person, password(person), home)

    async def one_by_one(self, way, count):
        return [await self.login(way, n) for n in range(count)]

    def close(self):
        if self.bot:
            self.bot.stop()
        self.server.stop()


def times(results):
    failed = [said for said, _ in results if "<success" not in said]
    if failed:
        print(f"!!! {len(failed)} of {len(results)} logins failed, such as {failed[0][-200:]!r}", file=sys.stderr)
    return [ms for said, ms in results if "<success" in said]


def row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def compare(cells, bare, guarded):
    def at(list_, share):
        return sorted(list_)[min(len(list_) - 1, int(len(list_) * share))] if list_ else float("nan")

    numbers = []
    for share in (0.5, 0.99):
        a, b = at(bare, share), at(guarded, share)
        numbers += [f"{a:.1f}", f"{b:.1f}", f"{b - a:+.1f}"]
    row(*cells, len(bare), *numbers)


def head(*first):
    cells = [*first, "logins", "p50 without", "with", "added", "p99 without", "with", "added"]
    row(*cells)
    row(*["---"] * len(cells))


def in_turn(sides, make):
    took = ([], [])
    for _ in range(PARTS):
        for side, list_ in zip(sides, took, strict=True):
            list_ += times(asyncio.run(make(side)))
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", choices=sorted(lab.SERVERS))
    parser.add_argument("--bans", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=500, help="logins begun in a second; Prosody: at most 50")
    asked = parser.parse_args()
    names = [name for name in asked.server or lab.SERVERS if machine.installed(name)]
    average = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {average:.1f} at the beginning, {asked.bans} bans; milliseconds\n")
    one_by_one, at_rate = [], []
    for name in names:
        sides = []
        try:
            for bans in (None, asked.bans):
                sides.append(Side(name, bans))
            for way in WAYS:
                for side in sides:  # everybody has logged in before, and everything is loaded
                    times(asyncio.run(side.one_by_one(way, PEOPLE)))
                one_by_one.append(
                    (
                        (name, way),
                        *in_turn(sides, lambda side, way=way: side.one_by_one(way, int(20 * asked.seconds / PARTS))),
                    )
                )
                rate = min(asked.rate, RATES.get(name, asked.rate))

                def begun(side, way=way, rate=rate):
                    return load.at_rate(rate, asked.seconds / PARTS, lambda n: side.login(way, n))

                at_rate.append(((name, way, rate), *in_turn(sides, begun)))
                print(f"{name} {way}: done", file=sys.stderr)
        finally:
            for side in sides:
                side.close()
    print("One login after the other:\n")
    head("server", "mechanism")
    for one in one_by_one:
        compare(*one)
    print("\nAt a fixed rate:\n")
    head("server", "mechanism", "logins/s")
    for one in at_rate:
        compare(*one)


if __name__ == "__main__":
    try:
        main()
    finally:
        machine.sweep()
