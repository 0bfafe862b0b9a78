"""What the server itself refuses, beside the real portcullis with the real hook module: told, and let go."""

import pytest

import lab
from lab import wait
from lab.answers import must_say
from lab.guarded_server import address, with_short_rules
from lab.require import need


@pytest.fixture(scope="module", params=list(lab.SERVERS))
def site(request):
    need(request.param)
    one = with_short_rules(request.param)
    if request.param.startswith("ejabberd"):
        yml = one.server.path / "ejabberd.yml"
        fail2ban = "modules:\n  mod_fail2ban:\n    c2s_max_auth_failures: 1\n"
        yml.write_text(yml.read_text().replace("modules:\n", fail2ban, 1))
        # Over its own API: called through ejabberdctl, mod_fail2ban makes no table (ejabberd issue 4211).
        one.server.ctl("reload_config")
    one.all_up()
    yield one
    one.close()


def test_a_ban_by_the_server_itself_is_named_and_nothing_promised(site):
    user = site.new_user()
    jid = site.server.jid(user)
    assert site.try_login(user, address()) == "in"
    must_say("would be let in", site.say(f"check {jid}"))
    if site.server.name.startswith("ejabberd"):
        site.server.ctl("ban_account", user=user, host=site.server.host, reason="by hand")
        names = "ejabberd's own ban of|a ban of its own: by hand"
    else:
        site.server.shell("user", "disable", jid)
        names = f"Prosody itself has disabled {jid}. To end it, on the server: `prosodyctl shell user enable {jid}`"
    for ask in ("check", "show"):
        said = site.say(f"{ask} {jid}")
        must_say(names, said)
        assert "would be let in" not in said and "Nothing stands against" not in said, said
    said = site.say(f"unban {jid}")
    if site.try_login(user, address()) != "in":
        assert "can log in again" not in said, said
    if site.server.name == "ejabberd-24.12":
        must_say(f"Only the server can lift it.*`ejabberdctl unban_account {user} ", said)
    must_say("There is no account nosuch@", site.say(f"check nosuch@{site.server.host}"))


def test_a_ban_beside_ejabberds_own_gives_the_record_back(site):
    """ejabberd 24.12 keeps the password in its record, so that only its unban_account can lift its ban."""
    if site.server.name != "ejabberd-24.12":
        pytest.skip("ejabberd up to 25.07")
    user = site.new_user()
    jid, host = site.server.jid(user), site.server.host
    site.server.ctl("ban_account", user=user, host=host, reason="by hand")
    must_say("Banned #", site.say(f"ban {jid} 1d"))
    said = site.say(f"unban {jid}")
    lift = f"`ejabberdctl unban_account {user} {host}`"
    must_say(rf"Un-banned #\d+ {jid}.*ejabberd's own ban of {jid} stands.*{lift}", said)
    assert "not carried out" not in said, said
    assert site.bot.status_of("pending").startswith("none")
    assert site.try_login(user, address()) != "in"
    site.server.ctl("unban_account", user=user, host=host)
    assert site.try_login(user, address()) == "in"


def test_mod_fail2ban_is_warned_of_and_lets_go(site):
    if not site.server.name.startswith("ejabberd"):
        pytest.skip("ejabberd's own")
    user, bad = site.new_user(), address()
    for order in (f"unban {bad}", f"allow {bad} 1h office"):
        site.try_login(user, bad, "wrong")
        said = site.say(f"check {user}@{site.server.host} {bad}")
        must_say(f"mod_fail2ban of ejabberd holds {bad} until", said)
        assert "would be let in" not in said, said
        must_say("mod_fail2ban of ejabberd held it too, and has let it go", site.say(order))
        assert "mod_fail2ban" not in site.say(f"check {bad}")
    assert site.try_login(user, bad) == "in"
    wait.until(lambda: "od_fail2ban runs beside" in site.bot.run("doctor").stdout, 90, every=2)
    must_say("od_fail2ban runs beside portcullis", site.say("status"))
