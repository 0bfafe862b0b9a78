"""Fixtures: each test runs once per server chosen with `--server` (repeatable), PORTCULLIS_SERVERS, or all of them.

The store of the program under test is on the default engine, and with Prosody on sled (`lab/portcullis.py`);
PORTCULLIS_ENGINE (`redb`, `sled`) puts all on one.

A server that is not installed is skipped with a loud line at the end; with CI set it is a failure.

Servers share nothing: ports, folders, logs and node names are taken when they start and belong to one process of
pytest. So one process per server may run beside the others, `pytest --server NAME -m "not timing"`. Tests marked
`timing` measure how long something takes; run them afterwards, alone: `pytest -m timing`.
"""

import itertools
import os
import pathlib

import pytest

import lab
from lab import machine
from lab.require import missing, need


def pytest_addoption(parser):
    parser.addoption(
        "--server", action="append", choices=sorted(lab.SERVERS), help="only this server (may be repeated)"
    )
    parser.addoption(
        "--screens", type=pathlib.Path, help="keep what the clients show in this folder (tests in clients/)"
    )


def chosen(config):
    names = config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
    return names or list(lab.SERVERS)


HERE = pathlib.Path(__file__).resolve().parent
# Where tests run once per server, and how long a server lasts. Tests of a hook module alone choose their servers
# themselves.
LASTS = {HERE: "session", HERE / "clients": "module"}


def pytest_generate_tests(metafunc):
    if metafunc.definition.path.parent in LASTS and "server" in metafunc.fixturenames:
        names = chosen(metafunc.config)
        metafunc.parametrize("server", names, indirect=True, scope=LASTS[metafunc.definition.path.parent])


def server_of(item):
    """The server a test was made for, whichever fixture starts it; None if it needs none."""
    if item.path.parent.name == "hook_prosody":
        return "prosody-13"
    for param in item.callspec.params.values() if hasattr(item, "callspec") else ():
        for name in (param, f"ejabberd-{param}") if isinstance(param, str) else ():
            if name in lab.SERVERS:
                return name
    return None


def pytest_collection_modifyitems(config, items):
    """Deselects tests of one kind of server for the others, and tests of servers that were not chosen."""
    names = chosen(config)

    def fits(item):
        server, only = server_of(item), item.get_closest_marker("only")
        among = [name for name in names if server in (None, name)]
        return bool(among) and (not only or any(name.startswith(only.args) for name in among))

    left_out = [item for item in items if not fits(item)]
    items[:] = [item for item in items if fits(item)]
    config.hook.pytest_deselected(items=left_out)


def pytest_configure(config):
    config.addinivalue_line("markers", "only(prefix, …): only for servers whose name begins so")
    config.addinivalue_line("markers", "timing: measures how long something takes; to be run alone on the machine")
    if config.option.collectonly:
        return
    unknown = set(chosen(config)) - set(lab.SERVERS)
    if unknown:
        raise pytest.UsageError(f"no such server: {' '.join(unknown)}; there are {' '.join(lab.SERVERS)}")
    if os.geteuid() != 0:
        raise pytest.UsageError("the live tests start servers as other users: run them as root (`just live` uses sudo)")


def pytest_terminal_summary(terminalreporter):
    for name in sorted(missing):
        terminalreporter.write_line("")
        terminalreporter.write_line(
            f"!!! {name} is NOT installed here: none of its tests ran. `just test all` installs it.",
            yellow=True,
            bold=True,
        )


def pytest_unconfigure():
    machine.sweep()


@pytest.fixture(scope="session")
def server(request):
    name = request.param
    need(name)
    one = lab.SERVERS[name]()
    one.start()
    yield one
    one.stop()


# One admin alone would write faster than portcullis allows. The first one is also an admin of the server; on ejabberd
# 24.12 portcullis borrows that right. Chat lines of no particular person come from the others.
ADMINS = ["admin", "admin2", "admin3", "admin4"]


class Site:
    """A portcullis with one server, and its users. Clients stay online between tests."""

    def __init__(self, server):
        self.server = server
        for user in ADMINS[1:]:
            server.add_user(user)
        self.bot = lab.Portcullis(
            server,
            admins=[server.jid(a) for a in ADMINS],
            exempt={"loopback": True, "networks": ["192.0.2.0/24"], "accounts": [server.jid("carol")]},
        )
        self.clients = {}

    @property
    def jid(self):
        return self.bot.jid

    def client(self, user):
        one = self.clients.get(user)
        if one is None or not one.online:
            one = self.clients[user] = lab.Client(self.server, user)
        return one

    def say(self, line, user=None, within=10):
        """Sends one chat line to portcullis and returns the answer. Without a user, some admin sends it."""
        user = user or min(ADMINS[1:], key=lambda a: lab.Client.pause(self.server, a))
        return self.client(user).ask(self.jid, line, within)

    def close(self):
        for one in self.clients.values():
            one.close()
        self.bot.stop()


@pytest.fixture(scope="session")
def _site(server):
    site = Site(server)
    yield site
    site.close()


@pytest.fixture
def site(_site, server):
    """Server and portcullis, running; started again if the test before ended them."""
    if server.process is None:
        server.start()
    if not _site.bot.running():
        _site.bot.start()
    _site.bot.wait_ready()
    return _site


@pytest.fixture
def admin(site):
    return site.client("admin")


@pytest.fixture
def moderator(site):
    return site.client("moderator")


_numbers = itertools.count(1)


@pytest.fixture
def fresh(server):
    """Makes an account that no other test uses; returns its name."""

    def make():
        name = f"user{next(_numbers)}"
        server.add_user(name)
        return name

    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Attaches the end of portcullis' log to a failure."""
    report = (yield).get_result()
    site = item.funcargs.get("site") if hasattr(item, "funcargs") else None
    if report.failed and site is not None:
        report.sections.append(("portcullis log (end)", site.bot.log()[-6000:]))
