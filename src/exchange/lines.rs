//! The export format: JSON Lines, one object per line, in this order:
//!
//! ```json
//! {"kind":"portcullis","version":1,"at":"2026-11-27T09:00:00Z"}
//! {"kind":"event","id":"0f…","at":"…Z","subject":"spam@example.org","by":"admin@example.org/x","role":"Admin","door":"Chat","origin":"Manual","change":{"Imposed":{"reason":"spam","until":1795320000000}}}
//! {"kind":"exemption","subject":"192.0.2.0/24","comment":"office","since":"…Z","until":null,"by":"admin@example.org"}
//! {"kind":"ban","subject":"spam@example.org","reason":"spam","since":"…Z","until":"2030-01-01T12:00:00Z","by":"admin@example.org","origin":"hand","ordinal":1,"number":17}
//! ```
//!
//! Other programs may read and write `ban` and `exemption`; only `subject` is required. Times are RFC 3339; `until`
//! null or absent means forever. `origin` is `hand`, `rule` (then `rule` names it), `import` or `server`. `event` is
//! a decision from the log, for another portcullis only: `role`, `door`, `origin` and `change` are written as the log
//! writes them. `damage` (`from`, `upto`, `why`) stands where decisions
//! are missing in an export from a damaged store. Unknown fields and kinds are skipped, so that an older portcullis can read a newer file.

use serde::{Deserialize, Serialize};

use super::{ImportEntry, ImportedBan, ListedExemption, Pile, Reading, no_time, said};
use crate::command::phrases;
use crate::core::{
    Actor, Ban, Change, CommandId, EntryPoint, Event, EventId, Exemption, Origin, Personal, Role,
    Seq, Subject, Term, Timestamp,
};

/// Version of the format.
pub const VERSION: u32 = 1;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ExportLine {
    /// The head of the file.
    Portcullis {
        /// Version of the format, see [`VERSION`].
        version: u32,
        /// When the file was written (RFC 3339).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// A decision from the log.
    Event(Box<LoggedDecision>),
    /// An exemption in force.
    Exemption(Exempted),
    /// A ban in force.
    Ban(Banned),
    /// Decisions that could not be read from a damaged store.
    Damage {
        /// Position of the first one in the log.
        from: u64,
        /// Position of the last one.
        upto: u64,
        /// What is wrong.
        why: String,
    },
    /// A kind that only a newer portcullis knows.
    #[serde(other)]
    Unknown,
}

/// A ban in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Banned {
    /// The subject, as people write it.
    pub subject: String,
    /// Public reason.
    pub reason: String,
    /// Private note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Begin (RFC 3339); not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// End (RFC 3339); `None`: forever, unless `duration` is given.
    pub until: Option<String>,
    /// Duration from the import on, as in a chat line; instead of `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Who made the ban; not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How the ban was made: `hand`, `rule`, `import` or `server`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// The name of the rule, if `origin` is `rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Offence number, from 1; not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Number of the ban in the exporting portcullis; not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Whether the server keeps a record with more details.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

/// An exemption in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exempted {
    /// The subject, as people write it.
    pub subject: String,
    /// Why it is exempt.
    pub comment: String,
    /// Begin (RFC 3339); not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// End (RFC 3339); `None`: forever.
    pub until: Option<String>,
    /// Who made the exemption; not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A decision from the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedDecision {
    /// Event id, 32 hexadecimal digits; unique everywhere.
    pub id: String,
    /// When it was decided (RFC 3339).
    pub at: String,
    /// The subject, as people write it.
    pub subject: String,
    /// Name of the person or rule that decided.
    pub by: String,
    /// Role in which the person decided.
    pub role: Role,
    /// Entry point of the command.
    pub door: EntryPoint,
    /// The occupant JID in a room, if the command was given there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupant: Option<String>,
    /// The command it belongs to, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How the decision was made.
    pub origin: Origin,
    /// What the decision changed.
    pub change: Change,
    /// Private note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Evidence of a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl ExportLine {
    /// The head of a file that is written now.
    pub fn head(now: Timestamp) -> ExportLine {
        ExportLine::Portcullis {
            version: VERSION,
            at: Some(now.to_exact()),
        }
    }

    /// The line of a ban in force, with its private note.
    pub fn ban(ban: &Ban, note: Option<String>) -> ExportLine {
        ExportLine::Ban(Banned {
            subject: ban.subject.to_string(),
            reason: ban.reason.clone(),
            note,
            since: Some(ban.since.to_exact()),
            until: ban.until.map(Timestamp::to_exact),
            duration: None,
            by: Some(ban.by.name.clone()),
            origin: ban.origin.word().to_owned(),
            rule: ban.origin.rule().map(str::to_owned),
            ordinal: Some(ban.ordinal),
            number: Some(ban.id.0),
            recorded: false,
        })
    }

    /// The line of an exemption.
    pub fn exemption(one: &Exemption) -> ExportLine {
        ExportLine::Exemption(Exempted {
            subject: one.subject.to_string(),
            comment: one.comment.clone(),
            since: Some(one.since.to_exact()),
            until: one.until.map(Timestamp::to_exact),
            by: Some(one.by.name.clone()),
        })
    }

    /// The line of a decision; without private note and evidence unless `with_personal`.
    pub fn event(event: &Event, with_personal: bool) -> ExportLine {
        let personal = |text: &Option<String>| text.clone().filter(|_| with_personal);
        ExportLine::Event(Box::new(LoggedDecision {
            id: hex::encode(event.id.0),
            at: event.at.to_exact(),
            subject: event.subject.to_string(),
            by: event.actor.name.clone(),
            role: event.actor.role,
            door: event.actor.door,
            occupant: event.actor.occupant.clone().map(String::from),
            command: event.command.map(CommandId::to_hex),
            origin: event.origin.clone(),
            change: event.change.clone(),
            note: personal(&event.personal.note),
            evidence: personal(&event.personal.evidence),
        }))
    }

    /// The line as JSON, without a line end.
    pub fn to_text(&self) -> String {
        // Serialisation only fails for maps whose keys are not strings, and there are none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The lines that, when read, give this entry again.
pub fn of(entry: &ImportEntry) -> Vec<ExportLine> {
    let exemption = entry.exemption.as_ref().map(|exempt| {
        ExportLine::Exemption(Exempted {
            subject: entry.subject.to_string(),
            comment: exempt.comment.clone(),
            until: exempt.until.map(Timestamp::to_exact),
            ..Exempted::default()
        })
    });
    let ban = entry.ban.as_ref().map(|ban| {
        ExportLine::Ban(Banned {
            subject: entry.subject.to_string(),
            reason: ban.reason.clone(),
            note: ban.note.clone(),
            until: match ban.term {
                Term::Until(end) => Some(end.to_exact()),
                Term::For(_) | Term::Forever => None,
            },
            duration: match ban.term {
                Term::For(span) => Some(format!("{}s", span.as_secs().max(1))),
                Term::Until(_) | Term::Forever => None,
            },
            origin: ban.origin.word().to_owned(),
            rule: ban.origin.rule().map(str::to_owned),
            recorded: ban.recorded,
            ..Banned::default()
        })
    });
    exemption.into_iter().chain(ban).collect()
}

pub(super) fn read(text: &str, reading: &Reading, pile: &mut Pile) {
    for (number, line) in said(text) {
        let line = match serde_json::from_str(line) {
            Ok(line) => line,
            Err(why) => {
                let why = phrases::clean(&why.to_string());
                pile.bad(number, format!("This is no line of an export: {why}."));
                continue;
            }
        };
        if !reading.history && matches!(line, ExportLine::Event(_)) {
            pile.read.unasked += 1;
            continue;
        }
        if let Err(why) = one(number, line, pile) {
            pile.bad(number, why);
        }
    }
}

fn one(number: usize, line: ExportLine, pile: &mut Pile) -> Result<(), String> {
    match line {
        ExportLine::Portcullis { version, .. } if version > VERSION => {
            return Err(format!(
                "The file is of version {version}; this portcullis reads up to {VERSION}."
            ));
        }
        ExportLine::Portcullis { .. } => {}
        ExportLine::Damage { from, upto, why } => pile.leave_out(
            number,
            format!(
                "Decisions {from} to {upto} could not be read from the damaged store: {}.",
                phrases::clean(&why)
            ),
        ),
        ExportLine::Unknown => pile.leave_out(number, "Of a kind this portcullis does not know."),
        ExportLine::Event(decision) => pile.event(event(*decision)?),
        ExportLine::Exemption(exempted) => {
            let subject = subject(&exempted.subject)?;
            if matches!(subject, Subject::Pair(..) | Subject::Guard(_)) {
                return Err(format!("{subject} cannot be exempt."));
            }
            let exempt = ListedExemption {
                comment: exempted.comment,
                until: end(exempted.until.as_deref())?,
            };
            pile.exemption(number, subject, exempt);
        }
        ExportLine::Ban(banned) => {
            let origin = match (banned.origin.as_str(), banned.rule) {
                ("rule", Some(rule)) => Origin::Automatic { rule },
                ("server", _) => Origin::Server,
                _ => Origin::Imported,
            };
            let ban = ImportedBan {
                reason: banned.reason,
                note: banned.note,
                term: match (end(banned.until.as_deref())?, &banned.duration) {
                    (Some(end), _) => Term::Until(end),
                    (None, Some(span)) => Term::parse(span).map_err(|why| why.to_string())?,
                    (None, None) => Term::Forever,
                },
                origin,
                recorded: banned.recorded,
            };
            pile.ban(number, subject(&banned.subject)?, ban);
        }
    }
    Ok(())
}

fn subject(text: &str) -> Result<Subject, String> {
    super::subject(text, None)
}

fn end(text: Option<&str>) -> Result<Option<Timestamp>, String> {
    text.map(time).transpose()
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| no_time(text))
}

fn event(decision: LoggedDecision) -> Result<Event, String> {
    let command = decision.command.as_deref().map(command).transpose()?;
    Ok(Event::decided(
        id(&decision.id)?,
        time(&decision.at)?,
        Actor::person(phrases::clean(&decision.by), decision.role, decision.door)
            .speaking_as(decision.occupant.map(|name| phrases::clean(&name).into())),
        subject(&decision.subject)?,
        Seq(0),
        decision.change,
    )
    .by_command(command)
    .with_origin(decision.origin)
    .with_personal(Personal {
        key: 0,
        note: decision.note,
        evidence: decision.evidence,
    })
    .cut())
}

fn id(hex: &str) -> Result<EventId, String> {
    let mut id = [0; 16];
    match hex::decode_to_slice(hex, &mut id) {
        Ok(()) => Ok(EventId(id)),
        Err(_) => Err(format!(
            "{:?} is no id of an event: 32 hexadecimal digits.",
            phrases::clean(hex)
        )),
    }
}

fn command(hex: &str) -> Result<CommandId, String> {
    CommandId::from_hex(hex).ok_or_else(|| {
        format!(
            "{:?} is no id of a command: 16 hexadecimal digits.",
            phrases::clean(hex)
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Format;
    use super::super::tests::{now, told};
    use super::*;

    #[test]
    fn bans_and_exemptions_need_nothing_but_a_subject() {
        let text = r#"{"kind":"portcullis","version":1}
{"kind":"ban","subject":"Spam@example.org"}
{"kind":"ban","subject":"203.0.113.7","until":"2026-12-01T00:00:00Z","origin":"rule","rule":"pair-failures","reason":"5 failed logins","later":"field"}
{"kind":"exemption","subject":"192.0.2.0/24","comment":"office"}
{"kind":"watch","of":"something new"}
{"kind":"ban"}
{"kind":"ban","subject":"a@b.c","until":"soon"}
{"kind":"exemption","subject":"guard of a@b.c"}
{"kind":"portcullis","version":2}
nonsense"#;
        assert_eq!(
            told(Format::Portcullis, text),
            [
                "2 spam@example.org | forever, imported: ",
                "3 203.0.113.7 | 2026-12-01T00:00:00Z, automatic (pair-failures): 5 failed logins",
                "4 192.0.2.0/24 | exempt forever: office",
                "bad 6: Say whom: an account (spam@example.org), an address (203.0.113.7) or a network (203.0.113.0/24).",
                "bad 7: \"soon\" is no time.",
                "bad 8: Guard of a@b.c cannot be exempt.",
                "bad 9: The file is of version 2; this portcullis reads up to 1.",
                "bad 10: This is no line of an export: expected ident at line 1 column 2.",
                "out 5: Of a kind this portcullis does not know.",
            ]
        );
    }

    /// The written form of events must not change: otherwise older files cannot be read.
    #[test]
    fn the_spelling_of_events_stays_as_it_is() {
        let text = r#"{"kind":"event","id":"000102030405060708090a0b0c0d0e0f","at":"2026-11-22T04:00:00Z","subject":"a@b.c from 192.0.2.0/24","by":"admin@b.c/x","role":"Admin","door":"AdHoc","origin":{"Automatic":{"rule":"r"}},"change":{"Imposed":{"reason":"spam","until":1795320000000}},"note":"n","evidence":"e"}"#;
        let line: ExportLine = serde_json::from_str(text).unwrap();
        assert_eq!(line.to_text(), text);
        for change in [
            r#"{"Amended":{"reason":"","until":null}}"#,
            r#"{"Lifted":{"reason":"x"}}"#,
            r#""Expired""#,
            r#"{"PutBack":{"next":1240}}"#,
            r#"{"ImposedByRule":{"reason":"x","until":5,"ordinal":3}}"#,
            r#"{"Allowed":{"comment":"x","until":null}}"#,
            r#""Unallowed""#,
            r#""Forgotten""#,
        ] {
            let read: Change = serde_json::from_str(change).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), change);
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let text = r#"{"kind":"event","id":"000102030405060708090a0b0c0d0e0f","at":"2026-11-22T04:00:00.250Z","subject":"guard of a@b.c","by":"x","role":"Moderator","door":"Room","origin":"Manual","change":{"Lifted":{"reason":"y"}}}
{"kind":"ban","subject":"guard of a@b.c","reason":"r","note":"two\nlines","until":"2027-01-01T00:00:00Z","origin":"server","recorded":true}
{"kind":"ban","subject":"203.0.113.7","duration":"3600s","origin":"import"}
{"kind":"exemption","subject":"a@b.c","comment":"c","until":"2027-01-01T00:00:00Z"}"#;
        let reading = Reading {
            now: now(),
            host: None,
            history: true,
        };
        let first = super::super::read(Format::Portcullis, text, &reading);
        assert_eq!(
            (first.entries.len(), first.history.len(), first.bad.len()),
            (3, 1, 0),
            "{first:?}"
        );
        let history = first
            .history
            .iter()
            .map(|event| ExportLine::event(event, true));
        let again: Vec<String> = history
            .chain(first.entries.iter().flat_map(of))
            .map(|line| line.to_text())
            .collect();
        let second = super::super::read(Format::Portcullis, &again.join("\n"), &reading);
        assert_eq!(second, first);
    }

    #[test]
    fn an_id_with_other_text_is_no_id() {
        for (id, command) in [
            ("000102030405060708090a0b0c0d0e0f x", "0011223344556677"),
            ("000102030405060708090a0b0c0d0e0f", "0011223344556677 x"),
        ] {
            let line = format!(
                r#"{{"kind":"event","id":"{id}","at":"2026-11-22T04:00:00Z","subject":"a@b.c","by":"x","role":"Admin","door":"Chat","origin":"Manual","change":"Expired","command":"{command}"}}"#
            );
            let told = told(Format::Portcullis, &line);
            assert!(told[0].starts_with("bad 1: "), "{told:?}");
        }
    }

    #[test]
    fn decisions_are_read_only_if_they_are_asked_for() {
        let text = r#"{"kind":"event","id":"000102030405060708090a0b0c0d0e0f","at":"2026-11-22T04:00:00Z","subject":"a@b.c","by":"x","role":"Admin","door":"Chat","origin":"Manual","change":{"Allowed":{"comment":"","until":null}}}
{"kind":"event","id":"000102030405060708090a0b0c0d0e10","at":"2026-11-22T04:00:00Z","subject":"bot@b.c","by":"x","role":"Admin","door":"Chat","origin":"Manual","change":{"PutBack":{"next":1240}}}
{"kind":"ban","subject":"spam@example.org"}"#;
        for history in [false, true] {
            let reading = Reading {
                now: now(),
                host: None,
                history,
            };
            let read = super::super::read(Format::guess(text), text, &reading);
            let wanted = if history { (2, 0, 0) } else { (0, 2, 0) };
            let (taken, unasked) = (read.history.len(), read.unasked);
            assert_eq!((taken, unasked, read.left_out.len()), wanted, "{read:?}");
            assert_eq!((read.entries.len(), read.bad.len()), (1, 0), "{read:?}");
        }
    }

    #[test]
    fn no_text_of_a_decision_is_longer_than_an_order_may_make_it() {
        let long = "ä".repeat(30_000);
        let line = format!(
            r#"{{"kind":"event","id":"000102030405060708090a0b0c0d0e0f","at":"2026-11-22T04:00:00Z","subject":"a@b.c","by":"{long}","role":"Admin","door":"Room","occupant":"{long}","origin":{{"Automatic":{{"rule":"{long}"}}}},"change":{{"Imposed":{{"reason":"{long}","until":null}}}},"note":"{long}","evidence":"{long}"}}"#
        );
        let ExportLine::Event(decision) = serde_json::from_str(&line).unwrap() else {
            panic!("no event");
        };
        let read = event(*decision).unwrap();
        assert!(ExportLine::event(&read, true).to_text().len() < 2 * 20_000);
        let Change::Ban(crate::core::BanChange::Imposed { reason, .. }) = read.change else {
            panic!("another change");
        };
        assert_eq!(reason.chars().count(), crate::core::policy::REASON_MAX);
        assert!(reason.ends_with('…'));
    }

    #[test]
    fn what_is_personal_can_be_left_out() {
        let decision = r#"{"kind":"event","id":"000102030405060708090a0b0c0d0e0f","at":"2026-11-22T04:00:00Z","subject":"a@b.c","by":"x","role":"Admin","door":"Chat","origin":"Manual","change":"Expired","note":"secret","evidence":"203.0.113.7"}"#;
        let ExportLine::Event(decision) = serde_json::from_str(decision).unwrap() else {
            panic!("no event");
        };
        let event = event(*decision).unwrap();
        assert!(ExportLine::event(&event, true).to_text().contains("secret"));
        let without = ExportLine::event(&event, false).to_text();
        assert!(!without.contains("secret") && !without.contains("203.0.113.7"));
    }
}
