"""Starts, stops, crashes, outages, and what the program reports about its own state."""

import time

import pytest

from lab import Client, Ejabberd, Portcullis, Prosody, wait
from lab.answers import (
    BANNED,
    EJABBERD_LINES,
    PROSODY_LINES,
    WRONG_SECRET,
    must_not_say,
    must_say,
)
from lab.assertions import ban, must_be_refused, must_log_in
from lab.clients.raw_client import refused


def test_an_acknowledged_ban_survives_kill_9(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    answer = site.say(f"ban {who} 1d survives")
    site.bot.kill9()
    number = must_say(BANNED, answer, who=who).group(1)
    site.bot.start()
    assert site.bot.ban_of(who)["number"] == int(number)
    must_be_refused(server, user, "survives")
    answer = site.say(f"unban {who}")
    site.bot.kill9()
    must_say("Un-banned", answer)
    site.bot.start()
    must_log_in(server, user)


@pytest.mark.timing
def test_sigterm_is_a_clean_end(site):
    began = time.time()
    assert site.bot.stop() == 0
    assert time.time() - began < 3


def test_a_restart_of_the_server_costs_no_restart_of_portcullis(site, server, fresh):
    pid = site.bot.process.pid
    server.stop()
    wait.until(lambda: site.bot.get("/readyz")[0] == 503, 10, what="/readyz says that the link is down")
    assert site.bot.get("/healthz")[0] == 200
    server.start()
    site.bot.wait_ready(40)
    assert site.bot.process.pid == pid
    user = fresh()
    ban(site, server.jid(user), "1h after the restart")
    must_be_refused(server, user)


def test_a_ban_given_while_the_server_goes_down_is_either_unknown_or_in_force(site, server, fresh):
    users = [fresh() for _ in range(3)]
    admin = site.client("admin")
    for user in users:
        admin.say(site.jid, f"ban {server.jid(user)} 1d going down")
    server.stop()
    server.start()
    site.bot.wait_ready(40)
    text = site.say("list")
    for user in users:
        if server.jid(user) in text:
            must_be_refused(server, user, within=40)
        else:
            assert refused(server, user) is None


def test_sighup_brings_new_admins(site, server):
    bob = site.client("bob")
    assert bob.nodes(site.jid) == {}
    admins = site.bot.settings["admins"]
    site.bot.change(admins=[*admins, server.jid("bob")])
    site.bot.reload()
    wait.until(lambda: "ban" in bob.nodes(site.jid), 5, every=0.2)
    must_say(r"ban", site.say("help", "bob"))
    site.bot.change(admins=admins)
    site.bot.reload()
    wait.until(lambda: bob.nodes(site.jid) == {}, 5, every=0.2)


def test_a_broken_file_at_sighup_changes_nothing(site, admin):
    good = site.bot.config.read_text()
    site.bot.config.write_text("admins = [")
    site.bot.reload()
    refusal = "the configuration has mistakes and was not applied"
    wait.until(lambda: refusal in site.bot.log_since_start(), what="it has read the file")
    site.bot.config.write_text(good)
    assert site.bot.running()
    assert "ban" in admin.nodes(site.jid)


def test_a_wrong_secret_is_a_configuration_error(server):
    bot = Portcullis(
        server,
        component={"domain": server.stranger, "server": f"127.0.0.1:{server.stranger_port}", "secret": "not this one"},
    )
    bot.start(ready=False)
    code = wait.until(lambda: bot.process.poll() is not None and (bot.process.poll() + 1000), 15, what="it ends") - 1000
    assert code == 2, bot.log()
    must_say(WRONG_SECRET, bot.log())
    must_not_say("not this one", bot.log())
    bot.stop()


def test_check_config_names_the_nearest_key_and_keygen_makes_keys(server):
    bot = Portcullis(server)
    good = bot.run("check-config")
    assert good.returncode == 0, good.stdout
    bot.change(ban={"default_durations": "1d"})
    bad = bot.run("check-config")
    assert bad.returncode == 2, bad.stdout
    must_say("default_duration", bad.stdout)
    bot.settings.pop("ban")
    bot.change(component={"server": "192.0.2.1:5347"})
    plain = bot.run("check-config")
    assert plain.returncode == 2, plain.stdout
    must_say("allow_plain_remote", plain.stdout)
    one, two = bot.keygen(), bot.keygen()
    assert one.strip() and len(one.strip().splitlines()) == 1 and one != two


def test_a_seal_key_that_others_can_read_is_refused(server):
    bot = Portcullis(server)
    (bot.path / "seal.key").chmod(0o644)
    bot.start(ready=False)
    assert wait.until(lambda: bot.process.poll(), 15, what="it ends") == 2, bot.log()
    must_say(r"seal\.key", bot.log())
    bot.stop()


def test_doctor_finds_nothing_missing_on_a_well_configured_server(site, server):
    site.bot.stop()
    done = site.bot.run("doctor")
    assert done.returncode == 1, done.stdout
    must_say("portcullis is NOT RUNNING", done.stdout)
    site.bot.start()
    site.bot.wait_ready(40)
    done = site.bot.run("doctor")
    assert done.returncode == 0, done.stdout


def test_doctor_before_the_first_start_says_once_that_the_server_is_not_there(server):
    bot = Portcullis(server)
    settings = bot.path / "portcullis.toml"
    settings.write_text(settings.read_text().replace(f":{server.port}", ":9"))
    done = bot.run("doctor")
    assert done.returncode == 1
    must_say("not started yet", done.stdout)
    assert "What follows" not in done.stdout and done.stdout.count("answer") == 1, done.stdout


def without_rights(server):
    more = {"privilege": False, "configure": False}
    return Prosody(**more) if server.name == "prosody-13" else Ejabberd(server.version, **more)


def test_without_rights_it_says_what_is_missing_keeps_the_work_and_does_it_when_it_can(server):
    with without_rights(server) as poor:
        poor.start()
        bot = Portcullis(poor)
        doctor = bot.run("doctor")
        assert doctor.returncode == 1, doctor.stdout
        for line in PROSODY_LINES if poor.name == "prosody-13" else EJABBERD_LINES:
            must_say(line, doctor.stdout)
        must_say(poor.component, doctor.stdout)
        with bot:
            admin = Client(poor, "admin")
            answer = admin.ask(bot.jid, f"ban {poor.jid('dave')} 1d cannot yet", 25)
            if "Banned #" not in answer:  # whether dave exists is unknown here, so force may be needed
                answer = admin.command(
                    bot.jid,
                    "ban",
                    values={"subject": poor.jid("dave"), "duration": "1d", "reason": "cannot yet", "force": "1"},
                    within=25,
                ).note
            must_say(BANNED, answer, who=poor.jid("dave"))
            assert refused(poor, "dave") is None
            assert bot.state_of(poor.jid("dave"))["pending"]
            assert bot.status_of("pending") != "none"
            admin.close()
            poor.privilege = poor.configure = True
            poor.restart()
            bot.wait_ready(40)
            must_be_refused(poor, "dave", "cannot yet", within=40)
            wait.until(
                lambda: not bot.state_of(poor.jid("dave"))["pending"], 5, every=0.2, what="nothing is left to do"
            )


@pytest.mark.only("ejabberd-26.07")  # on 24.12 portcullis borrows the right of an admin
def test_without_the_right_to_end_streams_the_record_holds_and_the_rest_stays_visible(server):
    with Ejabberd(server.version, configure=False) as poor:
        poor.start()
        with Portcullis(poor) as bot:
            admin, victim = Client(poor, "admin"), Client(poor, "dave")
            must_say(BANNED, admin.ask(bot.jid, f"ban --force {poor.jid('dave')} 1d no kick", 20), who=poor.jid("dave"))
            must_be_refused(poor, "dave", "no kick")
            assert victim.online
            assert bot.state_of(poor.jid("dave"))["pending"]
            must_say("configure", admin.ask(bot.jid, "status", 20))
            admin.close()
            victim.close()


@pytest.mark.only("ejabberd")
def test_direct_tls_to_the_component_port(site, server):
    site.bot.stop()  # two connections of one component take each other's grants
    tls = {"server": f"127.0.0.1:{server.tls_port}", "tls": True, "tls_name": "localhost"}
    trusting = Portcullis(server, component={**tls, "tls_ca_file": str(server.path / "crt.pem")})
    with trusting:
        must_say("portcullis", site.say("status"))
    wary = Portcullis(server, component=tls)
    wary.start(ready=False)
    wait.until(lambda: "certificate" in wary.log(), 20, what="the log names the certificate")
    assert wary.get("/readyz")[0] != 200
    wary.stop()


@pytest.mark.only("prosody")
def test_a_provider_that_cannot_disable_accounts_is_detected(server):
    with Prosody(authentication="internal_plain") as plain:
        plain.start()
        with Portcullis(plain) as bot:
            assert bot.facts("ban", plain.jid("dave"), "1d", "in", "vain")["kind"] == "done"
            missing = "The accounts of localhost cannot be disabled."
            wait.until(
                lambda: missing in str(bot.facts("status")["rows"]), 20, every=0.5, what="status tells what is missing"
            )
            assert bot.state_of(plain.jid("dave"))["pending"] and refused(plain, "dave") is None
