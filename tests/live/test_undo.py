"""Undo, extend, note and kick, from a real client beside each server."""
from lab import Client
from steps import ban, must_be_refused, must_log_in
from words import said

WHO = "admin"  # what another admin did, undo takes back only on request


def test_an_undone_un_ban_holds_on_the_server_again_and_an_undone_ban_does_not(house, server, fresh):
    user = fresh()
    who = server.jid(user)
    number = ban(house, who, "3d spam", WHO)
    must_be_refused(server, user)
    said(r"Undo: undo #{n}", house.say(f"unban #{number}", WHO), n=number)
    must_log_in(server, user)
    answer = house.say(f"undo #{number}", WHO)
    said(r"Undone: un-ban #{n} {who}.*As before, {who} is banned: #{n} until .*: spam\.", answer, n=number, who=who)
    print(answer)
    must_be_refused(server, user, "spam")
    said(r"Undone: undo #{n}.*is not banned", house.say("undo", WHO), n=number)
    must_log_in(server, user)


def test_extend_and_note_are_shown_and_undone(house, server, fresh):
    user = fresh()
    who = server.jid(user)
    number = ban(house, who, "1d spam", WHO)
    answer = house.say(f"extend #{number} 3d", WHO)
    print(answer)
    said(r"Extended #{n} {who}: was until .*, now until .* \(4 days\): spam.*Undo: undo #{n}", answer, n=number, who=who)
    answer = house.say(f"note #{number} ask alice before you un-ban", WHO)
    print(answer)
    said(r"Noted of {who}: ask alice before you un-ban", answer, who=who)
    answer = house.say(f"show #{number}", WHO)
    print(answer)
    said(r"Private note: ask alice before you un-ban \(", answer)
    house.say(f"undo {who}", WHO)
    assert "ask alice" not in house.say(f"show #{number}", WHO)


def test_a_kick_ends_the_session_and_lets_in_again(house, server, fresh):
    user = fresh()
    who = server.jid(user)
    said(r"{who}: nobody was connected", house.say(f"kick {who}"), who=who)
    with Client(server, user) as session:
        answer = house.say(f"kick {who} please log in again")
        print(answer)
        said(r"{who}: 1 session was ended|{who}: the server ended", answer, who=who)
        session.wait_closed(8)
    must_log_in(server, user)


def test_one_command_about_more_than_300_is_undone_by_one_and_nothing_else_is(house, server, fresh, tmp_path):
    """An un-ban by filter comes back by its own name, after something else was done, and goes again by that of the undo."""
    user, other = fresh(), fresh()
    who, whom = server.jid(user), server.jid(other)
    many = tmp_path / "list"
    many.write_text(f"{who} 2d wave-of-300\n" + "".join(f"10.66.{n // 100}.{n % 100} 2d wave-of-300\n" for n in range(300)))
    took = house.bot.run("import", "--yes", many).stdout
    assert "301 bans began." in took, took
    must_be_refused(server, user, "wave-of-300")
    ban(house, whom, "3d loud", WHO)
    asked = house.say('unban all wave-of-300 "a wrong list"', WHO)
    said(r"End 301 bans in force", asked)
    answer = house.say("yes", WHO)
    print(answer)
    said(r"Un-banned 301 of 301", answer)
    undo = answer.rsplit("Undo: ", 1)[1].strip()
    assert undo.startswith("undo command:"), answer
    must_log_in(server, user)
    house.say(f"note {whom} done after it", WHO)
    asked = house.say(undo, WHO)
    said(r"Nothing is done yet. Undo 301 things\? The newest 20 of them:", asked)
    answer = house.say("yes", WHO)
    print(answer)
    said(r"Undone: 301 of 301", answer)
    said(r"ans 1-10 of 301", house.say("list wave-of-300", WHO))
    must_be_refused(server, user, "wave-of-300", within=30)
    must_be_refused(server, other, "loud")
    undo = answer.rsplit("Undo: ", 1)[1].strip()
    said(r"Undo 301 things", house.say(undo, WHO))
    said(r"Undone: 301 of 301", house.say("yes", WHO))
    must_log_in(server, user, within=30)
    must_be_refused(server, other, "loud")


def test_an_import_is_undone_as_one_command(house, server, fresh, tmp_path):
    user = fresh()
    many = tmp_path / "list"
    many.write_text(f"{server.jid(user)} 2d wave-of-250\n"
                    + "".join(f"10.67.{n // 100}.{n % 100} 2d wave-of-250\n" for n in range(249)))
    took = house.bot.run("import", "--yes", many).stdout
    assert "250 bans began." in took, took
    must_be_refused(server, user, "wave-of-250")
    took = house.bot.run("undo", "--yes").stdout
    print(took)
    said(r"Undone: 250 of 250, all that command:[0-9a-f]{16} did", took)
    must_log_in(server, user, within=30)
    said(r"No ban matches", house.say("list wave-of-250", WHO))
