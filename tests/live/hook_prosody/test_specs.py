"""Unit tests of the module's libraries: `busted` in server/prosody, with the utilities of the installed Prosody."""

import subprocess

from lab.require import need
from lab.servers.prosody import MODULES


def test_the_specs_of_the_libraries_hold():
    need("prosody-13")
    done = subprocess.run(
        ["busted", "--output=plainTerminal"],
        cwd=MODULES,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
