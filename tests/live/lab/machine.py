"""The lab's use of this machine: a folder, free ports and processes, all removed at the end."""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

from . import wait

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent.parent
INSTALL = HERE / "install.sh"


@functools.cache
def folder():
    """The lab's folder; `install.sh --where` decides, so that shell and Python agree."""
    path = pathlib.Path(
        subprocess.run(["bash", INSTALL, "--where"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    )
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.parent == pathlib.Path("/var/tmp") and path.stat().st_uid != os.geteuid():
        sys.exit(f"{path} belongs to somebody else; set PORTCULLIS_LAB to a folder of your own")
    return path


def installed(part):
    return subprocess.run(["bash", INSTALL, "--have", part]).returncode == 0


_blocks = []  # locks, held as long as this process lives


def ports(count=6):
    """A range of free loopback ports that no other lab on this machine uses, below the range for outgoing
    connections. It stays reserved while its server is down. The lock is a name in the abstract socket namespace: that
    namespace has the same scope as the ports, whatever folder another lab uses, and the kernel releases the name when
    this process dies.
    """
    for first in range(24000, 32000, 10):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0portcullis-lab-{first}")
            for port in range(first, first + count):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _blocks.append(lock)
        return list(range(first, first + count))
    raise RuntimeError("no free ports between 24000 and 32000")


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True
    except OSError:
        return False


class _Reaper:
    """A small process that outlives us. However we end, it then ends the processes we started and removes our
    folders.
    """

    SOURCE = """
import os, shutil, signal, sys, time
groups, paths = set(), []
for line in sys.stdin:
    verb, what = line.rstrip("\\n").split(" ", 1)
    if verb == "+": groups.add(int(what))
    elif verb == "-": groups.discard(int(what))
    elif verb == "path": paths.append(what)
    elif verb == "keep": paths = [p for p in paths if p != what]
def left():
    out = []
    for g in groups:
        try: os.killpg(g, 0); out.append(g)
        except OSError: pass
    return out
for sig in (signal.SIGTERM, signal.SIGKILL):
    for g in left():
        try: os.killpg(g, sig)
        except OSError: pass
    end = time.time() + 5
    while left() and time.time() < end: time.sleep(0.05)
for p in paths: shutil.rmtree(p, ignore_errors=True)
"""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SOURCE], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def note(self, verb, what):
        self.process.stdin.write(f"{verb} {what}\n")
        self.process.stdin.flush()

    def finish(self):
        self.process.stdin.close()
        self.process.wait(30)


_reaper = None


def _the_reaper():
    global _reaper
    if _reaper is None:
        _reaper = _Reaper()
    return _reaper


def fresh_folder(path):
    """A fresh folder that is removed when this process ends (set PORTCULLIS_LAB_KEEP=1 to look at it afterwards)."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o755, parents=True)
    if not os.environ.get("PORTCULLIS_LAB_KEEP"):
        _the_reaper().note("path", path)
    return path


def keep(path):
    _the_reaper().note("keep", path)


def spawn(command, log, **more):
    """Starts a process in its own process group; its output goes to the file `log`."""
    with open(log, "ab") as out:
        process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **more
        )
    _the_reaper().note("+", process.pid)
    return process


def end(process, sig=signal.SIGTERM, timeout=15):
    """Signals the whole group and waits for all of it; returns the exit code of its leader."""

    def gone():
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        return False

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sig)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait(5)
    try:
        wait.until(gone, timeout)  # the leader may be a shell: its children must be gone as well
    except AssertionError:
        os.killpg(process.pid, signal.SIGKILL)
    _the_reaper().note("-", process.pid)
    return code


def sweep():
    """Ends everything at once and waits for it (otherwise it happens when this process ends)."""
    global _reaper
    if _reaper is not None:
        _reaper.finish()
        _reaper = None


def certificate(crt, key):
    """Writes a self-signed certificate for `localhost` and the domains below it, and its key."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "30", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,DNS:*.localhost"),
            *("-keyout", key, "-out", crt),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
