"""Server, module and the real portcullis are stopped, killed and started in any order during guesses."""

import os
import random
import threading
import time

import pytest

import lab
from lab import wait
from lab.guarded_server import PAIR, GuardedServer, address, try_login, wrong
from lab.require import need


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
    metafunc.parametrize("site", asked or list(lab.SERVERS), indirect=True)


@pytest.fixture
def site(request):
    need(request.param)
    one = GuardedServer(lab.SERVERS[request.param](module=True), log_level="info", exempt={"loopback": False})
    yield one
    one.close()


def restart_server(site, how):
    site.server.stop() if how.random() < 0.5 else site.server.kill9()
    site.server.start()


def reload_module(site, how):
    site.server.restart_module()


def unload_and_load_module(site, how):
    site.server.unload_module()
    site.server.load_module()


def end_or_start_portcullis(site, how):
    if not site.bot.running():
        site.bot.start(ready=False)
    elif how.random() < 0.5:
        site.bot.stop()
    else:
        site.bot.kill9()


def wait_for_portcullis(site, how):
    if not site.bot.running():
        site.bot.start(ready=False)
    site.bot.wait_ready(30)
    time.sleep(0.5)  # a hello, its answer and the waiting reports


EVENTS = [restart_server, reload_module, unload_and_load_module, end_or_start_portcullis, wait_for_portcullis]


@pytest.mark.parametrize("seed", range(6))
def test_at_most_twice_the_limit_is_looked_at_in_any_order(site, seed):
    how = random.Random(seed)
    victim, honest = site.new_users(2)
    guesser, home = address(), address()
    ends, done = [], []
    end_or_start_portcullis(site, how)  # otherwise it bans the guesser before anything else happens
    for _ in range(12):
        event = how.choice(EVENTS)
        event(site, how)
        done.append(event.__name__)
        ends += [try_login(site.server, victim, guesser, wrong())[0] for _ in range(how.randint(1, 8))]
        wait.until(lambda: try_login(site.server, honest, home)[0] == "in", 5, "somebody honest gets in")
    print(f"{ends.count('wrong')} of {len(ends)} looked at; {', '.join(done)}")
    assert ends.count("wrong") <= 2 * PAIR and "in" not in ends


def guess_until(stop, server, user, source, ends):
    while not stop.is_set():
        try:
            ends.append(try_login(server, user, source, wrong())[0])
        except (OSError, AssertionError):  # nobody listens yet, or the server is just stopping
            time.sleep(0.01)


@pytest.mark.timing
@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_a_guesser_who_waits_for_a_restarted_server_stops_at_the_limit(site, how):
    victim, honest = site.new_users(2)
    ends, stop = [], threading.Event()
    getattr(site.server, how)()
    guessing = threading.Thread(target=guess_until, args=[stop, site.server, victim, address(), ends])
    guessing.start()
    try:
        site.server.start()
        time.sleep(5)
    finally:
        stop.set()
        guessing.join()
    print(f"{ends.count('wrong')} of {len(ends)} looked at")
    assert ends.count("wrong") <= PAIR and "refused" in ends and "in" not in ends
    assert try_login(site.server, honest, address())[0] == "in"
