"""Chat lines in one-to-one chats."""

import re

import pytest

from lab import machine
from lab.answers import NEAREST_BAN, NOT_BANNED, ROW, must_not_say, must_say
from lab.assertions import ban, logs_in, must_be_refused

REQUEST = "<request xmlns='urn:xmpp:receipts'/>"
DELAY = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
CARBON = (
    "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' "
    "from='admin@localhost/x' to='portcullis.localhost' type='chat'><body>ban {who} 1d</body></message>"
    "</forwarded></received>"
)


def test_help_names_every_command_and_explains_one(site):
    manual = (machine.PROJECT / "docs" / "commands.md").read_text()
    commands = set(re.findall(r"^## ([a-z]+)$", manual, re.M))
    assert {"ban", "undo", "policy"} <= commands, "the manual has other headings now"
    told = {line.split()[0].rstrip(":") for line in site.say("help").splitlines()}
    assert commands <= told, commands - told
    usage = re.search(r"^In chat: `(ban [^`]+)`", manual, re.M).group(1)
    assert usage in site.say("help ban")


def test_a_mistyped_command_gets_the_nearest_one_and_nothing_is_done(site, server, fresh):
    who = server.jid(fresh())
    answer = site.say(f"bann {who} 1d")
    must_say(NEAREST_BAN, answer)
    must_not_say(r"Banned #\d", answer)
    assert site.bot.ban_of(who) is None


def test_several_accounts_in_one_line(site, server, fresh):
    one, two = fresh(), fresh()
    answer = site.say(f"ban {server.jid(one)} {server.jid(two)} 2h both of them")
    for user in (one, two):
        must_say(r"{who}", answer, who=server.jid(user))
        must_be_refused(server, user, "both of them")


def test_list_takes_a_filter(site, server, fresh):
    one, two = fresh(), fresh()
    numbers = [ban(site, server.jid(u), "1d filtered") for u in (one, two)]
    text = site.say(f"list {server.jid(two)}")
    must_say(ROW, text, who=server.jid(two), number=numbers[1])
    must_not_say(r"{who}\b", text, who=server.jid(one))


def test_a_receipt_is_sent_when_it_is_asked_for(site, admin):
    while not admin.messages.empty():
        admin.messages.get_nowait()
    ident = admin.say(site.jid, "status", REQUEST)
    must_say("portcullis", admin.next_message(site.jid)["body"])
    assert admin.receipts.get(timeout=5)["receipt"] == ident
    admin.say(site.jid, "status")
    admin.next_message(site.jid)
    assert admin.receipts.empty(), "a receipt that nobody asked for"


@pytest.mark.parametrize(
    ("kind", "more"),
    [("error", ""), ("headline", ""), ("chat", DELAY), ("chat", "CARBON")],
    ids=["error", "headline", "delayed", "carbon"],
)
def test_old_copied_and_automatic_messages_are_ignored(site, server, admin, fresh, kind, more):
    user = fresh()
    who = server.jid(user)
    while not admin.messages.empty():
        admin.messages.get_nowait()
    if more == "CARBON":
        more = CARBON.format(who=who)
    admin.say(site.jid, f"ban {who} 1d", more, kind)
    admin.say(site.jid, f"show {who}")
    must_say(NOT_BANNED, admin.next_message(site.jid)["body"], who=who)  # the first answer is the one to `show`
    assert logs_in(server, user)


def test_the_answer_has_the_type_of_the_question(site, server, admin):
    while not admin.messages.empty():
        admin.messages.get_nowait()
    admin.say(site.jid, "status", kind="normal")
    answer = admin.next_message(site.jid)
    assert answer["type"] == "normal", answer
