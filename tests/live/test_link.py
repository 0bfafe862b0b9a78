"""The link on real servers: half-open TCP, a slow reader, lost rights, a second program of the same name, and being
away while thousands of bans are made. What was decided is carried out once, in order, when the server is back.
"""

import json
import socket
import time

import pytest

from lab import Ejabberd, Portcullis, Prosody, wait
from lab.answers import must_say
from lab.assertions import must_be_refused, must_log_in
from lab.clients.raw_client import refused
from lab.relay import Relay

MANY = 10_000
SILENT = 60 + 20  # seconds without a byte until the link gives up (Timings of the link)


class Socket:
    """The local socket: answers in a millisecond where a subcommand needs a process."""

    def __init__(self, bot):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(30)
        link.connect(str(bot.path / "store" / "control.sock"))
        self.stream = link.makefile("rw")

    def do(self, command, *words):
        self.stream.write(json.dumps({"v": 1, "call": {"command": command, "words": words}, "confirmed": True}) + "\n")
        self.stream.flush()
        for line in self.stream:
            answer = json.loads(line)
            if "progress" not in answer:
                assert answer["outcome"]["kind"] == "done", answer
                return answer["outcome"]
        raise ConnectionError("the socket was closed")


@pytest.fixture
def alone(site):
    """The server without the portcullis of the other tests."""
    site.bot.stop()
    return site


@pytest.fixture
def relayed(alone, server):
    """A portcullis behind a relay."""
    with (
        Relay(server.port) as relay,
        Portcullis(
            server,
            component={"domain": server.component, "server": f"127.0.0.1:{relay.port}"},
        ) as bot,
    ):
        yield relay, bot


def is_ready(bot):
    return bot.get("/readyz")[0] == 200


def settle(bot, within=60):
    wait.until(lambda: bot.status_of("pending").startswith("none"), within, every=0.5, what="no unfinished work")


@pytest.mark.timing
def test_a_half_open_connection_is_left_and_everything_is_carried_out_once(relayed, alone, server, fresh):
    relay, bot = relayed
    first, second, freed = fresh(), fresh(), fresh()
    terminal = Socket(bot)
    terminal.do("ban", server.jid(freed), "1d")
    settle(bot)
    must_be_refused(server, freed)
    relay.half_open()
    began = time.time()
    for user in (first, second):
        terminal.do("ban", server.jid(user), "1d")
    terminal.do("unban", server.jid(freed))
    terminal.do("unban", server.jid(second))
    wait.until(lambda: not is_ready(bot), SILENT + 15, every=0.5, what="/readyz says that the link is down")
    took = time.time() - began
    assert refused(server, first) is None
    tries = relay.accepted
    time.sleep(5)  # a server that accepts and never answers is not dialled in a loop
    assert relay.accepted - tries <= 1, relay.accepted - tries
    relay.resume()
    bot.wait_ready(40)
    settle(bot)
    must_be_refused(server, first)
    must_log_in(server, second)
    must_log_in(server, freed)
    print(f"noticed after {took:.0f} s")


def test_a_slow_reader_delays_and_loses_nothing(relayed, server, fresh):
    relay, bot = relayed
    users = [fresh() for _ in range(6)]
    terminal = Socket(bot)
    relay.slow(3000)
    for user in users:
        terminal.do("ban", server.jid(user), "1d")
    for user in users[::2]:
        terminal.do("unban", server.jid(user))
    settle(bot, 240)
    for place, user in enumerate(users):
        (must_log_in if place % 2 == 0 else must_be_refused)(server, user)
    assert "hung" not in bot.log()
    relay.resume()


def test_a_restart_of_the_server_in_the_middle_of_the_work_loses_nothing(alone, server, fresh):
    """A kill of ejabberd loses the newest rows of mod_last, which Mnesia writes with a delay. ejabberd 24.12 then knows
    of no login to an account that exists and of no registration, and bans take --force.
    """
    with Portcullis(server) as bot:
        users = [fresh() for _ in range(12)]
        terminal = Socket(bot)
        for round_ in range(2):
            for user in users:
                terminal.do("ban", server.jid(user), "1d", "--force") if round_ == 0 else terminal.do(
                    "unban", server.jid(user)
                )
                if user in users[3::4]:
                    server.kill9()
                    server.start()
            bot.wait_ready(60)
            settle(bot)
            for user in users:
                (must_be_refused if round_ == 0 else must_log_in)(server, user)


def test_lost_rights_are_noticed_and_asked_for_again(alone, server, fresh):
    """ejabberd: mod_privilege is restarted while we run, which drops every grant without a word. Prosody: rights are
    taken away with the configuration and given again at a restart.
    """
    with Portcullis(server) as bot:
        user, other = fresh(), fresh()
        terminal = Socket(bot)
        server.withdraw_rights()
        terminal.do("ban", server.jid(user), "1d")
        if not server.name.startswith("ejabberd"):
            wait.until(lambda: bot.state_of(server.jid(user))["pending"], 20, every=0.5, what="it is not carried out")
            assert refused(server, user) is None
            terminal.do("ban", server.jid(other), "1d")
            terminal.do("unban", server.jid(other))
            server.restore_rights()
        bot.wait_ready(60)
        settle(bot, 120)
        must_be_refused(server, user)
        must_log_in(server, other)


@pytest.mark.only("ejabberd")
def test_a_reload_that_takes_the_grant_away_and_gives_it_back(alone, server, fresh):
    with Ejabberd(server.version) as own:
        own.start()
        with Portcullis(own) as bot:
            terminal = Socket(bot)
            own.privilege = False
            own.write_config()
            own._own()
            own.ctl("reload_config")
            terminal.do("ban", own.jid("dave"), "1d")
            time.sleep(3)  # the first try of the ban
            own.privilege = True
            own.write_config()
            own._own()
            own.ctl("reload_config")
            settle(bot, 180)
            must_be_refused(own, "dave")
            print(bot.log()[-2500:])


@pytest.mark.timing
def test_after_an_absence_with_ten_thousand_bans_all_are_in_force(relayed, alone, server, fresh, tmp_path):
    relay, bot = relayed
    people = [fresh() for _ in range(6)]
    settle(bot)
    relay.half_open()
    relay.cut()
    wait.until(lambda: not is_ready(bot), 20, what="the link is down")
    file = tmp_path / "wave"
    file.write_text("".join(f"100.{64 + n // 62500}.{n // 250 % 250}.{n % 250 + 1} 7d a wave\n" for n in range(MANY)))
    done = bot.run("import", "--yes", file, within=120)
    assert f"{MANY} bans began." in done.stdout, done.stdout
    terminal = Socket(bot)
    for user in people:
        terminal.do("ban", server.jid(user), "1d", "last word of it")
        terminal.do("unban", server.jid(user))
        terminal.do("ban", server.jid(user), "2d", "last word of it")
    terminal.do("unban", server.jid(people[0]))
    alone.client("admin")
    relay.resume()
    began = time.time()
    bot.wait_ready(40)
    settle(bot, 120)
    took = time.time() - began
    must_log_in(server, people[0])
    for user in people[1:]:
        must_be_refused(server, user, "last word of it")
    assert len(bot.facts("list", "--all", "origin:import")["rows"]) == MANY
    print(f"{MANY} bans and {len(people)} accounts were in line {took:.1f} s after the link was back")


def tells_conflict(bot):
    status, text = bot.get("/readyz")
    return status == 503 and "another program" in text


def test_two_programs_of_one_name_notice_each_other(alone, server, fresh):
    admin = alone.client("admin")
    with Portcullis(server) as one, Portcullis(server) as two:
        began, open_ = time.time(), {one, two}
        # A minute, and half a minute for what runs beside it.
        while open_ and time.time() - began < 90:
            open_ -= {bot for bot in open_ if tells_conflict(bot)}
            time.sleep(0.2)  # the pause between two looks
        took = time.time() - began
        assert not open_, f"{len(open_)} of 2 noticed nothing"
        for bot in (one, two):
            must_say("ANOTHER PROGRAM", bot.status_of("conflict"))
            must_say("another program|connected already", bot.log())
        doctor = one.run("doctor")
        assert doctor.returncode == 1
        must_say("ANOTHER PROGRAM", doctor.stdout)
        for _ in (one, two):
            admin.next_message(f"bot@{one.jid}", 100, "ANOTHER PROGRAM")
        two.stop()
        wait.until(lambda: is_ready(one), 180, every=0.5, what="the first one is ready again")
        after = time.time() - began - took
        assert "conflict" not in [row["var"] for row in one.facts("status")["rows"]]
        user = fresh()
        Socket(one).do("ban", server.jid(user), "1d")
        settle(one, 60)
        must_be_refused(server, user)
        print(f"both noticed after {took:.0f} s; the one that stayed was ready {after:.0f} s after the other had left")


@pytest.mark.only("prosody")
def test_where_the_server_refuses_the_second_one_that_one_says_so(server):
    with Prosody() as own:
        own.conflict = "kick_new"
        own.start()
        with Portcullis(own) as one:
            two = Portcullis(own)
            two.start(ready=False)
            wait.until(lambda: tells_conflict(two), 20, what="the second one says it")
            must_say("ANOTHER PROGRAM", two.status_of("conflict"))
            assert is_ready(one)
            two.stop()
