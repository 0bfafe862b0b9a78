#!/usr/bin/python3
"""An ad-hoc client as anybody would write one with plain slixmpp (plugins xep_0030, xep_0004 and xep_0050).

    stranger.py JID PASSWORD HOST PORT SERVICE                          lists the commands
    stranger.py JID PASSWORD HOST PORT SERVICE NODE [VAR=VALUE]...      runs one; VAR=A;B sends two values

It fills in the form it gets, prints what it reads, goes on when it is asked to confirm, and stops at an error.
"""

import asyncio
import inspect
import sys

import slixmpp
from slixmpp.exceptions import IqError


class Stranger(slixmpp.ClientXMPP):
    def __init__(self, jid, password, service, node, answers):
        super().__init__(jid, password)
        self.service, self.node, self.answers = service, node, answers
        self.code = 1
        for plugin in ("xep_0030", "xep_0004", "xep_0050"):
            self.register_plugin(plugin)
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("failed_auth", lambda _: self.disconnect())

    async def begin(self, _):
        self.send_presence()
        try:
            if self.node:
                await self.run_command()
            else:
                await self.list_commands()
        except IqError as e:
            print(f"error: {e.condition}: {e.text}")
        self.disconnect()

    async def list_commands(self):
        found = await self["xep_0050"].get_commands(self.service)
        for _, node, name in sorted(found["disco_items"]["items"], key=lambda item: item[1]):
            print(f"{node}: {name}")
        self.code = 0

    async def run_command(self):
        action = "execute"
        session, form, filled = None, None, False
        while True:
            answer = await self["xep_0050"].send_command(
                self.service, self.node, sessionid=session, action=action, payload=form
            )
            command = answer["command"]
            self.read(command)
            if command["status"] != "executing":
                self.code = int(any(note == "error" for note, _ in command["notes"]))
                return
            if any(note == "error" for note, _ in command["notes"]):
                return  # the values we filled in are wrong
            session = command["sessionid"]
            shown = command["form"]
            form = self["xep_0004"].make_form(ftype="submit")
            for var, field in shown.get_fields().items():
                value = field["value"]
                if not filled and var in self.answers:
                    value = self.answers[var].split(";") if field["type"].endswith("-multi") else self.answers[var]
                form.add_field(var=var, value=value)
            filled = True
            action = "complete" if "complete" in command["actions"] else "next"

    def read(self, command):
        print(f"status: {command['status']}")
        for kind, text in command["notes"]:
            print(f"{kind}: {text}")
        if command.xml.find("{jabber:x:data}x") is None:
            return
        form = command["form"]
        print(f"title: {form['title']}")
        if form["instructions"]:
            print(f"instructions: {form['instructions']}")
        if form["type"] == "result" and form["reported"]:
            columns = list(form["reported"])
            print(" | ".join(form["reported"][c]["label"] for c in columns))
            for item in form["items"]:
                print(" | ".join(str(item[c]) for c in columns))
            return
        for var, field in form.get_fields().items():
            if field["type"] == "hidden":
                continue
            value = field["value"]
            value = "" if value is None else " / ".join(value if isinstance(value, list) else str(value).splitlines())
            print(
                value
                if field["type"] == "fixed"
                else f"  {var} ({field['label']}){' *' if field['required'] else ''}: {value}".rstrip()
            )


def main():
    jid, password, host, port, service, *rest = sys.argv[1:]
    node, answers = (rest[0], dict(a.split("=", 1) for a in rest[1:])) if rest else (None, {})
    stranger = Stranger(jid, password, service, node, answers)
    if "disable_starttls" in inspect.signature(stranger.connect).parameters:  # slixmpp 1.8
        stranger.connect((host, int(port)), disable_starttls=True, force_starttls=False)
    else:
        stranger.enable_starttls = stranger.enable_direct_tls = False
        stranger.enable_plaintext = True
        stranger.connect(host, int(port))
    asyncio.get_event_loop().run_until_complete(asyncio.wait_for(stranger.disconnected, 30))
    sys.exit(stranger.code)


if __name__ == "__main__":
    main()
