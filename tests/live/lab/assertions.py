"""Steps and assertions that many tests share: ban, un-ban, who is let in and who is not."""

from . import wait
from .answers import BANNED, must_say
from .clients.raw_client import refused


def ban(site, who, rest="", user=None):
    """Bans from the shell, or by a chat line of this user; returns the ban's number."""
    if user:
        return must_say(BANNED, site.say(f"ban {who} {rest}".strip(), user), who=who).group(1)
    facts = site.bot.facts("ban", who, *rest.split())
    assert facts["kind"] == "done" and facts["subjects"][0]["subject"] == who, facts
    return str(facts["subjects"][0]["ban"]["number"])


def unban(site, who):
    facts = site.bot.facts("unban", who)
    assert facts["kind"] == "done" and facts["subjects"] == [
        {"subject": who, "status": "unbanned", "ban": None, "pending": False}
    ], facts


def logs_in(server, user):
    return refused(server, user) is None


def must_be_refused(server, user, reason=None, within=8):
    """Asserts that the account cannot log in with any mechanism, and that the client reads why (if this server can
    say it).
    """
    failure = wait.until(lambda: refused(server, user), within, what=f"login of {user} refused")
    assert "account-disabled" in failure, failure
    if reason and server.gives_reason:
        assert f"Account is banned: {reason}" in failure, failure
    scram = refused(server, user, "SCRAM-SHA-1")
    assert scram and "account-disabled" in scram, scram
    return failure


def must_log_in(server, user, within=8):
    wait.until(lambda: logs_in(server, user), within, what=f"{user} can log in")
