"""Refusals with a helpful sentence, and commands that need a role."""

import pytest

from lab import StanzaRefused, wait
from lab.answers import (
    BANNED,
    NEEDS_ADMIN,
    OWN_ACCOUNT,
    TOO_LONG,
    must_say,
)
from lab.assertions import ban, logs_in, must_be_refused, must_log_in, unban


def same_form_again(step, problem):
    """Asserts that wrong input brings the same form, with the problem where each client shows it."""
    assert step.status == "executing", step
    assert step.sessionid and step.form is not None and step.form.get("type") == "form", step
    assert step.note_type == "error", step
    for place in (step.title, step.instructions, step.note):
        assert problem in place, step


def test_a_bad_subject_brings_the_same_form_again(site, server, admin):
    form = admin.command(site.jid, "ban")
    step = admin.go_on(
        site.jid, form, "complete", {"subject": "noone@", "duration": "1d", "reason": "kept", "note": ""}
    )
    kind, field, text = site.bot.problem("ban", "noone@", "1d")
    assert (kind, field) == ("invalid", "subject")
    same_form_again(step, text)
    assert step.fields["reason"] == "kept", "what was typed is kept"
    assert admin.go_on(site.jid, step, "cancel").status == "canceled"


def test_a_duration_without_a_unit_brings_the_same_form_again_and_can_be_mended(site, server, admin, fresh):
    user = fresh()
    form = admin.command(site.jid, "ban")
    values = {"subject": server.jid(user), "duration": "5", "reason": "spam", "note": ""}
    step = admin.go_on(site.jid, form, "complete", values)
    kind, field, text = site.bot.problem("ban", server.jid(user), "5", "spam")
    assert (kind, field) == ("invalid", "duration")
    same_form_again(step, text.partition(" If it belongs")[0])
    assert logs_in(server, user)
    step = admin.go_on(site.jid, step, "complete", {**values, "duration": "5h"})
    assert step.status == "completed", step
    must_say(BANNED, step.note, who=server.jid(user))
    must_be_refused(server, user)


def test_the_same_errors_by_chat_line(site, server, fresh):
    user = fresh()
    for words in (["no@one@where", "1d"], [server.jid(user), "5"]):
        kind, _, text = site.bot.problem("ban", *words)
        assert kind == "invalid" and text in site.say(" ".join(["ban", *words]))
    assert logs_in(server, user) and site.bot.ban_of(server.jid(user)) is None


def test_an_unknown_account_is_refused_unless_forced(site, server, admin):
    who = server.jid("not-yet-here")
    kind, field, text = site.bot.problem("ban", who, "1d", "squatting")
    assert (kind, field) == ("refused", "subject") and text in site.say(f"ban {who} 1d squatting")
    step = admin.command(
        site.jid, "ban", values={"subject": who, "duration": "1d", "reason": "squatting", "force": "1"}
    )
    if step.status == "executing" and step.note_type != "error":
        step = admin.go_on(site.jid, step, "complete")
    assert step.status == "completed", step
    must_say(BANNED, step.note, who=who)
    if server.name.startswith("ejabberd"):  # it stores private data of names that nobody has registered
        wait.until(lambda: server.record("not-yet-here"), 8)
        server.add_user("not-yet-here")
        must_be_refused(server, "not-yet-here", "squatting")
        unban(site, who)
        must_log_in(server, "not-yet-here")
    else:
        assert site.bot.state_of(who)["pending"]
        unban(site, who)


def test_nobody_bans_herself(site, server):
    must_say(OWN_ACCOUNT, site.say(f"ban {server.jid('admin')} 1h", "admin"))
    assert logs_in(server, "admin")


@pytest.mark.parametrize("subject", ["carol@localhost", "192.0.2.7", "127.0.0.1", "::1", "127.0.0.0/8"])
def test_the_exempt_are_never_banned(site, subject):
    kind, field, text = site.bot.problem("ban", subject, "1h")
    assert (kind, field) == ("refused", "subject") and "exempt" in text and text in site.say(f"ban {subject} 1h")
    assert site.bot.ban_of(subject) is None


def test_a_stranger_sees_no_command_and_may_run_none(site, server, fresh):
    alice = site.client("alice")
    assert alice.nodes(site.jid) == {}
    victim = fresh()
    for node in ("ban", "unban", "list", "show", "status"):
        with pytest.raises(StanzaRefused) as no:
            alice.command(site.jid, node, values={"subject": server.jid(victim)})
        assert no.value.condition == "forbidden", (node, no.value)
    alice.say(site.jid, f"ban {server.jid(victim)} 1d")
    assert site.bot.ban_of(server.jid(victim)) is None
    assert logs_in(server, victim)


def test_a_moderator_bans_accounts_for_a_limited_time_only(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    must_say(TOO_LONG, site.say(f"ban {who} 60d too long", "moderator"))
    must_say(TOO_LONG, site.say(f"ban {who} forever", "moderator"))
    assert logs_in(server, user)
    ban(site, who, "1d short enough", "moderator")
    must_be_refused(server, user, "short enough")
    assert site.bot.ban_of(who)["by"].startswith(server.jid("moderator"))


def test_a_moderator_bans_no_networks(site, server):
    must_say(NEEDS_ADMIN, site.say("ban 203.0.113.0/24 1d", "moderator"))
    assert site.bot.ban_of("203.0.113.0/24") is None
    ban(site, "203.0.113.99", "1h", "moderator")
    assert site.bot.ban_of("203.0.113.99")["by"].startswith(server.jid("moderator"))
    unban(site, "203.0.113.99")
