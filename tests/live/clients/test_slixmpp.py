"""slixmpp, a library. `stranger.py` is a typical script that uses it, run as a separate program."""

import pathlib
import subprocess
import sys

import pytest

from lab import wait
from lab.accounts import password
from lab.answers import must_say
from lab.assertions import logs_in, must_be_refused

SCRIPT = pathlib.Path(__file__).resolve().parent / "stranger.py"


@pytest.fixture
def ask(server, bot, keep):
    """Runs the script as `user` and returns its output. `fails`: its exit code must say that it failed."""

    def run(*words, user="admin", fails=False, screen=None):
        done = subprocess.run(
            [
                sys.executable,
                "-B",
                SCRIPT,
                server.jid(user),
                password(user),
                "127.0.0.1",
                str(server.c2s),
                bot.jid,
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == int(fails), (
            f"{words}: exit code {done.returncode}\n{done.stdout}\n{done.stderr[-2000:]}"
        )
        if screen:
            typed = " ".join(f"'{w}'" if " " in w else w for w in words)
            keep(f"slixmpp-{screen}.txt", f"$ stranger.py … {typed}".rstrip() + f"\n{done.stdout.rstrip()}")
        return done.stdout

    return run


def test_the_commands_are_listed(ask, bot, admin):
    listed = dict(line.split(": ", 1) for line in ask(screen="commands").splitlines())
    assert listed == admin.nodes(bot.jid)


def test_a_ban_by_form(ask, server):
    who = server.jid("alice")
    text = ask(
        "ban", f"subject={who}", "other_duration=3d", "reason=spam in three rooms", "note=second time", screen="ban"
    )
    must_say(
        r"status: executing\ntitle: Ban\n.*subject \(Whom, one a line\) \*:\n.*status: completed\ninfo: "
        r"Banned #1 {who} until",
        text,
        who=who,
    )
    assert "spam in three rooms" in must_be_refused(server, "alice")


def test_wrong_input_is_reported_and_changes_nothing(ask, server):
    text = ask("ban", f"subject={server.jid('bob')};nobody", "other_duration=5", fails=True, screen="wrong")
    must_say(
        r"error: Error: \"nobody\" is neither an account nor an address.*5 what\?.*subject .*: {who} / nobody",
        text,
        who=server.jid("bob"),
    )
    assert "completed" not in text
    assert logs_in(server, "bob")


def test_a_wide_ban_asks_first_and_several_subjects_have_a_line_each(ask, server):
    who = server.jid("mallory")
    text = ask("ban", f"subject=198.51.0.0/16;{who}", "duration=1d", "reason=flood", screen="confirm")
    must_say(r"status: executing\nwarn: Nothing is done yet\..*title: Really ban 2 subjects\?", text)
    must_say(
        r"status: completed\ninfo: 2 of 2 done\..*Banned #\d+ 198\.51\.0\.0/16 until .*Banned #\d+ {who} until",
        text,
        who=who,
    )


def test_the_list_comes_in_rows_or_as_a_table(ask, server):
    rows = ask("list", screen="list")
    must_say(r"\n#\d+ {who}: until .* by admin.*: spam in three rooms\.", rows, who=server.jid("alice"))
    table = ask("list", "table=1", screen="table")
    must_say(r"\n[^\n]* \| [^\n]*{who}[^\n]* \| [^\n]*spam in three rooms", table, who=server.jid("alice"))


def test_a_moderator_is_refused_commands_of_admins(ask):
    must_say(r"error: forbidden: ", ask("allow", "subject=192.0.2.1", user="moderator", fails=True, screen="forbidden"))
    must_say(r"error: forbidden: ", ask("ban", user="carol", fails=True))


def test_an_unban_by_form(ask, server):
    who = server.jid("alice")
    must_say(r"info: Un-banned #1 {who}\.", ask("unban", "subject=#1", "reason=a talk", screen="unban"), who=who)
    wait.until(lambda: logs_in(server, "alice"), 8, what="alice may log in")
