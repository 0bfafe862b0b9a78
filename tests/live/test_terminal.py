"""The shell of the server: the same commands as subcommands, through the socket of the running portcullis."""

import fcntl
import json
import os
import pathlib
import pty
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time

import pytest

from lab.answers import BANNED_UNTIL, ROW, must_say
from lab.assertions import logs_in, must_be_refused

USER = "unix:root"


@pytest.fixture
def shell(site):
    """Runs the program; standard output and standard error are separate."""

    def run(*args, input="", **more):
        return subprocess.run(
            [site.bot.binary, *args, "-c", site.bot.config],
            text=True,
            input=input,
            capture_output=True,
            timeout=30,
            **more,
        )

    return run


def test_a_ban_from_the_shell_holds_and_is_seen_in_the_chat(site, server, shell, fresh):
    user = fresh()
    who = server.jid(user)
    done = shell("ban", who, "3d", "spam", "in", "rooms")
    assert (done.returncode, done.stderr) == (0, ""), done
    number = must_say(r"^Banned #(\d+) {who} until .* \(3 days\): spam in rooms\.", done.stdout, who=who)[1]
    must_be_refused(server, user, "spam in rooms")
    text = site.say(f"list {who}")
    must_say(ROW, text, who=who, number=number)
    must_say(rf"by {USER}: spam in rooms", text)
    must_say(rf"by {USER} \(terminal\)", site.say(f"show #{number}"))
    undone = shell("unban", f"#{number}", "a mistake")
    assert undone.returncode == 0, undone
    assert logs_in(server, user)


def test_json_is_one_document_with_machine_fields(site, server, shell, fresh):
    who = server.jid(fresh())
    done = json.loads(
        shell("ban", who, "--duration", "2h", "--reason", "spam", "--note", "seen by carol", "--json").stdout
    )
    assert done["kind"] == "done" and done["grade"] == "good", done
    ban = done["subjects"][0]["ban"]
    assert (ban["subject"], ban["reason"], ban["by"], ban["origin"]) == (who, "spam", USER, "hand")
    listed = json.loads(shell("list", who, "--json").stdout)
    assert listed["rows"] == [ban]
    shown = json.loads(shell("show", who, "--json").stdout)
    assert any("seen by carol" in row["value"] for row in shown["rows"]), shown
    assert json.loads(shell("unban", who, "--json").stdout)["subjects"] == [
        {"subject": who, "status": "unbanned", "ban": None, "pending": False}
    ]
    assert shell("list", "--all", "--json").returncode == 0


def test_exit_codes_questions_and_standard_input(site, server, shell, fresh):
    wrong = shell("ban", "a@b", "3", "strikes")
    assert wrong.returncode == 2 and wrong.stdout == "", wrong
    must_say(r"needs a unit", wrong.stderr)
    refused = shell("ban", server.jid("carol"))
    assert refused.returncode == 1, refused
    must_say(r"exempt", refused.stderr)
    asked = shell("ban", "10.0.0.0/8", "1h")
    assert asked.returncode == 1, asked
    must_say(r"--yes", asked.stderr)
    many = [server.jid(fresh()) for _ in range(6)]
    done = shell("ban", "-", "1h", "a list", "--yes", input="# from a report\n" + "\n".join(many) + "\n")
    assert done.returncode == 0, done
    must_say(r"^6 of 6 done", done.stdout)
    assert shell("unban", "-", "--yes", input="\n".join(many)).returncode == 0
    # `head` reads one line and exits.
    piped = subprocess.run(
        ["bash", "-c", '"$0" list --all -c "$1" | head -1; exit ${PIPESTATUS[0]}', site.bot.binary, site.bot.config],
        text=True,
        capture_output=True,
        timeout=30,
    )
    assert (piped.returncode, piped.stderr) == (0, ""), piped


def on_a_terminal(site, *args, answer="", columns=70, thinking=0):
    """Runs the program on its own terminal; a question is answered after `thinking` seconds. Returns what it shows, and
    the exit code.
    """
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(site.bot.binary, ["portcullis", *map(str, args), "-c", str(site.bot.config)], {"TERM": "xterm"})
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = b""
    while True:
        try:
            part = os.read(screen, 4096)
        except OSError:  # the program is gone
            break
        if not part:
            break
        shown += part
        if answer and b"[y/N]" in shown:
            time.sleep(thinking)
            os.write(screen, answer.encode())
            answer = ""
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_person_is_asked_and_sees_a_table_that_fits(site):
    shown, code = on_a_terminal(site, "ban", "10.0.0.0/8", "1h", "x" * 100, answer="n\n")
    must_say(r"10\.0\.0\.0/8 is wide.*Do it\? \[y/N\]", shown)
    assert code == 1, shown
    shown, code = on_a_terminal(site, "ban", "10.0.0.0/8", "1h", "x" * 100, answer="y\n")
    must_say(BANNED_UNTIL, shown, who="10.0.0.0/8")
    assert code == 0, shown
    shown, code = on_a_terminal(site, "list", "10.0.0.0/8")
    table = [line for line in shown.splitlines() if "10.0.0.0/8" in line]
    assert len(table) == 1 and len(table[0]) <= 70 and table[0].endswith("…"), shown
    assert "\x1b[1mNumber" in shown, shown
    on_a_terminal(site, "unban", "10.0.0.0/8")


@pytest.mark.only("prosody")  # it takes a minute and is the same on all servers
def test_a_person_may_think_for_longer_than_a_connection_may_be_idle(site, tmp_path):
    names = tmp_path / "list"
    names.write_text("11.0.0.0/8 1h imported\n")
    told = {}

    def ask(*args):
        told[args[0]] = on_a_terminal(site, *args, answer="y\n", thinking=62)

    asked = [threading.Thread(target=ask, args=args) for args in [("ban", "10.0.0.0/8", "1h"), ("import", str(names))]]
    for one in asked:
        one.start()
    for one in asked:
        one.join()
    try:
        must_say(BANNED_UNTIL, told["ban"][0], who="10.0.0.0/8")
        must_say(r"1 ban began", told["import"][0])
        assert [code for _, code in told.values()] == [0, 0], told
    finally:
        on_a_terminal(site, "unban", "10.0.0.0/8", "11.0.0.0/8", "--yes")


def test_another_user_of_the_machine_is_refused(site, server):
    """`nobody` has a configuration it can read; it finds the socket but may not open it."""
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    store = site.bot.settings["store"]["path"]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        binary = shutil.copy(site.bot.binary, pathlib.Path(folder) / "portcullis")
        config = pathlib.Path(folder) / "readable.toml"
        text = site.bot.config.read_text()
        config.write_text("\n".join(line for line in text.splitlines() if not line.startswith("secret")) + "\n")
        config.chmod(0o644)
        done = subprocess.run(
            [*nobody, binary, "ban", server.jid("alice"), "1d", "-c", config],
            text=True,
            cwd="/",
            capture_output=True,
            timeout=30,
        )
        assert done.returncode == 1, done
        must_say(r"you may not speak with the portcullis .* only root and the user it runs as", done.stderr)
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect({store + '/control.sock'!r})"
    done = subprocess.run([*nobody, "/usr/bin/python3", "-c", connect], text=True, cwd="/", stderr=subprocess.PIPE)
    assert done.returncode != 0 and "PermissionError" in done.stderr, done
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(store + "/control.sock")  # the tests run as root


def test_without_a_running_portcullis_the_error_says_what_to_do(site, shell):
    site.bot.stop()
    try:
        done = shell("list")
        assert done.returncode == 1, done
        must_say(r"no portcullis runs on the store .* Start it", done.stderr)
    finally:
        site.bot.start()
    assert shell("status").returncode == 0
    assert shell("check-config").returncode == 0
    must_say(r"Level:", shell("doctor").stdout)
