"""Two nodes, and one portcullis connected to the first: both ask and hold bans, and losing either harms nobody."""

import pytest

from lab import wait
from lab.accounts import password
from lab.clients.stream import Stream
from lab.fake_component import FakeComponent
from lab.require import need
from lab.servers.cluster import Cluster


@pytest.fixture(scope="module", params=["24.12"])
def two(request, tmp_path_factory):
    need(f"ejabberd-{request.param}")
    cluster = Cluster(request.param, tmp_path_factory.mktemp("cluster"))
    yield cluster.nodes
    cluster.close()


def login(node, user, pw=None):
    with Stream(node.c2s) as s:
        return s.plain(user, pw or password(user))[0]


def greeted(component, *nodes):
    component.wait(lambda: {n.erlang_name for n in nodes} <= {h["node"] for h in component.hellos}, 30)


def test_a_cluster(two):
    first, second = two
    names = [first.erlang_name, second.erlang_name]
    # both nodes say hello, ask and report through the component that is connected to the first
    component = FakeComponent(first).connect()
    greeted(component, first, second)
    assert login(second, "bob") == "success"
    assert component.reported(account="bob@localhost", outcome="success")["node"] == names[1]
    component.ban("alice@localhost", text="not here")
    for node in two:
        assert login(node, "alice") == "account-disabled"
    component.reported(account="alice@localhost", outcome="refused", node=names[1])
    component.wait_held(nodes=2)
    # a kick at the first reaches a session at the second
    with Stream(second.c2s) as bob:
        assert bob.plain("bob", password("bob"))[0] == "success"
        bob.bind()
        assert component.kick("out", account="bob@localhost") == 1
        assert bob.result(bob.rest(5)) == ("policy-violation", "out")
    with Stream(second.c2s, "127.0.5.5") as bob:
        assert bob.plain("bob", password("bob"))[0] == "success"
        bob.bind()
        assert component.kick("net", network="127.0.5.0/24") == 1
        assert bob.result(bob.rest(5)) == ("policy-violation", "net")
    # portcullis is away: both nodes hold bans
    component.close()
    for node in two:
        assert login(node, "alice") == "account-disabled"
        assert login(node, "bob") == "success"
    # the node with the component is lost; the other goes on
    component2 = FakeComponent(first).connect()
    component2.carry_on(component)
    greeted(component2, first, second)
    first.kill9()
    component2.close()
    assert login(second, "alice") == "account-disabled"
    wait.until(lambda: login(second, "bob") == "success", 20, what="the node that is left lets people in")
    # portcullis connects to the second node; the first comes back and fetches what it missed
    component3 = FakeComponent(second).connect()
    component3.carry_on(component)
    greeted(component3, second)
    component3.ban("carol@localhost", text="new")
    first.start()
    greeted(component3, first)
    component3.wait(lambda: len([s for s in component3.given if s >= component3.seq]) >= 2, 30)
    assert login(first, "carol") == "account-disabled"
    component3.reported(account="carol@localhost", outcome="refused", node=names[0])
    component3.close()
    for node in two:
        for user in ("alice", "carol"):
            what = f"{node.erlang_name} holds the ban of {user}"
            wait.until(lambda node=node, user=user: login(node, user) == "account-disabled", 2, what=what)
        assert login(node, "bob") == "success"
        assert not node.crashes()
