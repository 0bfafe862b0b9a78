"""Undo, extend, note and kick, from a real client beside each server."""

from datetime import datetime, timedelta

from lab import Client
from lab.answers import must_say
from lab.assertions import ban, must_be_refused, must_log_in

WHO = "admin"  # what another admin did is undone only on request


def test_an_undone_unban_is_enforced_again_and_an_undone_ban_is_not(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    number = ban(site, who, "3d spam", WHO)
    must_be_refused(server, user)
    must_say(r"Undo: undo #{n}", site.say(f"unban #{number}", WHO), n=number)
    must_log_in(server, user)
    must_say(r"Undone: un-ban #{n} {who}", site.say(f"undo #{number}", WHO), n=number, who=who)
    row = site.bot.ban_of(who)
    assert (row["number"], row["reason"]) == (int(number), "spam")
    must_be_refused(server, user, "spam")
    must_say(r"Undone: undo #{n}", site.say("undo", WHO), n=number)
    assert site.bot.ban_of(who) is None
    must_log_in(server, user)


def test_extend_and_note_are_shown_and_undone(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    number = ban(site, who, "1d spam", WHO)
    must_say(r"Extended #{n} {who}: .*Undo: undo #{n}", site.say(f"extend #{number} 3d", WHO), n=number, who=who)
    row = site.bot.ban_of(who)
    assert datetime.fromisoformat(row["until"]) - datetime.fromisoformat(row["since"]) == timedelta(days=4)
    answer = site.say(f"note #{number} ask alice before you un-ban", WHO)
    must_say(r"Noted of {who}: ask alice before you un-ban", answer, who=who)
    answer = site.say(f"show #{number}", WHO)
    must_say(r"Private note: ask alice before you un-ban \(", answer)
    site.say(f"undo {who}", WHO)
    assert "ask alice" not in site.say(f"show #{number}", WHO)


def test_a_kick_ends_the_session_and_lets_in_again(site, server, fresh):
    user = fresh()
    who = server.jid(user)
    must_say(r"{who}: nobody was connected", site.say(f"kick {who}"), who=who)
    with Client(server, user) as session:
        answer = site.say(f"kick {who} please log in again")
        must_say(r"{who}: 1 session was ended", answer, who=who)
        session.wait_closed(8)
    must_log_in(server, user)


def test_one_command_about_more_than_300_is_undone_by_one_and_nothing_else_is(site, server, fresh, tmp_path):
    """An un-ban by filter is undone by its id after another command, and done again by undoing that undo."""
    user, other = fresh(), fresh()
    who, whom = server.jid(user), server.jid(other)
    many = tmp_path / "list"
    many.write_text(
        f"{who} 2d wave-of-300\n" + "".join(f"10.66.{n // 100}.{n % 100} 2d wave-of-300\n" for n in range(300))
    )
    took = site.bot.run("import", "--yes", many).stdout
    assert "301 bans began." in took, took
    must_be_refused(server, user, "wave-of-300")
    ban(site, whom, "3d loud", WHO)
    asked = site.say('unban all wave-of-300 "a wrong list"', WHO)
    must_say(r"End 301 bans in force", asked)
    answer = site.say("yes", WHO)
    must_say(r"Un-banned 301 of 301", answer)
    undo = answer.rsplit("Undo: ", 1)[1].strip()
    assert undo.startswith("undo command:"), answer
    must_log_in(server, user)
    site.say(f"note {whom} done after it", WHO)
    asked = site.say(undo, WHO)
    must_say(r"Nothing is done yet. Undo 301 things\? The newest 20 of them:", asked)
    answer = site.say("yes", WHO)
    must_say(r"Undone: 301 of 301", answer)
    must_say(r"ans 1-10 of 301", site.say("list wave-of-300", WHO))
    must_be_refused(server, user, "wave-of-300", within=30)
    must_be_refused(server, other, "loud")
    undo = answer.rsplit("Undo: ", 1)[1].strip()
    must_say(r"Undo 301 things", site.say(undo, WHO))
    must_say(r"Undone: 301 of 301", site.say("yes", WHO))
    must_log_in(server, user, within=30)
    must_be_refused(server, other, "loud")


def test_an_import_is_undone_as_one_command(site, server, fresh, tmp_path):
    user = fresh()
    many = tmp_path / "list"
    many.write_text(
        f"{server.jid(user)} 2d wave-of-250\n"
        + "".join(f"10.67.{n // 100}.{n % 100} 2d wave-of-250\n" for n in range(249))
    )
    took = site.bot.run("import", "--yes", many).stdout
    assert "250 bans began." in took, took
    must_be_refused(server, user, "wave-of-250")
    took = site.bot.run("undo", "--yes").stdout
    must_say(r"Undone: 250 of 250, all that command:[0-9a-f]{16} did", took)
    must_log_in(server, user, within=30)
    must_say(r"No ban matches", site.say("list wave-of-250", WHO))
