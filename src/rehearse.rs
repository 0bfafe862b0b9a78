//! Runs the real rules over a file of events, on the events' own clock, to see what changed rules would have done.
//!
//! There is no store, server or network: only a ledger, a tracker, and a list of events instead of a log. Event ids
//! come from a counter, so the same file always gives the same result.
//!
//! [`simulate`] reads lines (`line.rs`) and returns changes as values; [`run`] writes them as JSON. `recorded.rs`
//! finds the last lines of a recording.

mod line;
pub mod recorded;
mod simulation;

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde_json::Value;

use crate::core::{Notice, Policy, Refusal, Timestamp};
use simulation::Simulation;

pub use line::{EventLine, TimeStyle};
pub use simulation::SimulatedChange;

/// Maximum size of a line in bytes.
pub const LINE_MAX: u64 = 64 * 1024;

/// Why a rehearsal stopped before the end of the file.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// This line, counted from 1, is not a valid event; with the reason as a sentence for people.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// Reading or writing failed.
    #[error("cannot read events or write the answer: {0}")]
    Io(#[from] io::Error),
}

/// The result of one line.
pub struct Played {
    /// The time of the event.
    pub at: Timestamp,
    /// The notation of the time in the file.
    pub style: TimeStyle,
    /// The bans that began or ended, including those that expired before this event.
    pub changes: Vec<SimulatedChange>,
    /// Notes about rules and orders that had no effect.
    pub notes: Vec<Note>,
}

/// Why a line had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A rule reached its limit but banned nobody.
    Spared(Notice),
    /// An order was refused.
    Refused(Refusal),
}

/// Replays events, one JSON object per line, and passes the result of each line to `take`.
///
/// # Errors
/// [`Stopped`]. The results of earlier lines were passed on, and so was what the failing line changed before it
/// failed.
pub fn simulate(
    policy: Policy,
    mut events: impl BufRead,
    mut take: impl FnMut(Played) -> io::Result<()>,
) -> Result<(), Stopped> {
    let mut simulation: Option<Simulation> = None;
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = io::Read::take(&mut events, LINE_MAX).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        let stopped = |why| Stopped::Line(number, why);
        if read as u64 == LINE_MAX {
            return Err(stopped(format!("longer than {LINE_MAX} bytes")));
        }
        let text = bytes.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let line: EventLine =
            serde_json::from_slice(text).map_err(|why| stopped(format!("not an event: {why}")))?;
        let (at, style) = line.time().map_err(stopped)?;
        let simulation = simulation.get_or_insert_with(|| Simulation::new(policy.clone(), at));
        let played = simulation.play(&line, at).map_err(stopped);
        take(Played {
            at,
            style,
            changes: std::mem::take(&mut simulation.changes),
            notes: std::mem::take(&mut simulation.notes),
        })?;
        played?;
    }
    Ok(())
}

/// Like [`simulate`], but writes changes as JSON to `out`, one object per line, and passes notes to `note`.
///
/// # Errors
/// [`Stopped`]. The results of earlier lines have been written.
pub fn run(
    policy: Policy,
    events: impl BufRead,
    out: &mut impl Write,
    mut note: impl FnMut(&Note) -> io::Result<()>,
) -> Result<(), Stopped> {
    simulate(policy, events, |step| {
        for change in &step.changes {
            serde_json::to_writer(&mut *out, &ChangeLine::new(change, step.style))?;
            writeln!(out)?;
        }
        step.notes.iter().try_for_each(&mut note)
    })
}

/// A line of the result. The fields are written in this order.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum ChangeLine<'a> {
    Ban {
        subject: String,
        from: Value,
        until: Option<Value>,
        ordinal: u32,
        rule: Option<&'a str>,
    },
    Lift {
        subject: String,
        at: Value,
        why: &'a str,
    },
}

impl<'a> ChangeLine<'a> {
    fn new(change: &'a SimulatedChange, style: TimeStyle) -> Self {
        match change {
            SimulatedChange::Ban(ban) => ChangeLine::Ban {
                subject: ban.subject.to_string(),
                from: style.write(ban.since),
                until: ban.until.map(|end| style.write(end)),
                ordinal: ban.ordinal,
                rule: ban.origin.rule(),
            },
            SimulatedChange::Lift { subject, at, why } => ChangeLine::Lift {
                subject: subject.to_string(),
                at: style.write(*at),
                why,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::core::Rules;
    use crate::core::rules::{Counts, Growth, Rule, RuleKey};

    /// A rule as somebody used to fail2ban writes it: 3 failures in a minute, 10 s growing to 60 s.
    fn policy() -> Policy {
        let rule = Rule {
            name: "address-failures".into(),
            key: RuleKey::Address,
            counts: Counts::Failures,
            limit: 3,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(10),
            growth: Some(Growth {
                cap: Duration::from_secs(60),
                ..Growth::default()
            }),
            dry_run: false,
        };
        Policy {
            exempt_networks: vec!["127.0.0.0/8".parse().unwrap()],
            rules: Arc::new(Rules {
                table: vec![rule],
                ..Rules::default()
            }),
            ..Policy::default()
        }
    }

    fn play(events: &str) -> (String, Vec<Note>, Result<(), Stopped>) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let done = run(policy(), events.as_bytes(), &mut out, |note| {
            notes.push(note.clone());
            Ok(())
        });
        (String::from_utf8(out).unwrap(), notes, done)
    }

    fn failures(at: i64) -> String {
        (0..3)
            .map(|n| {
                let at = at + n;
                format!("{{\"at\": {at}, \"kind\": \"failure\", \"address\": \"203.0.113.7\", \"account\": \"a@b.example\"}}\n")
            })
            .collect()
    }

    #[test]
    fn bans_grow_end_at_their_time_and_survive_a_restart() {
        let events = format!(
            "{}{{\"at\": 5, \"kind\": \"restart\"}}\n{}{{\"at\": 500, \"kind\": \"tick\"}}\n",
            failures(0),
            failures(100)
        );
        let (out, notes, done) = play(&events);
        done.unwrap();
        assert_eq!(notes, []);
        assert_eq!(
            out,
            "{\"kind\":\"ban\",\"subject\":\"203.0.113.7\",\"from\":2,\"until\":12,\"ordinal\":1,\"rule\":\"address-failures\"}\n\
             {\"kind\":\"lift\",\"subject\":\"203.0.113.7\",\"at\":12,\"why\":\"expired\"}\n\
             {\"kind\":\"ban\",\"subject\":\"203.0.113.7\",\"from\":102,\"until\":122,\"ordinal\":2,\"rule\":\"address-failures\"}\n\
             {\"kind\":\"lift\",\"subject\":\"203.0.113.7\",\"at\":122,\"why\":\"expired\"}\n"
        );
    }

    #[test]
    fn times_come_out_as_they_went_in_and_a_ban_by_hand_counts() {
        let (out, _, done) = play(
            "{\"at\": \"2026-11-22T12:00:00.5Z\", \"kind\": \"ban\", \"subject\": \"203.0.113.7\", \"duration\": \"5s\"}\n\
             {\"at\": \"2026-11-22T13:00:00Z\", \"kind\": \"attempt\", \"subject\": \"203.0.113.7\", \"times\": 3}\n\
             {\"at\": \"2026-11-22T13:00:01Z\", \"kind\": \"allow\", \"subject\": \"203.0.113.0/24\", \"reason\": \"office\"}\n\
             {\"at\": \"2026-11-22T13:00:02Z\", \"kind\": \"ban\", \"subject\": \"203.0.113.9\"}\n\
             {\"at\": 1795352403, \"kind\": \"ban\", \"subject\": \"x@b.example\"}\n",
        );
        done.unwrap();
        let lines: Vec<Value> = out
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines[0]["from"], "2026-11-22T12:00:00.500Z");
        assert_eq!(lines[0]["until"], "2026-11-22T12:00:05.500Z");
        assert_eq!(
            (&lines[2]["ordinal"], &lines[2]["until"]),
            (&2.into(), &"2026-11-22T13:00:20Z".into())
        );
        assert_eq!(
            (&lines[3]["kind"], &lines[3]["why"]),
            (&"lift".into(), &"office".into())
        );
        assert_eq!(
            (&lines[4]["until"], &lines[4]["rule"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(
            lines.len(),
            5,
            "the ban inside of the exemption was refused"
        );
    }

    #[test]
    fn after_forget_growth_starts_anew_and_after_unban_it_goes_on() {
        let at = |at: i64, kind: &str| {
            format!("{{\"at\": {at}, \"kind\": \"{kind}\", \"subject\": \"203.0.113.7\"}}\n")
        };
        let events = [
            failures(0),
            at(3, "unban"),
            failures(1_000),
            at(2_000, "forget"),
            failures(3_000),
        ];
        let (out, _, done) = play(&events.concat());
        done.unwrap();
        let ordinals: Vec<_> = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["kind"] == "ban")
            .map(|line| line["ordinal"].as_u64().unwrap())
            .collect();
        assert_eq!(ordinals, [1, 2, 1]);
    }

    #[test]
    fn a_bad_line_is_named_and_ends_it() {
        let check = |line: &str, want: &str| {
            let (_, _, done) = play(&format!("\n{line}\n"));
            let said = done.unwrap_err().to_string();
            assert!(
                said.starts_with("line 2: ") && said.contains(want),
                "{said}"
            );
        };
        check("{", "not an event");
        check("{\"at\": 0, \"kind\": \"fail\"}", "unknown variant `fail`");
        check("{\"at\": \"noon\", \"kind\": \"tick\"}", "is no time");
        check(
            "{\"at\": 0, \"kind\": \"failure\"}",
            "needs `account`, `address` or both",
        );
        check("{\"at\": 0, \"kind\": \"ban\"}", "needs a `subject`");
        check(
            "{\"at\": 0, \"kind\": \"ban\", \"subject\": \"spam\"}",
            "neither an account",
        );
        check(
            "{\"at\": 0, \"kind\": \"ban\", \"subject\": \"1.2.3.4\", \"duration\": \"5\"}",
            "needs a unit",
        );
        check(
            "{\"at\": 0, \"kind\": \"tick\", \"wen\": 1}",
            "unknown field `wen`",
        );
    }
}
