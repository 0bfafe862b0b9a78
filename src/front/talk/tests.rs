#![allow(clippy::unwrap_used)]
use super::*;
use crate::command::Occupant;
use crate::core::{Rights, Role};
use crate::front::message::MessageKind;
use crate::xmpp::stanza::{Header, NS_COMPONENT, Received, StanzaKind};

fn line(text: &str) -> ChatLine {
    let text = format!("<message xmlns='{NS_COMPONENT}'><body>{text}</body></message>");
    let received = Received {
        kind: StanzaKind::Message,
        header: Header {
            from: Jid::new("admin@example.org/phone").unwrap(),
            to: Jid::new("bot@gate.example.org").unwrap(),
            id: Some("m1".into()),
            type_: None,
            lang: None,
        },
        element: text.parse().unwrap(),
    };
    ChatLine::read(&received, MessageKind::Private, received.header.to.clone()).unwrap()
}

fn caller() -> Caller {
    Caller {
        jid: Jid::new("admin@example.org/phone").unwrap(),
        rights: Rights::everywhere(Role::Admin),
        occupant: None,
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_795_320_000_000 + millis)
}

#[test]
fn a_yes_counts_from_whom_and_where_the_question_was_put() {
    let within = |room: &str, private| Caller {
        occupant: Some(Occupant {
            jid: Jid::new(room).unwrap(),
            private,
        }),
        ..caller()
    };
    let here = within("ops@rooms.example.org/Al", false);
    let talks = Talks::default();
    talks.person(&here.jid, |person| {
        person.asked = Some(OpenQuestion {
            call: Call::new(
                here.clone(),
                EntryPoint::Room,
                crate::command::find("ban").unwrap(),
            ),
            until: at(120_000),
            line: None,
        });
    });
    let waits = |text: &str, caller: &Caller, millis| talks.waits_for(text, caller, at(millis));
    assert!(waits("Yes!", &here, 0));
    assert!(waits(
        "no",
        &within("ops@rooms.example.org/other nick", false),
        0
    ));
    assert!(!waits("yes we can", &here, 0), "not said to us");
    assert!(!waits("yes", &here, 120_000), "too late");
    assert!(!waits("yes", &caller(), 0), "one to one");
    assert!(!waits("yes", &within("ops@rooms.example.org/Al", true), 0));
    assert!(!waits(
        "yes",
        &within("lobby@rooms.example.org/Al", false),
        0
    ));
    let mut another = here.clone();
    another.jid = Jid::new("admin@example.org/desk").unwrap();
    assert!(!waits("yes", &another, 0), "another client");
}

#[test]
fn a_flood_is_answered_once_and_then_with_silence_until_it_is_quiet() {
    let talks = Talks::default();
    let heard = |millis| match talks.admit(&line("list"), &caller(), at(millis)) {
        Admitted::InTurn(_) => "in",
        Admitted::Answer(_) => "told",
        Admitted::Ignored => "silent",
    };
    for n in 0..19 {
        assert_eq!(heard(n * 10), "in", "{n}");
    }
    assert_eq!(heard(300), "told");
    for n in 0..50 {
        assert_eq!(heard(1_000 + n * 9_000), "silent", "{n}");
    }
    assert_eq!(heard(1_000 + 49 * 9_000 + 10_000), "in");
    for n in 0..40 {
        assert_eq!(
            heard(1_000_000 + n * 1_000),
            "in",
            "a person types fast, {n}"
        );
    }
}

#[test]
fn a_stranger_gets_one_sentence_an_hour_and_there_are_only_so_many() {
    let talks = Talks::default();
    let jid = |n: usize| BareJid::new(&format!("s{n}@evil.example")).unwrap();
    assert!(talks.admit_stranger(&jid(0), at(0)));
    assert!(!talks.admit_stranger(&jid(0), at(3_599_000)));
    assert!(talks.admit_stranger(&jid(0), at(3_600_000)));
    for n in 1..5_000 {
        talks.admit_stranger(&jid(n), at(3_600_001));
    }
    assert_eq!(talks.known().strangers.len(), STRANGERS);
    assert!(!talks.admit_stranger(&jid(6_000), at(3_600_002)));
    assert!(talks.admit_stranger(&jid(6_000), at(9_000_000)));
}

#[test]
fn only_a_line_that_did_nothing_can_be_corrected() {
    let talks = Talks::default();
    let mut corrected = line("ban a@b");
    corrected.corrects = Some("m1".into());
    let is_in = || {
        matches!(
            talks.admit(&corrected, &caller(), at(0)),
            Admitted::InTurn(_)
        )
    };
    assert!(!is_in());
    let failed = |id: &str| {
        Some(FailedLine {
            id: id.into(),
            replied: None,
        })
    };
    talks.person(&corrected.from, |person| person.failed = failed("m1"));
    assert!(is_in());
    assert!(!is_in(), "not a second time");
    // A line whose question is open had no effect either; its question is dropped.
    talks.person(&corrected.from, |person| {
        person.asked = Some(OpenQuestion {
            call: Call::new(
                caller(),
                EntryPoint::Chat,
                crate::command::find("ban").unwrap(),
            ),
            until: at(120_000),
            line: failed("m1"),
        });
    });
    assert!(is_in());
    assert!(talks.person(&corrected.from, |person| person.asked.is_none()));
    assert!(!is_in());
}
