"""How much longer a login takes with the module: `python3 measure.py [logins]` prints one table row per version, way in
and state. Connect, stream, features and SASL; no binding. The component is a script, so these are upper bounds."""
import pathlib
import statistics
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]

from client import Stream  # noqa: E402
from component import Component  # noqa: E402
from lab import ground  # noqa: E402
from lab.server import SECRET, password  # noqa: E402
from node import Node  # noqa: E402


def once(node, way):
    began = time.perf_counter()
    with Stream(node.c2s) as s:
        assert getattr(s, way)("alice", password("alice"))[0] == "success", s.text
        return (time.perf_counter() - began) * 1000


def row(node, state, count):
    for way in ("plain", "scram"):
        for _ in range(10):
            once(node, way)
        took = sorted(once(node, way) for _ in range(count))
        print(f"| {node.version} | {way} | {state} | {statistics.median(took):.2f} | {took[int(count * 0.95)]:.2f} |", flush=True)


def main(count):
    print("| ejabberd | way in | module | median ms | p95 ms |\n|---|---|---|---|---|")
    for version in ("24.12", "26.07"):
        if not ground.installed(f"ejabberd-{version}"):
            continue
        with Node(version, loglevel="warning") as node:
            node.start()
            row(node, "none", count)
            node.install_module()
            with Component(node.port, SECRET) as component:
                component.wait(lambda: component.hellos)
                row(node, "asks", count)
                for n in range(1000):
                    component.ban(f"u{n}@localhost", tell=False)
                    component.ban(f"10.{n % 250}.{n // 250}.0/{24 + n % 8}", kind="network", tell=False)
                component.wait_held()
            time.sleep(0.5)
            row(node, "portcullis away, 2000 bans held", count)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    ground.sweep()
