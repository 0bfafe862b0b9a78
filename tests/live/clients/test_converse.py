"""Converse.js in Chromium, a web client. It shows labels, descriptions and the offered actions; of a finished command
it shows the note and the fields, and a table only if the command had no form before it.
"""

import pytest

from lab import wait
from lab.answers import ALREADY, must_say
from lab.assertions import logs_in, must_be_refused
from lab.clients.converse import Converse
from lab.require import need

pytestmark = pytest.mark.only("ejabberd-24.12", "prosody-13")


ADMIN = "http://jabber.org/protocol/admin#"


@pytest.fixture(scope="module")
def web(server, bot):
    need("converse")
    one = Converse(server, "admin")
    yield one
    one.close()


PANEL, WINDOW = Converse.PANEL, Converse.WINDOW
FORM = f"{PANEL} li:has(form)"


def test_the_menu_lists_the_commands_of_an_admin(web, bot, admin, keep):
    assert web.commands(bot) == admin.nodes(bot.jid)
    keep("converse-commands.png", web.picture(WINDOW))


def test_a_wrong_form_comes_back_and_the_right_one_bans(web, server, bot, keep):
    who = server.jid("alice")
    web.commands(bot)
    web.open("ban")
    for label in (
        "Whom, one a line",
        "For how long",
        "Other duration",
        "Public reason",
        "Private note",
        "Even if unknown or exempt",
    ):
        web.see(f"{PANEL} label", label)
    keep("converse-form.png", web.picture(FORM))
    web.fill(subject=who, other_duration="5", reason="spam in three rooms", note="second time\nthis month")
    web.press("complete")
    web.shows(r"^Error: 5 what\? A duration needs a unit, for example 5m, 5h or 5d\.", f"{PANEL} .form-instructions")
    assert (web.value("subject"), web.value("other_duration"), web.value("reason"), web.value("note")) == (
        who,
        "5",
        "spam in three rooms",
        "second time\nthis month",
    )
    keep("converse-wrong.png", web.picture(FORM))
    assert logs_in(server, "alice")
    web.fill(other_duration="", duration="3 days")
    web.press("complete")
    web.shows(r"^Completed Banned #1 {who} until .* UTC \(3 days\): spam in three rooms\..* Undo: ", PANEL, who=who)
    keep("converse-done.png", web.picture(WINDOW))
    failure = must_be_refused(server, "alice")
    assert "spam in three rooms" in failure


def test_a_wide_ban_asks_first_and_previous_leads_back(web, bot, admin, keep):
    web.commands(bot)
    web.open("ban")
    web.fill(subject="198.51.0.0/16", duration="1 day", reason="a flood of joins")
    web.press("complete")
    web.shows(
        r"Nothing is done yet\. Ban 198\.51\.0\.0/16 until .* UTC \(1 day\): a flood of joins\..* is wide: "
        r"65536 addresses\.",
        f"{PANEL} .form-instructions",
    )
    keep("converse-confirm.png", web.picture(FORM))
    assert bot.ban_of("198.51.0.0/16") is None
    web.press("prev")
    wait.until(lambda: web.find(f"{PANEL} textarea[name=subject]"), what="the form is back")
    assert (web.value("subject"), web.value("duration"), web.value("reason")) == (
        "198.51.0.0/16",
        "1d",
        "a flood of joins",
    )
    web.fill(reason="a flood")
    web.press("complete")
    web.shows(r"\(1 day\): a flood\.", f"{PANEL} .form-instructions")
    web.press("complete")
    web.shows(r"^Completed Banned #\d+ 198\.51\.0\.0/16 until", PANEL)


def test_a_form_that_is_cancelled_changes_nothing(web, server, bot):
    web.commands(bot)
    web.open("ban")
    web.fill(subject=server.jid("carol"))
    web.click(f"{PANEL} li form .button-cancel")
    wait.until(lambda: not web.find(f"{PANEL} li form"), what="the form is closed")
    assert logs_in(server, "carol")


def test_a_refusal_does_not_read_as_done(web, server, bot, keep):
    web.commands(bot)
    web.open("ban")
    web.fill(subject=server.jid("admin"))
    web.press("complete")
    web.shows("^Error: .*your own account", f"{PANEL} .form-instructions")
    assert "Completed" not in web.see(PANEL).text
    keep("converse-refused.png", web.picture(FORM))


def test_the_list_is_readable_row_by_row(web, server, bot, admin, keep):
    admin.ask(bot.jid, f'ban {server.jid("dave")} 12h "insults, again"')
    web.commands(bot)
    web.open("list")
    web.press("complete")
    web.shows(r"^Completed Bans 1-\d+ of \d+\.", PANEL)
    web.shows(
        r"#\d+ {who}: until .* \(12 hours\), by admin2@.*: insults, again\.", f"{PANEL} li form", who=server.jid("dave")
    )
    keep("converse-list.png", web.picture(FORM))


def test_show_has_one_fact_per_line(web, server, bot, keep):
    web.commands(bot)
    web.open("show")
    web.fill(subject=server.jid("dave"))
    web.press("complete")
    web.shows(r"^Completed {who} is banned: #\d+ until .* insults, again\.", PANEL, who=server.jid("dave"))
    web.shows(r"Number: #\d+ Until: .* By: admin2@.* On the server: ", f"{PANEL} li form")
    keep("converse-show.png", web.picture(FORM))


def test_status_needs_no_form(web, bot):
    web.commands(bot)
    web.open("status")
    web.shows(r"Level \d on ", f"{PANEL} li form")


def test_chat_says_the_same(web, server, bot, keep):
    who = server.jid("mallory")
    web.chat(f"bot@{bot.jid}")
    must_say(r"Banned #\d+ {who} until .* \(1 day\): spam\.", web.say(f"ban {who} 1d spam"), who=who)
    must_say(ALREADY, web.say(f"ban {who}"), who=who)
    must_say(r"Nothing is done yet\..*Answer yes", web.say("ban 10.0.0.0/8 1d flood"))
    must_say(r"Dropped", web.say("no"))
    must_say(r"Un-banned #\d+ {who}", web.say(f"unban {who}"), who=who)
    keep("converse-chat.png", web.picture())


def test_a_yes_does_it_and_undo_takes_it_back(web, server, bot, admin, keep):
    web.chat(f"bot@{bot.jid}")
    must_say(r"Nothing is done yet\..*Answer yes", web.say("ban 198.18.0.0/16 1d a flood"))
    number = must_say(r"Banned (#\d+) 198\.18\.0\.0/16 until", web.say("yes")).group(1)
    web.commands(bot)
    web.open("undo")
    web.press("complete")
    web.shows(r"^Completed Undone: ban {number} 198\.18\.0\.0/16", PANEL, number=number)
    keep("converse-undo.png", web.picture(WINDOW))
    assert bot.ban_of("198.18.0.0/16") is None


def test_a_notice_comes_by_itself_and_a_reply_acts_on_it(web, server, bot, guess, keep):
    pair = f"{server.jid('erin')} from 127.77.7.8"
    web.chat(f"bot@{bot.jid}")
    must_say("You hear of: bans", web.say("watch bans"))
    guess("erin", "127.77.7.8")
    number = web.hears(
        r"^Banned (#\d+) {pair} until .* by the rule pair-failures.*\nunban \1\nshow \1\nextend \1 1w$", pair=pair
    ).group(1)
    must_say(
        r"Changed {number} {pair}: .* \(1 hour\): guessing", web.reply("1 hour guessing"), number=number, pair=pair
    )
    must_say(r"Un-banned {number} {pair}\.", web.reply("unban"), number=number, pair=pair)
    keep("converse-notice.png", web.page(1250))
    must_say("the usual", web.say("watch usual"))


def test_the_nodes_of_the_standard_lead_to_the_same_bans(web, server, bot, keep):
    who = server.jid("carol")
    web.commands(bot)
    web.open(f"{ADMIN}disable-user")
    web.fill(accountjids=who)
    keep("converse-disable.png", web.picture(FORM))
    web.press("complete")
    web.shows(r"^Completed Banned #\d+ {who} forever\.", PANEL, who=who)
    must_be_refused(server, "carol")
    web.open(f"{ADMIN}get-disabled-users-list")
    web.press("complete")
    web.shows("{who}", f"{PANEL} li form", who=who)
    keep("converse-disabled-list.png", web.picture(FORM))
    web.open(f"{ADMIN}reenable-user")
    web.fill(accountjids=who)
    web.press("complete")
    web.shows(r"^Completed Un-banned #\d+ {who}", PANEL, who=who)
    wait.until(lambda: logs_in(server, "carol"), 8, what="carol may log in")


def test_in_a_room_an_admin_is_answered_and_others_read_which_role_is_missing(web, server, bot, room, stranger, keep):
    who = server.jid("frank")
    web.join(room.jid)
    undo = must_say(
        r"^admin: Banned #\d+ {who} until .*\nUndo: (!undo #\d+)$",
        web.say(f"portcullis: ban {who} 2h insults"),
        who=who,
    ).group(1)
    stranger.say(room.jid, f"portcullis: unban {who}", kind="groupchat")
    web.hears(r"^mallory: You need the role moderator for that\. I take orders from")
    must_say(r"^admin: Undone: ban #\d+ {who}", web.say(undo), who=who)
    keep("converse-room.png", web.page(1150))
