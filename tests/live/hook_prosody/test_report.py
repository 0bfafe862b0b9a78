"""The outcome of each login reaches portcullis exactly once, also after portcullis was away."""

import pytest

from lab import sasl, wait
from lab.clients.raw_client import RawClient
from lab.fake_component import FakeComponentOnProsody
from lab.sasl import REPLY


@pytest.mark.parametrize("sasl2", [False, True], ids=["sasl1", "sasl2"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_failures_and_successes_are_reported_with_all_details(server, portcullis, mechanism, sasl2):
    c = RawClient(server, "alice", "wrong", "127.0.0.9")
    assert "<not-authorized" in c.auth(mechanism, sasl2)
    c.pw = "pw-alice"
    if sasl2:
        c = RawClient(server, "alice", source="127.0.0.9")
    assert "<success" in c.auth(mechanism, sasl2)
    wait.until(lambda: len(portcullis.logins) == 2)
    failure, success = portcullis.logins
    assert failure["at"].startswith("20") and failure["at"].endswith("Z")
    assert {k: failure[k] for k in ("account", "address", "mechanism", "outcome", "condition")} == {
        "account": "alice@localhost",
        "address": "127.0.0.9",
        "mechanism": mechanism,
        "outcome": "failure",
        "condition": "not-authorized",
    }
    assert "unknown" not in failure
    assert (success["account"], success["address"], success["mechanism"], success["outcome"]) == (
        "alice@localhost",
        "127.0.0.9",
        mechanism,
        "success",
    )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_an_unknown_account_is_reported_as_unknown(server, portcullis, mechanism):
    assert "<not-authorized" in RawClient(server, "nobody", "x").auth(mechanism)
    wait.until(lambda: portcullis.logins)
    assert portcullis.logins[0]["account"] == "nobody@localhost" and portcullis.logins[0]["unknown"] == "true"


def test_a_disabled_account_and_an_abort_are_no_failures(server, portcullis):
    server.shell("user", "disable", "dave@localhost")
    try:
        assert "<account-disabled" in RawClient(server, "dave").auth()
        assert "<account-disabled" in RawClient(server, "dave").auth("SCRAM-SHA-1")
    finally:
        server.shell("user", "enable", "dave@localhost")
    c = RawClient(server, "alice")
    c.scram_first()
    c.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
    assert "<aborted" in c.until(REPLY)
    wait.until(lambda: len(portcullis.logins) == 3)
    assert [(x["outcome"], x["condition"]) for x in portcullis.logins] == [
        ("error", "account-disabled"),
        ("error", "account-disabled"),
        ("error", "aborted"),
    ]


def test_an_account_disabled_by_the_server_reads_the_held_reason(server, portcullis):
    portcullis.ban("dave@localhost", text="You are banned: for the test")
    server.shell("user", "disable", "dave@localhost")
    try:
        for sasl2 in (False, True):
            for mechanism in ("PLAIN", "SCRAM-SHA-1"):
                reply = RawClient(server, "dave").auth(mechanism, sasl2)
                assert "<account-disabled" in reply and "You are banned: for the test" in reply
    finally:
        server.shell("user", "enable", "dave@localhost")


def test_many_at_once_come_in_batches_and_none_is_lost(server, portcullis):
    c = RawClient(server, "alice", "wrong")
    for _n in range(40):
        c.auth("PLAIN")
    wait.until(lambda: len(portcullis.logins) == 40)
    assert portcullis.reports[0] == 1 and max(portcullis.reports) <= 100


def test_outcomes_from_while_portcullis_was_away_are_reported_in_order_later(make_server):
    server = make_server(options="\tportcullis_away_limit = 0\n")
    portcullis = FakeComponentOnProsody(server)
    c = RawClient(server, "alice", "wrong")
    for n in range(150):
        c.user = f"user{n}"
        assert "<not-authorized" in c.auth("SCRAM-SHA-1")
    portcullis.connect()
    wait.until(lambda: len(portcullis.logins) == 150)
    assert [x["account"] for x in portcullis.logins] == [f"user{n}@localhost" for n in range(150)]
    assert portcullis.reports == [100, 50]


def test_reports_without_an_answer_are_sent_again(server, portcullis):
    portcullis.silent = {"report"}
    RawClient(server, "alice", "wrong").auth()
    wait.until(lambda: "report" in portcullis.asked)
    portcullis.close()
    portcullis.silent = set()
    portcullis.connect()
    wait.until(lambda: portcullis.outcomes("alice@localhost") == ["failure"])


def test_reports_wait_across_a_reload(server, portcullis):
    portcullis.close()
    RawClient(server, "alice", "wrong").auth()
    assert "OK" in server.shell("module", "reload", "portcullis", "localhost")
    portcullis.connect()
    wait.until(lambda: portcullis.outcomes("alice@localhost") == ["failure"])


def test_the_ten_thousand_newest_reports_are_kept(make_server):
    server = make_server(level="warn", options="\tportcullis_away_limit = 0\n")
    streams = [RawClient(server, "x", "wrong") for _ in range(20)]
    for n in range(0, 10100, 20):
        for k, c in enumerate(streams):
            text = sasl.b64(f"n,,n=u{n + k},r=abc")
            c.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{text}</auth>")
        for c in streams:
            c.until(REPLY)
    p = FakeComponentOnProsody(server).connect()
    wait.until(lambda: len(p.logins) >= 10000, 20)
    p.in_step()  # and then no more
    names = [x["account"] for x in p.logins]
    assert len(names) == 10000 and len(set(names)) == 10000
    assert "u10099@localhost" in names and "u50@localhost" not in names
    p.close()


def test_a_failure_is_reported_before_the_next_question_about_it(server, portcullis):
    """A question waits until the reports before it are answered, so it takes the failure into account."""
    seen = []
    portcullis.decide = lambda account, *_: seen.append(len(portcullis.logins)) or "allow"
    c = RawClient(server, "alice", "wrong")
    for _ in range(10):
        c.auth()
    assert seen == [0] + list(range(10))
    assert set(portcullis.asked) <= {"hello", "check", "report", "sync"}


def test_what_a_client_wrote_does_not_spoil_the_report_of_others(server, portcullis):
    """A refused report comes again in halves, until only the login that was refused is dropped."""
    portcullis.close()
    for n in range(4):
        RawClient(server, "alice", "wrong", f"127.0.{n + 1}.1").auth()
    c = RawClient(server, source="127.0.7.1")
    c.send(f"<auth xmlns='{sasl.SASL}' mechanism='PLAIN-{'A' * 17000}'>{sasl.plain('alice', 'x')}</auth>")
    assert "<failure" in c.until(REPLY)
    c.user, c.pw = "poison", "x"
    assert "<not-authorized" in c.auth()
    RawClient(server, "bob", "wrong", "127.0.6.1").auth()
    portcullis.is_refused = lambda login: login["account"] == "poison@localhost"
    portcullis.connect()
    wait.until(lambda: "bob@localhost" in [x["account"] for x in portcullis.logins])
    assert portcullis.outcomes("alice@localhost").count("failure") == 4
    assert portcullis.outcomes("poison@localhost") == []


def named(portcullis):
    """The mechanisms that it was asked about."""
    return {check["mechanism"] for check in portcullis.checks if "mechanism" in check}


def test_a_mechanism_is_named_as_far_as_its_name_is_safe(server, portcullis):
    for mechanism in ("X" * 65, "PL\u00c4IN", "A B"):
        RawClient(server).send(f"<auth xmlns='{sasl.SASL}' mechanism='{mechanism}'>{sasl.plain('alice', 'x')}</auth>")
        wait.until(lambda: named(portcullis), what="the question")
        assert named(portcullis) == {"other"}
        del portcullis.checks[:]
