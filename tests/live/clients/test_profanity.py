"""profanity, a terminal client. It lists node names and sends only `execute`. While a form is open it shows title and
instructions, but no note.
"""

import pytest

from lab import wait
from lab.assertions import logs_in, must_be_refused
from lab.clients.profanity import Profanity
from lab.require import need

ADMIN = "http://jabber.org/protocol/admin#"


@pytest.fixture(scope="module")
def prof(server, bot):
    need("profanity")
    one = Profanity(server, "admin")
    yield one
    one.close()


def test_the_menu_lists_the_commands_of_an_admin(prof, bot, admin, keep):
    prof.home()
    prof.type(f"/cmd list {bot.jid}")
    for node in sorted(admin.nodes(bot.jid)):
        prof.shows(rf"Ad hoc commands:.* {node} ")
    keep("profanity-commands.txt", prof.screen())


def test_a_wrong_form_comes_back_and_the_right_one_bans(prof, server, bot, keep):
    who = server.jid("alice")
    prof.execute(bot, "ban")
    prof.shows(r"Form title: Ban .*\[field1\] Whom, one a line \(required\):.*Use '/form submit'")
    keep("profanity-form.txt", prof.screen())
    prof.type(
        f"/field1 add {who}",
        "/field3 5",
        '/field4 "spam in three rooms"',
        '/field5 add "second time this month"',
        "/form submit",
    )
    for place in ("Form title", "Supplied instructions"):
        prof.shows(rf"{place}: Error: 5 what\? A duration needs a unit, for example 5m, 5h or 5d\.")
    prof.shows(
        r"\[val1\] {who} .*\[field3\] Other duration: 5 .*Public reason: spam in three rooms .*Private note: "
        r"\[val1\] second time",
        who=who,
    )
    keep("profanity-wrong.txt", prof.screen())
    assert logs_in(server, "alice")
    prof.type("/field3 3d", "/form show")
    prof.shows(r"\[field3\] Other duration: 3d .*\[field4\] Public reason: spam in three rooms")
    prof.submit()
    prof.shows(
        r"ban completed Banned #1 {who} until [-0-9]{{10}} [:0-9]{{5,8}} UTC \(3 days\): spam in three "
        r"rooms\..* Undo: ",
        who=who,
    )
    keep("profanity-done.txt", prof.screen())
    assert "spam in three rooms" in must_be_refused(server, "alice")


def test_a_wide_ban_asks_first_with_all_details(prof, bot, admin, keep):
    prof.execute(bot, "ban")
    prof.shows("Form title: Ban ")
    prof.type("/field1 add 198.51.0.0/16", "/field2 1d", '/field4 "a flood of joins"', "/form submit")
    prof.shows(r"Form title: Really ban 198\.51\.0\.0/16\?")
    prof.shows(
        r"Nothing is done yet\. Ban 198\.51\.0\.0/16 until .* UTC \(1 day\): a flood of joins\..* is wide: "
        r"65536 addresses\."
    )
    keep("profanity-confirm.txt", prof.screen())
    assert bot.ban_of("198.51.0.0/16") is None
    prof.submit()
    prof.shows(r"ban completed Banned #\d+ 198\.51\.0\.0/16 until")


def test_the_list_is_readable_row_by_row(prof, server, bot, admin, keep):
    admin.ask(bot.jid, f'ban {server.jid("dave")} 12h "insults, again"')
    prof.execute(bot, "list")
    prof.shows(r"Form title: List bans .*Filter: .*Page: ")
    prof.submit()
    prof.shows(
        r"Form title: Bans 1-\d+ of \d+ #\d+ {who}: until .* UTC \(12 hours\), by admin.*: insults, again\.",
        who=server.jid("dave"),
    )
    keep("profanity-list.txt", prof.screen())


def test_show_has_one_fact_per_line(prof, server, bot, admin, keep):
    who = server.jid("bob")
    admin.ask(bot.jid, f"ban {who} 2h noise")
    prof.execute(bot, "show")
    prof.shows(r"Form title: .*\[field1\]")
    prof.type(f"/field1 {who}", "/form submit")
    prof.shows(r"{who} is banned: #\d+ until .*By: admin", who=who)
    keep("profanity-show.txt", prof.screen())


def test_a_form_that_is_left_changes_nothing_and_blocks_nothing(prof, server, bot):
    prof.execute(bot, "ban")
    prof.shows("Form title: Ban ")
    prof.type(f"/field1 add {server.jid('carol')}", "/form cancel")
    prof.execute(bot, "unban")
    prof.shows(r"Form title: Un-ban ")
    prof.type(f"/field1 {server.jid('bob')}", "/form submit")
    prof.shows(r"unban completed Un-banned #\d+ {who}", who=server.jid("bob"))
    assert logs_in(server, "carol")
    wait.until(lambda: logs_in(server, "bob"), 8, what="bob may log in")


def test_chat_says_the_same(prof, server, bot, keep):
    who = server.jid("mallory")
    prof.home()
    prof.type(f"/msg {bot.jid} ban {who} 1d spam")
    prof.shows(r"Banned #\d+ {who} until .* \(1 day\): spam\..*Undo: ", who=who)
    prof.type("ban 10.0.0.0/8 1d flood")
    prof.shows(r"Nothing is done yet\..*Answer yes within 2 minutes")
    prof.type("no")
    prof.shows(r"Dropped; nothing was done\.")
    prof.type(f"unban {who}")
    prof.shows(r"Un-banned #\d+ {who}", who=who)
    keep("profanity-chat.txt", prof.screen())


def test_a_yes_does_it_and_undo_takes_it_back(prof, server, bot, admin, keep):
    who = server.jid("grace")
    prof.home()
    prof.type(f"/msg {bot.jid} ban {who} 198.18.0.0/16 1d a flood")
    prof.shows(r"Nothing is done yet\..*Answer yes within 2 minutes")
    prof.type("yes")
    prof.shows(
        r"2 of 2 done\..*Banned #\d+ {who} until .* Banned #\d+ 198\.18\.0\.0/16 until .*Undo: undo #\d+ #\d+", who=who
    )
    must_be_refused(server, "grace")
    prof.type("undo")
    prof.shows(r"me: undo .*2 of 2 done\..*Undone: ban #\d+ 198\.18\.0\.0/16.*Undone: ban #\d+ {who}", who=who)
    wait.until(lambda: logs_in(server, "grace"), 8, what="grace may log in")
    assert bot.ban_of("198.18.0.0/16") is None
    keep("profanity-undo.txt", prof.screen())


def test_a_notice_comes_by_itself_and_its_last_lines_work(prof, server, bot, guess, keep):
    pair = f"{server.jid('erin')} from 127.77.7.7"
    prof.home()
    prof.type(f"/msg bot@{bot.jid} watch bans")
    prof.shows("You hear of: bans")
    prof.type("/clear")
    guess("erin", "127.77.7.7")
    number = prof.shows(
        r"Banned (#\d+) {pair} until .* by the rule pair-failures.*Evidence: 5 failures .*It was never banned "
        r"before\. unban \1 show \1 extend \1 1w",
        pair=pair,
    ).group(1)
    prof.type(f"unban {number}")
    prof.shows(r"Un-banned {number} {pair}\.", number=number, pair=pair)
    keep("profanity-notice.txt", prof.screen())
    prof.type("watch usual")
    prof.shows("You hear of: .*the usual")


def test_the_nodes_of_the_standard_lead_to_the_same_bans(prof, server, bot, keep):
    who = server.jid("carol")
    prof.execute(bot, f"{ADMIN}disable-user")
    prof.shows(r"Form title: Disable User .*\[field1\] The Jabber ID\(s\) to disable \(required\):")
    prof.type(f"/field1 add {who}/phone")
    keep("profanity-disable.txt", prof.screen())
    prof.submit()
    prof.shows(r"disable-user completed Banned #\d+ {who} forever\..*undo #\d+", who=who)
    must_be_refused(server, "carol")
    prof.execute(bot, f"{ADMIN}get-disabled-users-list")
    prof.shows(r"Form title: Get List of Disabled Users .*Maximum number to show")
    prof.submit()
    prof.shows(r"Form title: .*{who}", who=who)
    keep("profanity-disabled-list.txt", prof.screen())
    prof.execute(bot, f"{ADMIN}reenable-user")
    prof.shows(r"Form title: Re-Enable User ")
    prof.type(f"/field1 add {who}", "/form submit")
    prof.shows(r"reenable-user completed Un-banned #\d+ {who}", who=who)
    wait.until(lambda: logs_in(server, "carol"), 8, what="carol may log in")


@pytest.fixture(scope="module")
def mod(server, bot):
    need("profanity")
    one = Profanity(server, "moderator")
    yield one
    one.close()


def test_a_moderator_reads_why_not(mod, bot, keep):
    mod.type(f"/cmd list {bot.jid}")
    mod.shows("Ad hoc commands:.* ban .* list ")
    assert " allow " not in mod.flat(), mod.screen()
    mod.execute(bot, "allow")
    mod.shows(r"Error executing command allow: You .*role")
    keep("profanity-forbidden.txt", mod.screen())


def test_in_a_room_a_moderator_is_answered_and_others_read_which_role_is_missing(
    mod, server, bot, room, stranger, keep
):
    who = server.jid("frank")
    mod.home()
    mod.type(f"/join {room.jid}")
    mod.shows("portcullis")
    mod.type("/clear", f'portcullis: ban {who} 2h "insults, again"')
    mod.shows(r"portcullis: moderator: Banned #\d+ {who} until .* \(2 hours\): insults, again\.", who=who)
    must_be_refused(server, "frank")
    mod.type("!allow 192.0.2.1")
    mod.shows(r"portcullis: moderator: You need the role admin for that\. Nothing was done\.")
    stranger.say(room.jid, f"portcullis: unban {who}", kind="groupchat")
    mod.shows(r"portcullis: mallory: You need the role moderator for that\.")
    assert not logs_in(server, "frank")
    mod.type("!undo")
    mod.shows(r"portcullis: moderator: Undone: ban #\d+ {who}", who=who)
    wait.until(lambda: logs_in(server, "frank"), 8, what="dave may log in")
    keep("profanity-room.txt", mod.screen())
