"""What many tests do and assert: ban, un-ban, who is let in and who is not."""

from . import wait
from .answers import BANNED, UNBANNED, must_say
from .clients.raw_client import refused


def ban(site, who, rest="", user=None):
    """Bans by chat line; returns the ban's number."""
    answer = site.say(f"ban {who} {rest}".strip(), user)
    return must_say(BANNED, answer, who=who).group(1)


def unban(site, who):
    must_say(UNBANNED, site.say(f"unban {who}"), who=who)


def logs_in(server, user):
    return refused(server, user) is None


def must_be_refused(server, user, reason=None, within=8):
    """The account cannot log in, with any mechanism, and the client is told why (as far as this server can say it)."""
    failure = wait.until(lambda: refused(server, user), within, what=f"login of {user} refused")
    assert "account-disabled" in failure, failure
    if reason and server.gives_reason:
        assert f"Account is banned: {reason}" in failure, failure
    scram = refused(server, user, "SCRAM-SHA-1")
    assert scram and "account-disabled" in scram, scram
    return failure


def must_log_in(server, user, within=8):
    wait.until(lambda: logs_in(server, user), within, what=f"{user} can log in")
