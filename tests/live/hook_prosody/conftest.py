import shutil
import time
import uuid

import pytest

from .ground import Portcullis, Prosody

if not shutil.which("prosody"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module")
def shared_server():
    server = Prosody()
    try:
        yield server.start()
    finally:
        server.throw_away()


@pytest.fixture
def server(shared_server):
    """One Prosody for all tests of a file; restarted when a test stopped it. No test may leave a traceback in its log."""
    if not shared_server.process:
        shared_server.start()
    before = len(shared_server.tracebacks())
    yield shared_server
    assert shared_server.tracebacks()[before:] == []


@pytest.fixture
def portcullis(server):
    """Connected, and so new that what an earlier test held is forgotten."""
    p = Portcullis(server)
    p.epoch = uuid.uuid4().hex
    p.connect().settled()
    yield p
    p.decide, p.silent = (lambda *_: "allow"), False
    p.log, p.epoch, p.take_reports = [], uuid.uuid4().hex, True
    if p.up and server.process:
        time.sleep(0.15)  # the last reports
        p.news()
        p.cut()


@pytest.fixture
def make_server():
    made = []

    def make(**how):
        made.append(Prosody(**how))
        return made[-1].start()
    yield make
    for server in made:
        server.throw_away()
