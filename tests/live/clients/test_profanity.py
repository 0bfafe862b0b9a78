"""profanity: a terminal client. It lists node names, sends only `execute`, and shows title and instructions, no note, while
a form is open."""
import pytest

from parts import need
from profanity import Profanity
from steps import logs_in, must_be_refused, wait_for
from words import NOT_BANNED, said


@pytest.fixture(scope="module")
def prof(server, bot):
    need("profanity")
    one = Profanity(server, "admin")
    yield one
    one.close()


def test_the_menu_lists_what_an_admin_may(prof, bot, admin, keep):
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
    prof.type(f"/field1 add {who}", "/field3 5", '/field4 "spam in three rooms"', '/field5 add "second time this month"', "/form submit")
    for place in ("Form title", "Supplied instructions"):
        prof.shows(rf"{place}: Error: 5 what\? A duration needs a unit, for example 5m, 5h or 5d\.")
    prof.shows(r"\[val1\] {who} .*\[field3\] Other duration: 5 .*Public reason: spam in three rooms .*Private note: \[val1\] second time", who=who)
    keep("profanity-wrong.txt", prof.screen())
    assert logs_in(server, "alice")
    prof.type("/field3 3d", "/form show")
    prof.shows(r"\[field3\] Other duration: 3d .*\[field4\] Public reason: spam in three rooms")
    prof.submit()
    prof.shows(r"ban completed Banned #1 {who} until [-0-9]{{10}} [:0-9]{{8}} UTC \(3 days\): spam in three rooms\..* Undo: ", who=who)
    keep("profanity-done.txt", prof.screen())
    assert "spam in three rooms" in must_be_refused(server, "alice")


def test_what_is_wide_asks_first_and_all_is_said(prof, bot, admin, keep):
    prof.execute(bot, "ban")
    prof.shows("Form title: Ban ")
    prof.type("/field1 add 198.51.0.0/16", "/field2 1d", '/field4 "a flood of joins"', "/form submit")
    prof.shows(r"Form title: Really ban 198\.51\.0\.0/16\?")
    prof.shows(r"Nothing is done yet\. Ban 198\.51\.0\.0/16 until .* UTC \(1 day\): a flood of joins\..* is wide: 65536 addresses\.")
    keep("profanity-confirm.txt", prof.screen())
    said(NOT_BANNED, admin.ask(bot.jid, "show 198.51.0.0/16"), who="198.51.0.0/16")
    prof.submit()
    prof.shows(r"ban completed Banned #\d+ 198\.51\.0\.0/16 until")


def test_the_list_is_readable_row_by_row(prof, server, bot, admin, keep):
    admin.ask(bot.jid, f"ban {server.jid('dave')} 12h \"insults, again\"")
    prof.execute(bot, "list")
    prof.shows(r"Form title: List bans .*Filter: .*Page: ")
    prof.submit()
    prof.shows(r"Form title: Bans 1-\d+ of \d+ #\d+ {who}: until .* UTC \(12 hours\), by admin.*: insults, again\.", who=server.jid("dave"))
    keep("profanity-list.txt", prof.screen())


def test_show_tells_one_thing_a_line(prof, server, bot, admin, keep):
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
    wait_for(lambda: logs_in(server, "bob"), 8, what="bob may log in")


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


def test_a_moderator_reads_why_not(server, bot, keep):
    need("profanity")
    prof = Profanity(server, "moderator")
    try:
        prof.type(f"/cmd list {bot.jid}")
        prof.shows("Ad hoc commands:.* ban .* list ")
        assert " allow " not in prof.flat(), prof.screen()
        prof.execute(bot, "allow")
        prof.shows(r"Error executing command allow: You .*role")
        keep("profanity-forbidden.txt", prof.screen())
    finally:
        prof.close()
