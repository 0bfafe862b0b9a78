"""Work on a store without a server, with every system call recorded: who was answered what, and when."""

import collections
import contextlib
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import socket
import threading
import time
import types

from . import disk, machine, syscalls, wait
from .portcullis import Portcullis

NOBODY = types.SimpleNamespace(
    component="portcullis.localhost", port=1, cookie=None, jid=lambda user: f"{user}@localhost"
)


class Program(Portcullis):
    """portcullis on a store of its own and without a server."""

    def __init__(self, engine, store=None):
        super().__init__(NOBODY, store={"engine": engine}, http={"listen": None})
        self.store = self.path / "store"
        if store:
            self.store = store
            self.change(store={"path": str(store)})

    def start(self, trace=None):
        """Returns None, or why it did not start."""
        self.mark = self.log_path.stat().st_size if self.log_path.exists() else 0
        command = [self.binary, "run", "-c", self.config]
        command = syscalls.traced(command, trace) if trace else command
        self.process = machine.spawn(command, self.log_path, cwd=self.path, env={**os.environ, "NO_COLOR": "1"})

        def state():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
                link.connect(str(self.store / "control.sock"))
                return "up"
            return None if self.running() else "down"

        try:
            up = wait.until(state, 30, what="its socket") == "up"
        except AssertionError as why:
            up = False
            print(why)
        return None if up else self.log_since_start()[-3000:] or "it did not start"

    def end(self, sig):
        """Signals the program and waits for it; strace, in the same group, ends when it has written everything."""
        os.kill(self.process.pid, sig)
        code = self.process.wait(30)
        wait.until(self._group_is_gone, 30, what="strace has ended")
        machine.end(self.process)
        self.process = None
        return code

    def _group_is_gone(self):
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def exported(self):
        """(events, bans and exemptions in force); an event without its number in the log."""
        done = self.run("export")
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert done.returncode == 0 and lines, done.stdout
        return (
            [line for line in lines if line["kind"] == "event"],
            [line for line in lines if line["kind"] in ("ban", "exemption")],
        )

    def unfinished(self):
        """How much work on the server is not finished."""
        return self.facts("status")["facts"]["pending"]


class Terminal:
    def __init__(self, program):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(30)
        link.connect(str(program.store / "control.sock"))
        self.stream = link.makefile("rw")

    def do(self, command, *words):
        call = {"command": command, "words": list(words)}
        self.stream.write(json.dumps({"v": 1, "call": call, "confirmed": True}) + "\n")
        self.stream.flush()
        for line in self.stream:
            answer = json.loads(line)
            if "progress" not in answer:
                return answer["outcome"]
        raise ConnectionError("the socket was closed")


# state -> what can be done, and the state it leads to
FREE, BANNED, EXEMPT = "free", "banned", "exempt"
ACTIONS = {
    FREE: [("ban", "2h spam", BANNED), ("ban", "9d a longer text, " + "x" * 300, BANNED), ("allow", "3d", EXEMPT)],
    BANNED: [("extend", "3h", BANNED), ("unban", "pardoned", FREE), ("ban", "5h again", BANNED), ("allow", "", EXEMPT)],
    EXEMPT: [("unallow", "", FREE)],
}


def work(program, subjects, chance, stop, faults):
    """Acts on its own subjects, one order after the other, until the program is gone."""
    states = dict.fromkeys(subjects, FREE)
    try:
        terminal = Terminal(program)
        while not stop.is_set():
            subject = chance.choice(subjects)
            action, words, after = chance.choice(ACTIONS[states[subject]])
            answer = terminal.do(action, subject, *words.split())
            if answer["kind"] != "done":
                faults.append(f"{action} {subject} ({states[subject]}): {answer}")
                return
            states[subject] = after
    except (OSError, ValueError):
        pass


def guess(program, chance, stop):
    """Failed logins, of which the rules make bans; nobody is promised anything about them."""
    with contextlib.suppress(OSError, ValueError):
        terminal = Terminal(program)
        while not stop.is_set():
            place = f"198.51.{chance.randint(0, 9)}.{chance.randint(1, 9)}"
            terminal.do("attempt", f"victim{chance.randint(1, 9)}@localhost", place, str(chance.randint(1, 9)))


class Recording:
    """Some sessions of work on one store, each ended by SIGTERM or SIGKILL. `promised` are the events that must be in
    the store already (in `files`, path -> bytes).
    """

    def __init__(self, engine, chance, sessions, seconds, files=None, promised=0):
        self.program = Program(engine)
        self.root, self.files, self.promised = self.program.path, files, promised
        self.sessions, self.left, self.places = [], [], 0  # calls, and the folder as each session left it
        if files:
            disk.lay_out(files, self.root)
        for number in range(sessions):
            self._session(self.root.parent / f"{self.root.name}-trace-{number}", chance, seconds)
        problem = self.program.start()
        assert problem is None, problem
        self.events, _ = self.program.exported()
        self.program.end(9)
        self.answers = self._answers()

    def _session(self, trace, chance, seconds):
        problem = self.program.start(trace)
        assert problem is None, problem
        stop, faults, prefix = threading.Event(), [], f"s{chance.randrange(1 << 32):x}"
        threads = [threading.Thread(target=guess, args=[self.program, random.Random(chance.random()), stop])]
        for one in range(3):
            args = [self.program, subjects(prefix, one), random.Random(chance.random()), stop, faults]
            threads.append(threading.Thread(target=work, args=args))
        for thread in threads:
            thread.start()
        time.sleep(seconds)  # the time for work
        is_killed = chance.random() < 0.5
        if is_killed:
            self.program.end(9)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert is_killed or self.program.end(15) == 0
        assert not faults, faults
        calls = syscalls.read(trace, self.places)
        self.places = calls[-1].began + 1_000_000
        self.sessions.append(calls)
        self.left.append(self.root / f"left-{len(self.left)}")
        shutil.copytree(self.root / "store", self.left[-1] / "store", ignore=shutil.ignore_patterns("*.sock"))
        if not os.environ.get("PORTCULLIS_LAB_KEEP"):
            trace.unlink()

    def _answers(self):
        """Place of an answer in the traces -> how many events must be there from then on."""
        commands = collections.defaultdict(dict)  # subject -> command -> place of its last event
        for at, event in enumerate(self.events, 1):
            commands[event.get("subject")][event.get("command")] = at
        left = {subject: iter(places.values()) for subject, places in commands.items()}
        found = {}
        for call in itertools.chain(*self.sessions):
            if call.name in ("sendto", "write") and b'"outcome"' in (said := syscalls.data(call.args[1])):
                about = re.search(rb'"subject":"([^"]+)"', said)
                about = about.group(1).decode() if about else ""
                place = next(left.get(about, iter(())), None)
                if place and about.startswith(WORKED_ON):
                    found[call.began] = place
        return found


# How the subjects begin whose orders are answered one by one; those of the guesses begin otherwise.
WORKED_ON = ("s", "100.", "10.")


def subjects(prefix, worker):
    """New accounts, an address and a network for one worker of one session."""
    tail = hashlib.sha1(f"{prefix}{worker}".encode()).digest()
    accounts = [f"{prefix}-{worker}-{n}@localhost" for n in range(4)]
    return [*accounts, f"100.{64 + worker}.{tail[0]}.{tail[1]}", f"10.{tail[2]}.{tail[3]}.0/24"]
