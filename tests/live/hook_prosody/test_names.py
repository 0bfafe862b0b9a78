"""Prosody lets characters through that are newer than Unicode 3.2: `ᵃdmin` is not `admin`, though it looks like it."""

import os
import pwd

import pytest

from lab import wait
from lab.accounts import password
from lab.clients.raw_client import RawClient
from lab.guarded_server import GuardedServer
from lab.servers import SERVERS


@pytest.fixture
def site():
    site = GuardedServer(SERVERS["prosody-13"](module=True), exempt={"loopback": True})
    yield site
    site.close()


def register(site, name):
    """As mod_http_admin_api, mod_invites_register and external authentication do; a client's own registration is
    strict.
    """
    folder = site.server.path / "data" / "localhost" / "accounts"
    file = folder / ("".join(f"%{byte:02x}" if byte > 127 else chr(byte) for byte in name.encode()) + ".dat")
    file.write_text(f'return {{\n\t["password"] = "{password(name)}";\n}};\n')
    owner = pwd.getpwnam("prosody")
    os.chown(file, owner.pw_uid, owner.pw_gid)


def let_in(site, name):
    c = RawClient(site.server, name)
    try:
        return "<success" in c.auth("PLAIN")
    finally:
        c.close()


def test_a_look_alike_of_an_admin_has_no_role(site):
    register(site, "ᵃdmin")
    site.server.add_user("victim")
    c = RawClient(site.server, "ᵃdmin")
    assert "<success" in c.auth("PLAIN")
    c.open()
    c.bind()
    bot = "bot@" + site.bot.jid.split("@")[-1]
    c.send(f"<message to='{bot}' type='chat' id='m'><body>ban victim@localhost 1d x</body></message>")
    # An admin's line that comes after it was handled.
    wait.until(lambda: "malformed" in site.bot.log_since_start(), 10, what="a line about the message")
    assert "No active bans" in site.say("list") or "victim" not in site.say("list")
    assert let_in(site, "victim")
    c.close()


def test_a_look_alike_is_banned_by_its_own_name_and_nobody_else(site):
    register(site, "ᵃlice")
    session = RawClient(site.server, "ᵃlice")
    assert "<success" in session.auth("PLAIN")
    session.open()
    session.bind()
    said = site.say("ban ᵃlice@localhost 1d spam --force")
    assert "write alice@localhost" in said, said
    assert let_in(site, "alice")
    assert let_in(site, "ᵃlice")
    said = site.say('ban "ᵃlice@localhost" 1d spam --force')
    assert "Banned" in said, said
    session.until("policy-violation")
    session.close()
    assert not let_in(site, "ᵃlice")
    assert let_in(site, "alice")
    said = site.say('unban "ᵃlice@localhost"')
    assert let_in(site, "ᵃlice"), said


def test_an_account_with_characters_that_nobody_sees_is_banned(site):
    register(site, "al\u2065ice")
    said = site.say(r'ban "al\u{2065}ice@localhost" 1d spam --force')
    assert r'"al\u{2065}ice@localhost"' in said, said
    assert not let_in(site, "al\u2065ice")
    assert let_in(site, "alice")
