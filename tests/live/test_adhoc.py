"""XEP-0050 as clients use it: sessions, their owners, and protocol errors."""

import pytest

from lab import StanzaRefused
from lab.answers import BANNED, must_say
from lab.assertions import logs_in, must_be_refused, unban
from lab.clients.slixmpp_client import COMMANDS


def test_cancel_changes_nothing_and_ends_the_exchange(site, server, admin, fresh):
    user = fresh()
    form = admin.command(site.jid, "ban")
    step = admin.go_on(site.jid, form, "cancel")
    assert step.status == "canceled" and step.sessionid == form.sessionid, step
    with pytest.raises(StanzaRefused) as no:
        admin.go_on(
            site.jid, form, "complete", {"subject": server.jid(user), "duration": "1d", "reason": "", "note": ""}
        )
    assert no.value.detail in ("session-expired", "bad-sessionid"), no.value
    assert logs_in(server, user)


def test_a_wide_network_asks_first_and_prev_leads_back_with_the_values(site, admin):
    form = admin.command(site.jid, "ban")
    values = {"subject": "198.51.0.0/16", "duration": "1h", "reason": "a wide one", "note": "kept too"}
    ask = admin.go_on(site.jid, form, form.execute, values)
    assert ask.status == "executing" and {"prev", "complete"} <= set(ask.actions), ask
    must_say(r"198\.51\.0\.0/16", ask.text)
    back = admin.go_on(site.jid, ask, "prev")
    assert back.status == "executing", back
    for name in ("subject", "reason", "note"):
        assert back.fields[name] == values[name], (name, back)
    assert "1h" in (back.fields["duration"], back.fields.get("other_duration")), back
    ask = admin.go_on(site.jid, back, back.execute, values)
    done = admin.go_on(site.jid, ask, "complete")
    assert done.status == "completed", done
    must_say(BANNED, done.note, who="198.51.0.0/16")
    unban(site, "198.51.0.0/16")


def test_an_exchange_belongs_to_one_person_and_one_node(site, server, admin, moderator):
    form = admin.command(site.jid, "ban")
    with pytest.raises(StanzaRefused) as no:
        moderator.command(
            site.jid, "ban", "complete", form.sessionid, {"subject": server.jid("dave"), "duration": "1h"}
        )
    assert (no.value.condition, no.value.detail) == ("bad-request", "bad-sessionid"), no.value
    with pytest.raises(StanzaRefused) as no:
        admin.command(site.jid, "list", "complete", form.sessionid, {})
    assert no.value.detail == "bad-sessionid", no.value
    assert logs_in(server, "dave")
    admin.go_on(site.jid, form, "cancel")


def test_a_double_submission_does_the_work_once(site, server, admin, fresh):
    user = fresh()
    form = admin.command(site.jid, "ban")
    values = {"subject": server.jid(user), "duration": "1d", "reason": "twice", "note": ""}
    assert admin.go_on(site.jid, form, "complete", values).status == "completed"
    with pytest.raises(StanzaRefused) as no:
        admin.go_on(site.jid, form, "complete", values)
    assert no.value.detail in ("session-expired", "bad-sessionid"), no.value
    must_be_refused(server, user, "twice")


def test_faults_of_protocol_get_the_conditions_of_the_xep(site, admin):
    with pytest.raises(StanzaRefused) as no:
        admin.command(site.jid, "no-such-node")
    assert no.value.condition == "item-not-found", no.value
    with pytest.raises(StanzaRefused) as no:
        admin.command(site.jid, "ban", "jump")
    assert (no.value.condition, no.value.detail) == ("bad-request", "malformed-action"), no.value
    form = admin.command(site.jid, "ban")
    with pytest.raises(StanzaRefused) as no:
        admin.go_on(site.jid, form, "prev")
    assert (no.value.condition, no.value.detail) == ("bad-request", "bad-action"), no.value
    admin.go_on(site.jid, form, "cancel")


def test_every_node_describes_itself(site, admin):
    for node in ("ban", "unban", "list", "show", "status"):
        info = admin.plugin("xep_0030", "get_info", jid=site.jid, node=node)["disco_info"]
        assert any(category == "automation" and kind == "command-node" for category, kind, *_ in info["identities"]), (
            info
        )
        assert COMMANDS in info["features"], info
