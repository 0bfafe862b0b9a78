"""Third-party clients, each with its own server and portcullis, so that ban numbers begin at 1 as in the documents.

`--screens FOLDER` keeps the screens of the clients; `just clients` uses it to update `docs/clients` and the texts in
`docs/clients.md`.
"""

import re

import pytest

import lab
from lab import wait
from lab.require import need


@pytest.fixture(scope="module")
def server(request):
    need(request.param)
    one = lab.SERVERS[request.param](module=True)
    one.start()
    for user in "admin2", "erin", "frank", "grace":
        one.add_user(user)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def admin(server):
    """A second admin whose client is not under test."""
    one = lab.Client(server, "admin2")
    yield one
    one.close()


@pytest.fixture(scope="module")
def bot(server, admin):
    """The bot is also in a room that `admin` made, with a moderator as member and an occupant without a role."""
    room = lab.Room(admin, "ops")
    room.affiliate(server.jid("admin"), "owner")
    for user in "moderator", "mallory":
        room.affiliate(server.jid(user), "member")
    room.affiliate(f"bot@{server.component}", "member")
    one = lab.Portcullis(
        server,
        admins=[server.jid("admin"), server.jid("admin2")],
        exempt={"loopback": False},
        rooms=[{"jid": room.jid}],
    )
    one.room = room
    one.start()
    yield one
    one.stop()


@pytest.fixture
def room(bot):
    wait.until(lambda: "portcullis" in bot.room.nicks(), 20, every=0.2, what="portcullis in its room")
    return bot.room


@pytest.fixture
def stranger(server, room):
    """An occupant of the room without a role."""
    one = lab.Client(server, "mallory")
    room.enter(one, "mallory")
    yield one
    one.close()


@pytest.fixture
def guess(server, bot):
    """Guesses passwords of an account from one address until a default rule bans the pair; returns the address."""

    def run(user, source):
        wait.until(lambda: "hook module is there" in bot.log_since_start(), 30, what="a hello of the module")
        for n in range(5):
            client = lab.RawClient(server, user, f"guess-{n}", source)
            client.auth("PLAIN")
            client.close()

    return run


@pytest.fixture
def keep(request, server):
    """Keeps a screen: text if the name ends in .txt, bytes if .png. Only with `--screens`, and from one server."""
    folder = request.config.getoption("--screens")

    def write(name, screen):
        if folder and server.name == "ejabberd-24.12":
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(screen, str):
                (folder / name).write_text(re.sub(r"\n{3,}", "\n\n", screen) + "\n")
            else:
                (folder / name).write_bytes(screen)

    return write


# A screen in a page: its file's name in a comment, then the text in a fence.
SHOWN = re.compile(r"(<!-- (\S+\.txt) -->\n```text\n).*?(^```$)", re.S | re.M)


def pytest_sessionfinish(session, exitstatus):
    """Updates the texts in the page beside the folder of screens."""
    folder = session.config.getoption("--screens")
    page = folder and folder.with_suffix(".md")
    if folder and page.exists() and exitstatus == 0:
        page.write_text(SHOWN.sub(lambda m: m[1] + (folder / m[2]).read_text() + m[3], page.read_text()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Attaches the client's screen to a failure."""
    report = (yield).get_result()
    if report.failed:
        for client in getattr(item, "funcargs", {}).values():
            if hasattr(client, "screen"):
                report.sections.append(("what the client shows", client.screen()))
