"""Two nodes, one portcullis at the first: both ask, both hold, and the loss of either harms nobody."""
import time

import pytest

from client import Stream
from component import Component
from lab import ground
from lab.server import SECRET, password
from node import Node


class Member(Node):
    """A node that finds the others through an epmd of our own."""

    def __init__(self, version, epmd):
        super().__init__(version)
        self.epmd = epmd
        self.way_in, self.way_env = [], {"ERL_EPMD_PORT": str(epmd)}

    way_in = None

    def write_config(self):
        super().write_config()
        cfg = self.path / "ejabberdctl.cfg"
        lines = [line for line in cfg.read_text().splitlines() if not line.startswith("ERL_DIST_PORT")]
        cfg.write_text("\n".join([*lines, f"export ERL_EPMD_PORT={self.epmd}", ""]))

    def log_has(self, text):
        return text in self.log()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    if not ground.installed("ejabberd-24.12"):
        pytest.skip("ejabberd-24.12 is not installed")
    epmd_port = ground.ports(1)[0]
    epmd = ground.spawn(["/usr/bin/epmd", "-port", epmd_port, "-address", "127.0.0.1"], tmp_path_factory.mktemp("epmd") / "log")
    first, second = Member("24.12", epmd_port), Member("24.12", epmd_port)
    for node in (first, second):
        node.start()
        node.install_module()
    second.ejabberdctl("join_cluster", first.erlang_name)
    second.wait_open(second.c2s, second.port)
    yield first, second
    first.stop()
    second.stop()
    ground.end(epmd)


def login(node, user, pw=None):
    with Stream(node.c2s) as s:
        return s.plain(user, pw or password(user))[0]


def greeted(component, *nodes):
    component.wait(lambda: {n.erlang_name for n in nodes} <= {h["node"] for h in component.hellos}, 30)


def test_a_cluster(two):
    first, second = two
    names = [first.erlang_name, second.erlang_name]
    # both nodes greet, ask and report through the one component at the first
    component = Component(first.port, SECRET)
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
    # portcullis away: both hold
    component.close()
    time.sleep(0.3)
    for node in two:
        assert login(node, "alice") == "account-disabled"
        assert login(node, "bob") == "success"
    # the node with the component is lost; the other goes on
    component2 = Component(first.port, SECRET)
    component2.carry_on(component)
    greeted(component2, first, second)
    first.kill9()
    component2.close()
    assert login(second, "alice") == "account-disabled"
    deadline = time.time() + 20
    while login(second, "bob") != "success":
        assert time.time() < deadline
    # portcullis finds the second node; the first comes back and learns what it missed
    component3 = Component(second.port, SECRET)
    component3.carry_on(component)
    greeted(component3, second)
    component3.ban("carol@localhost", text="new")
    first.start()
    greeted(component3, first)
    component3.wait(lambda: len([s for s in component3.given if s >= component3.seq]) >= 2, 30)
    time.sleep(0.2)
    assert login(first, "carol") == "account-disabled"
    component3.reported(account="carol@localhost", outcome="refused", node=names[0])
    component3.close()
    time.sleep(0.3)
    for node in two:
        for user in ("alice", "carol"):
            assert login(node, user) == "account-disabled", (node.erlang_name, user)
        assert login(node, "bob") == "success"
        assert not node.crashes()
