//! Literal stanzas in, literal stanzas out: the interface of clients and scripts.
//!
//! The whole conversation is in `golden.txt`. Any change shows in the diff of that file; run once with
//! `PORTCULLIS_BLESS=1` to accept it.

use std::fmt::Write as _;

use crate::support::bot::{ADMIN, Bot, DOMAIN, MODERATOR, STRANGER};
use crate::support::screens::{server, steady, write};

const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// The requests, in order. `SESSION` stands for the session id of the last answer.
fn conversation() -> Vec<(&'static str, String)> {
    let iq = |type_: &str, from: &str, payload: &str| {
        format!("<iq type='{type_}' id='q' from='{from}' to='{DOMAIN}'>{payload}</iq>")
    };
    let command = |attributes: &str, fields: &str| {
        let form = match fields {
            "" => String::new(),
            fields => format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"),
        };
        iq(
            "set",
            ADMIN,
            &format!("<command xmlns='{COMMANDS}' {attributes}>{form}</command>"),
        )
    };
    let field =
        |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let say = |from: &str, text: &str| {
        format!(
            "<message type='chat' id='m' from='{from}' to='bot@{DOMAIN}'><body>{text}</body><thread>t</thread></message>"
        )
    };
    let disco = |what: &str, node: &str| {
        format!("<query xmlns='http://jabber.org/protocol/disco#{what}' {node}/>")
    };
    let list = format!("node='{COMMANDS}'");
    vec![
        ("what the domain is", iq("get", STRANGER, &disco("info", ""))),
        ("what the contact is", iq("get", ADMIN, &disco("info", "")).replace("to='", "to='bot@")),
        ("where browsing leads", iq("get", ADMIN, &disco("items", ""))),
        ("the commands for an admin", iq("get", ADMIN, &disco("items", &list))),
        ("the commands for a stranger", iq("get", STRANGER, &disco("items", &list))),
        ("one command", iq("get", ADMIN, &disco("info", "node='ban'"))),
        ("one command, to a stranger", iq("get", STRANGER, &disco("info", "node='ban'"))),
        ("version", iq("get", ADMIN, "<query xmlns='jabber:iq:version'/>")),
        ("ping", iq("get", ADMIN, "<ping xmlns='urn:xmpp:ping'/>")),
        ("time", iq("get", ADMIN, "<time xmlns='urn:xmpp:time'/>")),
        ("last activity", iq("get", ADMIN, "<query xmlns='jabber:iq:last'/>")),
        ("an unknown request", iq("get", ADMIN, "<query xmlns='jabber:iq:roster'/>")),
        ("somebody subscribes", format!("<presence type='subscribe' from='admin@example.org' to='bot@{DOMAIN}'/>")),
        ("the form of ban", command("node='ban' action='execute'", "")),
        ("filled in wrongly", command("node='ban' sessionid='SESSION' action='complete'", &(field("subject", "spam") + &field("duration", "5") + &field("reason", "spam in rooms")))),
        ("filled in well", command("node='ban' sessionid='SESSION' action='complete'", &(field("subject", "spam@example.org") + &field("other_duration", "3d") + &field("reason", "spam in rooms") + &field("note", "ask alice")))),
        ("sent once more", command("node='ban' sessionid='SESSION' action='complete'", "")),
        ("in one step, risky", command("node='ban'", &(field("subject", "10.0.0.0/8") + &field("duration", "1d")))),
        ("yes", command("node='ban' sessionid='SESSION' action='complete'", "")),
        ("two at once", command("node='ban'", &("<field var='subject'><value>a@example.org</value><value>203.0.113.7</value></field>".to_owned() + &field("duration", "12h")))),
        ("list", command("node='list' action='complete'", "")),
        ("list as a table", command("node='list'", &(field("filter", "account") + &field("table", "1")))),
        ("show", command("node='show'", &field("subject", "#1"))),
        ("status", command("node='status'", "")),
        ("un-ban", command("node='unban'", &field("subject", "#1"))),
        ("un-ban of the free", command("node='unban'", &field("subject", "spam@example.org"))),
        ("a form that is cancelled", command("node='unban'", "")),
        ("cancel", command("node='unban' sessionid='SESSION' action='cancel'", "")),
        ("a command that is not for strangers", command("node='ban'", "").replace(ADMIN, STRANGER)),
        ("help", say(ADMIN, "help")),
        ("help ban", say(ADMIN, "help ban")),
        ("a ban by chat", say(MODERATOR, "ban b@example.org 2h too loud")),
        ("the same again", say(ADMIN, "ban b@example.org")),
        ("for longer", say(ADMIN, "ban b@example.org 1d")),
        ("show by chat", say(ADMIN, "show b@example.org")),
        ("list by chat", say(ADMIN, "list")),
        ("status by chat", say(ADMIN, "status")),
        ("a typo", say(ADMIN, "ubnan b@example.org")),
        ("no unit", say(ADMIN, "ban c@example.org 3 strikes")),
        ("un-ban by chat", say(ADMIN, "unban b@example.org it was the cat")),
        ("the form of attempt", command("node='attempt'", "")),
        ("attempts, wrongly", command("node='attempt' sessionid='SESSION'", &(field("subject", "alice@example.org") + &field("times", "0")))),
        ("attempts", command("node='attempt' sessionid='SESSION'", &(field("subject", "alice@example.org 203.0.113.8") + &field("times", "4")))),
        ("an attempt by chat that bans", say(ADMIN, "attempt alice@example.org 203.0.113.8")),
        ("one that is refused already", say(ADMIN, "attempt alice@example.org 203.0.113.8")),
        ("attempts that raise a guard", command("node='attempt'", &(field("subject", "bob@example.org") + &field("times", "20")))),
        ("check", command("node='check'", &field("subject", "alice@example.org 203.0.113.8"))),
        ("check by chat", say(MODERATOR, "check bob@example.org")),
        ("failures", command("node='failures' action='complete'", "")),
        ("failures as a table", command("node='failures'", &(field("filter", "203.0.113.8") + &field("table", "1")))),
        ("show a pair", command("node='show'", &field("subject", "alice@example.org from 203.0.113.8"))),
        ("allow", command("node='allow'", &(field("subject", "203.0.113.0/24") + &field("duration", "30d") + &field("comment", "the office")))),
        ("allow, wide", say(ADMIN, "allow 10.0.0.0/8 corporation")),
        ("what covers it ended", say(ADMIN, "yes")),
        ("allowed", command("node='allowed' action='complete'", "")),
        ("allowed by chat", say(MODERATOR, "allowed network the")),
        ("a ban of the exempt", command("node='ban'", &field("subject", "203.0.113.9"))),
        ("unallow", command("node='unallow'", &field("subject", "203.0.113.0/24"))),
        ("unallow by chat of what is not", say(ADMIN, "unallow 203.0.113.0/24")),
        ("forget", command("node='forget'", &field("subject", "bob@example.org"))),
        ("forget by chat", say(ADMIN, "forget 203.0.113.8")),
        ("a moderator may not", say(MODERATOR, "forget 203.0.113.8")),
        ("a stranger", say(STRANGER, "hello")),
    ]
}

#[tokio::test(start_paused = true)]
async fn the_answers_are_the_golden_ones() {
    let bot = Bot::with(server());
    let mut told = String::new();
    let mut session = String::from("none");
    for (title, asked) in conversation() {
        let answers = bot.all(&asked.replace("SESSION", &session)).await;
        let _ = writeln!(told, "## {title}\n\n> {asked}\n");
        for answer in answers {
            let command = answer.get_child("command", COMMANDS);
            if let Some(id) = command.and_then(|command| command.attr("sessionid")) {
                assert!(id.len() >= 32, "{id} can be guessed");
                session = id.to_owned();
            }
            let mut text = String::new();
            write(&answer, 0, "", &mut text);
            // Messages from us have an id, so that they can be replied to.
            let id = answer
                .attr("id")
                .filter(|id| answer.name() == "message" && id.len() == 16);
            if let Some(id) = id {
                text = text.replace(id, "MESSAGE");
            }
            let _ = writeln!(told, "{}", steady(&text.replace(&session, "SESSION")));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden.txt");
    if std::env::var_os("PORTCULLIS_BLESS").is_some_and(|set| !set.is_empty()) {
        std::fs::write(path, &told).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    for (number, (old, new)) in kept.lines().zip(told.lines()).enumerate() {
        assert_eq!(old, new, "golden.txt, line {}", number + 1);
    }
    assert_eq!(kept.lines().count(), told.lines().count());
}
