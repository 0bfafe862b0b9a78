"""Logins that fail before the server looks at a proof, as those of SCRAM with a channel binding (RFC 5929, RFC 9266)
that the server refuses: they are no wrong passwords, and no guesses for free. On streams with TLS, with the default
rules.
"""

import os
import ssl
import time

import pytest

import lab
from lab.accounts import password
from lab.clients.raw_client import RawClient
from lab.clients.slixmpp_client import Client, LoginRefused
from lab.guarded_server import PAIR, address, result_of, with_shipped_rules, wrong
from lab.require import need

UNIQUE = "tls-unique"  # only before TLS 1.3


def pytest_generate_tests(metafunc):
    if "site" in metafunc.fixturenames:
        asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
        metafunc.parametrize("shipped", asked or list(lab.SERVERS), indirect=True, scope="module")


@pytest.fixture(scope="module")
def shipped(request):
    need(request.param)
    one = with_shipped_rules(request.param, v6=False)
    yield one
    one.close()


@pytest.fixture
def site(shipped):
    shipped.all_up()
    yield shipped
    print(shipped.last_logged())  # shown with a failed test


def failures(site, source):
    """How many failed logins from this address portcullis lists, a moment after the last one."""
    time.sleep(0.5)  # the module reports an outcome a moment after the client has heard it
    return sum(row["times"] for row in site.bot.facts("failures", source)["rows"])


class Guesser:
    """SCRAM-SHA-1-PLUS from one address, bound to the stream or to something else."""

    def __init__(self, site, user):
        self.site, self.user, self.source = site, user, address()

    def result(self, pw, is_bound):
        """`in`, `wrong` (the server looked at the proof), `unbound` (it did not) or `refused`."""
        client = RawClient(self.site.server, self.user, source=self.source)
        if client.refused_at_start:
            return "refused"
        client.starttls(newest=ssl.TLSVersion.TLSv1_2)
        bound = client.s.get_channel_binding(UNIQUE) if is_bound else b"another stream"
        answer = client.scram_plus(pw, (UNIQUE, bound))
        client.close()
        is_unbound = "channel binding" in answer or "<malformed-request" in answer
        return "unbound" if is_unbound else result_of(answer)


def test_one_wrong_password_of_a_client_that_tries_every_mechanism_counts_once(site):
    """slixmpp 1.8 on TLS 1.3 tries two mechanisms with a channel binding that no server here accepts, then PLAIN."""
    user = site.new_user()
    with pytest.raises(LoginRefused):
        Client(site.server, user, wrong(), mechanism=None, tls=True)
    assert failures(site, "127.0.0.1") == 1
    with Client(site.server, user, mechanism=None, tls=True) as client:
        print([(one.condition, one.text) for one in client.failures])


def test_five_logins_whose_channel_bindings_fail_first_are_let_in(site):
    guesser = Guesser(site, site.new_user())
    right = password(guesser.user)
    for _ in range(5):
        assert [guesser.result(right, is_bound=False) for _ in range(3)] == ["unbound"] * 3
        assert failures(site, guesser.source) == 0
        assert guesser.result(right, is_bound=True) == "in"


def test_failed_channel_bindings_do_not_hide_guesses(site):
    guesser = Guesser(site, site.new_user())
    results = []
    for _ in range(3 * PAIR):
        results += [guesser.result(wrong(), is_bound=False), guesser.result(wrong(), is_bound=True)]
    print(results)
    assert results.count("wrong") == PAIR and "in" not in results
    assert guesser.result(password(guesser.user), is_bound=True) == "refused"
