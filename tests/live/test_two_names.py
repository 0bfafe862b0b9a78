"""Logins under way in which another element names somebody else, and passwords that the server looks at outside of a
login: no way to more guesses than the limit. With the default rules, and with the modules for XEP-0078 and XEP-0077.
"""

import os
import time

import pytest

import lab
from lab.accounts import password
from lab.clients.raw_client import RawClient
from lab.guarded_server import GuardedServer, address, result_of, wrong
from lab.require import need
from lab.servers.ejabberd import Ejabberd
from lab.servers.prosody import Prosody

LIMIT = 5
STREAMS = 20


def pytest_generate_tests(metafunc):
    if "site" in metafunc.fixturenames:
        asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
        metafunc.parametrize("site", asked or list(lab.SERVERS), indirect=True, scope="module")


class WithLegacyEjabberd(Ejabberd):
    def write_config(self):
        super().write_config()
        file = self.path / "ejabberd.yml"
        more = "modules:\n  mod_legacy_auth: {}\n  mod_register:\n    ip_access: all\n"
        file.write_text(file.read_text().replace("modules:\n", more, 1))


class WithLegacyProsody(Prosody):
    def config(self):
        return super().config().replace('"blocklist";', '"blocklist"; "legacyauth"; "sasl2"; "sasl2_fast";')


@pytest.fixture(scope="module")
def site(request):
    need(request.param)
    name, _, version = request.param.partition("-")
    server = WithLegacyEjabberd(version, module=True) if name == "ejabberd" else WithLegacyProsody(module=True)
    one = GuardedServer(server, exempt={"loopback": False})
    yield one
    one.close()


def legacy(name, resource="&#9;"):
    """XEP-0078, which no server answers with a look at the password: the resource is none."""
    return (
        f"<iq type='set' id='l'><query xmlns='jabber:iq:auth'><username>{name}</username><password>x</password>"
        f"<resource>{resource}</resource></query></iq>"
    )


@pytest.mark.parametrize("decoy", ["nobody1", "known"])
def test_another_name_in_the_middle_of_an_exchange_brings_no_guesses(site, decoy):
    victim, friend = site.new_users(2)
    source = address()
    name = decoy
    if decoy == "known":
        assert site.try_login(friend, source) == "in"
        name = friend
    clients = [RawClient(site.server, victim, wrong(), source) for _ in range(STREAMS)]
    last = RawClient(site.server, victim, password(victim), source)
    begun = [(client, client.scram_first()) for client in [*clients, last]]
    time.sleep(1.2)  # the verdict on the first message is good for a second
    ends = []
    for client, challenge in begun:
        try:
            client.send(legacy(name))
            client.until("</iq>|<iq[^>]*/>|</stream:stream>")
            client.send_proof(challenge)
            ends.append(result_of(client.until("<success|</failure>|</stream:stream>")))
        except (AssertionError, OSError):
            ends.append("closed")
        client.close()
    assert ends.count("wrong") <= LIMIT, ends
    assert ends[-1] != "in" or ends.count("wrong") == 0, ends


def test_one_name_after_the_other_counts_each(site):
    victim = site.new_user()
    source = address()
    looked_at, answers = 0, []
    for _ in range(3 * LIMIT):
        client = RawClient(site.server, victim, wrong(), source)
        if client.refused_at_start:
            continue
        try:
            challenge = client.scram_first()
            if "<challenge" not in challenge:
                continue  # refused
            client.send(legacy("nobody1"))
            client.until("</iq>|<iq[^>]*/>|</stream:stream>")
            client.send_proof(challenge)
            answer = client.until("<success|</failure>|</stream:stream>")
            # Of a wrong proof ejabberd said this, when it took the exchange for one by XEP-0078.
            answers.append(answer)
            looked_at += any(condition in answer for condition in ["<not-authorized", "<invalid-mechanism"])
        except (AssertionError, OSError):
            pass  # the stream was ended: nothing was looked at
        client.close()
    assert looked_at <= LIMIT, answers


@pytest.mark.only("ejabberd-24.12", "ejabberd-26.07")
def test_nobody_removes_the_account_of_another_or_tries_its_password(site):
    victim, mallory, owner = site.new_users(3)

    for to in ["localhost", f"{mallory}@localhost"]:
        for pw in [wrong(), password(victim)]:
            client = RawClient(site.server, mallory, source=address()).login()
            query = f"<remove/><username>{victim}</username><password>{pw}</password>"
            client.send(f"<iq type='set' id='r' to='{to}'><query xmlns='jabber:iq:register'>{query}</query></iq>")
            assert "policy-violation" in client.wait_closed()
    assert site.try_login(victim, address()) == "in"
    client = RawClient(site.server, owner, source=address()).login()
    client.send("<iq type='set' id='r' to='localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>")
    client.until("type=['\"]result|</stream:stream>")
    client.close()
    assert site.try_login(owner, address()) == "wrong"
