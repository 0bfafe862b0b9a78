"""Rooms: joined, left, rejoined; commands from people identified by the room, and from nobody else."""

import itertools

import pytest

from lab import Client, Portcullis, Room, wait
from lab.answers import BANNED, UNBANNED, must_say
from lab.assertions import must_be_refused, must_log_in

_numbers = itertools.count(1)


class Stage:
    """Its own portcullis with the server, one room, an admin who owns it, and others who join."""

    def __init__(self, server, joins=True, options=None, **settings):
        self.server, self.clients = server, []
        self.admin = self.client("admin")
        self.room = Room(self.admin, f"ops{next(_numbers)}", **(options or {}))
        self.bot = Portcullis(server)
        if (options or {}).get("membersonly", True):
            self.room.affiliate(f"bot@{self.bot.jid}", "member")
        self.bot.change(rooms=[{"jid": self.room.jid, **settings}])
        self.bot.start()
        if joins:
            self.wait_in_room("portcullis")

    def client(self, user):
        one = Client(self.server, user)
        self.clients.append(one)
        return one

    def guest(self, user, affiliation=None):
        """An occupant with the account's name as nick, and this affiliation."""
        if affiliation:
            self.room.affiliate(self.server.jid(user), affiliation)
        one = self.client(user)
        self.room.enter(one, user)
        return one

    def wait_in_room(self, nick, within=20):
        wait.until(
            lambda: nick in self.room.nicks(),
            within,
            every=0.2,
            what=f"{nick} in {self.room.jid}; {self.bot.log()[-2000:]}",
        )

    def status(self):
        """The lines of `status`, then each row as `label: value`."""
        facts = self.bot.facts("status")
        return "\n".join([*facts["lines"], *(f"{row['label']}: {row['value']}" for row in facts["rows"])])

    def wait_status(self, *words, timeout=10):
        """Waits until all of these words are in the status."""
        wait.until(
            lambda: all(word.lower() in self.status().lower() for word in words),
            timeout,
            lambda: f"{words} in:\n{self.status()}",
            every=0.2,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bot.stop()
        for one in self.clients:
            one.close()


@pytest.fixture
def stage(site, server):
    """Makes a stage; the shared portcullis is stopped meanwhile, because only one may use the component's name."""
    site.bot.stop()
    made = []

    def make(*args, **settings):
        made.append(Stage(server, *args, **settings))
        return made[-1]

    yield make
    for one in made:
        one.__exit__()


def test_an_admin_a_moderator_and_a_stranger_in_a_room(stage, server, fresh):
    with stage(options={"membersonly": False}, grants={"admin": "moderator"}) as s:
        moderator, stranger = s.guest("dave", "admin"), s.guest("mallory")
        spammer = server.jid(fresh())
        must_say(f"^admin: {BANNED}", s.room.ask(s.admin, f"portcullis: ban {spammer} 3d spam in rooms"), who=spammer)
        must_be_refused(server, spammer.partition("@")[0], "spam in rooms")
        must_say(f"^dave: {UNBANNED}", s.room.ask(moderator, f"!unban {spammer} a mistake"), who=spammer)
        must_log_in(server, spammer.partition("@")[0])
        must_say("^dave: .*role", s.room.ask(moderator, "@portcullis allow 192.0.2.77"))
        must_say(
            "^mallory: You need the role moderator for that. I take orders from",
            s.room.ask(stranger, f"portcullis: ban {spammer}"),
        )
        s.room.forget(s.admin)
        stranger.say(s.room.jid, f"portcullis: ban {spammer}", kind="groupchat")
        s.admin.say(s.room.jid, f"ban {spammer}", kind="groupchat")
        s.room.silent(s.admin)
        shown = s.admin.ask(s.bot.jid, f"show {spammer}")
        must_say(r"by {who}/lab \(room {room}/admin\)", shown, who=server.jid("admin"), room=s.room.jid)
        must_say(r"by {who}/lab \(room {room}/dave\)", shown, who=server.jid("dave"), room=s.room.jid)
        # A private message within the room is answered in private, and so is a long answer.
        s.admin.say(f"{s.room.jid}/portcullis", "list")
        must_say("No bans", s.room.heard(s.admin, kind="chat"))
        must_say("in private", s.room.ask(s.admin, "portcullis: help"))
        must_say("unban", s.room.heard(s.admin, kind="chat"))
        if not server.name.startswith("ejabberd"):  # ejabberd's answer to disco does not reach a component
            s.wait_status("ANYBODY CAN ENTER")


def test_only_the_person_who_was_asked_can_answer(stage, server):
    with stage(grants={"owner": "admin", "member": "admin"}) as s:
        other = s.guest("bob", "member")
        must_say("Answer yes", s.room.ask(s.admin, "portcullis: ban 198.51.0.0/16 1h"))
        s.room.forget(s.admin)
        other.say(s.room.jid, "yes", kind="groupchat")
        s.room.silent(s.admin)
        must_say("^admin: Banned #", s.room.ask(s.admin, "yes"))
        must_say("^admin: Un-banned #", s.room.ask(s.admin, "!unban 198.51.0.0/16"))


def test_a_taken_nick_a_kick_and_a_room_that_is_closed(stage, server):
    with stage(joins=False, nick="admin") as s:  # the owner has that one
        s.wait_in_room("admin-2")
        s.room.kick("admin-2")
        wait.until(lambda: "admin-2" not in s.room.nicks(), 5)
        s.wait_status("kicked out by admin: no bots")
        s.wait_in_room("admin-2", within=40)
        s.room.destroy("moving")
        s.wait_status("closed: moving")


def test_old_room_messages_are_not_run_again(stage, server, fresh):
    with stage(options={"membersonly": False}) as s:
        victim = server.jid(fresh())
        s.bot.stop()
        wait.until(lambda: "portcullis" not in s.room.nicks(), 10, what="it left when it stopped")
        s.admin.say(s.room.jid, f"portcullis: ban {victim} 1h while away", kind="groupchat")
        s.bot.start()
        s.wait_in_room("portcullis")
        s.room.silent(s.admin)
        must_say("not banned", s.admin.ask(s.bot.jid, f"show {victim}"))


def test_a_room_that_hides_real_jids(stage, server):
    with stage(options={"whois": "moderators"}) as s:
        must_say("^admin: I cannot see who you are", s.room.ask(s.admin, "portcullis: list"))
        s.wait_status("I cannot see who")
        s.room.change(whois="anyone")
        s.wait_in_room("portcullis")
        wait.until(lambda: "No bans" in ask_or_nothing(s, "portcullis: list"), 15, every=1)


def ask_or_nothing(s, line):
    try:
        return s.room.ask(s.admin, line, within=2)
    except AssertionError:
        return ""


def test_changes_made_elsewhere_are_reported_to_the_audit_room(stage, server, fresh):
    with stage(audit=True) as s:
        victim = server.jid(fresh())
        moderator = s.client("moderator")
        must_say(BANNED, moderator.ask(s.bot.jid, f"ban {victim} 1d by chat"), who=victim)
        must_say(
            r"^ban by {mod}/lab \(moderator, chat\): Banned #\d+ {who}",
            s.room.heard(s.admin),
            mod=server.jid("moderator"),
            who=victim,
        )
        moderator.command(s.bot.jid, "unban", values={"subject": victim})
        must_say(
            r"^unban by {mod}/lab \(moderator, form\): Un-banned", s.room.heard(s.admin), mod=server.jid("moderator")
        )
        moderator.ask(s.bot.jid, "list")
        s.room.ask(s.admin, f"!ban {victim} 1h here")
        s.room.silent(s.admin)
        s.room.ask(s.admin, f"!unban {victim}")


def test_a_password_a_members_only_room_and_a_room_that_is_not_there(stage, server):
    with stage(joins=False, options={"passwordprotectedroom": True, "roomsecret": "sesame", "membersonly": False}) as s:
        s.wait_status("wants a password")
        rooms = s.bot.settings["rooms"]
        s.bot.change(rooms=[{**rooms[0], "password": "sesame"}])
        s.bot.reload()
        s.wait_in_room("portcullis")
        closed = Room(s.admin, f"closed{next(_numbers)}")
        nowhere = f"nowhere@{server.room_host}"
        s.bot.change(rooms=[{"jid": closed.jid}, {"jid": nowhere}])
        s.bot.reload()
        wait.until(lambda: "portcullis" not in s.room.nicks(), 5, what="it left the room that is no longer configured")
        s.wait_status("for members only", "there is no such room", "Next try")
        assert s.status().count("NOT IN ROOM") == 2
        invite = (
            f"<message xmlns='jabber:client' to='{closed.jid}'><x xmlns='http://jabber.org/protocol/muc#user'>"
            f"<invite to='bot@{s.bot.jid}'/></x></message>"
        )
        closed.affiliate(f"bot@{s.bot.jid}", "member")
        s.admin.send_raw(invite)
        wait.until(
            lambda: "portcullis" in closed.nicks(), 15, every=0.3, what=f"an invitation is taken; {s.bot.log()[-1500:]}"
        )
        direct = Room(s.admin, f"closed{next(_numbers)}")
        s.bot.change(rooms=[{"jid": direct.jid}])
        s.bot.reload()
        s.wait_status("NOT IN ROOM")
        direct.affiliate(f"bot@{s.bot.jid}", "member")
        s.admin.send_raw(
            f"<message xmlns='jabber:client' to='bot@{s.bot.jid}'>"
            f"<x xmlns='jabber:x:conference' jid='{direct.jid}'/></message>"
        )
        wait.until(
            lambda: "portcullis" in direct.nicks(),
            15,
            every=0.3,
            what=f"a direct invitation is taken; {s.bot.log()[-1500:]}",
        )


def test_the_bot_rejoins_after_a_restart_of_the_server(stage, server):
    with stage() as s:
        server.stop()
        server.start()
        s.bot.wait_ready(40)
        admin = s.client("admin")
        s.room.owner = s.admin = admin
        s.room.enter(admin, "admin")
        s.wait_in_room("portcullis", within=40)
        must_say("^admin: No bans", s.room.ask(admin, "portcullis: list"))
