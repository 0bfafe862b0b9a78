"""What every XMPP entity must answer, and what must never break the link."""

import pytest

from lab import RawClient, StanzaRefused
from lab.answers import must_say
from lab.clients.slixmpp_client import COMMANDS


def alive(site, pid, connections):
    assert site.bot.process.pid == pid and site.bot.running()
    must_say(r".", site.say("status"))
    assert site.bot.log_since_start().count("portcullis is ready") == connections, "the link was lost"


def ready_lines(site):
    return site.bot.log_since_start().count("portcullis is ready")


def test_disco_version_ping_and_time(site, admin):
    info = admin.plugin("xep_0030", "get_info", jid=site.jid)["disco_info"]
    assert info["identities"], info
    for feature in (
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        COMMANDS,
        "jabber:iq:version",
        "urn:xmpp:ping",
        "urn:xmpp:time",
        "urn:xmpp:receipts",
    ):
        assert feature in info["features"], (feature, info["features"])
    version = admin.plugin("xep_0092", "get_version", site.jid)["software_version"]
    assert version["name"].lower() == "portcullis" and version["version"], version
    assert admin.plugin("xep_0199", "ping", site.jid) is not None
    now = admin.iq("get", site.jid, "<time xmlns='urn:xmpp:time'/>")  # slixmpp 1.8 cannot read a time that ends in Z
    must_say(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", now.findtext(".//{urn:xmpp:time}utc"))
    must_say(r"^[+-]\d\d:\d\d$|^Z$", now.findtext(".//{urn:xmpp:time}tzo"))
    commands = admin.plugin("xep_0030", "get_info", jid=site.jid, node=COMMANDS)["disco_info"]
    assert any(c == "automation" and t == "command-list" for c, t, *_ in commands["identities"]), commands


def test_presence_carries_capabilities_that_match_disco(site, admin):
    while not admin.presences.empty():
        admin.presences.get_nowait()
    admin.send_raw(f"<presence xmlns='jabber:client' to='{site.jid}' type='subscribe'/>")
    for _ in range(10):
        presence = admin.presences.get(timeout=10)
        caps = presence.xml.find("{http://jabber.org/protocol/caps}c")
        if presence["from"].bare == site.jid and caps is not None:
            break
    else:
        pytest.fail("no presence with capabilities")
    info = admin.plugin(
        "xep_0030", "get_info", jid=str(presence["from"]), node=f"{caps.get('node')}#{caps.get('ver')}"
    )["disco_info"]
    assert admin.x["xep_0115"].generate_verstring(info, "sha-1") == caps.get("ver"), info


def test_what_it_does_not_know_is_answered_with_service_unavailable(site, admin):
    for kind in ("get", "set"):
        with pytest.raises(StanzaRefused) as no:
            admin.iq(kind, site.jid, "<query xmlns='urn:example:unheard-of'/>")
        assert no.value.condition == "service-unavailable", no.value


def test_malformed_requests_are_answered_with_bad_request(site):
    raw = RawClient(site.server, "admin").login(resource="malformed")
    for n, payload in enumerate(["", "<a xmlns='urn:a'/><b xmlns='urn:b'/>", f"<command xmlns='{COMMANDS}'/>"]):
        answer = raw.iq(
            f"x{n}",
            f"<iq type='get' id='x{n}' to='{site.jid}'>{payload}</iq>"
            if n < 2
            else f"<iq type='set' id='x{n}' to='{site.jid}'>{payload}</iq>",
        )
        assert "bad-request" in answer, (payload, answer)
    raw.close()


@pytest.mark.only("prosody")
@pytest.mark.parametrize(
    "what",
    ["nested message", "nested iq", "long attribute", "long attribute iq", "many attributes", "deep in a command"],
)
def test_a_hostile_stanza_of_a_real_user_costs_nothing(site, server, what):
    deep = "<a>" * 4000 + "</a>" * 4000  # 28 KB: aborts a plain tokio-xmpp program
    long = "y" * 20_000  # more than 8 KiB in an attribute: ends a plain tokio-xmpp link
    attributes = " ".join(f'a{n}=""' for n in range(3000))
    hostile = {
        "nested message": f"<message to='{site.jid}' type='chat'><x xmlns='urn:x'>{deep}</x></message>",
        "nested iq": f"<iq to='{site.jid}' type='get' id='h'><x xmlns='urn:x'>{deep}</x></iq>",
        "long attribute": f"<message to='{site.jid}' type='chat'><x xmlns='urn:x' y='{long}'/></message>",
        "long attribute iq": f"<iq to='{site.jid}' type='set' id='h'><x xmlns='urn:x' y='{long}'/></iq>",
        "many attributes": f"<message to='{site.jid}' type='chat'><x xmlns='urn:x' {attributes}/></message>",
        "deep in a command": f"<iq to='{site.jid}' type='set' id='h'>"
        "<command xmlns='{COMMANDS}' node='ban'>{deep}</command></iq>",
    }[what]
    pid, before = site.bot.process.pid, ready_lines(site)
    mallory = RawClient(server, "mallory").login()
    mallory.send(hostile)
    if hostile.startswith("<iq"):
        answer = mallory.until(r"<iq\b[^>]*\bid=['\"]h['\"].*?</iq>")
        assert "<error" in answer, answer
    alive(site, pid, before)
    mallory.close()


def test_a_burst_of_rubbish_leaves_it_answering(site, server):
    pid, before = site.bot.process.pid, ready_lines(site)
    raw = RawClient(server, "mallory").login()
    for n in range(300):
        raw.send(
            f"<message to='{site.jid}' type='weird'><body>{n}</body><body>again</body></message>"
            f"<presence to='{site.jid}'><show>nonsense</show><priority>9999</priority></presence>"
            f"<iq to='{site.jid}' type='result' id='never-asked-{n}'/>"
        )
    alive(site, pid, before)
    raw.close()
