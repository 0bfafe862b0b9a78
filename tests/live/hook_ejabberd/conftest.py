"""One ejabberd of each version with the module in it, and a scripted component in the place of portcullis."""
import os
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from client import Stream  # noqa: E402
from component import Component  # noqa: E402
from lab import ground  # noqa: E402
from lab.server import SECRET, password  # noqa: E402
from node import Node  # noqa: E402


@pytest.fixture(scope="session", params=["24.12", "26.07"])
def ej(request):
    if not ground.installed(f"ejabberd-{request.param}"):
        if os.environ.get("CI"):
            pytest.fail(f"ejabberd-{request.param} is not installed, and CI skips nothing")
        pytest.skip(f"ejabberd-{request.param} is not installed")
    node = Node(request.param)
    node.start()
    node.install_module()
    yield node
    node.stop()


@pytest.fixture
def component(ej):
    """Connected, greeted and in step; afterwards nothing of it is left in the module."""
    if ej.process is None:
        ej.start()
    if ej.options:
        ej.set_options()
    one = Component(ej.port, SECRET)
    one.wait(lambda: one.hellos, 20)
    yield one
    one.close()
    with Component(ej.port, SECRET, epoch="wipe") as wipe:
        wipe.wait(lambda: wipe.syncs, 20)
        time.sleep(0.2)


@pytest.fixture
def door(ej):
    """Opens streams and closes them all in the end."""
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
