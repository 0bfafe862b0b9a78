"""Measures login time with and without the module: `logins` logins of each kind, with the settings in turn, so that
other load affects all of them; median and 95th percentile in ms. `cd tests/live; /usr/bin/python3 -m
hook_prosody.measure [logins]`. Not a test, because machines differ.
"""

import statistics
import sys
import time

from lab.clients.raw_client import RawClient
from lab.fake_component import FakeComponentOnProsody
from lab.servers.hook_prosody import HookProsody

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 100
SETTINGS = (
    ("no module", {"module_on": False}, False),
    ("module, nagle off", {}, True),
    ("module, nagle on", {"nagle": True}, True),
    ("module, nagle off, not asked at start", {"options": "\tportcullis_ask_at_start = false\n"}, True),
    ("module, portcullis away", {}, False),
)


def login(server, mechanism):
    began = time.perf_counter()
    c = RawClient(server, "alice")
    opened = time.perf_counter()
    assert "<success" in c.auth(mechanism)
    done = time.perf_counter()
    c.close()
    return (opened - began) * 1000, (done - opened) * 1000, (done - began) * 1000


servers = [HookProsody(**how) for _, how, _ in SETTINGS]
try:
    for server, (_, _, connected) in zip(servers, SETTINGS, strict=True):
        server.start()
        if connected:
            FakeComponentOnProsody(server).connect().settled()
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        rows = [[] for _ in SETTINGS]
        for _n in range(COUNT + 10):
            for server, row in zip(servers, rows, strict=True):
                row.append(login(server, mechanism))
        for (name, _, _), row in zip(SETTINGS, rows, strict=True):
            columns = zip(*row[10:], strict=True)
            print(
                f"{mechanism:12} {name:40}"
                + "".join(
                    f"  {what} {statistics.median(column):6.2f} /{statistics.quantiles(column, n=20)[18]:6.2f}"
                    for what, column in zip(("start", "sasl", "both"), columns, strict=True)
                ),
                flush=True,
            )
finally:
    for server in servers:
        server.stop()
