"""What of Prosody itself refuses a login, as the module tells portcullis that asks; a provider that is out of reach."""

import pytest

from lab import wait
from lab.clients.raw_client import RawClient
from lab.fake_component import NS, FakeComponentOnProsody, tag

LAB = "urn:portcullis:tests"


def ask(portcullis, **about):
    """(what was asked, what was not, the kinds of refusals)"""
    named = " ".join(f"{key}='{value}'" for key, value in about.items())
    answer = portcullis.iq("get", f"<refusals xmlns='{NS}' {named}/>").find(tag("refusals"))
    words = lambda name: set((answer.get(name) or "").split())  # noqa: E731
    return words("asked"), words("not-asked"), [one.get("by") for one in answer.findall(tag("refusal"))]


def test_a_disabled_account_and_one_that_does_not_exist_are_told(server, portcullis):
    assert ask(portcullis, account="Alice@localhost") == ({"account", "disabled"}, set(), [])
    assert ask(portcullis, account="nosuch@localhost") == ({"account"}, set(), ["no-account"])
    assert ask(portcullis, address="127.0.0.1") == (set(), set(), [])
    assert "error" not in server.shell("user", "disable", "alice@localhost").lower()
    try:
        assert ask(portcullis, account="alice@localhost", address="127.0.0.1")[2] == ["disabled"]
        assert "<account-disabled" in RawClient(server, "alice").auth()
    finally:
        server.shell("user", "enable", "alice@localhost")
    assert ask(portcullis, account="alice@localhost")[2] == []


def test_modules_that_nobody_can_ask_are_named(make_server):
    server = make_server(modules='"limits"; "c2s_conn_throttle";')
    p = FakeComponentOnProsody(server).connect().settled()
    assert "beside" not in p.hellos[0], "mod_c2s_conn_throttle counts connections, not failed logins"
    assert ask(p, account="alice@localhost")[1] == {"mod_c2s_conn_throttle"}, "mod_limits only slows traffic down"
    p.close()


@pytest.mark.parametrize("about", ["", "account='x@elsewhere.example'", "account='localhost'", "address='x'"])
def test_a_question_about_nobody_is_an_error(server, portcullis, about):
    answer = portcullis.iq("get", f"<refusals xmlns='{NS}' {about}/>")
    assert answer.get("type") == "error" and answer.find(".//{*}bad-request") is not None


def test_only_portcullis_can_ask(server, portcullis):
    client = RawClient(server, "bob").login()
    question = f"<refusals xmlns='{NS}' account='bob@localhost'/>"
    answer = client.iq("r", f"<iq type='get' id='r' to='localhost'>{question}</iq>")
    assert "error" in answer and "asked=" not in answer
    client.close()


def test_a_provider_out_of_reach_makes_nobody_a_guesser(server, portcullis):
    portcullis.iq("set", f"<reach xmlns='{LAB}' is='down'/>")
    try:
        RawClient(server, "alice").auth()
        wait.until(lambda: portcullis.outcomes("alice@localhost"))
        assert portcullis.outcomes("alice@localhost") == ["error"]
        assert "unknown" not in portcullis.logins[-1]
        assert ask(portcullis, account="alice@localhost")[1] >= {"account"}
    finally:
        portcullis.iq("set", f"<reach xmlns='{LAB}' is='up'/>")
    RawClient(server, "alice", "wrong").auth()
    wait.until(lambda: portcullis.outcomes("alice@localhost")[1:] == ["failure"])
