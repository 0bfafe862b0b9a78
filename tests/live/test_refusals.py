"""What is refused, with a sentence that helps, and what only some may do."""
import pytest

from lab import StanzaRefused
from steps import ban, logs_in, must_be_refused, must_log_in, unban, wait_for
from words import (BAD_SUBJECT, BANNED, EXEMPT, NEEDS_ADMIN, NOT_BANNED, NO_ACCOUNT, NO_UNIT, OWN_ACCOUNT, TOO_LONG, WAITING,
                   did_not_say, said)


def same_form_again(step, pattern):
    """Wrong input: the same form, with the error where each client shows it."""
    assert step.status == "executing", step
    assert step.sessionid and step.form is not None and step.form.get("type") == "form", step
    assert step.note_type == "error", step
    for place in (step.title, step.instructions, step.note):
        said(pattern, place)


def test_a_bad_subject_brings_the_same_form_again(house, server, admin):
    form = admin.command(house.jid, "ban")
    step = admin.go_on(house.jid, form, "complete", {"subject": "no one@", "duration": "1d", "reason": "kept", "note": ""})
    same_form_again(step, r".")
    said(BAD_SUBJECT, step.text)
    assert step.fields["reason"] == "kept", "what was typed is kept"
    assert admin.go_on(house.jid, step, "cancel").status == "canceled"


def test_a_duration_without_a_unit_brings_the_same_form_again_and_can_be_mended(house, server, admin, fresh):
    user = fresh()
    form = admin.command(house.jid, "ban")
    values = {"subject": server.jid(user), "duration": "5", "reason": "spam", "note": ""}
    step = admin.go_on(house.jid, form, "complete", values)
    same_form_again(step, r".")
    said(NO_UNIT, step.text)
    assert logs_in(server, user)
    step = admin.go_on(house.jid, step, "complete", {**values, "duration": "5h"})
    assert step.status == "completed", step
    said(BANNED, step.note, who=server.jid(user))
    must_be_refused(server, user)


def test_the_same_errors_by_chat_line(house, server, fresh):
    said(BAD_SUBJECT, house.say("ban no@one@where 1d"))
    user = fresh()
    answer = house.say(f"ban {server.jid(user)} 5")
    did_not_say(r"Banned #\d+ ", answer)
    said(NO_UNIT, answer)
    assert logs_in(server, user)


def test_an_unknown_account_may_be_banned_by_chat_with_force(house, server):
    who = server.jid("never-here")
    said(BANNED, house.say(f"ban --force {who} 1h squatting"), who=who)
    unban(house, who)


def test_an_unknown_account_is_refused_unless_forced(house, server, admin):
    who = server.jid("not-yet-here")
    said(NO_ACCOUNT, house.say(f"ban {who} 1d squatting"))
    step = admin.command(house.jid, "ban", values={"subject": who, "duration": "1d", "reason": "squatting", "force": "1"})
    if step.status == "executing" and step.note_type != "error":
        step = admin.go_on(house.jid, step, "complete")
    assert step.status == "completed", step
    said(BANNED, step.note, who=who)
    if server.name.startswith("ejabberd"):  # it keeps private data of names that nobody has registered
        wait_for(lambda: server.record("not-yet-here"), 8)
        server.add_user("not-yet-here")
        must_be_refused(server, "not-yet-here", "squatting")
        unban(house, who)
        must_log_in(server, "not-yet-here")
    else:
        said(WAITING, house.say(f"show {who}"))
        unban(house, who)


def test_nobody_bans_herself(house, server):
    said(OWN_ACCOUNT, house.say(f"ban {server.jid('admin')} 1h", "admin"))
    assert logs_in(server, "admin")


@pytest.mark.parametrize("subject", ["carol@localhost", "192.0.2.7", "127.0.0.1", "::1", "127.0.0.0/8"])
def test_the_exempt_are_never_banned(house, subject):
    said(EXEMPT, house.say(f"ban {subject} 1h"))
    said(NOT_BANNED, house.say(f"show {subject}"), who=subject)


def test_a_stranger_sees_no_command_and_may_run_none(house, server, fresh):
    alice = house.client("alice")
    assert alice.nodes(house.jid) == {}
    victim = fresh()
    for node in ("ban", "unban", "list", "show", "status"):
        with pytest.raises(StanzaRefused) as no:
            alice.command(house.jid, node, values={"subject": server.jid(victim)})
        assert no.value.condition == "forbidden", (node, no.value)
    alice.say(house.jid, f"ban {server.jid(victim)} 1d")
    said(NOT_BANNED, house.say(f"show {server.jid(victim)}"), who=server.jid(victim))
    assert logs_in(server, victim)


def test_an_admin_sees_the_commands(house, admin):
    assert {"ban", "unban", "list", "show", "status"} <= set(admin.nodes(house.jid))


def test_a_moderator_bans_accounts_for_a_limited_time_only(house, server, fresh):
    user = fresh()
    who = server.jid(user)
    said(TOO_LONG, house.say(f"ban {who} 60d too long", "moderator"))
    said(TOO_LONG, house.say(f"ban {who} forever", "moderator"))
    assert logs_in(server, user)
    ban(house, who, "1d short enough", "moderator")
    must_be_refused(server, user, "short enough")
    said("moderator@", house.say(f"show {who}"))


def test_a_moderator_bans_no_networks(house, server):
    said(NEEDS_ADMIN, house.say("ban 203.0.113.0/24 1d", "moderator"))
    said(NOT_BANNED, house.say("show 203.0.113.0/24"), who="203.0.113.0/24")
    number = ban(house, "203.0.113.99", "1h", "moderator")
    assert number
    unban(house, "203.0.113.99")
