"""Random work from several entry points, SIGKILL at a random moment, then a check: an acknowledged change is in the
store and in force on the server, and one without an answer happened as a whole or not at all.

PORTCULLIS_ROUNDS sets the number of kills (`just kill 1000`), PORTCULLIS_SEED repeats a run.
"""

import json
import os
import random
import socket
import threading
import time

import lab
from lab import wait
from lab.clients.slixmpp_client import Client
from lab.guarded_server import address, with_shipped_rules
from lab.require import need

ROUNDS = int(os.environ.get("PORTCULLIS_ROUNDS") or 3)
SUBJECTS_EACH = 6
FREE, BANNED, EXEMPT = "free", "banned", "exempt"
# The state that each action leads to; actions not listed for a state are not tried.
ACTIONS = {
    "ban": {FREE: BANNED},
    "import": {FREE: BANNED},
    "extend": {BANNED: BANNED},
    "unban": {BANNED: FREE},
    "allow": {FREE: EXEMPT, BANNED: EXEMPT},
    "unallow": {EXEMPT: FREE},
}


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
    metafunc.parametrize("name", asked or list(lab.SERVERS))


class Target:
    """An account or address, and its possible states."""

    def __init__(self, subject, user, source):
        self.subject, self.user, self.source = subject, user, source
        self.states, self.before = {FREE}, None
        self.is_answered = True  # whether the last action was
        self.trail = []  # (action, answer) of the last actions

    @property
    def state(self):
        [one] = self.states
        return one

    def next_action(self, chance):
        """(action, the state it leads to)"""
        possible = [(action, leads[self.state]) for action, leads in ACTIONS.items() if self.state in leads]
        if self.before is not None:
            possible.append(("undo", self.before))
        return chance.choice(possible)

    def tried(self, after):
        """Records that an action was sent and has no answer yet."""
        self.states, self.is_answered = {self.state, after}, False

    def acknowledged(self, before, after):
        self.states, self.before, self.is_answered = {after}, before, True


class Terminal:
    """Uses the local socket, as the subcommands do."""

    def __init__(self, bot):
        self.bot, self.stream = bot, None

    def do(self, action, subject, folder):
        words = {"ban": [subject, "2h", "spam"], "extend": [subject, "3h"], "undo": [subject]}.get(action, [subject])
        if action == "import":
            return self.load(subject, folder)
        if self.stream is None:
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(20)
            link.connect(str(self.bot.path / "store" / "control.sock"))
            self.stream = link.makefile("rw")
        call = {"command": action, "words": words}
        self.stream.write(json.dumps({"v": 1, "call": call, "confirmed": True}) + "\n")
        self.stream.flush()
        for line in self.stream:
            answer = json.loads(line)
            if "progress" not in answer:
                return answer
        raise ConnectionError("the socket was closed")

    def load(self, subject, folder):
        file = folder / f"import-{threading.get_ident()}.txt"
        file.write_text(f"{subject} 2h spam\n")
        done = self.bot.run("import", str(file), "--yes")
        if done.returncode != 0:
            raise ConnectionError(done.stdout)
        return {"outcome": {"kind": "done", "text": done.stdout}}


class Chat:
    """Uses chat lines, as a person does."""

    def __init__(self, bot, client, stop):
        self.bot, self.client, self.stop = bot, client, stop

    def do(self, action, subject, _):
        line = {"ban": f"ban {subject} 2h spam", "extend": f"extend {subject} 3h"}.get(action, f"{action} {subject}")
        # The answer to the line before may have come too late to be read.
        while not self.client.messages.empty():
            self.client.messages.get_nowait()
        self.client.say(self.bot.jid, line)
        said = self.answer(subject)
        if said["type"] == "error":
            raise ConnectionError("the server returned the line")
        return {"outcome": {"kind": "done", "text": said["body"]}}

    def answer(self, subject):
        """The answer about this subject. Prosody does not return a line that portcullis never read, so after the kill
        an answer is waited for a second only.
        """
        for _ in range(20):
            killed = self.stop.is_set()
            try:
                return self.client.next_message(self.bot.jid, within=1, containing=subject)
            except AssertionError:
                if killed:
                    raise
        raise AssertionError(f"no answer about {subject} within 20 s")


def work(entry, targets, chance, folder, stop, faults):
    """Acts on its own targets until portcullis is killed."""
    while not stop.is_set():
        target = chance.choice(targets)
        if len(target.states) > 1:
            continue
        before = target.state
        action, after = target.next_action(chance)
        if action == "import" and isinstance(entry, Chat):
            continue
        target.tried(after)
        try:
            answer = entry.do(action, target.subject, folder)
        except (OSError, ValueError, AssertionError):
            return
        if "outcome" not in answer:
            if not stop.is_set():
                faults.append(f"{action} {target.subject}: {answer}")
            return
        kind, text = answer["outcome"]["kind"], json.dumps(answer["outcome"])
        target.trail = [*target.trail[-9:], (action, answer["outcome"].get("text", text))]
        if action == "undo" and "Undone" not in text:
            # A change that was already undone may leave nothing to undo. Then nothing changed.
            target.acknowledged(None, before)
        elif kind != "done":
            faults.append(f"{action} {target.subject} ({before}): {answer}")
            return
        else:
            target.acknowledged(before, after)


def states(bot):
    """The state of every subject that has one."""
    banned = {row["subject"]: BANNED for row in bot.facts("list", "--all")["rows"]}
    return banned | {row["subject"]: EXEMPT for row in bot.facts("allowed", "--all")["rows"]}


def test_acknowledged_changes_survive_a_kill(name, request):
    need(name)
    seed = int(os.environ.get("PORTCULLIS_SEED") or time.time())
    print(f"seed {seed}")
    chance = random.Random(seed)
    site = with_shipped_rules(name, v6=False)
    site.server.add_user("bystander")
    actions = 0
    try:
        groups = []
        for _ in range(3):
            people = [(site.server.jid(user), user, address()) for user in site.new_users(SUBJECTS_EACH // 2)]
            places = [(place, "bystander", place) for place in (address() for _ in range(SUBJECTS_EACH // 2))]
            groups.append([Target(*one) for one in people + places])
        chatting = Client(site.server, "admin")
        chatting.ask(site.bot.jid, "watch off")
        for round_ in range(ROUNDS):
            stop, faults, threads = threading.Event(), [], []
            entries = [Terminal(site.bot), Terminal(site.bot), Chat(site.bot, chatting, stop)]
            for entry, targets in zip(entries, groups, strict=True):
                worker = (entry, targets, random.Random(chance.random()), site.bot.path, stop, faults)
                threads.append(threading.Thread(target=work, args=worker))
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.05, 1.5))
            stop.set()
            site.bot.kill9()
            for thread in threads:
                thread.join(30)
            assert not faults, f"round {round_}: {faults}"
            site.bot.start()
            site.wait_hello()
            wait.until(lambda: site.bot.status_of("pending").startswith("none"), 30, what="the outbox is empty")
            present = states(site.bot)
            for target in [one for targets in groups for one in targets]:
                now = present.get(target.subject, FREE)
                assert now in target.states, (
                    f"round {round_}: {target.subject} is {now}, not {target.states}: {target.trail}"
                )
                if not target.is_answered:  # an `undo` may take back either this action or the one before
                    target.before, target.is_answered = None, True
                target.states = {now}
                result = site.try_login(target.user, target.source)
                expected = "refused" if now == BANNED else "in"
                assert result == expected, f"round {round_}: {target.subject} is {now}, and its login: {result}"
                actions += 1
    finally:
        print(site.last_logged())
        site.close()
    print(f"{ROUNDS} kills, {actions} states compared, none lost")
