"""Very many simultaneous logins with the real portcullis, the default rules and the default options of the module."""

import asyncio

import pytest

from lab import sasl
from lab.accounts import password
from lab.clients import load
from lab.clients.raw_client import RawClient
from lab.guarded_server import PAIR, GuardedServer, address, result_of, wrong
from lab.require import need
from lab.sasl import SASL, b64
from lab.servers.prosody import Prosody


@pytest.fixture(scope="module")
def site():
    need("prosody-13")
    one = GuardedServer(Prosody(module=True), log_level="info", exempt={"loopback": False})
    yield one
    one.close()


async def open_stream(server, source):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.c2s, local_addr=(source, 0))
    writer.write(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
        f"xmlns:stream='http://etherx.jabber.org/streams' to='{server.host}' version='1.0'>".encode()
    )
    said = await load.until(reader, "</stream:features>|</stream:stream>")
    assert "</stream:features>" in said, said
    return reader, writer


async def begin(server, user, source, mechanism):
    """Opens a stream and does everything before the deciding message; returns the stream and that message."""
    reader, writer = await open_stream(server, source)
    if mechanism == "PLAIN":
        return reader, writer, f"<auth xmlns='{SASL}' mechanism='PLAIN'>{sasl.plain(user, wrong())}</auth>"
    exchange = sasl.Scram(user)
    while True:
        writer.write(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{exchange.first()}</auth>".encode())
        answer = await load.until(reader, sasl.REPLY)
        if "<challenge" in answer:
            return reader, writer, f"<response xmlns='{SASL}'>{exchange.proof(answer, 'wrong')}</response>"
        assert "<temporary-auth-failure" in answer, answer


async def burst(server, user, source, count, mechanism):
    """Opens this many streams, then sends the deciding message on all of them; returns the server's answers."""
    at_once = asyncio.Semaphore(100)

    async def one():
        async with at_once:
            return await begin(server, user, source, mechanism)

    streams = await asyncio.gather(*(one() for _ in range(count)))
    for _, writer, message in streams:
        writer.write(message.encode())
    answers = await asyncio.gather(*(load.until(reader, sasl.REPLY) for reader, *_ in streams))
    for _, writer, _ in streams:
        writer.close()
    return answers


@pytest.mark.timing
@pytest.mark.parametrize(
    ("count", "mechanism"), [(500, "PLAIN"), (2000, "PLAIN"), (5000, "PLAIN"), (2000, "SCRAM-SHA-1")]
)
def test_a_burst_from_one_address_is_looked_at_up_to_the_limit(site, count, mechanism):
    victim, honest = site.new_users(2)
    ends = [result_of(answer) for answer in asyncio.run(burst(site.server, victim, address(), count, mechanism))]
    print(f"{count} streams: {ends.count('wrong')} looked at, {ends.count('refused')} refused")
    assert site.try_login(honest, address()) == "in"
    assert site.try_login(victim, address()) == "in", "the owner, elsewhere"
    assert "in" not in ends and ends.count("wrong") <= PAIR


# Mechanisms with a name in their message, which this server lacks.
LACKING = {
    "HT-SHA-256-NONE": b64("alice\0x"),
    "EXTERNAL": b64("alice@localhost"),
}


@pytest.mark.parametrize("mechanism", LACKING)
def test_messages_without_a_password_do_not_delay_right_passwords(site, mechanism):
    """Seen before the fix: one such message every 0.3 s occupied the limit of an address, and others there were told
    to try again.
    """
    source, people = address(), site.new_users(10)
    guesser = RawClient(site.server, people[0], "x", source)
    ends = []
    for person in people:
        for _ in range(3):
            guesser.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{LACKING[mechanism]}</auth>")
            assert "<failure" in guesser.until(sasl.REPLY)
        ends.append(site.try_login(person, source, password(person)))
    guesser.close()
    assert ends == ["in"] * len(people)
