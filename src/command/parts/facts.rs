//! JSON for programs, where people read sentences; its names are stable (docs/terminal.md).
//!
//! Names and spellings are those of `portcullis export`. Times are RFC 3339 in UTC; no end is `null`; lengths of time
//! are whole seconds.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::command::context::Context;
use crate::command::outcome::SubjectState;
use crate::core::bans::EndedBan;
use crate::core::{
    Ban, BanChange, By, Change, Counting, Event, ExemptionChange, HistoryChange, Past, Role,
    Subject, Timestamp,
};
use crate::delivery::ports::{Recorded, Task};
use crate::engine::ClockJump;
use crate::journal::Entry;

/// A value that programs read in `--json`.
pub trait Fact {
    /// The value as JSON, with the names of docs/terminal.md.
    fn json(&self) -> Value;
}

/// Writes a value as [`Fact::json`]: for `serialize_with` at the fields of a struct of facts.
///
/// # Errors
/// Only those of the serializer.
pub(in crate::command) fn fact<T: Fact + ?Sized, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.json().serialize(serializer)
}

impl<T: Fact> Fact for Option<T> {
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Fact::json)
    }
}

impl<T: Fact, const N: usize> Fact for [T; N] {
    fn json(&self) -> Value {
        self.iter().map(Fact::json).collect()
    }
}

impl<T: Fact> Fact for Vec<T> {
    fn json(&self) -> Value {
        self.iter().map(Fact::json).collect()
    }
}

impl Fact for Subject {
    fn json(&self) -> Value {
        json!(self.to_string())
    }
}

impl Fact for Timestamp {
    fn json(&self) -> Value {
        json!(self.to_xmpp())
    }
}

impl Fact for Duration {
    fn json(&self) -> Value {
        json!(self.as_secs())
    }
}

impl Fact for ClockJump {
    fn json(&self) -> Value {
        json!({ "at": self.at.to_xmpp(), "by": self.by / 1_000, "believed": self.believed.to_xmpp() })
    }
}

impl Fact for Role {
    fn json(&self) -> Value {
        json!(self.to_string())
    }
}

impl Fact for By {
    fn json(&self) -> Value {
        json!(self.as_str())
    }
}

impl Fact for Ban {
    fn json(&self) -> Value {
        let mut fact = json!({
            "number": self.id.0,
            "subject": self.subject.to_string(),
            "type": self.subject.kind(),
            "since": self.since.to_xmpp(),
            "until": self.until.map(Timestamp::to_xmpp),
            "by": self.by.name,
            "origin": self.origin.word(),
            "reason": self.reason,
        });
        if let Some(rule) = self.origin.rule() {
            fact["rule"] = json!(rule);
        }
        fact
    }
}

impl Fact for EndedBan {
    fn json(&self) -> Value {
        let mut fact = self.ban.json();
        fact["ended"] = self.ended.json();
        fact["ended_by"] = json!(self.by.as_ref().map(|actor| &actor.name));
        fact
    }
}

impl Fact for Past {
    fn json(&self) -> Value {
        json!({ "number": self.id.0, "ended": self.ended.to_xmpp() })
    }
}

impl Fact for Recorded {
    fn json(&self) -> Value {
        json!({
            "number": self.ban.map(|ban| ban.0),
            "until": self.until.map(Timestamp::to_xmpp),
            "reason": self.reason,
            "needs_server": self.needs_server,
        })
    }
}

impl Fact for Counting {
    fn json(&self) -> Value {
        json!({
            "rule": self.rule.name,
            "dry_run": self.rule.dry_run,
            "subject": self.subject.to_string(),
            "amount": self.amount,
            "limit": self.limit,
            "window": self.rule.window.as_secs(),
            "ban": self.term.as_secs(),
        })
    }
}

impl Fact for Task {
    fn json(&self) -> Value {
        json!({
            "subject": self.subject.to_string(),
            "tries": self.tries,
            "next": self.next.to_xmpp(),
            "fault": self.fault,
        })
    }
}

/// One event of a history. Private notes are left out, because some of them may be taken back.
impl Fact for Entry {
    fn json(&self) -> Value {
        let event = &self.event;
        let (reason, until) = terms(&event.change);
        json!({
            "seq": self.seq.0,
            "at": event.at.to_xmpp(),
            "change": word(event),
            "by": event.actor.name,
            "via": event.actor.door.to_string(),
            "origin": event.origin.word(),
            "rule": event.origin.rule(),
            "reason": reason,
            "until": until.map(Timestamp::to_xmpp),
            "evidence": event.personal.evidence,
        })
    }
}

/// A change as one word; the words of `status` in `subjects`, and two that no order leads to.
fn word(event: &Event) -> &'static str {
    match &event.change {
        Change::Ban(
            BanChange::Imposed { .. } | BanChange::Forced { .. } | BanChange::ImposedByRule { .. },
        ) => "banned",
        Change::Ban(BanChange::Amended { .. }) => "changed",
        Change::Ban(BanChange::Lifted { .. }) => "unbanned",
        Change::Ban(BanChange::Expired) => "expired",
        Change::Exemption(ExemptionChange::Granted { .. }) => "exempted",
        Change::Exemption(ExemptionChange::Revoked) => "unexempted",
        Change::History(HistoryChange::Annotated { .. }) => "noted",
        Change::History(HistoryChange::Kicked { .. }) => "kicked",
        Change::History(HistoryChange::Forgotten) => "forgotten",
        Change::Undone => "undone",
        Change::PutBack { .. } => "put-back",
        Change::Subscribed { .. } => "subscribed",
    }
}

/// The public reason or comment of a change, and its end.
fn terms(change: &Change) -> (Option<&str>, Option<Timestamp>) {
    match change {
        Change::Ban(
            BanChange::Imposed { reason, until }
            | BanChange::Forced { reason, until }
            | BanChange::Amended { reason, until },
        ) => (Some(reason), *until),
        Change::Ban(BanChange::ImposedByRule { reason, until, .. }) => (Some(reason), Some(*until)),
        Change::Ban(BanChange::Lifted { reason })
        | Change::History(HistoryChange::Kicked { reason }) => (Some(reason), None),
        Change::Exemption(ExemptionChange::Granted { comment, until }) => (Some(comment), *until),
        _ => (None, None),
    }
}

/// The state of a subject after an order with this result (`None`: there was no order).
pub(in crate::command) fn state(
    subject: &Subject,
    status: Option<&'static str>,
    context: &Context,
) -> SubjectState {
    SubjectState {
        subject: subject.to_string(),
        status: status.map(Into::into),
        ban: context.active_ban(subject).map(|ban| ban.json()),
        pending: context.delivery.task(subject).is_some(),
    }
}
