"""The disk of the store is full during guesses: the rules still apply, it is reported, and nothing is lost
afterwards.
"""

import contextlib
import os
import subprocess

import pytest

import lab
from lab import machine, wait
from lab.guarded_server import PAIR, address, with_shipped_rules, wrong
from lab.require import need

# Space for an empty store; the test fills the rest.
SIZE = "8m"


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
    metafunc.parametrize("name", asked or list(lab.SERVERS))


@contextlib.contextmanager
def small_disk():
    folder = machine.fresh_folder(machine.folder() / f"small-disk-{os.getpid()}")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


@pytest.fixture
def disk():
    with small_disk() as folder:
        yield folder


def test_a_full_disk_does_not_end_the_defence(name, disk):
    need(name)
    site = with_shipped_rules(name, v6=False, store={"path": str(disk / "store")})
    try:
        filler = disk / "filler"
        fill(filler)
        guessed = []
        # There may still be space for a few writes.
        while site.bot.get("/readyz")[0] == 200 and len(guessed) < 40:
            [victim], guesser = site.new_users(1), address()
            ends = [site.try_login(victim, guesser, wrong()) for _ in range(12)]
            assert ends == ["wrong"] * PAIR + ["refused"] * (12 - PAIR)
            guessed.append((victim, guesser))
        code, text = site.bot.get("/readyz")[:2]
        assert code == 503 and "store takes no decisions" in text, text
        assert "takes no decisions" in site.say("status")
        # The last ban is one that was certainly not written.
        held = guessed[-1]
        assert site.try_login(*held) == "refused", "the right password, from where it was guessed"
        assert site.try_login(held[0], address()) == "in", "the owner, from elsewhere"
        said = [line for line in site.bot.log_since_start().splitlines() if "ERROR" in line]
        assert len(said) <= 6, "the log is on a disk as well:\n" + "\n".join(said)

        filler.unlink()
        wait.until(lambda: site.bot.get("/readyz")[0] == 200, 20, what="/readyz after there is room")
        site.bot.kill9()
        site.bot.start()
        site.wait_hello()
        for victim, guesser in guessed:
            assert site.try_login(victim, guesser) == "refused", "no ban was lost"
    finally:
        print(site.last_logged())  # shown with a failed test
        site.close()


def test_a_full_disk_that_only_a_command_meets_is_told(name, disk):
    need(name)
    site = with_shipped_rules(name, v6=False, store={"path": str(disk / "store")})
    try:
        filler = disk / "filler"
        fill(filler)
        # An engine may have room inside its file: many bans in one command use it up.
        for n in range(40):
            many = [f"198.51.{n}.{m}" for m in range(1, 151)]
            said = site.bot.run("ban", *many, "1h", "why " * 50, "--yes").stdout
            if "NOT stored" in said:
                break
        code, text = site.bot.get("/readyz")[:2]
        assert code == 503 and "store takes no decisions" in text, text
        assert "THE STORE TAKES NO DECISIONS" in site.say("status")
        assert "takes no decisions" in site.bot.run("doctor").stdout
        filler.unlink()
        # Nobody asks for another change.
        wait.until(lambda: site.bot.get("/readyz")[0] == 200, 20, what="/readyz after there is room")
        assert "NO DECISIONS" not in site.say("status")
    finally:
        print(site.last_logged())  # shown with a failed test
        site.close()


@pytest.mark.parametrize("engine", ["redb", "sled"])
def test_a_start_on_a_read_only_disk_guards_the_door(name, disk, engine):
    need(name)
    site = with_shipped_rules(name, v6=False, store={"path": str(disk / "store"), "engine": engine})
    try:
        [stored], guesser = site.new_users(1), address()
        assert [site.try_login(stored, guesser, wrong()) for _ in range(PAIR + 1)] == ["wrong"] * PAIR + ["refused"]
        site.wait_banned(f"{site.server.jid(stored)} from {guesser}")  # logged when it is on the disk
        site.bot.kill9()
        remount(disk, "ro")
        site.bot.start(ready=False)
        site.wait_hello()
        # The module learns a moment after this that it may ask again, and it may not have heard of the ban before the
        # kill.
        wait.until(lambda: site.try_login(stored, guesser) == "refused", 5, what="the ban from before in force")
        [victim], other = site.new_users(1), address()
        ends = [site.try_login(victim, other, wrong()) for _ in range(12)]
        assert ends == ["wrong"] * PAIR + ["refused"] * (12 - PAIR)
        code, text = site.bot.get("/readyz")[:2]
        assert code == 503 and "store takes no decisions" in text, text
        assert "NOT stored" in site.say("ban 198.51.100.7 1h")
        assert "without its local socket" in site.bot.run("doctor").stdout
        remount(disk, "rw")
        wait.until(lambda: site.bot.get("/readyz")[0] == 200, 20, what="/readyz after the disk takes writes")
        wait.until(lambda: site.bot.run("list").returncode == 0, 20, what="the local socket")
        site.bot.kill9()
        site.bot.start()
        site.wait_hello()
        assert site.try_login(stored, guesser) == "refused"
        assert site.try_login(victim, other) == "refused", "the ban from memory is on the disk"
    finally:
        print(site.last_logged())  # shown with a failed test
        site.close()


def remount(disk, how):
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


@pytest.mark.parametrize("engine", ["redb", "sled"])
def test_a_start_on_a_full_disk_guards_the_door(name, disk, engine):
    need(name)
    site = with_shipped_rules(name, v6=False, store={"path": str(disk / "store"), "engine": engine})
    try:
        [stored], guesser = site.new_users(1), address()
        assert [site.try_login(stored, guesser, wrong()) for _ in range(PAIR + 1)] == ["wrong"] * PAIR + ["refused"]
        site.wait_banned(f"{site.server.jid(stored)} from {guesser}")  # logged when it is on the disk
        filler = disk / "filler"
        fill(filler)
        site.bot.kill9()
        site.bot.start(ready=False)
        site.wait_hello()
        # The module learns a moment after this that it may ask again, and it may not have heard of the ban before the
        # kill.
        wait.until(lambda: site.try_login(stored, guesser) == "refused", 5, what="the ban from before in force")
        for _ in range(3):
            [victim], other = site.new_users(1), address()
            ends = [site.try_login(victim, other, wrong()) for _ in range(12)]
            assert ends == ["wrong"] * PAIR + ["refused"] * (12 - PAIR)
        filler.unlink()
        wait.until(lambda: site.bot.get("/readyz")[0] == 200, 20, what="/readyz after there is room")
        site.bot.kill9()
        site.bot.start()
        site.wait_hello()
        assert site.try_login(stored, guesser) == "refused"
        assert site.try_login(victim, other) == "refused"
    finally:
        print(site.last_logged())  # shown with a failed test
        site.close()
