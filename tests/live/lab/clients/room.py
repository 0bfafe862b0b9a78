"""A room (XEP-0045) as an admin creates it, with slixmpp's plugin for everybody who enters."""

import queue
import time

from .slixmpp_client import DATA, run

OWNER = "http://jabber.org/protocol/muc#owner"
CONFIG = "http://jabber.org/protocol/muc#roomconfig"


class Room:
    """Created and owned by a client: members-only, persistent and showing real JIDs by default."""

    def __init__(self, owner, name, **options):
        self.owner, self.jid = owner, f"{name}@{owner.server.room_host}"
        self.enter(owner, owner.user)
        self.change(**{"persistentroom": True, "membersonly": True, "whois": "anyone", **options})

    def change(self, **options):
        """Sets options of the room: `membersonly=True` is `muc#roomconfig_membersonly`."""

        def text(value):
            return {True: "1", False: "0"}.get(value, value)

        fields = "".join(
            f"<field var='muc#roomconfig_{name}'><value>{text(value)}</value></field>"
            for name, value in options.items()
        )
        self.owner.iq(
            "set",
            self.jid,
            f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='submit'><field var='FORM_TYPE'>"
            f"<value>{CONFIG}</value></field>{fields}</x></query>",
        )

    def enter(self, client, nick, password=None):
        client.plugin("xep_0045", "join_muc_wait", self.jid, nick, password=password, maxstanzas=0)

    def leave(self, client, nick):
        client.send_raw(f"<presence xmlns='jabber:client' type='unavailable' to='{self.jid}/{nick}'/>")

    def affiliate(self, jid, affiliation):
        self.owner.plugin("xep_0045", "set_affiliation", self.jid, affiliation, jid=jid)

    def kick(self, nick, reason="no bots"):
        self.owner.plugin("xep_0045", "set_role", self.jid, nick, "none", reason=reason)

    def destroy(self, reason=""):
        self.owner.plugin("xep_0045", "destroy", self.jid, reason)

    def nicks(self, client=None):
        """The occupants, as a client inside sees them."""

        async def look():
            return set((client or self.owner).x["xep_0045"].get_roster(self.jid))

        return run(look())

    def forget(self, client):
        """Drops everything a client has heard so far, and messages still on their way."""
        time.sleep(0.5)  # there is no request that waits for messages on their way
        while not client.messages.empty():
            client.messages.get_nowait()

    def heard(self, client, nick="portcullis", within=10, kind="groupchat", to=""):
        """The next line of a nick that a client in the room receives; with `to`, the next one to that nick."""
        end = time.time() + within
        while True:
            try:
                message = client.messages.get(timeout=max(0.001, end - time.time()))
            except queue.Empty:
                raise AssertionError(f"{client.user} heard nothing from {nick} within {within} s") from None
            is_it = message["from"].full == f"{self.jid}/{nick}" and message["type"] == kind
            if is_it and message["body"] and message["body"].startswith(to):
                return message["body"]

    def silent(self, client, nick="portcullis", within=1.5):
        """Asserts that a nick says nothing more; call `forget` first."""
        try:
            heard = self.heard(client, nick, within)
        except AssertionError:
            return
        raise AssertionError(f"{nick} said: {heard}")

    def ask(self, client, line, nick="portcullis", within=10):
        """Sends a line to the room, and returns what the bot says next to its author."""
        while not client.messages.empty():
            client.messages.get_nowait()
        client.say(self.jid, line, kind="groupchat")
        return self.heard(client, nick, within, to=f"{client.user}: ")
