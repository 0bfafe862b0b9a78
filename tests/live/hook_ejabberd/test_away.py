"""While portcullis is away or silent, the held bans decide, then the option `fail`. No outcome is lost."""

import datetime
import time

import pytest

from lab import wait
from lab.fake_component import FakeComponent
from lab.sasl import plain
from lab.servers.ejabberd import Ejabberd


def parse(text):
    """Seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_held_bans_hold_while_portcullis_is_away(component, open_stream, pw):
    component.ban("alice@localhost", text="no alice")
    component.ban("127.0.0.80", kind="address", door="start", text="no .80")
    component.ban("127.0.1.0/24", kind="network", text="no net")
    component.ban("bob@localhost", kind="pair", address="127.0.0.81", text="no pair")
    component.ban("carol@localhost", seconds=3600, text="no carol")
    component.wait_held()
    component.close()
    assert open_stream().plain("alice", pw("alice")) == ("account-disabled", "no alice")
    assert open_stream().scram("carol", pw("carol")) == ("account-disabled", "no carol")
    s = open_stream("127.0.0.80")
    assert s.result(s.features + s.rest()) == ("policy-violation", "no .80")
    s = open_stream("127.0.1.5")  # without door='start': let in at the start, refused at the check
    assert "mechanism" in s.features
    assert s.plain("bob", pw("bob")) == ("temporary-auth-failure", "no net")
    assert open_stream("127.0.0.81").plain("bob", pw("bob")) == ("temporary-auth-failure", "no pair")
    assert open_stream("127.0.0.82").plain("bob", pw("bob"))[0] == "success"


@pytest.mark.timing
def test_a_held_ban_ends_by_our_own_clock(component, open_stream, pw):
    component.ban("alice@localhost", seconds=2.0)
    component.wait_held()
    component.close()
    assert open_stream().plain("alice", pw("alice"))[0] == "account-disabled"
    wait.until(lambda: open_stream().plain("alice", pw("alice"))[0] == "success", 3, what="the ban ends")


def test_an_unban_reaches_the_module(component, open_stream, pw):
    component.ban("alice@localhost")
    component.ban("127.0.1.0/24", kind="network")
    component.wait_held()
    component.lift("alice@localhost")
    component.lift("127.0.1.0/24", kind="network")
    component.wait_held()
    component.close()
    assert open_stream("127.0.1.1").plain("alice", pw("alice"))[0] == "success"


def test_an_answer_takes_precedence_over_held_bans(component, open_stream, pw):
    component.ban("alice@localhost")
    component.wait_held()
    component.lift("alice@localhost", tell=False)
    assert open_stream().plain("alice", pw("alice"))[0] == "success"


def test_a_verdict_with_a_higher_number_makes_the_module_ask(component, open_stream, pw):
    component.wait_held()
    component.ban("alice@localhost", tell=False)
    before = len(component.syncs)
    open_stream().plain("bob", pw("bob"))
    component.wait(lambda: len(component.syncs) > before)
    component.wait(lambda: component.given and component.given[-1] == component.seq)
    component.close()
    wait.until(
        lambda: open_stream().plain("alice", pw("alice"))[0] == "account-disabled", 2, what="the module holds it"
    )


def test_many_bans_come_in_pages_and_a_new_epoch_replaces_all(ej, component, open_stream, pw):
    for n in range(450):
        component.ban(f"u{n}@localhost", tell=False)
    component.ban("alice@localhost", tell=False)
    component.wait_held()
    component.wait(lambda: component.syncs[-1].get("since") == "451" or len(component.syncs) >= 3)
    component.close()
    assert open_stream().plain("u3", "x")[0] == "account-disabled"
    with FakeComponent(ej, epoch="e2") as new:
        new.ban("u3@localhost", tell=False)
        new.wait(lambda: new.hellos)
        assert new.hellos[0]["bans"] == "451" and new.hellos[0]["epoch"] == "e1" and new.hellos[0]["seq"] == "451"
        new.wait_held()
        new.close()
        assert open_stream().plain("u3", "x")[0] == "account-disabled"
        assert open_stream().plain("u4", "x")[0] == "not-authorized"
        assert open_stream().plain("alice", pw("alice"))[0] == "success"


def test_a_fresh_list_that_breaks_off_forgets_nothing(ej, component, open_stream, pw):
    component.ban("alice@localhost")
    component.wait_held()
    component.close()
    with FakeComponent(ej, epoch="e3", page=1) as new:
        for n in range(3):
            new.ban(f"u{n}@localhost", tell=False)
        calls = []
        whole = new.answer_sync

        def once(body):
            calls.append(1)
            if len(calls) > 1:
                new.silent.add("sync")
            return whole(body)

        new.answer_sync = once
        new.wait(lambda: len(calls) > 1)
    assert open_stream().plain("alice", pw("alice"))[0] == "account-disabled"


@pytest.mark.parametrize("ahead", [-900, 900])
def test_clocks_may_be_a_quarter_of_an_hour_apart(ej, component, open_stream, pw, ahead):
    component.close()
    other = FakeComponent(ej, epoch=f"ahead{ahead}")
    other.ahead = ahead
    other.ban("alice@localhost", seconds=600)
    other.ban("carol@localhost", seconds=-600)
    assert open_stream().plain("dave", "wrong")[0] == "not-authorized"
    with other:
        other.wait(lambda: other.hellos)
        other.wait_held()
        apart = parse(other.hellos[-1]["now"]) - other.hellos[-1]["time"]
        assert abs(apart) < 1, "the module tells its own time"
        assert open_stream().plain("bob", "wrong")[0] == "not-authorized"
        for account in ("dave@localhost", "bob@localhost"):
            at = parse(other.reported(account=account, outcome="failure")["at"])
            assert abs(at - other.clock()) < 5, "in the time of portcullis"
        other.close()
        for _ in range(2):
            assert open_stream().plain("alice", pw("alice"))[0] == "account-disabled"
            assert open_stream().plain("carol", pw("carol"))[0] == "success"
            ej.ctl("restart_module", host="localhost", module="mod_portcullis")


@pytest.mark.timing
def test_a_silent_component_costs_a_bounded_wait(component, open_stream, pw):
    component.ban("alice@localhost")
    component.wait_held()
    component.silent = {"check"}
    began = time.time()
    s = open_stream()
    assert s.plain("bob", pw("bob"))[0] == "temporary-auth-failure"
    took = time.time() - began
    assert 0.9 < took < 2.0, took  # two questions of 500 ms each
    assert "<policy-violation" in s.text + s.rest()
    assert open_stream().plain("alice", pw("alice"))[0] == "temporary-auth-failure"
    component.silent = set()
    assert open_stream().plain("bob", pw("bob"))[0] == "success"
    component.reported(account="bob@localhost", outcome="success")
    assert component.outcomes() == ["success"], "what was refused for the moment is not reported"


@pytest.mark.timing
def test_only_the_client_that_logs_in_waits(component, open_stream, pw):
    bob = open_stream()
    assert bob.plain("bob", pw("bob"))[0] == "success"
    bob.bind()
    component.silent = {"check"}
    waiting = open_stream("127.0.0.3", within=0.05)  # waits 500 ms at its start
    began = time.time()
    assert "type='result'" in bob.iq("get", "<ping xmlns='urn:xmpp:ping'/>", "localhost")
    assert time.time() - began < 0.3
    assert "mechanism" not in waiting.features and "mechanism" in waiting.until("</stream:features>", 5)


def test_fail_closed_refuses_temporarily(ej, component, open_stream, pw):
    ej.set_options(fail="closed")
    component.close()
    s = open_stream()
    condition, text = s.plain("bob", pw("bob"))
    assert condition == "temporary-auth-failure" and "later" in text
    s.rest()
    assert "<policy-violation" in s.text
    ej.set_options()
    assert open_stream().plain("bob", pw("bob"))[0] == "success"


@pytest.mark.timing
def test_the_wait_is_an_option(ej, component, open_stream, pw):
    ej.set_options(wait="100 milliseconds", ask_at_start="false")
    component.silent = {"check"}
    before = len(component.checks)
    began = time.time()
    assert open_stream().plain("bob", pw("bob"))[0] == "temporary-auth-failure"
    assert time.time() - began < 0.4
    assert len(component.checks) == before + 1


def test_nonsense_in_the_options_is_refused(ej, component):
    for wrong in (
        {"fail": "perhaps"},
        {"away_limit": "-1"},
        {"away_window": "soon"},
        {"wait": "soon"},
        {"max_held": "0"},
        {"no_such_option": "1"},
    ):
        ej.options = wrong
        ej.module_conf.write_text(ej.module_config())
        assert ej.ctl("reload_config") not in (0, "", None), wrong
    ej.set_options()


def test_outcomes_are_kept_while_portcullis_is_away(ej, component, open_stream, pw):
    component.close()
    for n in range(5):
        open_stream().plain("bob", f"wrong{n}")
    open_stream().plain("bob", pw("bob"))
    with FakeComponent(ej) as back:
        back.wait(lambda: len(back.logins) >= 6)
        assert [x["outcome"] for x in back.logins] == ["failure"] * 5 + ["success"]
        assert len(back.reports) == 1, "they come together"


def test_a_report_without_an_answer_is_sent_again_with_the_same_batch(ej, component, open_stream, pw):
    component.silent = {"report"}
    open_stream().plain("bob", "wrong")
    component.wait(lambda: component.reports)
    component.silent = set()
    login = component.reported(timeout=15, account="bob@localhost", outcome="failure")
    assert len(component.reports) == 2 and login["batch"]


@pytest.mark.parametrize(
    ("again", "name", "source"),
    [(Ejabberd.restart, "late1", "127.8.77.1"), (Ejabberd.restart_module, "late2", "127.8.77.2")],
    ids=["the_server", "the_module"],
)
def test_failures_whose_report_has_no_answer_yet_are_told_after_a_restart(
    ej, component, open_stream, again, name, source
):
    """The server stops just after a guess: its report may be lost together with the connection."""
    component.silent = {"report"}
    began = time.time()
    for n in range(3):
        open_stream(source).plain(name, f"wrong{n}")
    component.wait(lambda: sum(component.reports) >= 3)
    ended = time.time()
    component.close()
    again(ej)
    with FakeComponent(ej) as back:
        back.wait(lambda: len(back.logins) >= 3)
        assert back.outcomes(f"{name}@localhost") == ["failure"] * 3
        assert {login["earlier"] for login in back.logins} <= component.batches and len(component.batches) <= 3
        assert all(began - 1 < parse(login["at"]) < ended + 1 for login in back.logins)


@pytest.mark.timing
def test_failures_kept_at_a_stop_count_from_when_they_happened(ej, component, open_stream):
    window, source = 8, "127.8.77.3"
    ej.set_options(away_limit="3", away_window=f"{window} seconds")
    component.wait_held()
    component.silent = {"report"}
    for _ in range(3):
        open_stream(source).plain("late3", "wrong")
    failed = time.time()
    component.wait(lambda: sum(component.reports) >= 3)
    time.sleep(5)
    component.close()
    ej.restart_module()
    assert time.time() < failed + window - 1, "this machine is too slow for the test"
    assert open_stream(source).plain("late4", "wrong")[0] == "temporary-auth-failure", "they are counted"
    time.sleep(failed + window + 0.5 - time.time())
    assert open_stream(source).plain("late4", "wrong")[0] == "not-authorized", "and are over when their window is"


def test_a_report_that_is_refused_costs_the_one_login_that_is_why(ej, component, open_stream):
    component.close()
    s = open_stream()
    for n in range(30):
        s.plain(f"n{n}", "x")
    back = FakeComponent(ej)
    back.is_refused = lambda login: login["account"] == "n17@localhost"
    with back:
        back.wait(lambda: len(back.logins) >= 29)
        want = {f"n{n}@localhost" for n in range(30) if n != 17}
        assert {x["account"] for x in back.logins} == want and len(back.logins) == 29
        open_stream().plain("bob", "wrong")
        back.reported(account="bob@localhost", outcome="failure")


@pytest.mark.parametrize("initial", ["", plain("alice", "x")], ids=["errors", "refusals"])
def test_refusals_and_errors_leave_room_for_failures(ej, component, open_stream, initial):
    ej.set_options(max_reports="20")
    component.ban("alice@localhost")
    component.wait_held()
    component.close()
    for n in range(5):
        open_stream().plain("bob", f"wrong{n}")
    for _ in range(25):
        open_stream().auth("PLAIN", initial)
    with FakeComponent(ej) as back:
        back.carry_on(component)
        back.wait(lambda: len(back.logins) >= 10)
        assert back.outcomes("bob@localhost") == ["failure"] * 5


def test_the_queue_of_outcomes_is_bounded_and_keeps_the_newest(ej, component, open_stream, pw):
    ej.set_options(max_reports="20")
    component.close()
    s = open_stream()
    for n in range(40):
        s.plain(f"n{n}", "x")
    with FakeComponent(ej) as back:
        back.wait(lambda: len(back.logins) >= 20)
        assert [x["account"] for x in back.logins] == [f"n{n}@localhost" for n in range(20, 40)]
        assert "20 outcomes" in back.hellos[0]["health"]


def test_the_number_of_held_bans_is_bounded(ej, component, open_stream):
    ej.set_options(max_held="10")
    for n in range(30):
        component.ban(f"u{n}@localhost", tell=False)
    component.wait_held()
    component.close()
    with FakeComponent(ej) as back:
        back.carry_on(component)
        back.wait(lambda: back.hellos)
        assert back.hellos[0]["bans"] == "10" and "20 are not held" in back.hellos[0]["health"]
        back.ban("u3@localhost", text="longer")  # bans that are held already are kept up to date
        back.wait_held()
    assert open_stream().plain("u3", "x") == ("account-disabled", "longer")


def test_networks_of_both_families_are_found_by_their_prefix(ej, component):
    component.ban("2001:db8:1:2::/64", kind="network", text="six")
    component.ban("2001:db8:ffff::/48", kind="network", door="start", text="wider")
    component.ban("2001:db8:9::9", kind="address", text="one")
    component.ban("203.0.113.128/25", kind="network", text="four")
    component.ban("bob@localhost", kind="pair", address="2001:db8:7:7::/64", text="pair")
    component.wait_held()

    def find(*questions):
        """What the module finds for each (address, stage, account); one call for all, because each starts an Erlang
        VM.
        """
        calls = [
            f'mod_portcullis_bans:find(<<"localhost">>, {stage}, {account}, '
            f'element(2, inet:parse_address("{address}")))'
            for address, stage, account in questions
        ]
        return ej.erlang(f"[{', '.join(calls)}]")

    asked = {
        ("2001:db8:1:2:3::4", "check", "undefined"): '{network,<<"six">>}',
        ("2001:db8:1:2:3::4", "start", "undefined"): "none",
        ("2001:db8:1:3::4", "check", "undefined"): "none",
        ("2001:db8:ffff:1::1", "start", "undefined"): '{network,<<"wider">>}',
        ("2001:db8:9::9", "check", "undefined"): '{address,<<"one">>}',
        ("2001:db8:9::8", "check", "undefined"): "none",
        ("203.0.113.200", "check", "undefined"): '{network,<<"four">>}',
        ("203.0.113.100", "check", "undefined"): "none",
        ("2001:db8:7:7::1", "check", '<<"bob@localhost">>'): '{pair,<<"pair">>}',
        ("2001:db8:7:7::1", "check", '<<"alice@localhost">>'): "none",
    }
    assert find(*asked) == f"[{','.join(asked.values())}]"
    component.lift("2001:db8:1:2::/64", kind="network")
    component.wait_held()
    assert find(("2001:db8:1:2:3::4", "check", "undefined")) == "[none]"


@pytest.mark.timing
def test_under_load_outcomes_are_batched(component, open_stream):
    component.late = {"report": 1.0}
    s = open_stream()
    for n in range(60):
        s.plain("bob", f"wrong{n}")
    component.wait(lambda: len([x for x in component.logins if x["outcome"] == "failure"]) == 60)
    assert component.reports[:4] == [1] * 4, "a single one is not kept waiting"
    assert len(component.reports) < 40, "and what comes while four are unanswered goes together"


@pytest.mark.parametrize("what", ["hello", "sync"])
def test_a_component_that_answers_nonsense_harms_nobody(ej, component, open_stream, pw, what):
    component.ban("alice@localhost")
    component.wait_held()
    component.close()
    for nonsense in (
        "",
        "<x xmlns='urn:other'/>",
        "<changes xmlns='urn:portcullis:hook:1' epoch='e9' seq='x'/>",
        "<changes xmlns='urn:portcullis:hook:1' epoch='e1' seq='9' more='true'/>",
        "<changes xmlns='urn:portcullis:hook:1' epoch='e1' seq='9'><ban kind='account'/>"
        "<ban subject='a@' kind='account'/>"
        "<ban subject='300.1.1.1' kind='address'/><ban subject='::/200' kind='network'/></changes>",
    ):
        with FakeComponent(ej) as odd:
            setattr(odd, f"answer_{what}", lambda body, n=nonsense: n)
            time.sleep(1.3)  # the module asks again after a second and gets the same nonsense
    assert open_stream().plain("alice", pw("alice"))[0] == "account-disabled"
    assert open_stream().plain("bob", pw("bob"))[0] == "success"
    assert not ej.crashes()
