"""Requirements of tests.

A test whose requirement is not installed is skipped with a loud line at the end; with CI set it fails.
"""

import os

import pytest

from . import machine

missing = set()


def need(part):
    if not machine.installed(part):
        missing.add(part)
        if os.environ.get("CI"):
            pytest.fail(f"{part} is not installed, and CI skips nothing")
        pytest.skip(f"{part} is not installed")
