"""The main journey of a ban: it takes effect on the server, is shown, and ends."""

import time

import pytest

from lab import Client, LoginRefused, wait
from lab.answers import ALREADY, BANNED, BANNED_UNTIL, CHANGED, NOT_BANNED, ONLY_HOOK, ROW, UNBANNED, must_say
from lab.assertions import ban, logs_in, must_be_refused, must_log_in, unban


def test_a_ban_by_form_in_one_step_ends_the_stream_and_refuses_the_login(site, server, admin, fresh):
    user = fresh()
    victim = Client(server, user)
    step = admin.command(
        site.jid, "ban", values={"subject": server.jid(user), "duration": "3d", "reason": "spam in one step"}
    )
    assert step.status == "completed", step
    assert step.note_type == "info", step
    must_say(BANNED_UNTIL, step.note, who=server.jid(user))
    victim.wait_closed()
    must_be_refused(server, user, "spam in one step")
    with pytest.raises(LoginRefused) as no:
        Client(server, user)
    assert no.value.condition == "account-disabled"


def test_a_ban_by_form_in_two_steps(site, server, admin, fresh):
    user = fresh()
    victim = Client(server, user)
    form = admin.command(site.jid, "ban")
    assert form.status == "executing" and form.sessionid, form
    assert {"subject", "duration", "reason", "note"} <= set(form.fields), form
    assert form.title and form.instructions and form.execute in form.actions, form
    step = admin.go_on(
        site.jid,
        form,
        form.execute,
        {"subject": server.jid(user), "duration": "2h", "reason": "spam in two steps", "note": ""},
    )
    assert step.status == "completed", step
    must_say(BANNED_UNTIL, step.note, who=server.jid(user))
    victim.wait_closed()
    must_be_refused(server, user, "spam in two steps")


def test_a_ban_by_chat_line_is_listed_shown_and_lifted(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    number = must_say(BANNED, site.say(f"ban {who} 1d12h flooding rooms"), who=who).group(1)
    must_be_refused(server, user, "flooding rooms")
    must_say(ROW, site.say("list"), who=who, number=number)
    shown = site.say(f"show {who}")
    must_say("flooding rooms", shown)
    must_say(r"admin\d?@", shown)
    must_say(r"{who}", site.say(f"show #{number}"), who=who)
    must_say(UNBANNED, site.say(f"unban {who}"), who=who)
    must_log_in(server, user)
    must_say(NOT_BANNED, site.say(f"show {who}"), who=who)
    must_say("flooding rooms", site.say(f"show #{number}"))  # the history is kept


def test_list_show_and_unban_by_form(site, server, admin, fresh):
    user = fresh()
    who = server.jid(user)
    number = ban(site, who, "1d by form")
    listed = admin.command(site.jid, "list", values={"filter": user})
    assert listed.status == "completed", listed
    must_say(ROW, listed.text, who=who, number=number)
    shown = admin.command(site.jid, "show", values={"subject": who})
    assert shown.status == "completed", shown
    must_say("by form", shown.text)
    lifted = admin.command(site.jid, "unban", values={"subject": who, "reason": "sorry"})
    assert lifted.status == "completed", lifted
    must_say(UNBANNED, lifted.note, who=who)
    must_log_in(server, user)


@pytest.mark.timing
def test_a_timed_ban_ends_at_its_second(site, server, fresh):
    user = fresh()
    began = time.time()
    ban(site, server.jid(user), "4s short")
    must_be_refused(server, user, "short", within=2)
    wait.until(lambda: logs_in(server, user), 10)
    took = time.time() - began
    assert 3 <= took <= 6.5, f"a ban of 4 s ended after {took:.1f} s"
    assert site.bot.ban_of(server.jid(user)) is None


def test_a_ban_that_ends_while_portcullis_is_down_is_lifted_at_its_start(site, server, fresh):
    user = fresh()
    began = time.time()
    ban(site, server.jid(user), "5s over lunch")
    must_be_refused(server, user, within=2)
    assert site.bot.stop() == 0
    time.sleep(max(0, began + 6 - time.time()))  # the ban's five seconds pass while portcullis is down
    must_be_refused(server, user, "over lunch")  # the record is in force while portcullis is away
    site.bot.start()
    must_log_in(server, user)


def test_unbanning_the_free_is_a_normal_answer(site, server, fresh):
    who = server.jid(fresh())
    must_say(NOT_BANNED, site.say(f"unban {who}"), who=who)


def test_banning_the_banned_with_other_terms_changes_the_ban_and_says_so(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    ban(site, who, "1d first reason")
    must_be_refused(server, user, "first reason")
    must_say(CHANGED, site.say(f"ban {who} 2d second reason"), who=who)
    wait.until(lambda: "second reason" in site.say(f"show {who}"), 5, every=0.5)
    wait.until(lambda: "second reason" in server.record(user), 8, what="the record has the new reason")
    must_be_refused(server, user, "second reason")
    unban(site, who)
    must_log_in(server, user)


def test_the_same_ban_again_changes_nothing(site, server, fresh):
    who = server.jid(fresh())
    ban(site, who, "forever the same")
    must_say(ALREADY, site.say(f"ban {who} forever the same"), who=who)


def test_a_jid_is_taken_as_people_paste_it(site, server, fresh):
    user = fresh()
    must_say(BANNED, site.say(f"ban {user.upper()}@{server.host.upper()}/phone 1h typed badly"), who=server.jid(user))
    must_be_refused(server, user)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.8", "203.0.113.8"),
        ("198.51.100.77/24", "198.51.100.0/24"),
        ("2001:DB8:0::9", "2001:db8::9"),
    ],
)
def test_bans_of_addresses_and_networks_are_stored_and_need_the_hook_module(site, typed, meant):
    answer = site.say(f"ban {typed} 1d knocking")
    number = must_say(BANNED, answer, who=meant).group(1)
    must_say(ONLY_HOOK, answer)
    assert site.bot.ban_of(meant)["number"] == int(number)
    unban(site, meant)


def test_status_shows_the_state(site, admin):
    facts = site.bot.facts("status")
    assert facts["kind"] == "done" and {"level", "server", "bans", "pending", "rules"} <= {
        row["var"] for row in facts["rows"]
    }
    assert site.bot.status_of("level").startswith("1 ") and site.bot.status_of("pending") == "none", facts
    step = admin.command(site.jid, "status")
    assert step.status == "completed", step
    for var in ("level", "server", "pending", "rules"):  # the same by form and by chat line
        assert step.fields[var].endswith(f": {site.bot.status_of(var)}"), step
        assert site.bot.status_of(var) in site.say("status")
