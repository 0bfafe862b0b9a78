"""The commands around failed logins, with a real client on each server: attempt, check, failures, forget, allow."""

import itertools
from datetime import datetime, timedelta

from lab.answers import BANNED, UNBANNED, must_say
from lab.assertions import ban, logs_in, must_be_refused, must_log_in
from lab.clients.slixmpp_client import COMMANDS

_hosts = itertools.count(1)


def an_address():
    """An address in a /24 that no other test uses (RFC 2544): an un-ban nearby would give it five minutes of grace."""
    return f"198.18.{next(_hosts)}.7"


def test_a_guesser_by_hand_is_banned_at_the_limit_and_forgotten(site):
    address = an_address()
    site.say(f"attempt {address} 4")
    assert site.bot.ban_of(address) is None
    must_say(r"Nearest limit: 4 of 5 failures", site.say(f"check {address}"))
    number = must_say(BANNED, site.say(f"attempt {address}"), who=address).group(1)
    row = site.bot.ban_of(address)
    assert (row["number"], row["origin"], row["rule"]) == (int(number), "rule", "address-failures")
    assert datetime.fromisoformat(row["until"]) - datetime.fromisoformat(row["since"]) == timedelta(minutes=30)
    must_say(r"Evidence: 5 failures within 10 minutes", site.say(f"show #{number}"))
    must_say(r"would refuse {who}, but the server does NOT ENFORCE its ban", site.say(f"check {address}"), who=address)
    must_say(r"Not counted", site.say(f"attempt {address}"))
    rows = site.bot.facts("failures", address)["rows"]
    assert rows and all((row["place"], row["bans"], row["by_hand"]) == (address, [int(number)], True) for row in rows)
    site.say(f"unban {address}")
    must_say(r"Forgotten: {who}; 1 ban no longer counts", site.say(f"forget {address}"), who=address)
    must_say(r"its history counts no more", site.say(f"show {address}"))


def test_a_pair_is_refused_and_named_as_one(site, server, fresh):
    who, address = server.jid(fresh()), an_address()
    pair = f"{who} from {address}"
    must_say(BANNED, site.say(f"attempt {pair} 5"), who=pair)
    row = site.bot.ban_of(pair)
    assert (row["type"], row["rule"]) == ("pair", "pair-failures")
    assert site.bot.ban_of(who) is None
    must_say(r"portcullis would let {who} in", site.say(f"check {who}"), who=who)
    must_say(UNBANNED, site.say(f"unban {pair} it was me"), who=pair)
    assert site.bot.ban_of(pair) is None


def test_allow_lifts_a_ban_on_the_server_and_keeps_others_off(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    number = ban(site, who, "1d a mistake")
    must_be_refused(server, user)
    answer = site.say(f"allow {who} 1h she is one of us")
    must_say(r"lifted 1 ban: #{number} {who}", answer, number=number, who=who)
    assert site.bot.ban_of(who) is None
    must_log_in(server, user)
    must_say(r"exempt from bans.*unallow", site.say(f"ban {who} 1d"))
    [row] = site.bot.facts("allowed", who)["rows"]
    assert (row["subject"], row["type"], row["comment"]) == (who, "account", "she is one of us")
    assert row["by"].startswith("admin") and row["until"]
    must_say(r"No longer exempt: {who}", site.say(f"unallow {who}"), who=who)
    assert who not in {row["subject"] for row in site.bot.facts("allowed", "--all")["rows"]}
    assert logs_in(server, user)


def test_the_forms_are_offered_to_those_who_may(site, admin, moderator):
    def nodes(client):
        items = client.plugin("xep_0030", "get_items", jid=site.jid, node=COMMANDS)["disco_items"]["items"]
        return {node for _, node, _ in items}

    look, change = {"check", "failures", "allowed"}, {"attempt", "forget", "allow", "unallow"}
    assert look | change | {"ban", "unban", "list", "show", "status"} <= nodes(admin)
    assert look <= nodes(moderator) and not change & nodes(moderator)


def test_status_tells_the_rules_and_how_much_is_counted(site):
    text = site.say("status")
    must_say(r"Rules in force: .*pair-failures.*address-failures", text)
    must_say(r"Addresses counted: \d+ of 250000", text)
