"""A store that was put back to an older copy, on real servers with the hook module: it is noticed every time, whatever
was decided since, and whether the server or portcullis went down and how. No ban number is given twice.
"""

import os
import random
import re
import shutil
import time

import pytest

import lab
from lab import wait
from lab.guarded_server import GuardedServer, address
from lab.require import need

ROUNDS = int(os.environ.get("PORTCULLIS_ROUNDS") or 4)
NOTICED = "the store was put back to an older copy"


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
    metafunc.parametrize("site", asked or list(lab.SERVERS), indirect=True)


@pytest.fixture
def site(request):
    need(request.param)
    one = GuardedServer(lab.SERVERS[request.param](module=True), exempt={"loopback": False})
    yield one
    one.close()


@pytest.fixture
def chance():
    seed = int(os.environ.get("PORTCULLIS_SEED") or time.time())
    print(f"seed {seed}")
    return random.Random(seed)


def number(said):
    return int(re.search(r"#(\d+)", said).group(1))


def decide(site, chance, banned):
    """One decision that a module learns of; returns the number of the ban, or 0 for an un-ban."""
    what = chance.choice(["ban", "ban", "unban", "account"])
    if what == "unban" and banned:
        site.bot.run("unban", banned.pop(), "--yes")
        return 0
    subject = site.server.jid(site.new_user()) if what == "account" else address()
    said = site.bot.run("ban", subject, "1d", "--yes").stdout
    if what != "account":
        banned.append(subject)
    return number(said)


def test_every_older_copy_is_noticed(site, chance, tmp_path):
    banned, given = [], 0
    store = site.bot.path / "store"
    for turn in range(ROUNDS):
        for _ in range(chance.randrange(1, 4)):
            given = max(given, decide(site, chance, banned))
        site.bot.stop()
        copy = tmp_path / f"copy-{turn}"
        shutil.copytree(store, copy, copy_function=shutil.copy2, ignore=shutil.ignore_patterns("*.sock"))
        site.bot.start()
        site.wait_hello()
        kept = list(banned)
        for _ in range(chance.randrange(1, 4)):
            given = max(given, decide(site, chance, banned))
        time.sleep(chance.choice([1, 2]))  # the module hears of it
        how = chance.choice(["stop", "kill9"])
        getattr(site.bot, how)()
        server = chance.choice(["runs", "runs", "restarts", "killed"])
        if server != "runs":
            site.server.kill9() if server == "killed" else site.server.stop()
        shutil.rmtree(store)
        shutil.copytree(copy, store, copy_function=shutil.copy2)
        if server != "runs":
            site.server.start()
        print(f"turn {turn}: {how}, the server {server}")
        site.bot.start()
        site.wait_hello()
        wait.until(lambda: NOTICED in site.bot.log_since_start(), 15, what=f"turn {turn}: {NOTICED}")
        banned = kept
        said = site.bot.run("ban", address(), "1d", "--yes").stdout
        assert number(said) > given, said
        given = number(said)
        assert site.bot.run("status").stdout.count("OLDER STORE") == 1


def test_an_emptied_store_is_told_and_no_number_is_given_twice(site):
    """A ban that the server itself holds in a record goes on."""
    user = site.new_user()
    account = site.server.jid(user)
    last = number(site.bot.run("ban", account, "1d", "--yes").stdout)
    last = max(last, number(site.bot.run("ban", address(), "1d", "--yes").stdout))
    time.sleep(2)  # the module hears of it
    site.bot.stop()
    shutil.rmtree(site.bot.path / "store")
    site.bot.start()
    site.wait_hello()
    wait.until(lambda: NOTICED in site.bot.log_since_start(), 15, what=NOTICED)
    assert "OLDER STORE" in site.say("status")
    assert number(site.bot.run("ban", address(), "1d", "--yes").stdout) > last
    has_record = site.server.name != "prosody-13"  # there only the module held it
    assert site.try_login(user, address()) == ("refused" if has_record else "in")
    site.bot.run("unban", account, "--yes")
    assert site.try_login(user, address()) == "in"


def test_a_damaged_head_is_told_and_no_number_is_given_twice(site):
    last = number(site.bot.run("ban", address(), "1d", "--yes").stdout)
    site.bot.stop()
    head = site.bot.path / "store" / "head"
    head.write_bytes(head.read_bytes()[:-1] + b"?")
    site.bot.start()
    site.wait_hello()
    assert "the file that says where the log ended is damaged" in site.bot.log_since_start()
    assert "DAMAGED STORE" in site.say("status")
    assert "file head of the store was damaged" in site.bot.run("doctor").stdout
    assert NOTICED not in site.bot.log_since_start(), "nobody knows that"
    assert number(site.bot.run("ban", address(), "1d", "--yes").stdout) > last + 1_000
    site.bot.restart()
    site.wait_hello()
    assert "file head of the store was damaged" not in site.bot.run("doctor").stdout
