//! The format of events: one JSON object per line, written by a recording and read by a rehearsal.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::core::{
    Account, Action, Actor, Attempt, BanOrder, EntryPoint, ExemptionOrder, HistoryOrder,
    LoginOutcome, Order, Role, Signal, Subject, Term, Timestamp,
};
use crate::xmpp::payload::hook::counted_outcome;

/// One event. The fields are written in this order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    at: Value,
    kind: EventKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether the server said that the account does not exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unknown: bool,
    /// SASL mechanism and error condition of a login recorded elsewhere; some conditions are not counted as failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    mechanism: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
    /// Accepted because some recordings have it; not used.
    #[serde(rename = "node", skip_serializing)]
    _node: Option<String>,
}

/// The kind of event.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum EventKind {
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

/// The meaning of a line.
pub(super) enum EventInput {
    Signal(Signal),
    /// An order, with the reason of the bans that it ends.
    Order(Order, String),
    Restart,
    /// Only the time moves on.
    Tick,
}

/// The notation of times in a file.
#[derive(Clone, Copy)]
pub enum TimeStyle {
    /// Seconds since an arbitrary zero.
    Seconds,
    /// RFC 3339, in UTC.
    Rfc3339,
}

impl TimeStyle {
    pub(super) fn write(self, at: Timestamp) -> Value {
        let millis = at.as_millis();
        match self {
            TimeStyle::Seconds if millis % 1_000 == 0 => json!(millis / 1_000),
            TimeStyle::Seconds => json!(millis as f64 / 1_000.0),
            TimeStyle::Rfc3339 => json!(at.to_exact()),
        }
    }
}

impl EventLine {
    fn new(at: Timestamp, kind: EventKind) -> Self {
        EventLine {
            at: TimeStyle::Rfc3339.write(at),
            kind,
            account: None,
            address: None,
            subject: None,
            times: None,
            duration: None,
            reason: None,
            unknown: false,
            mechanism: None,
            condition: None,
            _node: None,
        }
    }

    /// The line for a signal judged at `at`; `None` if a rehearsal does not replay it.
    pub fn signal(at: Timestamp, signal: &Signal) -> Option<EventLine> {
        match signal {
            Signal::Login(attempt) => {
                let kind = match attempt.outcome {
                    LoginOutcome::Failure => EventKind::Failure,
                    LoginOutcome::Success => EventKind::Success,
                    LoginOutcome::Refused | LoginOutcome::Error => return None,
                };
                Some(EventLine {
                    account: attempt.account.as_ref().map(ToString::to_string),
                    address: attempt.address.as_ref().map(ToString::to_string),
                    unknown: attempt.unknown,
                    ..EventLine::new(at, kind)
                })
            }
            Signal::ByHand { subject, times, .. } => Some(EventLine {
                subject: Some(subject.to_string()),
                times: Some(*times),
                ..EventLine::new(at, EventKind::Attempt)
            }),
        }
    }

    /// The line for an order carried out at `at`; `None` if a rehearsal does not replay it.
    pub fn order(at: Timestamp, order: &Order) -> Option<EventLine> {
        let (kind, term, reason) = match &order.what {
            Action::Ban(
                BanOrder::Impose { term, reason, .. } | BanOrder::Force { term, reason, .. },
            ) => (EventKind::Ban, *term, reason.as_deref()),
            Action::Ban(BanOrder::Import { reason, term, .. }) => {
                (EventKind::Ban, Some(*term), Some(reason.as_str()))
            }
            Action::Ban(BanOrder::Lift { reason }) => {
                (EventKind::Unban, None, Some(reason.as_str()))
            }
            Action::Exemption(ExemptionOrder::Grant { term, comment }) => {
                (EventKind::Allow, *term, Some(comment.as_str()))
            }
            Action::Exemption(ExemptionOrder::Revoke) => (EventKind::Unallow, None, None),
            Action::History(HistoryOrder::Forget) => (EventKind::Forget, None, None),
            // The recording contains their results instead, or they change nothing that the rules read.
            Action::Ban(BanOrder::Extend { .. })
            | Action::Undo { .. }
            | Action::History(HistoryOrder::Annotate { .. } | HistoryOrder::Kick { .. })
            | Action::Subscribe(_) => return None,
        };
        Some(EventLine {
            subject: Some(order.subject.to_string()),
            duration: term.map(duration),
            reason: reason
                .filter(|reason| !reason.is_empty())
                .map(str::to_owned),
            ..EventLine::new(at, kind)
        })
    }

    /// The time of the event, and its notation. The error is a sentence for people.
    pub(super) fn time(&self) -> Result<(Timestamp, TimeStyle), String> {
        match &self.at {
            Value::Number(number) => {
                let seconds = number.as_f64().filter(|seconds| seconds.abs() < 2.5e11);
                let seconds = seconds.ok_or_else(|| format!("`at`: {number} is too far away"))?;
                // The bound above makes the cast exact to the millisecond.
                let millis = (seconds * 1_000.0).round() as i64;
                Ok((Timestamp::from_millis(millis), TimeStyle::Seconds))
            }
            Value::String(text) => match Timestamp::parse(text) {
                Some(at) => Ok((at, TimeStyle::Rfc3339)),
                None => Err(format!(
                    "`at`: {text:?} is no time; write seconds, or for example \"2026-11-22T04:00:00Z\""
                )),
            },
            _ => Err(String::from(
                "`at` must be a number of seconds or a time in RFC 3339",
            )),
        }
    }

    /// The input for the rules. The error is a sentence for people.
    pub(super) fn input(&self, at: Timestamp) -> Result<EventInput, String> {
        Ok(match self.kind {
            EventKind::Tick => EventInput::Tick,
            EventKind::Restart => EventInput::Restart,
            EventKind::Failure | EventKind::Success => {
                EventInput::Signal(Signal::Login(self.attempt(at)?))
            }
            EventKind::Attempt => EventInput::Signal(Signal::ByHand {
                actor: actor(),
                subject: self.subject()?,
                times: self.times.unwrap_or(1),
            }),
            EventKind::Ban
            | EventKind::Unban
            | EventKind::Forget
            | EventKind::Allow
            | EventKind::Unallow => {
                let usual = match self.kind {
                    EventKind::Allow => "allowed",
                    _ => "unban",
                };
                let why = self.reason.clone().unwrap_or_else(|| usual.to_owned());
                EventInput::Order(self.to_order()?, why)
            }
        })
    }

    fn attempt(&self, at: Timestamp) -> Result<Attempt, String> {
        let account = self.account.as_deref().map(account).transpose()?;
        let address = self.address.as_deref().map(address).transpose()?;
        if account.is_none() && address.is_none() {
            return Err(String::from("a login needs `account`, `address` or both"));
        }
        let outcome = match self.kind {
            EventKind::Success => LoginOutcome::Success,
            _ => counted_outcome(
                LoginOutcome::Failure,
                self.mechanism.as_deref(),
                self.condition.as_deref(),
                self.reason.as_deref(),
            ),
        };
        Ok(Attempt {
            account,
            address,
            outcome,
            unknown: self.unknown,
            at,
        })
    }

    /// `subject`, or the subject made of `account` and `address`.
    fn subject(&self) -> Result<Subject, String> {
        if let Some(text) = &self.subject {
            return Subject::parse(text).map_err(|why| why.to_string());
        }
        let account = self.account.as_deref().map(account).transpose()?;
        let address = self.address.as_deref().map(address).transpose()?;
        match (account, address) {
            (Some(account), Some(address)) => Ok(Subject::Pair(account, address.into())),
            (Some(account), None) => Ok(Subject::Account(account)),
            (None, Some(address)) => Ok(Subject::address(address)),
            (None, None) => Err(String::from("this needs a `subject`")),
        }
    }

    fn to_order(&self) -> Result<Order, String> {
        let term = self.duration.as_deref().map(Term::parse).transpose();
        let term = term.map_err(|why| format!("`duration`: {why}"))?;
        let reason = self.reason.clone();
        let what = match self.kind {
            EventKind::Ban => Action::Ban(BanOrder::Impose {
                term,
                reason,
                note: None,
            }),
            EventKind::Allow => Action::Exemption(ExemptionOrder::Grant {
                term,
                comment: reason.unwrap_or_default(),
            }),
            EventKind::Unallow => Action::Exemption(ExemptionOrder::Revoke),
            EventKind::Forget => Action::History(HistoryOrder::Forget),
            _ => Action::Ban(BanOrder::Lift {
                reason: reason.unwrap_or_default(),
            }),
        };
        Ok(Order::new(actor(), self.subject()?, what))
    }
}

fn actor() -> Actor {
    Actor::person("rehearsal", Role::Admin, EntryPoint::Chat)
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

/// A term in text form; parsing it gives the same term.
fn duration(term: Term) -> String {
    match term {
        Term::For(span) => format!("{}s", span.as_secs().max(1)),
        Term::Until(end) => format!("until {}", Timestamp::to_exact(end)),
        Term::Forever => String::from("forever"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn text(line: Option<EventLine>) -> String {
        serde_json::to_string(&line.unwrap()).unwrap()
    }

    fn ordered(subject: &str, what: Action) -> String {
        let subject = Subject::parse(subject).unwrap();
        let order = Order::new(Actor::clock(), subject, what);
        text(EventLine::order(Timestamp::from_millis(0), &order))
    }

    #[test]
    fn each_kind_is_recorded_as_it_is_read() {
        let at = Timestamp::from_millis(1_250);
        let login = Signal::Login(Attempt {
            account: Some(account("alice@example.org").unwrap()),
            address: Some("203.0.113.7".parse().unwrap()),
            outcome: LoginOutcome::Failure,
            unknown: true,
            at,
        });
        assert_eq!(
            text(EventLine::signal(at, &login)),
            "{\"at\":\"1970-01-01T00:00:01.250Z\",\"kind\":\"failure\",\"account\":\"alice@example.org\",\"address\":\"203.0.113.7\",\"unknown\":true}"
        );
        let read = text(EventLine::signal(at, &login));
        let read: EventLine = serde_json::from_str(&read).unwrap();
        let input = read.input(read.time().unwrap().0).unwrap();
        assert!(matches!(input, EventInput::Signal(read) if read == login));
        let ban = Action::Ban(BanOrder::Impose {
            term: Some(Term::For(Duration::from_secs(90))),
            reason: Some("sp\nam".into()),
            note: Some("private".into()),
        });
        assert_eq!(
            ordered("203.0.113.0/24", ban),
            "{\"at\":\"1970-01-01T00:00:00Z\",\"kind\":\"ban\",\"subject\":\"203.0.113.0/24\",\"duration\":\"90s\",\"reason\":\"sp\\nam\"}"
        );
        assert_eq!(
            ordered("a@example.org", Action::History(HistoryOrder::Forget)),
            "{\"at\":\"1970-01-01T00:00:00Z\",\"kind\":\"forget\",\"subject\":\"a@example.org\"}"
        );
    }

    #[test]
    fn a_term_is_read_back_as_the_same() {
        for term in [
            Term::For(Duration::from_secs(36 * 3_600 + 1)),
            Term::Until(Timestamp::from_millis(1_795_320_000_123)),
            Term::Forever,
        ] {
            assert_eq!(Term::parse(&duration(term)).unwrap(), term);
        }
    }
}
