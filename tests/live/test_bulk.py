"""Commands about many bans, and the nodes of XEP-0133, with a real client."""

import pytest

from lab import Client, Portcullis
from lab.answers import UNBANNED, must_not_say, must_say
from lab.assertions import ban, logs_in, must_be_refused, must_log_in
from lab.clients.slixmpp_client import DATA

NODE = "http://jabber.org/protocol/admin#"


def values(step, var):
    """All values of a field of an answer."""
    field = step.xml.find(f".//{{{DATA}}}field[@var='{var}']")
    return [value.text for value in field.findall(f"{{{DATA}}}value")]


def kind(step, var):
    return step.xml.find(f".//{{{DATA}}}field[@var='{var}']").get("type")


def test_the_standard_nodes_ban_and_let_in_again(site, server, admin, fresh):
    one, two = fresh(), fresh()
    nodes = admin.nodes(site.jid)
    for name in ("disable-user", "reenable-user", "get-disabled-users-num", "get-disabled-users-list"):
        assert NODE + name in nodes, nodes
    before = int(values(admin.command(site.jid, NODE + "get-disabled-users-num"), "disabledusersnum")[0])
    form = admin.command(site.jid, NODE + "disable-user")
    assert form.status == "executing" and kind(form, "accountjids") == "jid-multi", form
    assert values(form, "FORM_TYPE") == ["http://jabber.org/protocol/admin"]
    done = admin.go_on(
        site.jid, form, "complete", {"accountjids": [server.jid(one), server.jid(two).upper() + "/Phone"]}
    )
    assert done.status == "completed", done
    must_say(r"2 of 2 done", done.note)
    must_say(r"the resource was left out of", done.note)
    must_be_refused(server, one)
    must_be_refused(server, two)
    number = admin.command(site.jid, NODE + "get-disabled-users-num")
    assert int(values(number, "disabledusersnum")[0]) == before + 2, number
    listed = admin.command(site.jid, NODE + "get-disabled-users-list", "complete", values={"max_items": "none"})
    assert {server.jid(one), server.jid(two)} <= set(values(listed, "disableduserjids")), listed
    assert kind(listed, "disableduserjids") == "jid-multi"
    done = admin.command(
        site.jid, NODE + "reenable-user", "complete", values={"accountjids": [server.jid(one), server.jid(two)]}
    )
    must_say(r"2 of 2 done", done.note)
    must_log_in(server, one)
    must_log_in(server, two)


def test_end_user_session_ends_them_and_bans_nobody(site, server, admin, fresh):
    user = fresh()
    with Client(server, user) as victim:
        done = admin.command(site.jid, NODE + "end-user-session", "complete", values={"accountjids": server.jid(user)})
        assert done.status == "completed", done
        victim.wait_closed()
    assert logs_in(server, user)


def test_end_user_session_with_a_full_jid_ends_that_session_alone(site, server, admin, fresh):
    user = fresh()
    with Client(server, user, resource="my phone") as phone, Client(server, user, resource="desk") as desk:
        done = admin.command(site.jid, NODE + "end-user-session", "complete", values={"accountjids": phone.jid})
        assert done.status == "completed", done
        must_say(rf"{phone.jid}: 1 session was ended", done.note)
        phone.wait_closed()
        assert not desk.ended.wait(1), "the other session was ended too"
        done = admin.command(site.jid, "kick", "complete", values={"subject": phone.jid})
        must_say(r"nobody was connected", done.note)
        assert not desk.ended.wait(1), "the other session was ended too"
        must_say(r"sessions ended by .*only the session my phone", site.say(f"show {server.jid(user)}"))
        must_say(r"1 session was ended", site.say(f"kick {desk.jid}"))
        desk.wait_closed()


def test_the_standard_nodes_obey_the_same_rules(site, server, admin, moderator):
    for who, jid, why in [
        (admin, server.jid("admin"), "your own account|exempt"),
        (moderator, server.jid("carol"), "exempt"),
        (admin, server.jid("nobody-at-all"), "no account|neither log in nor register"),
    ]:
        again = who.command(site.jid, NODE + "disable-user", "complete", values={"accountjids": jid})
        assert again.status == "executing", again
        must_say(why, again.text)
        assert values(again, "accountjids") == [jid]


def test_an_unban_by_filter_counts_asks_and_lets_them_in(site, server, admin, fresh):
    users = [fresh() for _ in range(3)]
    for user in users[:2]:
        ban(site, server.jid(user), "1h wrongly-listed", "admin2")
    ban(site, server.jid(users[2]), "1h rightly", "admin2")
    asked = admin.ask(site.jid, "unban all account wrongly-listed")
    must_say(r"Nothing is done yet\. End 2 bans in force \(2 accounts\)", asked)
    assert not logs_in(server, users[0])
    must_say(r"Un-banned 2 of 2", admin.ask(site.jid, "yes"))
    must_log_in(server, users[0])
    must_log_in(server, users[1])
    must_be_refused(server, users[2], "rightly")
    must_say(r"No ban in force matches", admin.ask(site.jid, "unban all wrongly-listed"))
    # The same by form: what was filled in is kept, the question has a way back.
    form = admin.command(site.jid, "unban")
    ask = admin.go_on(site.jid, form, "complete", {"subject": "", "filter": "account rightly", "reason": ""})
    assert ask.status == "executing" and {"prev", "complete"} <= set(ask.actions), ask
    back = admin.go_on(site.jid, ask, "prev")
    assert back.fields["filter"] == "account rightly", back
    ask = admin.go_on(site.jid, back, "complete", {"subject": "", "filter": "account rightly", "reason": "a slip"})
    done = admin.go_on(site.jid, ask, "complete")
    assert done.status == "completed", done
    must_say(r"Un-banned 1 of 1", done.note)
    must_log_in(server, users[2])


def test_lists_are_filtered_by_fields_and_words_and_turned_by_next(site, server, admin, fresh):
    user = fresh()
    number = ban(site, server.jid(user), "2h leaf-turner", "admin2")
    rows = admin.command(
        site.jid, "list", "complete", values={"filter": "leaf-turner", "kind": "account", "expiring": "3h"}
    )
    assert f"ban{number}" in rows.fields, rows
    rows = admin.command(site.jid, "list", "complete", values={"filter": "leaf-turner", "kind": "network"})
    must_say(r"No ban matches", rows.note)
    wrong = admin.command(site.jid, "list", "complete", values={"filter": "color:red"})
    assert wrong.status == "executing", wrong
    must_say(r"There is no filter “color:red”\. Filters are ", wrong.text)
    must_say(UNBANNED, site.say(f"unban #{number}"), who=server.jid(user))
    must_say(r"#{n} {who}: ended .*, by ", site.say("list state:ended leaf-turner"), n=number, who=server.jid(user))
    for n in range(12):
        site.say(f"ban 198.19.{n}.1 1h page-turner")
    must_say(r"Matching bans 1-10 of 12\..*More: next, or list page-turner 2", admin.ask(site.jid, "list page-turner"))
    must_say(r"Matching bans 11-12 of 12\.", admin.ask(site.jid, "next"))
    must_say(r"Matching bans 1-10 of 12\.", admin.ask(site.jid, "previous"))
    must_say(r"End 12 bans in force \(12 addresses\)", admin.ask(site.jid, "unban all page-turner"))
    must_say(r"Un-banned 12 of 12", admin.ask(site.jid, "yes"))
    must_not_say(r"page-turner", admin.ask(site.jid, "list"))


def test_policy_and_rehearse_answer_everybody_who_may_ask(site, server, admin, moderator):
    policy = site.say("policy")
    must_say(r"rules in force.*\[ban\] moderator_longest", policy)
    must_say(r"(?m)^Admins: (.*, )?{who}", policy, who=server.jid("admin"))
    must_say(r"Nothing is recorded", admin.ask(site.jid, "rehearse"))
    must_say(r"role admin", moderator.ask(site.jid, "rehearse"))


WAVES = (20_000, 60_000, 240_000)


@pytest.fixture
def own_bot(site, server):
    """Replaces the other portcullis, because so many decisions would slow down the tests that follow."""
    site.bot.stop()
    with Portcullis(server) as bot:
        yield bot


@pytest.mark.only("prosody")  # it takes two minutes and does the same on all servers; this one has the shortest suite
def test_a_form_with_long_work_shows_the_progress(site, admin, own_bot, tmp_path):
    """A client that refreshes, as slixmpp does, gets the result in the form; otherwise it comes as a message."""

    def begun(number):
        wave = tmp_path / "wave"
        wave.write_text(
            "".join(f"100.{64 + n // 62500}.{n // 250 % 250}.{n % 250 + 1} 7d a long wave\n" for n in range(number))
        )
        done = own_bot.run("import", "--yes", wave, within=300)
        assert done.returncode == 0 and f"{number} bans began." in done.stdout, done.stdout
        ask = admin.command(site.jid, "unban", "complete", values={"filter": "origin:import a long wave"})
        assert ask.status == "executing", ask
        must_say(rf"End {number} bans in force", ask.note)
        return admin.go_on(site.jid, ask, "complete")

    for number in WAVES:  # until one takes long on this machine
        step = begun(number)
        if step.status == "executing":
            break
    assert step.status == "executing" and step.note_type == "info" and list(step.actions) == ["next"], step
    must_say(r"At work.*It goes on by itself\. Next looks again", step.note)
    while step.status == "executing":
        step = admin.go_on(site.jid, step, "next")
    assert step.status == "completed", step
    must_say(rf"Un-banned {number} of {number}", step.note)
    number *= 2  # so that it takes long for certain
    step = begun(number)
    assert step.status == "executing", step
    step = admin.go_on(site.jid, step, "cancel")
    assert step.status == "canceled", step
    must_say(r"what it began goes on", step.note)
    told = admin.next_message(f"bot@{site.jid}", 240, "Your form")["body"]
    must_say(rf"Your form “Un-ban”:\nUn-banned {number} of {number}", told)
    assert own_bot.facts("list", "origin:import", "--all")["rows"] == []
