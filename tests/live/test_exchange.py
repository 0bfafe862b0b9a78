"""Import of lists of other programs and of the server, and export from one portcullis to another."""

import json
import subprocess

import pytest

import lab
from lab import wait
from lab.assertions import logs_in, must_be_refused


@pytest.fixture
def shell(site, tmp_path):
    """Runs the program; a list is first written to a file."""

    def run(*args, text=None, code=0):
        if text is not None:
            file = tmp_path / "list"
            file.write_text(text)
            args = (*args, file)
        done = subprocess.run(
            [site.bot.binary, *args, "-c", site.bot.config],
            text=True,
            input="",
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == code, done
        return done.stdout if code == 0 else done.stdout + done.stderr

    return run


def taken(shell, *args, **more):
    return json.loads(shell("import", "--yes", "--json", *args, **more))["taken"]


def test_an_import_shows_a_summary_and_twice_changes_nothing(site, server, shell, fresh):
    users = [fresh() for _ in range(3)]
    names = [server.jid(u) for u in users]
    text = (
        "# spam wave\n" + "\n".join(f"{n} 2d spam wave" for n in names) + "\n203.0.113.77 1h\n192.0.2.9 1h the office\n"
    )
    told = shell("import", "--dry-run", text=text, code=1)
    assert "4 bans would begin." in told and "1 would not be taken." in told and "list:6: 192.0.2.9 is exempt" in told
    assert logs_in(server, users[0]), "a dry run did something"
    asked = shell("import", text=text, code=1)
    assert "--yes" in asked and logs_in(server, users[0])
    did = shell("import", "--yes", text=text, code=1)
    assert "4 bans began." in did, did
    for user in users:
        must_be_refused(server, user, "spam wave")
    again = shell("import", "--yes", text=text, code=1)
    assert "4 are here already." in again and "Nothing was changed." in again, again
    said = site.say(f"show {names[0]}")
    assert "imported" in said and "unix:root" in said, said


@pytest.mark.only("ejabberd")
def test_the_servers_own_bans_are_adopted_with_their_reason(site, server, shell, fresh):
    user = fresh()
    who = server.jid(user)
    server.ctl("ban_account", user=user, host=server.host, reason="made by the server")
    did = taken(shell, "--from", "ejabberd", text=f"{who}\n")
    assert (did["banned"], did["refused"]) == (1, []), did
    said = site.say(f"show {who}")
    assert "made by the server" in said, said
    must_be_refused(server, user, "made by the server")
    again = taken(shell, "--from", "ejabberd", text=f"{who}\n")
    assert (again["banned"], again["standing"]) == (0, 1), again


def test_an_export_is_imported_by_another_with_its_history(site, server, shell, fresh, tmp_path):
    user = fresh()
    who = server.jid(user)
    site.say(f"ban {who} 3d first")
    site.say(f"unban {who} a mistake")
    site.say(f"ban {who} 5d second")
    file = tmp_path / "all.jsonl"
    shell("export", "-o", file)
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["kind"] == "portcullis"
    ours = [line for line in lines if line.get("subject") == who]
    assert [line["kind"] for line in ours] == ["event", "event", "event", "ban"], ours
    again = taken(shell, "--history", file)
    assert again["banned"] == again["recalled"] == again["prolonged"] == 0, again

    # Another portcullis, with its own store and without any right on the server.
    other = lab.Portcullis(
        server,
        admins=[server.jid("admin")],
        component={"domain": server.stranger, "server": f"127.0.0.1:{server.stranger_port}"},
    )
    other.start(ready=False)
    try:
        wait.until(
            lambda: (
                "Nothing would be changed" not in (told := other.run("import", "--history", "--dry-run", file).stdout)
                and "from there would be in force" in told
            ),
            what="it runs",
        )
        asked = other.run("import", "--dry-run", file).stdout
        assert "of another portcullis left out; with --history" in asked, asked
        took = other.run("import", "--history", "--yes", file).stdout
        assert "made elsewhere stand in the history now" in took, took
        shown = other.run("show", who).stdout
        for part in ("first", "a mistake", "second", "(chat)"):
            assert part in shown, shown
        assert "Nothing was changed." in other.run("import", "--history", "--yes", file).stdout
    finally:
        other.stop()
