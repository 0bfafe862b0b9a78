"""The power fails: random work on a store, every system call on its files recorded, and the program started on what a
disk may hold after a cut at any moment. What had been answered is there, nothing is half done, and it starts without
help.

No server is needed: the store answers before a server is told. PORTCULLIS_ROUNDS sets the number of cuts
(`just power-cut 5000`), PORTCULLIS_SEED repeats a run as far as threads allow. lab/disk.py says what the disk is
believed to do.
"""

import collections
import concurrent.futures
import hashlib
import itertools
import os
import pathlib
import queue
import random
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime

import pytest

from lab import disk, machine, wait
from lab.recorded_work import WORKED_ON, Program, Recording, Terminal
from lab.require import need

CUTS = int(os.environ.get("PORTCULLIS_ROUNDS") or 150)
ENGINES = ["sled", "redb"]
# One in so many of the started programs also takes a new ban, dies, and is started again.
GOES_ON = 8
# At each moment, of each model: what was synced, what was issued, and so many random parts of the rest.
PARTS = 4
WORKERS = max(2, os.cpu_count() or 2)
_numbers = itertools.count(1)
# No test here needs a server; one process of those that run side by side is enough.
pytestmark = pytest.mark.only("prosody")


class Reader:
    """Starts the program on images. The same image is started once."""

    def __init__(self, engine):
        self.engine, self.seen = engine, {}
        self.free = queue.SimpleQueue()
        self.pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = tempfile.mkdtemp(prefix="portcullis-power-", dir=memory)
        for number in range(WORKERS):
            self.free.put(Program(engine, store=pathlib.Path(self.folder, str(number), "store")))

    def read(self, files, chance):
        """A future of (problem, events, bans and exemptions)."""
        whole = hashlib.sha256(repr(sorted(files.items())).encode()).digest()
        if whole not in self.seen:
            self.seen[whole] = self.pool.submit(self._start, files, random.Random(chance.random()))
        return self.seen[whole]

    def _start(self, files, chance):
        program = self.free.get()
        folder = program.store.parent
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            disk.lay_out(files, folder, chance)
            return self._look(program, goes_on=chance.randrange(GOES_ON) == 0)
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as why:
            return f"{type(why).__name__}: {why}\n{program.log_since_start()[-1500:]}", [], []
        finally:
            if program.running():
                program.end(9)
            self.free.put(program)

    @staticmethod
    def _look(program, goes_on):
        problem = program.start()
        if problem:
            return problem, [], []
        events, state = program.exported()
        # No server was ever there, so all that is in force has yet to be carried out.
        worked_on = sum(row["kind"] == "ban" and row["subject"].startswith(WORKED_ON) for row in state)
        wait.until(lambda: program.unfinished() >= worked_on, 10, f"{worked_on} bans that have to be carried out")
        if goes_on:
            new = f"after{next(_numbers)}@localhost"
            assert Terminal(program).do("ban", new)["kind"] == "done"
            program.end(9)
            problem = program.start()
            assert problem is None, f"after another ban: {problem}"
            again, _ = program.exported()
            # Bans by rules may end meanwhile.
            more = [event["subject"] for event in again[len(events) :]]
            assert again[: len(events)] == events and new in more, "the ban after the cut was lost"
        return None, events, state

    def close(self):
        self.pool.shutdown(cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)


Cut = collections.namedtuple("Cut", "model kind place promised files outcome")


def moments(recording, chance, most):
    """Places in the traces: where an answer left, where a sync had just ended, at starts and stops, and anywhere."""
    calls = [call for call in itertools.chain(*recording.sessions) if call.name in disk.CHANGES]
    syncs = [call.ended for call in calls if call.name in disk.SYNCS and call.ended]
    edges = []
    for session in recording.sessions:
        answers = [call.began for call in session if call.began in recording.answers]
        first, last = (answers[0], answers[-1]) if answers else (session[-1].began, session[-1].began)
        edges += [call.began for call in session if call.name in disk.CHANGES and not first < call.began < last]
    picked = set()
    for among, share in ((list(recording.answers), 0.3), (syncs, 0.2), (edges, 0.3)):
        picked.update(chance.sample(among, min(len(among), max(1, int(most * share)))))
    anywhere = [call.began for call in calls if call.began not in picked]
    return picked | set(chance.sample(anywhere, min(len(anywhere), max(0, most - len(picked)))))


def cuts(recording, model, reader, chance, picked):
    """Plays the recording on a model of a disk, and cuts the power at the picked moments."""
    medium, promised, found = model(recording.root, recording.files), recording.promised, []
    for calls, left in zip(recording.sessions, recording.left, strict=True):
        began = {call.began: call for call in calls}
        ended = {call.ended: call for call in calls if call.ended is not None}
        for place in sorted({*began, *ended}):
            if place in began:
                medium.begin(began[place])
                promised = max(promised, recording.answers.get(place, 0))
            if place in ended:
                medium.end(ended[place])
            for kind in ["synced", "issued"] + ["some"] * PARTS if place in picked else []:
                files = medium.image(kind, chance)
                found.append(Cut(model.__name__, kind, place, promised, files, reader.read(files, chance)))
        medium.process_ended(left)
    return found


def folded(events):
    """subject -> whether its ban is in force, and until when, after these events."""
    bans = {}
    for event in events:
        if not event["subject"].startswith(WORKED_ON):
            continue
        [kind] = event["change"] if isinstance(event["change"], dict) else [event["change"]]
        if kind in ("Imposed", "Amended"):
            bans[event["subject"]] = event["change"][kind].get("until")
        elif kind in ("Lifted", "Allowed"):
            bans.pop(event["subject"], None)
    return bans


def fault(recording, cut):
    """What is wrong with a store after a cut, or None."""
    problem, events, state = cut.outcome.result()
    if problem:
        return f"does not start: {problem}"
    if events[: cut.promised] != recording.events[: cut.promised]:
        return f"{cut.promised} events had been answered for, and {len(events)} are there"
    in_force = {row["subject"]: row for row in state if row["kind"] == "ban"}
    for subject, until in folded(events).items():
        until = datetime.fromtimestamp(until / 1000, UTC)
        row = in_force.get(subject, {})
        if "until" not in row or datetime.fromisoformat(row["until"]) != until:
            return f"{subject}: banned until {until} in the log, and in force: {row}"
    return None


def judge(recording, found, most=5):
    """Counts of cuts by model and kind, and the first faults."""
    counts, faults = collections.Counter(), []
    for cut in found:
        counts[cut.model, cut.kind] += 1
        why = fault(recording, cut)
        if why:
            counts[cut.model, cut.kind, "FAULT"] += 1
            if len(faults) < most:
                kept = machine.fresh_folder(machine.folder() / f"power-cut-{os.getpid()}-{next(_numbers)}")
                disk.lay_out(cut.files, kept)
                faults.append(f"{cut.model}, {cut.kind}, at {cut.place} ({kept}): {why[-1500:]}")
    return counts, faults


@pytest.fixture(params=ENGINES)
def reader(request):
    need("strace")
    one = Reader(request.param)
    yield one
    one.close()


@pytest.fixture
def chance():
    seed = int(os.environ.get("PORTCULLIS_SEED") or time.time())
    print(f"seed {seed}")
    return random.Random(seed)


class Forgetful(disk.Strict):
    """Not a disk that we believe in: fdatasync does nothing. It shows that the test sees a loss."""

    def sync(self, node, before, whole):
        if whole:
            super().sync(node, before, whole)


def try_all(recording, models, reader, chance, most):
    """(summary, faults) of about so many cuts."""
    picked, found = moments(recording, chance, max(4, most // (len(models) * (PARTS + 2)))), []
    for model in models:
        found += cuts(recording, model, reader, chance, picked)
    counts, faults = judge(recording, found)
    summary = (
        f"{reader.engine}: {len(recording.events)} events, {len(recording.answers)} answers, {len(picked)} moments, "
        f"{len(found)} cuts, {len({id(cut.outcome) for cut in found})} different stores started; "
        + ", ".join(f"{' '.join(what)} {number}" for what, number in counts.items())
    )
    return summary, faults, found


def test_what_was_answered_survives_a_power_cut(reader, chance):
    recording = Recording(reader.engine, chance, sessions=3, seconds=1 + CUTS / 1000)
    summary, faults, found = try_all(recording, disk.MODELS, reader, chance, CUTS * 3 // 4)
    print(summary)
    # The power fails again, while what the first cut left is started and worked on.
    torn = [cut for cut in found if cut.kind == "some" and not fault(recording, cut)]
    for cut in chance.sample(torn, min(len(torn), max(1, CUTS // 500))):
        again = Recording(reader.engine, chance, 1, 0.3, files=cut.files, promised=cut.promised)
        assert again.events[: cut.promised] == recording.events[: cut.promised]
        summary, more, _ = try_all(again, disk.MODELS, reader, chance, min(CUTS // 4, 120))
        print("again:", summary)
        faults += more
    assert not faults, "\n".join(faults)


def test_the_test_sees_what_a_disk_loses(reader, chance):
    recording = Recording(reader.engine, chance, sessions=1, seconds=0.5)
    summary, faults, _ = try_all(recording, [Forgetful], reader, chance, 60)
    assert faults, summary
