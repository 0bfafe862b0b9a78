"""Updates the examples in docs/admin-guide.md from one run of a real ejabberd with portcullis.

Each block of the page after a line `<!-- guide: NAME -->` is replaced with the unedited output of the scene of that
name below. Without a file it prints the blocks.
"""

import pathlib
import re
import sys
import time

from lab import Client, Ejabberd, LoginRefused, Portcullis, RawClient, Room, machine, wait
from lab.clients.slixmpp_client import loop

DIGEST = 6  # seconds; an operator has ten minutes
BLOCK = re.compile(r"(<!-- guide: (\S+) -->\n```text\n).*?(^```$)", re.S | re.M)


class Guide:
    def __init__(self):
        self.scenes, self.lines = {}, None
        self.server = Ejabberd("24.12", module=True)
        self.server.start()
        for user in ("erin", "frank", "grace", "heidi", *(f"buyer{n}" for n in range(1, 13))):
            self.server.add_user(user)
        self.admin = Client(self.server, "admin")
        self.room = Room(self.admin, "ops", membersonly=False)
        self.room.affiliate(self.server.jid("dave"), "member")
        self.bot = Portcullis(
            self.server,
            exempt={"loopback": False},
            notices={"digest": f"{DIGEST}s", "most": 3},
            rooms=[{"jid": self.room.jid, "grants": {"member": "viewer"}, "audit": True}],
        )
        self.herald = f"bot@{self.bot.jid}"
        self.bot.start()
        wait.until(lambda: "hook module is there" in self.bot.log_since_start(), 30, what="a hello of the module")
        wait.until(lambda: "portcullis" in self.room.nicks(), 20, what="portcullis in its room")

    def close(self):
        self.bot.stop()
        self.server.stop()

    def scene(self, name):
        self.lines = self.scenes[name] = []

    def tell(self, text, who=""):
        self.lines.append(who + text)

    # -- chat ---------------------------------------------------------------------------------------------------------
    def say(self, *lines):
        for line in lines:
            self.tell(f"> {line}")
            self.tell(self.admin.ask(self.bot.jid, line))

    def unseen(self, *lines, by=None):
        for line in lines:
            (by or self.admin).ask(self.bot.jid, line)

    def hear(self, pattern, within=15):
        """The next notice that matches; others are dropped."""
        while True:
            message = self.admin.next_message(self.herald, within)
            if re.search(pattern, message["body"]):
                self.tell(message["body"])
                return message

    def reply(self, to, text):
        """Sends a reply (XEP-0461) and returns the answer."""

        def send():
            message = self.admin.x.make_message(mto=self.herald, mbody=text, mtype="chat")
            message["reply"]["id"], message["reply"]["to"] = to["id"], str(to["from"])
            message.send()

        loop().call_soon_threadsafe(send)
        self.tell(f"> {text}")
        self.tell(self.admin.next_message(self.herald)["body"])

    # -- the room -----------------------------------------------------------------------------------------------------
    def in_room(self, client, line):
        self.tell(f"{client.user}> {line}")
        self.tell(self.room.ask(client, line), "portcullis> ")

    def guess(self, user, source, times=5):
        for n in range(times):
            client = RawClient(self.server, user, f"guess-{n}-{source}", source)
            client.auth("PLAIN")
            client.close()


def chat(g):
    g.scene("ban")
    g.say("ban alice@localhost 3d spam in rooms")
    g.scene("refused")
    try:
        Client(g.server, "alice")
    except LoginRefused as no:
        g.tell(no.text)
    g.scene("unit")
    g.say("ban alice@localhost 5 x")
    g.scene("change")
    g.say("ban alice@localhost 1w")
    g.scene("unknown")
    g.say("ban spam@localhost 3d spam in rooms")
    g.scene("wide")
    g.say("ban 10.0.0.0/8 1d flood", "yes")
    g.unseen("ban spam@localhost 3d --force spam in rooms", "ban 203.0.113.7 12h guessing passwords")
    g.scene("look")
    g.say("list", "show alice@localhost")
    for first in 1, 4, 7, 10:
        buyers = " ".join(f"buyer{n}@localhost" for n in range(first, first + 3))
        g.unseen(f"ban {buyers} 7d from a bought list")
    g.scene("filter")
    g.say("list account bought", "next", "list color:red")
    g.scene("unban")
    g.say("unban spam@localhost", "show spam@localhost")
    g.scene("unban-all")
    g.say('unban all account bought "the list was wrong"', "yes", "show buyer3@localhost")
    carol = Client(g.server, "carol")
    g.unseen("ban bob@localhost 3d spam", "unban bob@localhost")
    g.scene("undo")
    g.say(
        "undo",
        "extend bob@localhost 3d",
        "note bob@localhost ask alice before you un-ban",
        "kick carol@localhost please log in again",
    )
    carol.close()
    g.unseen("unban bob@localhost")


def room(g):
    dave, mallory, moderator = (Client(g.server, user) for user in ("dave", "mallory", "moderator"))
    for one in dave, mallory:
        g.room.enter(one, one.user)
    g.scene("room")
    g.in_room(g.admin, "portcullis: ban grace@localhost 3d spam in rooms")
    g.in_room(dave, "!show grace@localhost")
    g.in_room(dave, "@portcullis unban grace@localhost")
    g.in_room(mallory, "portcullis: unban grace@localhost")
    g.scene("room-question")
    g.in_room(g.admin, "portcullis, ban 198.51.0.0/16 1h flood")
    g.in_room(g.admin, "yes")
    g.scene("room-private")
    g.in_room(g.admin, "portcullis: help")
    g.room.forget(g.admin)
    g.scene("room-audit")
    g.unseen("ban bob@localhost 1h cool down", by=moderator)
    g.tell(g.room.heard(g.admin), "portcullis> ")
    g.say("show grace@localhost")
    for one in dave, mallory, moderator:
        one.close()


def notices(g):
    g.unseen("watch all")
    g.scene("notice")
    g.guess("erin", "127.77.1.9")
    notice = g.hear("^Banned .* by the rule pair-failures")
    g.scene("reply")
    g.reply(notice, "1 hour guessing")
    g.reply(notice, "unban")
    time.sleep(DIGEST + 1)  # the following notices belong to another digest
    g.scene("storm")
    for n in range(9):
        g.guess(("frank", "heidi", "carol")[n % 3], f"127.77.{10 + n}.9")
    g.hear("more bans by the rule pair-failures", 2 * DIGEST + 5)
    g.scene("attack")
    for n in range(10):
        g.guess("dave", f"127.77.{30 + n}.9", 1)
    g.hear("UNDER ATTACK")
    g.scene("outage")
    g.server.stop()
    time.sleep(12)  # a shorter outage has no notice
    g.server.start()
    g.bot.wait_ready(40)
    g.admin = Client(g.server, "admin")
    g.hear("^The link to the server was down")


def main():
    page = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    guide = Guide()
    try:
        for part in chat, room, notices:
            part(guide)
    finally:
        guide.close()
        machine.sweep()
    shown = {name: "\n".join(lines) + "\n" for name, lines in guide.scenes.items()}
    if page is None:
        for name, text in shown.items():
            print(f"<!-- guide: {name} -->\n{text}")
        return
    named = [m[2] for m in BLOCK.finditer(page.read_text())]
    if sorted(named) != sorted(shown):
        sys.exit(f"{page}: blocks and scenes differ: {sorted(set(named) ^ set(shown)) or 'one stands twice'}")
    page.write_text(BLOCK.sub(lambda m: m[1] + shown[m[2]] + m[3], page.read_text()))


if __name__ == "__main__":
    main()
