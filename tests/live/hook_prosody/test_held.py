"""(3) Known bans hold while portcullis is away or silent, and survive restarts; what is not known goes by portcullis_fail."""
import datetime
import signal
import time

import pytest

from .ground import HOST, Client, Portcullis, eventually


def soon(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def refused(server, user="alice", address="127.0.0.1", pw=None):
    """What a login gets: None when it is let in, `start` when the stream is refused, or the SASL condition."""
    c = Client(server, user, pw, address)
    if "</stream:stream>" in c.features:
        assert "policy-violation" in c.features
        return "start"
    reply = c.auth()
    c.close()
    if "<success" in reply:
        return None
    for condition in ("account-disabled", "temporary-auth-failure", "not-authorized"):
        if condition in reply:
            return condition
    return reply


def fill(p):
    p.ban("account", "alice@localhost", text="No more alice")
    p.ban("address", "127.0.0.5")
    p.ban("address", "127.0.0.6", door="start")
    p.ban("network", "127.1.128.0/17")
    p.ban("pair", "bob@localhost", address="127.0.0.8")
    p.ban("account", "carol@localhost", until=soon(2))
    p.ban("account", "dave@localhost")
    p.lift("account", "dave@localhost")


def holds(server):
    assert refused(server, "alice") == "account-disabled"
    assert refused(server, "bob") is None
    assert refused(server, "bob", "127.0.0.5") == "temporary-auth-failure"
    assert refused(server, "bob", "127.0.0.6") == "start"
    assert refused(server, "bob", "127.1.200.1") == "temporary-auth-failure"
    assert refused(server, "bob", "127.1.127.1") is None
    assert refused(server, "bob", "127.0.0.8") == "temporary-auth-failure"
    assert refused(server, "dave", "127.0.0.8") is None
    return True


def test_known_bans_hold_while_portcullis_is_away_and_end_by_themselves(server, portcullis):
    fill(portcullis)
    assert refused(server, "alice") is None, "portcullis says allow and is there: its word counts"
    portcullis.cut()
    assert refused(server, "carol") == "account-disabled"
    holds(server)
    eventually(lambda: refused(server, "carol") is None, 4, "the ban has an end")
    Client(server, "alice").auth()


def test_known_bans_hold_while_portcullis_is_silent(server, portcullis):
    fill(portcullis)
    portcullis.silent = True
    began = time.time()
    assert refused(server, "alice") == "account-disabled"
    assert 0.9 < time.time() - began < 2, "once at the start and once at the check, portcullis_wait each"
    assert refused(server, "bob") is None


def test_the_text_of_a_held_ban_reaches_the_user(server, portcullis):
    fill(portcullis)
    portcullis.cut()
    c = Client(server, "alice")
    assert "No more alice" in c.auth() and "No more alice" in c.rest()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_known_bans_survive_a_restart_of_the_server_without_portcullis(server, portcullis, how):
    fill(portcullis)
    time.sleep(0.3)
    portcullis.cut()
    server.restart(how)
    holds(server)


def test_known_bans_survive_a_reload_and_a_pause_of_the_module(server, portcullis):
    fill(portcullis)
    portcullis.cut()
    assert "OK" in server.shell("module", "reload", "portcullis", HOST)
    holds(server)
    assert "OK" in server.shell("module", "unload", "portcullis", HOST)
    assert refused(server, "alice") is None, "it was told to stop"
    assert "OK" in server.shell("module", "load", "portcullis", HOST)
    holds(server)


def test_after_a_restart_the_whole_set_is_fetched_again(server, portcullis):
    fill(portcullis)
    portcullis.cut()
    server.restart()
    again = Portcullis(server)
    again.epoch, again.seq, again.log = portcullis.epoch, portcullis.seq, portcullis.log
    again.connect().settled()
    assert again.syncs[0] == (None, None) and "epoch" not in again.hellos[0]
    again.cut()
    holds(server)
    again.connect()
    eventually(lambda: len(again.hellos) == 2)
    assert again.hellos[1]["epoch"] == again.epoch and again.hellos[1]["seq"] == str(again.seq)
    time.sleep(0.1)
    assert len(again.syncs) == 1, "nothing was missed, nothing is asked"
    again.cut()


def test_a_new_epoch_replaces_everything_held(server, portcullis):
    fill(portcullis)
    portcullis.log, portcullis.epoch, portcullis.seq = [], "another", 0
    portcullis.ban("account", "bob@localhost")
    portcullis.cut()
    assert refused(server, "alice") is None and refused(server, "bob", "127.0.0.5") == "account-disabled"
    assert refused(server, "carol", "127.0.0.5") is None


def test_what_was_missed_is_fetched_page_by_page_when_portcullis_is_back(server, portcullis):
    portcullis.ban("account", "alice@localhost")
    portcullis.cut()
    for n in range(950):
        portcullis.ban("account", f"user{n}@localhost", news=False)
    portcullis.ban("account", "bob@localhost", news=False)
    portcullis.connect()
    eventually(lambda: len(portcullis.syncs) >= 6)
    portcullis.ask(HOST, "<ping xmlns='urn:xmpp:ping'/>", kind="get")
    portcullis.cut()
    assert refused(server, "bob") == "account-disabled" and refused(server, "alice") == "account-disabled"


def test_a_line_that_breaks_in_a_whole_sync_leaves_the_old_bans_in_force(server, portcullis):
    portcullis.ban("account", "alice@localhost")
    portcullis.cut()
    portcullis.epoch, portcullis.log, portcullis.seq, portcullis.page = "third", [], 0, 2
    for n in range(9):
        portcullis.ban("account", f"user{n}@localhost", news=False)
    whole, pages = portcullis._sync, []

    def two_pages(p):
        pages.append(p.attrib)
        return whole(p) if len(pages) < 3 else None
    portcullis._sync = two_pages
    portcullis.connect()
    eventually(lambda: len(pages) == 3)
    portcullis.cut()
    assert refused(server, "alice") == "account-disabled"


def test_a_verdict_with_a_later_number_is_news_too(server, portcullis):
    portcullis.ban("account", "alice@localhost", news=False)
    assert refused(server, "bob") is None
    eventually(lambda: portcullis.syncs and portcullis.syncs[-1][1] == "0")
    portcullis.ask(HOST, "<ping xmlns='urn:xmpp:ping'/>", kind="get")
    portcullis.cut()
    assert refused(server, "alice") == "account-disabled"


def test_fail_closed_refuses_what_it_cannot_ask_about_and_lets_clients_try_again(make_server):
    server = make_server(options='\tportcullis_fail = "closed"\n\tportcullis_wait = 0.2\n')
    c = Client(server, "bob")
    for _ in range(2):
        assert "<temporary-auth-failure" in c.auth() and "<temporary-auth-failure" in c.auth("SCRAM-SHA-1")
    p = Portcullis(server).connect().settled()
    assert "<success" in c.auth("SCRAM-SHA-1"), "on the same stream, when portcullis is back"
    p.ban("account", "alice@localhost")
    p.silent = True
    assert refused(server, "bob") == "temporary-auth-failure"
    c = Client(server, "alice")
    assert "account-disabled" in c.auth() and "policy-violation" in c.rest()
    c = Client(server, "carol")
    p.silent = False
    answer = c.scram_first()
    p.silent = True
    time.sleep(1.1)
    assert "<temporary-auth-failure" in c.scram_final(answer), "the second message asks again after a second"
    p.silent = False
    assert "<success" in c.auth("SCRAM-SHA-1")
    c = Client(server, "carol")
    answer = c.scram_first(sasl2=True)
    p.silent = True
    time.sleep(1.1)
    assert "<temporary-auth-failure" in c.scram_final(answer, sasl2=True)
    p.silent = False
    assert "<success" in c.auth("SCRAM-SHA-1", sasl2=True)
    assert server.tracebacks() == []


def test_more_bans_than_fit_are_told(make_server):
    server = make_server(options="\tportcullis_max_held = 100\n")
    p = Portcullis(server).connect().settled()
    for n in range(150):
        p.ban("account", f"user{n}@localhost", news=False)
    p.news()
    p.cut()
    p.connect()
    eventually(lambda: len(p.hellos) == 2)
    assert p.hellos[1]["bans"] == "100" and "portcullis_max_held" in p.hellos[1]["health"]
    p.cut()


def test_a_storage_that_cannot_be_written_is_told(make_server):
    server = make_server()
    (server.path / "data" / HOST / "portcullis").mkdir(exist_ok=True)
    (server.path / "data" / HOST / "portcullis").chmod(0o500)
    p = Portcullis(server).connect().settled()
    p.ban("account", "alice@localhost")
    p.cut()
    assert refused(server, "alice") == "account-disabled", "in memory it holds all the same"
    p.connect()
    eventually(lambda: len(p.hellos) == 2)
    assert "storage" in p.hellos[1]["health"]
    p.cut()
