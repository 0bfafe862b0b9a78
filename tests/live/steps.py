"""Steps that several tests take."""
from lab import RawClient, wait_for
from lab.raw import refused
from words import BANNED, UNBANNED, said

__all__ = ["ban", "unban", "must_be_refused", "must_log_in", "logs_in", "RawClient", "wait_for"]


def ban(house, who, rest="", user=None):
    """Bans by chat line; returns the ban's number."""
    answer = house.say(f"ban {who} {rest}".strip(), user)
    return said(BANNED, answer, who=who).group(1)


def unban(house, who):
    said(UNBANNED, house.say(f"unban {who}"), who=who)


def logs_in(server, user):
    return refused(server, user) is None


def must_be_refused(server, user, reason=None, within=8):
    """The account cannot log in, with any mechanism, and the client is told why (as far as this server can say it)."""
    failure = wait_for(lambda: refused(server, user), within, what=f"login of {user} refused")
    assert "account-disabled" in failure, failure
    if reason and server.gives_reason:
        assert f"Account is banned: {reason}" in failure, failure
    scram = refused(server, user, "SCRAM-SHA-1")
    assert scram and "account-disabled" in scram, scram
    return failure


def must_log_in(server, user, within=8):
    wait_for(lambda: logs_in(server, user), within, what=f"{user} can log in")
