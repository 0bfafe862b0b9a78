"""Many logins at a fixed rate: each begins when it is due, not when the one before has ended."""

import asyncio
import re
import time

from .. import sasl
from ..sasl import REPLY, SASL

PATIENCE = 60  # seconds until a login counts as failed; this is not about speed


async def until(reader, pattern, seen=""):
    rx = re.compile(pattern, re.S)
    while not (m := rx.search(seen)):
        data = await reader.read(65536)
        if not data:
            return seen
        seen += data.decode(errors="replace")
    return seen[: m.end()]


async def scram(reader, writer, user, password):
    exchange = sasl.Scram(user)
    writer.write(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{exchange.first()}</auth>".encode())
    answer = await until(reader, REPLY)
    if "<challenge" not in answer:
        return answer
    writer.write(f"<response xmlns='{SASL}'>{exchange.proof(answer, password)}</response>".encode())
    return await until(reader, REPLY)


async def plain(reader, writer, user, password):
    writer.write(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{sasl.plain(user, password)}</auth>".encode())
    return await until(reader, REPLY)


def stream_head(host):
    return (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        f"to='{host}' version='1.0'>"
    )


async def login(server, how, user, password, source):
    """Logs in; returns (the server's answer, milliseconds)."""
    began = time.perf_counter()
    writer = None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.c2s, local_addr=(source, 0))
            writer.write(stream_head(server.host).encode())
            said = await until(reader, "</stream:features>|</stream:stream>")
            if "<stream:error" not in said:
                said = await how(reader, writer, user, password)
    except OSError as e:
        said = f"{type(e).__name__}: {e}"
    finally:
        if writer:
            writer.close()
    return said, (time.perf_counter() - began) * 1000


async def at_rate(rate, seconds, make):
    """Starts make(0), make(1), … at this rate; returns their results in order."""
    began, tasks = time.perf_counter(), []
    for n in range(int(rate * seconds)):
        await asyncio.sleep(max(0, began + n / rate - time.perf_counter()))  # until it is due
        tasks.append(asyncio.ensure_future(make(n)))
    return await asyncio.gather(*tasks)
