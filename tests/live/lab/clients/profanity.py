"""profanity in its own terminal (tmux): types lines, reads the screen."""

import os
import re
import subprocess

from .. import machine, wait
from ..accounts import password

SETTINGS = """\
[ui]
splash=false
roster=false
occupants=false
wrap=true
[notifications]
message=off
"""

ACCOUNT = """\
[{user}]
enabled=true
jid={jid}
server=127.0.0.1
port={port}
tls.policy=disable
password={password}
resource=profanity
presence.last=online
presence.login=online
muc.nick={user}
"""


class Profanity:
    """Logged in as `user`; the first window is in front and empty."""

    def __init__(self, server, user, columns=100, lines=44):
        self.server, self.user, self.jid = server, user, server.jid(user)
        self.path = machine.fresh_folder(machine.folder() / f"profanity-{server.c2s}-{user}")
        for name, text in {
            "config/profanity/profrc": SETTINGS,
            "data/profanity/accounts": ACCOUNT.format(
                user=user, jid=self.jid, port=server.c2s, password=password(user)
            ),
        }.items():
            (self.path / name).parent.mkdir(parents=True)
            (self.path / name).write_text(text)
        self.socket = self.path / "tmux"
        env = {
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "HOME": str(self.path),
            "XDG_CONFIG_HOME": str(self.path / "config"),
            "XDG_DATA_HOME": str(self.path / "data"),
        }
        self.process = machine.spawn(
            ["tmux", "-S", self.socket, "-f", "/dev/null", "-D"], self.path / "tmux.log", env=env
        )
        wait.until(self.socket.exists, 5, what="tmux listens")
        self._tmux("new-session", "-d", "-s", "it", "-x", str(columns), "-y", str(lines), f"profanity -a {user}")
        self.shows("logged in successfully", 20)
        self.home()

    def close(self):
        machine.end(self.process)

    def _tmux(self, *words):
        return subprocess.run(
            ["tmux", "-S", self.socket, *words], check=True, stdout=subprocess.PIPE, text=True, timeout=10
        ).stdout

    def screen(self):
        """The text on the screen now."""
        return self._tmux("capture-pane", "-p", "-t", "it").rstrip()

    def flat(self):
        """The screen in one line, without the times at the edge, so that wrapped lines are whole."""
        lines = [re.sub(r"^\d\d:\d\d:\d\d [-!] ?", "", line).strip() for line in self.screen().splitlines()]
        return " ".join(" ".join(lines).split())

    def type(self, *lines):
        """Types each line, waits until the input line shows it, and until it was taken."""
        for line in lines:
            end = line[-30:]
            self._tmux("send-keys", "-t", "it", "-l", "--", line)
            wait.until(lambda end=end: end in self._input(), 10, what=f"{line!r} is typed")
            self._tmux("send-keys", "-t", "it", "Enter")
            wait.until(lambda end=end: end not in self._input(), 10, what=f"{line!r} is taken")

    def _input(self):
        return self.screen().splitlines()[-1]

    def shows(self, pattern, within=10, **parts):
        """Waits until the pattern is on the screen; returns the match."""
        full = pattern.format(**{k: re.escape(v) for k, v in parts.items()}) if parts else pattern
        try:
            return wait.until(lambda: re.search(full, self.flat()), within)
        except AssertionError:
            raise AssertionError(f"not on the screen within {within} s: /{full}/\n{self.screen()}") from None

    def home(self):
        """Goes to the first window and clears it."""
        for _ in range(5):  # more may still arrive after the first time
            self.type("/win 1", "/wins prune", "/clear")
            try:
                return wait.until(
                    lambda: not "".join(self.screen().splitlines()[1:-1]).strip(), 2, what="the window is empty"
                )
            except AssertionError as e:
                problem = e
        raise problem

    def execute(self, bot, node):
        """Opens a command and waits for its form."""
        self.home()
        self.type(f"/cmd exec {node} {bot.jid}")

    def submit(self):
        self.type("/form submit")
