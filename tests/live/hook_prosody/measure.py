"""Login time with and without the module: 100 logins of each kind, one after another; median and 95th percentile in ms.
`/usr/bin/python3 measure.py [logins]`. Not a test: machines differ."""
import statistics
import sys
import time

from ground import Client, Portcullis, Prosody

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 100


def times(server, mechanism):
    starts, logins = [], []
    for n in range(COUNT + 10):
        began = time.perf_counter()
        c = Client(server, "alice")
        opened = time.perf_counter()
        assert "<success" in c.auth(mechanism)
        done = time.perf_counter()
        c.close()
        if n >= 10:
            starts.append((opened - began) * 1000)
            logins.append((done - opened) * 1000)
    return starts, logins


def show(name, server):
    for mechanism in ("PLAIN", "SCRAM-SHA-1"):
        starts, logins = times(server, mechanism)
        both = [a + b for a, b in zip(starts, logins)]
        print(f"{name:44} {mechanism:12}" + "".join(
            f"  {what} {statistics.median(row):6.2f} /{statistics.quantiles(row, n=20)[18]:6.2f}"
            for what, row in (("start", starts), ("sasl", logins), ("both", both))), flush=True)


for name, how, connected in (
        ("no module", {"module_on": False}, False),
        ("module, nagle off", {}, True),
        ("module, nagle on", {"nagle": True}, True),
        ("module, nagle off, not asked at start", {"options": "\tportcullis_ask_at_start = false\n"}, True),
        ("module, portcullis away", {}, False)):
    server = Prosody(**how)
    try:
        server.start()
        p = Portcullis(server).connect() if connected else None
        if p:
            p.settled()
        show(name, server)
    finally:
        server.throw_away()
