"""Many streams from one address, opened first, then one guess on each at the same moment.

Rules, module and `fail: open` are the defaults.
"""

import asyncio
import collections
import os
import resource

import pytest

import lab
from lab.clients import load
from lab.guarded_server import ADDRESS, GuardedServer, address, result_of, wrong
from lab.require import need

STREAMS = int(os.environ.get("PORTCULLIS_BURST", "2000"))
OPENING = 50  # streams opened at a time


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("server") or os.environ.get("PORTCULLIS_SERVERS", "").split()
    metafunc.parametrize("site", asked or list(lab.SERVERS), indirect=True, scope="module")


@pytest.fixture
def site(request):
    need(request.param)
    one = GuardedServer(lab.SERVERS[request.param](module=True), exempt={"loopback": False})
    yield one
    print(one.last_logged())  # shown with a failed test
    one.close()


async def opened(server, source):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.c2s, local_addr=(source, 0))
    writer.write(load.stream_head(server.host).encode())
    await load.until(reader, "</stream:features>")
    return reader, writer


async def burst(server, source, users):
    streams, few = [], asyncio.Semaphore(OPENING)

    async def open_one():
        async with few:
            streams.append(await opened(server, source))

    await asyncio.gather(*(open_one() for _ in users))
    guesses = [load.plain(*stream, user, wrong()) for stream, user in zip(streams, users, strict=True)]
    try:
        async with asyncio.timeout(load.PATIENCE):
            return await asyncio.gather(*guesses)
    finally:
        for _, writer in streams:
            writer.close()


@pytest.mark.timing
@pytest.mark.parametrize("accounts", ["one", "many"])
def test_a_burst_from_one_address_stops_at_the_limit(site, accounts):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, STREAMS + 500)), hard))
    [victim, honest] = site.new_users(2)
    guesser = address()
    users = [victim] * STREAMS if accounts == "one" else [f"nobody{n}" for n in range(STREAMS)]
    ends = collections.Counter(result_of(said) for said in asyncio.run(burst(site.server, guesser, users)))
    print(f"{STREAMS} streams: {dict(ends)}")
    assert ends["wrong"] <= ADDRESS and ends["in"] == 0
    assert site.try_login(honest, address()) == "in", site.said
