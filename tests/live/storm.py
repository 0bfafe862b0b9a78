"""Many people and many guessers at the same moment, each of their tries begun when it is due and not when the last one ended."""
import asyncio
import base64
import functools
import hashlib
import hmac
import os
import re
import time

from lab.raw import REPLY, SASL

PATIENCE = 60  # seconds until a login counts as failed: nothing here is about speed


async def until(reader, pattern, seen=""):
    rx = re.compile(pattern, re.S)
    while not (m := rx.search(seen)):
        data = await reader.read(65536)
        if not data:
            return seen
        seen += data.decode(errors="replace")
    return seen[:m.end()]


@functools.cache
def key_of(password, salt, rounds):
    """As clients do: it is made once for an account."""
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), base64.b64decode(salt), rounds)
    return hmac.digest(salted, b"Client Key", "sha1")


async def scram(reader, writer, user, password):
    bare = f"n={user},r={base64.b64encode(os.urandom(12)).decode()}"
    writer.write(f"<auth {SASL} mechanism='SCRAM-SHA-1'>{base64.b64encode(('n,,' + bare).encode()).decode()}</auth>".encode())
    answer = await until(reader, REPLY)
    m = re.search(r"<challenge[^>]*>([^<]+)", answer)
    if not m:
        return answer
    challenge = base64.b64decode(m.group(1)).decode()
    f = dict(x.split("=", 1) for x in challenge.split(","))
    key = key_of(password, f["s"], int(f["i"]))
    final = f"c=biws,r={f['r']}"
    signature = hmac.digest(hashlib.sha1(key).digest(), f"{bare},{challenge},{final}".encode(), "sha1")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    writer.write(f"<response {SASL}>{base64.b64encode((final + ',p=' + proof).encode()).decode()}</response>".encode())
    return await until(reader, REPLY)


async def plain(reader, writer, user, password):
    text = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    writer.write(f"<auth {SASL} mechanism='PLAIN'>{text}</auth>".encode())
    return await until(reader, REPLY)


async def one(server, how, user, password, source):
    """(what the server said, milliseconds)."""
    began = time.perf_counter()
    writer = None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.c2s, local_addr=(source, 0))
            writer.write("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                         f"to='{server.host}' version='1.0'>".encode())
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
    """Begins make(0), make(1), … at this rate; their results in order."""
    began, tasks = time.perf_counter(), []
    for n in range(int(rate * seconds)):
        await asyncio.sleep(max(0, began + n / rate - time.perf_counter()))
        tasks.append(asyncio.ensure_future(make(n)))
    return await asyncio.gather(*tasks)
