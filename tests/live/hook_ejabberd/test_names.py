"""ejabberd's stringprep makes `evilC∕kg` of `evil㏆` where others make `evilc∕kg`: that is the account there."""

import lab
from lab.clients.raw_client import RawClient
from lab.guarded_server import GuardedServer, try_login
from lab.servers import SERVERS

TYPED, ACCOUNT = "evil\u33c6", "evilC\u2215kg@localhost"


def test_the_account_is_banned_by_the_name_that_the_server_has(request):
    server = SERVERS["ejabberd-24.12"](module=True)
    site = GuardedServer(server, exempt={"loopback": True})
    request.addfinalizer(site.close)
    server.add_user(TYPED)
    session = RawClient(server, TYPED)
    assert "<success" in session.auth("PLAIN")
    session.open()
    session.bind()
    said = site.say(f"ban {TYPED}@localhost 1d spam --force")
    assert "may have both" in said, said
    said = site.say(f'ban "{ACCOUNT}" 1d spam --force')
    assert f'"{ACCOUNT}"' in said, said
    session.until("policy-violation")
    session.close()
    assert try_login(server, TYPED, "127.0.0.1")[0] == "refused"
    site.bot.stop()
    assert try_login(server, TYPED, "127.0.0.1")[0] == "refused", "the module holds the ban"


def test_without_the_module_it_is_said_that_this_cannot_be_done(request):
    server = SERVERS["ejabberd-24.12"]()
    server.start()
    request.addfinalizer(server.stop)
    bot = lab.Portcullis(server, exempt={"loopback": True})
    bot.start()
    request.addfinalizer(bot.stop)
    admin = lab.Client(server, "admin")
    request.addfinalizer(admin.close)
    server.add_user(TYPED)
    said = admin.ask(bot.jid, f'ban "{ACCOUNT}" 1d spam --force')
    assert "only the hook module" in said, said
    assert "The server refuses" not in said, said
