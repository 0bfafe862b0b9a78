"""What of ejabberd itself refuses a login, as the module tells portcullis that asks."""

import time

import pytest

from lab import wait
from lab.fake_component import NS, tag

STRANGER = "127.0.7.7"


def ask(component, **about):
    """(what was asked, what was not, attributes of each refusal by its kind)"""
    named = " ".join(f"{key}='{value}'" for key, value in about.items())
    answer = component.iq("get", f"<refusals xmlns='{NS}' {named}/>")
    assert answer.get("type") == "result", answer
    answer = answer.find(tag("refusals"))
    refusals = {one.get("by"): one for one in answer.findall(tag("refusal"))}
    return set((answer.get("asked") or "").split()), set((answer.get("not-asked") or "").split()), refusals


@pytest.fixture
def fail2ban(ej):
    """mod_fail2ban beside the module: three failures, an hour."""
    yml = ej.path / "ejabberd.yml"
    before = yml.read_text()
    yml.write_text(before.replace("modules:\n", "modules:\n  mod_fail2ban:\n    c2s_max_auth_failures: 3\n", 1))
    # By its own API: called through ejabberdctl, ejabberd would not make the table (ejabberd issue 4211).
    ej.ctl("reload_config")
    yield
    yml.write_text(before)
    ej.ctl("reload_config")


def guess(open_stream, source, times=3):
    for _ in range(times):
        open_stream(source).plain("alice", "wrong")


def test_nothing_stands_against_an_account_in_good_order(component):
    asked, not_asked, refusals = ask(component, account="alice@localhost", address="127.0.0.1")
    assert asked == {"account", "ban", "access", "mod_fail2ban"}
    assert not_asked == set() and refusals == {}


def test_ejabberds_own_ban_is_told_with_its_record(ej, component, open_stream, pw):
    ej.ctl("ban_account", user="dave", host="localhost", reason="by hand & foot")
    try:
        _, _, refusals = ask(component, account="Dave@localhost")
        assert list(refusals) == ["ban"] and refusals["ban"].get("reason") == "by hand & foot"
        record = refusals["ban"].find("{jabber:ejabberd:banned}banned")
        assert record.find("{jabber:ejabberd:banned}reason").text == "by hand & foot"
        assert record.find("{jabber:ejabberd:banned}hash").text
        assert open_stream().plain("dave", pw("dave"))[0] == "account-disabled"
    finally:
        ej.ctl("unban_account", user="dave", host="localhost")
    assert ask(component, account="dave@localhost")[2] == {}


def test_an_account_that_does_not_exist_is_told(component):
    asked, _, refusals = ask(component, account="nosuch@localhost")
    assert "account" in asked and list(refusals) == ["no-account"]


def test_an_access_rule_that_keeps_the_account_out_is_told(ej, component, open_stream, pw):
    yml = ej.path / "ejabberd.yml"
    before = yml.read_text()

    def rule(lines, acl):
        text = before.replace("    tls_verify: true\n", "    tls_verify: true\n    access: c2s\n")
        text = text.replace("  c2s:\n    allow: all\n", f"  c2s:\n{lines}", 1).replace("acl:\n", f"acl:\n{acl}", 1)
        yml.write_text(text)
        ej.ctl("reload_config")

    try:
        rule("    deny: blocked\n    allow: all\n", "  blocked:\n    user: carol@localhost\n")
        assert list(ask(component, account="carol@localhost")[2]) == ["access"]
        assert ask(component, account="bob@localhost")[2] == {}
        # A rule that lets in one address only says nothing about an account whose address is not known.
        rule("    allow: from_there\n", "  from_there:\n    ip: 127.0.9.9/32\n")
        asked, not_asked, refusals = ask(component, account="bob@localhost")
        assert "access" not in asked and not_asked == {"access"} and refusals == {}
        assert list(ask(component, account="bob@localhost", address="127.0.0.1")[2]) == ["access"]
        assert ask(component, account="bob@localhost", address="127.0.9.9")[2] == {}
    finally:
        yml.write_text(before)
        ej.ctl("reload_config")


def test_an_address_that_mod_fail2ban_holds_is_told_and_let_go(ej, fail2ban, component, open_stream, pw):
    guess(open_stream, STRANGER)
    assert "Too many" in open_stream(STRANGER).text
    for about in (
        {"address": STRANGER},
        {"address": f"::ffff:{STRANGER}"},
        {"account": "bob@localhost", "address": STRANGER},
    ):
        asked, _, refusals = ask(component, **about)
        assert "mod_fail2ban" in asked and list(refusals) == ["mod_fail2ban"]
        held = refusals["mod_fail2ban"]
        until = time.mktime(time.strptime(held.get("until")[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        assert held.get("address") == STRANGER and 3500 < until - time.time() < 3700
    assert ask(component, address="127.0.7.8")[2] == {}
    answer = component.iq("set", f"<unblock xmlns='{NS}' address='127.0.7.8'/>").find(tag("unblocked"))
    assert answer.attrib == {"count": "0"}
    answer = component.iq("set", f"<unblock xmlns='{NS}' network='127.0.7.0/24'/>").find(tag("unblocked"))
    assert answer.attrib == {"count": "1"}
    assert ask(component, address=STRANGER)[2] == {}
    assert open_stream(STRANGER).plain("bob", pw("bob"))[0] == "success"


def test_a_lost_table_of_mod_fail2ban_refuses_nobody(ej, fail2ban, component, open_stream):
    guess(open_stream, STRANGER)
    ej.erlang("ets:delete(failed_auth)")
    asked, _, refusals = ask(component, address=STRANGER)
    assert "mod_fail2ban" in asked and refusals == {}
    answer = component.iq("set", f"<unblock xmlns='{NS}' address='{STRANGER}'/>").find(tag("unblocked"))
    assert answer.attrib == {"count": "0"}


def test_a_hello_tells_of_mod_fail2ban(ej, component, fail2ban):
    assert "beside" not in component.hellos[0]
    ej.set_options(heartbeat="1 second")
    wait.until(lambda: component.hellos[-1].get("beside") == "mod_fail2ban")


@pytest.mark.parametrize(
    "about",
    [
        "",
        "account='x@elsewhere.example'",
        "account='@localhost'",
        "address='x'",
        "account='alice@localhost' address='1.2.3'",
    ],
)
def test_a_question_about_nobody_is_an_error(component, about):
    answer = component.iq("get", f"<refusals xmlns='{NS}' {about}/>")
    assert answer.get("type") == "error" and answer.find(".//{*}bad-request") is not None
    answer = component.iq("set", f"<unblock xmlns='{NS}' account='alice@localhost'/>")
    assert answer.get("type") == "error"
