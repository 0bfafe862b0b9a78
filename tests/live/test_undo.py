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
