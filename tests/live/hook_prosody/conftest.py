import uuid

import pytest

from lab.fake_component import FakeComponentOnProsody
from lab.require import need
from lab.servers.hook_prosody import HookProsody


@pytest.fixture(scope="module")
def shared_server():
    need("prosody-13")
    with HookProsody() as server:
        server.start()
        yield server


@pytest.fixture
def server(shared_server):
    """One Prosody for all tests of a file, started again after a test that stopped it. No test may leave an error in
    its log.
    """
    if not shared_server.process:
        shared_server.start()
    before = len(shared_server.errors())
    yield shared_server
    assert shared_server.errors()[before:] == []


@pytest.fixture
def portcullis(server):
    """A connected, scripted component with a new epoch, so that the module forgets bans of earlier tests."""
    p = FakeComponentOnProsody(server, epoch=uuid.uuid4().hex)
    p.connect().settled()
    yield p
    p.decide, p.silent, p.late = (lambda *_: "allow"), set(), {}
    p.state, p.epoch = {}, uuid.uuid4().hex
    if p.open and server.process:
        p.news()
        p.close()


@pytest.fixture
def make_server():
    need("prosody-13")
    made = []

    def make(**how):
        made.append(HookProsody(**how))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.kill9()
