"""The book of held bans beside a plain list:

it has no clock and no storage, so it plays thousands of steps in a second.
"""

import os
import pathlib
import random
import subprocess

from lab import machine

SOURCES = "/usr/lib/prosody"
PLAY = pathlib.Path(__file__).parent / "held_model.lua"
BOOK = machine.PROJECT / "server" / "prosody" / "mod_portcullis" / "held.lib.lua"


def test_the_book_says_what_a_list_of_bans_says():
    seed = random.randrange(1 << 30)
    env = {
        **os.environ,
        "LUA_PATH": f"{SOURCES}/?.lua;/usr/lib/?.lua;;",
        "LUA_CPATH": f"{SOURCES}/?.so;/usr/lib/?.so;;",
    }
    done = subprocess.run(
        ["lua5.4", PLAY, BOOK, str(seed)],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stdout}"
    assert int(done.stdout.split()[0]) > 1000
