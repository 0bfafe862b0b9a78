//! Runs the real rules over a file of events, on the events' own clock: to see what a change of
//! the rules would have done, before it does it.
//!
//! No store, no server, no network: a ledger, a tracker and a list of events for a log. Only the
//! chance is invented, so that the same file gives the same answer.

use std::io::{self, BufRead, Write};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ban::{
    Account, Actor, Attempt, Ban, Door, Event, EventId, Ledger, Order, Outcome, Policy, Proposal,
    Report, Role, Ruling, Seq, Subject, Term, Timestamp, Tracker, What, weigh,
};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    at: Value,
    kind: Kind,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    duration: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    /// Beside what DESIGN names: the server said that there is no such account.
    #[serde(default)]
    unknown: bool,
    /// What a recorded login also has; it takes part in what is counted at all.
    #[serde(default)]
    mechanism: Option<String>,
    #[serde(default)]
    condition: Option<String>,
    /// Of a recorded login; nothing depends on it.
    #[serde(default, rename = "node")]
    _node: Option<String>,
}

/// A line of the answer; the fields in this order.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Change<'a> {
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

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Failure,
    Success,
    Attempt,
    Ban,
    Unban,
    Forget,
    Allow,
    Unallow,
    Restart,
    Tick,
}

/// How times are written.
#[derive(Clone, Copy)]
enum Style {
    Seconds,
    Rfc3339,
}

fn time(typed: &Value) -> Result<(Timestamp, Style), String> {
    match typed {
        Value::Number(number) => {
            let seconds = number.as_f64().filter(|seconds| seconds.abs() < 2.5e11);
            let seconds = seconds.ok_or_else(|| format!("`at`: {number} is too far away"))?;
            // The bound makes the cast exact to the millisecond.
            let millis = (seconds * 1_000.0).round() as i64;
            Ok((Timestamp::from_millis(millis), Style::Seconds))
        }
        Value::String(text) => match Timestamp::parse(text) {
            Some(at) => Ok((at, Style::Rfc3339)),
            None => Err(format!(
                "`at`: {text:?} is no time; write seconds, or for example \"2026-11-22T04:00:00Z\""
            )),
        },
        _ => Err(String::from(
            "`at` must be a number of seconds or a time in RFC 3339",
        )),
    }
}

impl Style {
    fn write(self, at: Timestamp) -> Value {
        let millis = at.as_millis();
        match self {
            Style::Seconds if millis % 1_000 == 0 => json!(millis / 1_000),
            Style::Seconds => json!(millis as f64 / 1_000.0),
            Style::Rfc3339 => json!(at.to_exact()),
        }
    }
}

/// Everything a rehearsal has.
struct Stage {
    policy: Policy,
    ledger: Ledger,
    tracker: Tracker,
    log: Vec<Event>,
    now: Timestamp,
    style: Style,
    changes: Vec<String>,
    notes: Vec<String>,
}

impl Stage {
    fn new(policy: Policy, at: Timestamp) -> Self {
        // The same secret each time: there is nobody to keep it from.
        let tracker = Tracker::new(
            policy.rules.clone(),
            policy.rules.bounds,
            *b"portcullis stage",
            at,
        );
        Stage {
            policy,
            ledger: Ledger::default(),
            tracker,
            log: Vec::new(),
            now: at,
            style: Style::Seconds,
            changes: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn play(&mut self, typed: Typed, at: Timestamp) -> Result<(), String> {
        self.pass_time(at);
        match typed.kind {
            Kind::Tick => {}
            Kind::Restart => self.restart(at)?,
            Kind::Failure | Kind::Success => {
                let attempt = attempt(&typed, at)?;
                self.submit(&Report::Login(attempt), "")?;
            }
            Kind::Attempt => {
                let report = Report::Attempt {
                    actor: actor(),
                    subject: subject(&typed)?,
                    times: typed.times.unwrap_or(1),
                };
                self.submit(&report, "")?;
            }
            Kind::Ban | Kind::Unban | Kind::Forget | Kind::Allow | Kind::Unallow => {
                let why = match (&typed.reason, typed.kind) {
                    (Some(reason), _) => reason.clone(),
                    (None, Kind::Allow) => String::from("allowed"),
                    (None, _) => String::from("unban"),
                };
                let order = order(&typed)?;
                self.submit(&Report::Order(order), &why)?;
            }
        }
        Ok(())
    }

    /// Bans end at their time, each by itself, before anything later happens.
    fn pass_time(&mut self, at: Timestamp) {
        while let Some(end) = self.ledger.next_end().filter(|end| *end <= at) {
            self.now = self.now.max(end);
            let before = self.log.len();
            // The clock cannot be refused anything.
            let _ = self.submit(&Report::Tick, "expired");
            if self.log.len() == before {
                break;
            }
        }
        // Time never runs backwards for whoever decides; an old event keeps its own time.
        self.now = self.now.max(at);
    }

    fn submit(&mut self, report: &Report, why: &str) -> Result<(), String> {
        let mut count = self.log.len() as u64;
        let mut fresh = || {
            count += 1;
            invented(count)
        };
        let (proposal, notices) = weigh(
            &self.ledger,
            &mut self.tracker,
            &self.policy,
            report,
            self.now,
            &mut fresh,
        );
        self.notes.extend(notices.iter().map(ToString::to_string));
        match proposal {
            Proposal::Answer(Ruling::Refused(refusal)) => self.notes.push(refusal.to_string()),
            Proposal::Answer(_) => {}
            Proposal::Events(events) => {
                for event in events {
                    let ruling = self.fold(event);
                    self.tell(ruling, why);
                }
            }
        }
        Ok(())
    }

    fn fold(&mut self, event: Event) -> Ruling {
        let seq = Seq(self.log.len() as u64 + 1);
        let (ruling, _) = self.ledger.fold(seq, &event);
        self.log.push(event);
        ruling
    }

    fn tell(&mut self, ruling: Ruling, why: &str) {
        match ruling {
            Ruling::Banned(ban) | Ruling::Amended { ban, .. } => self.tell_ban(&ban),
            Ruling::Lifted(ban) => {
                let at = ban.until.filter(|end| *end <= self.now).unwrap_or(self.now);
                self.tell_lift(&ban.subject, at, why);
            }
            Ruling::Allowed { lifted, .. } => {
                for ban in lifted {
                    self.tell_lift(&ban.subject, self.now, why);
                }
            }
            Ruling::Refused(refusal) => self.notes.push(refusal.to_string()),
            _ => {}
        }
    }

    fn tell_ban(&mut self, ban: &Ban) {
        self.write(&Change::Ban {
            subject: ban.subject.to_string(),
            from: self.style.write(ban.since),
            until: ban.until.map(|end| self.style.write(end)),
            ordinal: ban.ordinal,
            rule: ban.origin.rule(),
        });
    }

    fn tell_lift(&mut self, subject: &Subject, at: Timestamp, why: &str) {
        self.write(&Change::Lift {
            subject: subject.to_string(),
            at: self.style.write(at),
            why,
        });
    }

    fn write(&mut self, change: &Change<'_>) {
        // Texts and numbers only: they cannot fail to be written.
        self.changes.extend(serde_json::to_string(change));
    }

    /// What a stop and a start do: the counters through their bytes, the bans through the log's.
    fn restart(&mut self, now: Timestamp) -> Result<(), String> {
        let saved = self.tracker.save();
        let rules = self.policy.rules.clone();
        let bounds = rules.bounds;
        self.tracker =
            Tracker::restore(&[saved], rules, bounds, now).map_err(|why| why.to_string())?;
        let mut ledger = Ledger::default();
        for (place, event) in self.log.iter().enumerate() {
            let bytes = event.to_bytes().map_err(|why| why.to_string())?;
            let event =
                Event::from_bytes(&bytes, event.personal.clone()).map_err(|why| why.to_string())?;
            ledger.fold(Seq(place as u64 + 1), &event);
        }
        self.ledger = ledger;
        Ok(())
    }
}

/// Ids that look like chance and are the same each time.
fn invented(count: u64) -> EventId {
    let mut word = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&count.to_be_bytes());
    id[8..].copy_from_slice(&(word ^ word >> 31).to_be_bytes());
    EventId(id)
}

fn actor() -> Actor {
    Actor {
        name: String::from("rehearsal"),
        role: Role::Admin,
        door: Door::Chat,
        occupant: None,
    }
}

fn account(text: &str) -> Result<Account, String> {
    match Subject::parse(text).map_err(|why| why.to_string())? {
        Subject::Account(account) => Ok(account),
        other => Err(format!("`account`: {other} is no account")),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    match Subject::parse(text).map_err(|why| why.to_string())? {
        Subject::Address(address) => Ok(address),
        other => Err(format!("`address`: {other} is no address")),
    }
}

fn attempt(typed: &Typed, at: Timestamp) -> Result<Attempt, String> {
    let account = typed.account.as_deref().map(account).transpose()?;
    let address = typed.address.as_deref().map(address).transpose()?;
    if account.is_none() && address.is_none() {
        return Err(String::from("a login needs `account`, `address` or both"));
    }
    let outcome = match typed.kind {
        Kind::Success => Outcome::Success,
        _ => Outcome::Failure.weighed(
            typed.mechanism.as_deref(),
            typed.condition.as_deref(),
            typed.reason.as_deref(),
        ),
    };
    Ok(Attempt {
        account,
        address,
        outcome,
        unknown: typed.unknown,
        at,
    })
}

/// `subject`, or what `account` and `address` make up.
fn subject(typed: &Typed) -> Result<Subject, String> {
    if let Some(text) = &typed.subject {
        return Subject::parse(text).map_err(|why| why.to_string());
    }
    let account = typed.account.as_deref().map(account).transpose()?;
    let address = typed.address.as_deref().map(address).transpose()?;
    match (account, address) {
        (Some(account), Some(address)) => Ok(Subject::Pair(account, address.into())),
        (Some(account), None) => Ok(Subject::Account(account)),
        (None, Some(address)) => Ok(Subject::address(address)),
        (None, None) => Err(String::from("this needs a `subject`")),
    }
}

fn order(typed: &Typed) -> Result<Order, String> {
    let term = typed.duration.as_deref().map(Term::parse).transpose();
    let term = term.map_err(|why| format!("`duration`: {why}"))?;
    let reason = typed.reason.clone();
    let what = match typed.kind {
        Kind::Ban => What::Ban {
            term,
            reason,
            note: None,
        },
        Kind::Allow => What::Allow {
            term,
            comment: reason.unwrap_or_default(),
        },
        Kind::Unallow => What::Unallow,
        Kind::Forget => What::Forget,
        _ => What::Lift {
            reason: reason.unwrap_or_default(),
        },
    };
    Ok(Order {
        actor: actor(),
        own_account: None,
        own_addresses: Vec::new(),
        subject: subject(typed)?,
        what,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::ban::Rules;
    use crate::ban::rules::{Counts, Growth, Key, Rule};

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
            default_term: Term::Forever,
            longest: None,
            moderator_longest: None,
            moderators_change: Default::default(),
            undo_for: Duration::from_secs(86_400),
            exempt_networks: vec!["127.0.0.0/8".parse().unwrap()],
            exempt_accounts: vec![],
            rules: Arc::new(Rules {
                table: vec![rule],
                ..Rules::default()
            }),
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
