"""Notices to admins on a real server with the real module, and replies to them."""

import re
import time

import pytest

import lab
from lab import wait
from lab.clients.slixmpp_client import loop
from lab.guarded_server import address, with_short_rules, wrong
from lab.require import need

QUICK = "{urn:xmpp:tmp:quick-response}response"
DIGEST = 6


@pytest.fixture(scope="module", params=list(lab.SERVERS))
def guarded(request):
    need(request.param)
    one = with_short_rules(request.param)
    one.bot.change(notices={"digest": f"{DIGEST}s", "most": 3}, record={"check_every": "1s"})
    one.bot.restart()
    one.wait_hello()
    yield one
    one.close()


@pytest.fixture
def site(guarded):
    """One without notices from earlier tests."""
    guarded.say("watch off")
    drain(guarded)
    return guarded


@pytest.fixture
def fresh(site):
    return site.new_user


def bot(site):
    return f"bot@{site.bot.jid}"


def drain(site):
    while not site.admin.messages.empty():
        site.admin.messages.get_nowait()


def heard(site, within=8):
    """The next notice."""
    return site.admin.next_message(bot(site), within)


def quiet(site, seconds):
    """All notices that arrive within this time."""
    time.sleep(seconds)  # only the end of the time shows that nothing came
    found = []
    while not site.admin.messages.empty():
        message = site.admin.messages.get_nowait()
        if message["from"].bare == bot(site) and message["body"]:
            found.append(message["body"])
    return found


def reply(site, to, text):
    """Sends a reply as slixmpp makes it (XEP-0461); returns the answer's text."""
    x = site.admin.x

    def send():
        message = x.make_message(mto=bot(site), mbody=text, mtype="chat")
        message["reply"]["id"], message["reply"]["to"] = to["id"], str(to["from"])
        message.send()

    loop().call_soon_threadsafe(send)
    return heard(site)["body"]


def fail(site, user, source, times=4):
    site.guess(user, source, times)


def test_the_notice_of_a_guesser_has_commands_and_a_reply_ends_the_ban(site, fresh):
    victim, guesser = fresh(), address()
    assert "You hear of: everything." in site.say("watch all")
    fail(site, victim, guesser)
    notice = heard(site)
    text = notice["body"]
    pair = f"{site.server.jid(victim)} from {guesser}"
    number = re.search(
        rf"^Banned (#\d+) {re.escape(pair)} until .* by the rule pair-failures, ban no\. 1 of it", text
    ).group(1)
    assert "Evidence: 4 failures within 1 minute (limit 4)" in text and "It was never banned before." in text, text
    lines = text.splitlines()
    assert lines[-3:] == [f"unban {number}", f"show {number}", f"extend {number} 1w"], text
    assert [one.get("value") for one in notice.xml.findall(QUICK)] == lines[-3:]
    answer = reply(site, notice, "1 hour guessing")
    assert f"Changed {number}" in answer and "guessing" in answer, answer
    until = re.search(r"now until (\S+ \S+) UTC", answer).group(1)
    answer = reply(site, notice, "1 week")
    assert f"Extended {number} {pair}: was until {until} UTC" in answer and "(7 days" in answer, answer
    longest = re.search(r"now until (\S+ \S+) UTC", answer).group(1)
    site.admin.say(bot(site), lines[-1])
    answer = heard(site)["body"]
    assert f"Extended {number} {pair}: was until {longest} UTC" in answer, answer
    assert site.try_login(victim, guesser) == "refused"
    answer = reply(site, notice, "unban")
    assert answer.startswith(f"Un-banned {number} {pair}."), answer
    wait.until(lambda: site.try_login(victim, guesser) == "in", 10, what="the pair is free")


def test_a_quick_response_is_a_line_that_works(site, fresh):
    victim, guesser = fresh(), address()
    site.say("watch bans")
    fail(site, victim, guesser)
    line = heard(site).xml.find(QUICK).get("value")
    assert line.startswith("unban #")
    site.admin.say(bot(site), line)
    assert heard(site)["body"].startswith("Un-banned")


def test_a_room_gets_its_topics_and_can_end_a_ban(site, fresh):
    room = lab.Room(site.admin, "notices")
    room.affiliate(bot(site), "member")
    site.bot.change(rooms=[{"jid": room.jid}])
    site.bot.reload()
    wait.until(
        lambda: "portcullis" in room.nicks(), 20, every=0.2, what=f"portcullis in its room; {site.bot.log()[-2000:]}"
    )
    assert f"{room.jid} hears of: bans" in site.say(f"watch {room.jid} bans")
    victim, guesser = fresh(), address()
    fail(site, victim, guesser)
    text = room.heard(site.admin)
    pair = f"{site.server.jid(victim)} from {guesser}"
    number = re.search(rf"^Banned (#\d+) {re.escape(pair)} until .* by the rule pair-failures", text).group(1)
    assert text.splitlines()[-3:] == [f"!unban {number}", f"!show {number}", f"!extend {number} 1w"], text
    assert room.ask(site.admin, text.splitlines()[-3]).startswith(f"admin: Un-banned {number} {pair}.")
    wait.until(lambda: site.try_login(victim, guesser) == "in", 10, what="the pair is free")
    assert "nothing" in site.say(f"watch {room.jid} off")
    fail(site, fresh(), address())
    room.silent(site.admin)


@pytest.mark.only("ejabberd-26")
def test_a_ban_by_the_server_has_a_notice_and_a_reply_ends_it(site, fresh):
    user = fresh()
    who = site.server.jid(user)
    site.say("watch adopted")
    site.server.ctl("ban_account", user=user, host=site.server.host, reason="by the operator")
    notice = heard(site, 15)
    text = notice["body"]
    number = re.search(
        rf"^The server itself had banned {re.escape(who)}; portcullis took that over as (#\d+) forever\. "
        rf"The reason it gave is in `show #\d+`\.$",
        text,
        re.M,
    ).group(1)
    assert f"\nunban {number}\n" in text, text
    shown = site.say(f"show {number}")
    assert f"{who} is banned: {number} forever, by the server: by the operator." in shown, shown
    assert reply(site, notice, "unban").startswith(f"Un-banned {number} {who}.")
    wait.until(lambda: site.try_login(user, address()) == "in", 10, what="the account is free")


@pytest.mark.timing
def test_a_storm_is_a_few_notices_and_then_a_line(site, fresh):
    time.sleep(DIGEST + 1)  # the digest caused by earlier tests is over
    site.say("watch bans")
    pairs = [(victim, address()) for victim in [fresh() for _ in range(3)] for _ in range(3)]
    for victim, guesser in pairs:
        fail(site, victim, guesser)
    told = quiet(site, 2)
    singles = [text for text in told if text.startswith("Banned")]
    told += quiet(site, 2 * DIGEST)
    sums = [text for text in told if "more ban" in text]
    assert len(singles) == 3 and 1 <= len(sums) <= 3, told
    one_sum = r"^(\d+) more bans? by the rule pair-failures from \d+ networks? in .*: (list rule:pair-failures)$"
    found = [re.search(one_sum, text, re.M) for text in sums]
    assert all(found), sums
    assert len(singles) + sum(int(m.group(1)) for m in found) == len(pairs), told
    # The command in the line leads to all of them; the bans themselves have ended by now.
    rows = site.bot.facts(*found[0].group(2).split(), "state:ended", "--all")["rows"]
    assert {f"{site.server.jid(victim)} from {guesser}" for victim, guesser in pairs} <= {
        row["subject"] for row in rows
    }


def test_subscriptions_survive_a_restart_and_off_is_silence(site, fresh):
    site.say("watch off")
    site.bot.restart()
    site.wait_hello()
    assert "You hear of: nothing." in site.say("watch")
    victim, guesser = fresh(), address()
    fail(site, victim, guesser)
    site.wait_banned(f"{site.server.jid(victim)} from {guesser}")
    assert quiet(site, 3) == []


def test_an_account_under_attack_has_a_notice_by_default(site, fresh):
    assert "(the usual)" in site.say("watch usual") and "(the usual)" in site.say("watch")
    victim = fresh()
    for _ in range(4):
        site.try_login(victim, address(), wrong())
    site.wait_banned(f"guard of {site.server.jid(victim)}")
    text = heard(site)["body"]
    assert text.startswith(f"{site.server.jid(victim)} is UNDER ATTACK: its guard #"), text


def test_an_outage_has_one_notice_with_its_duration(site):
    site.say("watch link")
    site.server.stop()
    time.sleep(12)  # a shorter outage has no notice
    site.server.start()
    site.bot.wait_ready(40)
    site.wait_hello()
    assert site.admin.online  # `admin` logs in again
    told = []
    wait.until(lambda: told.extend(quiet(site, 0.5)) or told, 20, what="the outage is told")
    assert len([t for t in told if t.startswith("The link to the server was down for ")]) == 1, told
