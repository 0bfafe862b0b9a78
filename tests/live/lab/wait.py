"""Waiting for something to become true, with an error that says what was seen last."""

import time


def until(condition, timeout=10, what=None, every=0.02):
    """Calls `condition` until its result is true and returns that. After `timeout` seconds it raises AssertionError
    with `what` (a text, or a function that makes one) and the last result.
    """
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            name = what() if callable(what) else what or getattr(condition, "__name__", condition)
            raise AssertionError(f"not within {timeout} s: {name}; last seen: {answer!r}")
        time.sleep(every)  # the pause between two calls


def stays(condition, seconds, what=None, every=0.05):
    """Fails as soon as `condition` is no longer true within this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        assert answer, f"did not stay so for {seconds} s: {what or condition}; last seen: {answer!r}"
        time.sleep(every)  # the pause between two calls
