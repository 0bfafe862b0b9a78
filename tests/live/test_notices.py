"""What admins hear without asking, on a real server with the real module, and what a reply does."""
import itertools
import re
import time

import pytest

import lab
from lab.client import loop
from parts import need
from test_guard import Guarded, address, attempt, wait_banned

QUICK = "{urn:xmpp:tmp:quick-response}response"
DIGEST = 6


@pytest.fixture(scope="module", params=list(lab.SERVERS))
def guarded(request):
    need(request.param)
    one = Guarded(request.param)
    one.bot.change(notices={"digest": f"{DIGEST}s", "most": 3}, record={"check_every": "1s"})
    one.bot.restart()
    one.wait_level_2()
    yield one
    one.close()


_names = itertools.count(1)


@pytest.fixture
def house(guarded):
    """One who hears nothing from before."""
    guarded.say("watch off")
    drain(guarded)
    return guarded


@pytest.fixture
def fresh(house):
    def make():
        name = f"noticed{next(_names)}"
        house.server.add_user(name)
        return name
    return make


def bot(house):
    return f"bot@{house.bot.jid}"


def drain(house):
    while not house.admin.messages.empty():
        house.admin.messages.get_nowait()


def heard(house, within=8):
    """The next notice."""
    return house.admin.next_message(bot(house), within)


def quiet(house, seconds):
    """All notices that come within this time."""
    time.sleep(seconds)
    found = []
    while not house.admin.messages.empty():
        message = house.admin.messages.get_nowait()
        if message["from"].bare == bot(house) and message["body"]:
            found.append(message["body"])
    return found


def reply(house, to, text):
    """A reply as slixmpp makes it (XEP-0461); the answer's text."""
    x = house.admin.x

    def send():
        message = x.make_message(mto=bot(house), mbody=text, mtype="chat")
        message["reply"]["id"], message["reply"]["to"] = to["id"], str(to["from"])
        message.send()
    loop().call_soon_threadsafe(send)
    return heard(house)["body"]


def fail(house, user, source, times=4):
    for _ in range(times):
        attempt(house, user, source, "wrong")


def test_a_guesser_is_told_with_actions_and_a_reply_ends_it(house, fresh):
    victim, guesser = fresh(), address()
    assert "You hear of: everything." in house.say("watch all")
    fail(house, victim, guesser)
    notice = heard(house)
    text = notice["body"]
    print(text)
    pair = f"{house.server.jid(victim)} from {guesser}"
    number = re.search(rf"^Banned (#\d+) {re.escape(pair)} until .* by the rule pair-failures, ban no\. 1 of it", text).group(1)
    assert "Evidence: 4 failures within 1 minute (limit 4)" in text and "It was never banned before." in text, text
    lines = text.splitlines()
    assert lines[-3:] == [f"unban {number}", f"show {number}", f"extend {number} 1w"], text
    assert [one.get("value") for one in notice.xml.findall(QUICK)] == lines[-3:]
    answer = reply(house, notice, "1 hour guessing")
    print(answer)
    assert f"Changed {number}" in answer and "guessing" in answer, answer
    until = re.search(r"now until (\S+ \S+) UTC", answer).group(1)
    answer = reply(house, notice, "1 week")
    print(answer)
    assert f"Extended {number} {pair}: was until {until} UTC" in answer and "(7 days" in answer, answer
    longest = re.search(r"now until (\S+ \S+) UTC", answer).group(1)
    house.admin.say(bot(house), lines[-1])
    answer = heard(house)["body"]
    assert f"Extended {number} {pair}: was until {longest} UTC" in answer, answer
    assert attempt(house, victim, guesser) != ""
    answer = reply(house, notice, "unban")
    print(answer)
    assert answer.startswith(f"Un-banned {number} {pair}."), answer
    lab.wait_for(lambda: attempt(house, victim, guesser) == "", 10, what="the pair is free")


def test_a_quick_response_is_a_line_that_works(house, fresh):
    victim, guesser = fresh(), address()
    house.say("watch bans")
    fail(house, victim, guesser)
    line = heard(house).xml.find(QUICK).get("value")
    assert line.startswith("unban #")
    house.admin.say(bot(house), line)
    assert heard(house)["body"].startswith("Un-banned")


def test_a_room_hears_what_was_chosen_for_it_and_ends_it(house, fresh):
    room = lab.Room(house.admin, "heralds")
    room.affiliate(bot(house), "member")
    house.bot.change(rooms=[{"jid": room.jid}])
    house.bot.reload()
    lab.wait_for(lambda: "portcullis" in room.nicks(), 20, every=0.2, what=f"portcullis in its room; {house.bot.log()[-2000:]}")
    assert f"{room.jid} hears of: bans" in house.say(f"watch {room.jid} bans")
    victim, guesser = fresh(), address()
    fail(house, victim, guesser)
    text = room.heard(house.admin)
    print(text)
    pair = f"{house.server.jid(victim)} from {guesser}"
    number = re.search(rf"^Banned (#\d+) {re.escape(pair)} until .* by the rule pair-failures", text).group(1)
    assert text.splitlines()[-3:] == [f"!unban {number}", f"!show {number}", f"!extend {number} 1w"], text
    assert room.ask(house.admin, text.splitlines()[-3]).startswith(f"admin: Un-banned {number} {pair}.")
    lab.wait_for(lambda: attempt(house, victim, guesser) == "", 10, what="the pair is free")
    assert "nothing" in house.say(f"watch {room.jid} off")
    fail(house, fresh(), address())
    room.silent(house.admin)


@pytest.mark.only("ejabberd-26")
def test_a_ban_the_server_made_itself_is_told_and_a_reply_ends_it(house, fresh):
    user = fresh()
    who = house.server.jid(user)
    house.say("watch adopted")
    house.server.ctl("ban_account", user=user, host=house.server.host, reason="by the operator")
    notice = heard(house, 15)
    text = notice["body"]
    print(text)
    number = re.search(rf"^The server itself had banned {re.escape(who)}; portcullis took that over as (#\d+) for ever: by the operator\.$", text, re.M).group(1)
    assert f"\nunban {number}\n" in text, text
    shown = house.say(f"show {number}")
    print(shown)
    assert f"{who} is banned: {number} for ever, by the server: by the operator." in shown, shown
    assert reply(house, notice, "unban").startswith(f"Un-banned {number} {who}.")
    lab.wait_for(lambda: attempt(house, user, address()) == "", 10, what="the account is free")


def test_a_storm_is_a_few_notices_and_then_a_line(house, fresh):
    time.sleep(DIGEST + 1)  # what the tests before led to is over
    house.say("watch bans")
    victims = [fresh() for _ in range(3)]
    for victim in victims:
        for _ in range(4):
            fail(house, victim, address())
    told = quiet(house, 2)
    singles = [text for text in told if text.startswith("Banned")]
    told += quiet(house, 2 * DIGEST)
    sums = [text for text in told if "more ban" in text]
    print(sums)
    assert len(singles) == 3 and sums, told
    counted = sum(int(n) for text in sums for n in re.findall(r"^(\d+) more bans? by the rule pair-failures from \d+ networks? in .*: list rule:pair-failures$", text, re.M))
    bans = len(re.findall(r"banned by a rule.*subject=noticed", house.bot.log_since_start()))
    assert counted >= 5 and len(sums) <= 3, (sums, bans)
    assert "Matching bans" in house.say("list rule:pair-failures") or "No ban" in house.say("list rule:pair-failures")


def test_what_was_chosen_outlives_a_restart_and_off_is_silence(house, fresh):
    house.say("watch off")
    house.bot.restart()
    house.wait_level_2()
    assert "You hear of: nothing." in house.say("watch")
    victim, guesser = fresh(), address()
    fail(house, victim, guesser)
    wait_banned(house, f"{house.server.jid(victim)} from {guesser}")
    assert quiet(house, 3) == []


def test_an_account_under_attack_is_told_to_who_chose_nothing(house, fresh):
    assert "(the usual)" in house.say("watch usual") or "the usual" in house.say("watch")
    victim = fresh()
    for _ in range(4):
        attempt(house, victim, address(), "wrong")
    wait_banned(house, f"guard of {house.server.jid(victim)}")
    text = heard(house)["body"]
    print(text)
    assert text.startswith(f"{house.server.jid(victim)} is UNDER ATTACK: its guard #"), text


def test_an_outage_is_told_once_with_its_length(house):
    house.say("watch link")
    house.server.stop()
    time.sleep(12)
    house.server.start()
    house.bot.wait_ready(40)
    house.wait_level_2()
    house.admin  # logs in again
    told = []
    lab.wait_for(lambda: told.extend(quiet(house, 0.5)) or told, 20, what="the outage is told")
    print(told)
    assert len([t for t in told if t.startswith("The link to the server was down for ")]) == 1, told
