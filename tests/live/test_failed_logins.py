"""The commands around failed logins, from a real client beside each server: attempt, check, failures, forget, allow."""

import itertools

from lab.answers import BANNED, must_not_say, must_say
from lab.assertions import ban, logs_in, must_be_refused, must_log_in
from lab.clients.slixmpp_client import COMMANDS

_hosts = itertools.count(1)


def an_address():
    """An address in a /24 no other test uses (RFC 2544): an un-ban nearby would give it five minutes of grace."""
    return f"198.18.{next(_hosts)}.7"


def test_a_guesser_by_hand_is_banned_at_the_limit_longer_each_time_and_forgotten(site):
    address = an_address()
    must_say(r"Counted 4 failed logins of {who}; no limit", site.say(f"attempt {address} 4"), who=address)
    must_say(r"Nearest limit: 4 of 5 failures", site.say(f"check {address}"))
    first = site.say(f"attempt {address}")
    number = must_say(BANNED, first, who=address).group(1)
    must_say(r"\(30 minutes\) by the rule address-failures", first)
    must_say(r"Evidence: 5 failures within 10 minutes", site.say(f"show #{number}"))
    must_say(r"would be REFUSED", site.say(f"check {address}"))
    must_say(r"Not counted", site.say(f"attempt {address}"))
    must_say(
        r"now kept out by #{n} address-failures.*from {who}", site.say(f"failures {address}"), n=number, who=address
    )
    site.say(f"unban {address}")
    must_say(r"Forgotten: {who}; 1 ban no longer counts", site.say(f"forget {address}"), who=address)
    must_say(r"its history counts no more", site.say(f"show {address}"))


def test_a_pair_is_refused_and_named_as_one(site, server, fresh):
    who, address = server.jid(fresh()), an_address()
    answer = site.say(f"attempt {who} {address} 5")
    must_say(r"Banned #\d+ {who} from {address} until .* by the rule pair-failures", answer, who=who, address=address)
    must_say(r"{who} from {address} is banned", site.say(f"show {who} from {address}"), who=who, address=address)
    must_say(r"would be let in", site.say(f"check {who}"))
    must_say(
        r"Un-banned #\d+ {who} from {address}",
        site.say(f"unban {who} from {address} it was me"),
        who=who,
        address=address,
    )


def test_allow_lifts_a_ban_on_the_server_and_keeps_others_off(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    number = ban(site, who, "1d a mistake")
    must_be_refused(server, user)
    answer = site.say(f"allow {who} 1h she is one of us")
    must_say(r"Exempt from bans: {who} until .* \(1 hour\): she is one of us", answer, who=who)
    must_say(r"lifted 1 ban: #{number} {who}", answer, number=number, who=who)
    must_log_in(server, user)
    must_say(r"exempt from bans.*unallow", site.say(f"ban {who} 1d"))
    must_say(r"{who}: until .*, by admin.*: she is one of us", site.say(f"allowed {who}"), who=who)
    must_say(r"No longer exempt: {who}", site.say(f"unallow {who}"), who=who)
    must_not_say(r"{who}:", site.say("allowed"), who=who)
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
