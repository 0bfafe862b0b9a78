"""The clocks of portcullis and the server differ by a quarter of an hour."""

import datetime
import time

import pytest

from lab import wait
from lab.clients.raw_client import RawClient, refusal
from lab.fake_component import FakeComponentOnProsody

QUARTER = 15 * 60


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.mark.timing
@pytest.mark.parametrize("ahead", [QUARTER, -QUARTER], ids=["ahead", "behind"])
def test_held_bans_end_by_the_clock_of_portcullis_also_after_a_restart(server, ahead):
    p = FakeComponentOnProsody(server)
    p.ahead = ahead
    p.connect().settled()
    p.ban("alice@localhost", seconds=4)
    p.ban("bob@localhost", seconds=3600)
    p.close()
    assert refusal(server, "alice") == "account-disabled"
    server.restart()
    assert refusal(server, "alice") == "account-disabled"
    wait.until(lambda: refusal(server, "alice") is None, 6, "the ban ends")
    assert refusal(server, "bob") == "account-disabled"
    assert server.errors() == []


@pytest.mark.parametrize("ahead", [QUARTER, -QUARTER, None], ids=["ahead", "behind", "not told"])
def test_outcomes_are_reported_in_the_time_of_portcullis(server, ahead):
    p = FakeComponentOnProsody(server)
    p.ahead = ahead
    p.connect().settled()
    RawClient(server, "alice", "wrong").auth()
    wait.until(lambda: p.logins)
    assert abs(seconds_of(p.logins[0]["at"]) - p.clock()) < 5
    assert abs(seconds_of(p.hellos[0]["now"]) - time.time()) < 5, "its own time is in hello"
    warnings = [line for line in server.log().splitlines() if "The clock here is 900 seconds" in line]
    assert len(warnings) == (1 if ahead else 0)
    p.close()
