"""Two nodes with the real portcullis at the first, under the default rules.

Guesses at one node count at the other.
"""

import itertools

import pytest

import lab
from lab import wait
from lab.clients.raw_client import RawClient
from lab.guarded_server import PAIR, address, result_of, try_login, wrong
from lab.require import need
from lab.sasl import REPLY
from lab.servers.cluster import Cluster

_numbers = itertools.count(1)


class GuardedCluster(Cluster):
    def __init__(self, version, folder):
        super().__init__(version, folder)
        self.bot = lab.Portcullis(self.first, exempt={"loopback": False}, log_level="info,portcullis=debug")
        self.bot.start()
        self.wait_modules(*self.nodes)

    def wait_modules(self, *nodes):
        """Waits for a hello of both modules since portcullis started or its link broke."""

        def greeted(node):
            return any(
                "hook module is there" in line and node.erlang_name in line
                for line in self.bot.log_since_start().splitlines()
            )

        wait.until(
            lambda: all(greeted(node) for node in nodes), 40, what=f"a hello of {[node.erlang_name for node in nodes]}"
        )

    def new_users(self, count):
        names = [f"member{next(_numbers)}" for _ in range(count)]
        for name in names:
            self.first.add_user(name)
        return names

    def close(self):
        self.bot.stop()
        super().close()


@pytest.fixture(scope="module", params=["24.12", "26.07"])
def cluster(request, tmp_path_factory):
    need(f"ejabberd-{request.param}")
    one = GuardedCluster(request.param, tmp_path_factory.mktemp("cluster"))
    yield one
    one.close()


def result(node, user, source, pw=None):
    return try_login(node, user, source, pw)[0]


def test_guesses_at_both_nodes_are_counted_together(cluster):
    [victim, innocent], guesser = cluster.new_users(2), address()
    ends = [result(cluster.nodes[n % 2], victim, guesser, wrong()) for n in range(12)]
    assert ends == ["wrong"] * PAIR + ["refused"] * 7
    for node in cluster.nodes:
        assert result(node, victim, guesser) == "refused", "the right password, from there"
        assert result(node, innocent, guesser) == "in"
        assert result(node, victim, address()) == "in"


def test_guesses_of_one_moment_at_both_nodes_stop_at_the_limit(cluster):
    [victim], guesser = cluster.new_users(1), address()
    streams = [RawClient(cluster.nodes[n % 2], victim, wrong(), guesser) for n in range(24)]
    for one in streams:
        one.send_first()
    ends = [result_of(one.until(REPLY)) for one in streams]
    for one in streams:
        one.close()
    assert ends.count("wrong") == PAIR and set(ends) == {"wrong", "refused"}, ends


def test_a_ban_by_hand_reaches_sessions_and_logins_at_both(cluster):
    [user, other], bad = cluster.new_users(2), address()
    inside = [RawClient(node, user, source=address()).login(resource=f"r{n}") for n, node in enumerate(cluster.nodes)]
    away = [RawClient(node, other, source=bad).login(resource=f"r{n}") for n, node in enumerate(cluster.nodes)]
    admin = lab.Client(cluster.first, "admin")
    try:
        assert "Banned" in admin.ask(cluster.bot.jid, f"ban {user}@localhost 1h out of here")
        assert "Banned" in admin.ask(cluster.bot.jid, f"ban {bad} 1h bad place")
        for session, reason in [*((one, "out of here") for one in inside), *((one, "bad place") for one in away)]:
            assert reason in session.wait_closed(10)
        for node in cluster.nodes:
            assert result(node, user, address()) == "refused"
            assert result(node, other, bad) == "refused"
            assert result(node, other, address()) == "in"
        assert "Un-banned" in admin.ask(cluster.bot.jid, f"unban {user}@localhost")
        for node in cluster.nodes:
            wait.until(lambda node=node: result(node, user, address()) == "in", 10, what="both let in again")
    finally:
        admin.close()


def test_a_node_that_was_lost_comes_back_and_enforces(cluster):
    first, second = cluster.nodes
    [victim, innocent], guesser = cluster.new_users(2), address()
    second.kill9()
    assert [result(first, victim, guesser, wrong()) for _ in range(7)] == ["wrong"] * PAIR + ["refused"] * 2
    second.start()
    wait.until(lambda: result(second, victim, guesser) == "refused", 20, what="it asks, or holds what it missed")
    assert result(second, innocent, address()) == "in"
    cluster.bot.kill9()
    for node in cluster.nodes:
        wait.until(
            lambda node=node: result(node, victim, guesser) == "refused", 5, what="held while portcullis is away"
        )
        assert result(node, innocent, address()) == "in"
    cluster.bot.start()
    cluster.wait_modules(*cluster.nodes)


def test_the_node_with_the_link_is_lost_and_nothing_is_forgotten(cluster):
    first, second = cluster.nodes
    [victim, pending, innocent], guesser, patient = cluster.new_users(3), address(), address()
    assert [result(first, victim, guesser, wrong()) for _ in range(6)] == ["wrong"] * PAIR + ["refused"]
    wait.until(
        lambda: (
            len(
                second.erlang(
                    f'mod_portcullis_bans:find(<<"localhost">>, check, <<"{victim}@localhost">>, '
                    f'element(2, inet:parse_address("{guesser}")))'
                )
            )
            > 10
        ),
        10,
        what="the other node holds it",
    )
    first.kill9()
    assert result(second, victim, guesser) == "refused", "by the bans it holds"
    wait.until(lambda: result(second, innocent, address()) == "in", 20, what="the node that is left lets people in")
    # Guesses while portcullis is away: their passwords are checked, and they are reported when it is back.
    assert [result(second, pending, patient, wrong()) for _ in range(3)] == ["wrong"] * 3
    cluster.bot.mark = cluster.bot.log_path.stat().st_size
    first.start()
    cluster.wait_modules(first, second)
    wait.until(lambda: cluster.bot.get("/readyz")[0] == 200, 20)
    for node in cluster.nodes:
        assert result(node, victim, guesser) == "refused"
        assert result(node, innocent, address()) == "in"
    assert [result(cluster.nodes[n % 2], pending, patient, wrong()) for n in range(5)] == ["wrong"] * (PAIR - 3) + [
        "refused"
    ] * 3
    for node in cluster.nodes:
        assert not node.crashes()
