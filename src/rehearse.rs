//! Runs the real rules over a file of events, on the events' own clock: to see what a change of
//! the rules would have done, before it does it.
//!
//! No store, no server, no network: a ledger, a tracker and a list of events for a log. Only the
//! chance is invented, so that the same file gives the same answer.

mod stage;
mod typed;

use std::io::{self, BufRead, Write};

use crate::core::Policy;
use stage::Stage;
use typed::{Typed, time};

/// Bytes one line may have.
const LINE_MAX: u64 = 64 * 1024;

/// Why a rehearsal ended before the events did.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// A line, counted from 1, is no event.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// Reading or writing failed.
    #[error("cannot read events or write the answer: {0}")]
    Io(#[from] io::Error),
}

/// Reads events and writes changes, one JSON object a line; notices (dry runs, shared sources) go
/// to `notes` as sentences.
///
/// # Errors
/// [`Stopped`]; what was changed before that has been written.
pub fn run(
    policy: Policy,
    mut events: impl BufRead,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), Stopped> {
    let mut stage: Option<Stage> = None;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = io::Read::take(&mut events, LINE_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_MAX {
            return Err(Stopped::Line(
                number,
                format!("longer than {LINE_MAX} bytes"),
            ));
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let typed: Typed = serde_json::from_slice(text)
            .map_err(|why| Stopped::Line(number, format!("not an event: {why}")))?;
        let (at, style) = time(&typed.at).map_err(|why| Stopped::Line(number, why))?;
        let stage = stage.get_or_insert_with(|| Stage::new(policy.clone(), at));
        stage.style = style;
        let done = stage
            .play(typed, at)
            .map_err(|why| Stopped::Line(number, why));
        for change in stage.changes.drain(..) {
            writeln!(out, "{change}")?;
        }
        for note in stage.notes.drain(..) {
            writeln!(notes, "{note}")?;
        }
        done?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::core::Rules;
    use crate::core::rules::{Counts, Growth, Key, Rule};

    /// A rule as a newcomer from fail2ban writes it: 3 failures in a minute, 10 s growing to 60 s.
    fn policy() -> Policy {
        let rule = Rule {
            name: "address-failures".into(),
            key: Key::Address,
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

    fn play(events: &str) -> (String, String, Result<(), Stopped>) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let done = run(policy(), events.as_bytes(), &mut out, &mut notes);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(notes), done)
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
        assert_eq!(notes, "");
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
