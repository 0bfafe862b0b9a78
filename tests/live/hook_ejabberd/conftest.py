"""One ejabberd of each version with the module, and a scripted component in place of portcullis."""

import pytest

from lab.accounts import password
from lab.clients.stream import Stream
from lab.fake_component import FakeComponent
from lab.require import need
from lab.servers.hook_ejabberd import HookEjabberd


@pytest.fixture(scope="session", params=["24.12", "26.07"])
def ej(request):
    need(f"ejabberd-{request.param}")
    node = HookEjabberd(request.param)
    node.start()
    node.install_module()
    yield node
    node.stop()


@pytest.fixture
def component(ej):
    """A connected component that the module has greeted and synchronised with; afterwards the module forgets it."""
    if ej.process is None:
        ej.start()
    if ej.options:
        ej.set_options()
    one = FakeComponent(ej).connect()
    one.wait(lambda: one.hellos, 20)
    one.wait_held()
    yield one
    if not one.open:
        one = FakeComponent(ej).connect()
    one.silent, one.late, one.given = set(), {}, []
    one.epoch, one.seq, one.state = "wipe", 0, {}
    one.wait_held()
    one.close()


@pytest.fixture
def open_stream(ej):
    """Opens streams, and closes all of them at the end."""
    opened = []

    def open_(source="127.0.0.1", **more):
        one = Stream(ej.c2s, source, **more)
        opened.append(one)
        return one

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def pw():
    return password
