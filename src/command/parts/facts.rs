//! JSON for programs, where people read sentences; its names are stable (docs/terminal.md).
//!
//! Names and spellings are those of `portcullis export`. Times are RFC 3339 in UTC; no end is `null`.

use serde_json::{Value, json};

use crate::command::context::Context;
use crate::command::outcome::SubjectState;
use crate::core::{Ban, EndedBan, Subject, Timestamp};

/// An active ban as a JSON object.
pub fn ban(ban: &Ban) -> Value {
    let mut fact = json!({
        "number": ban.id.0,
        "subject": ban.subject.to_string(),
        "type": ban.subject.kind(),
        "since": ban.since.to_xmpp(),
        "until": ban.until.map(Timestamp::to_xmpp),
        "by": ban.by.name,
        "origin": ban.origin.word(),
        "reason": ban.reason,
    });
    if let Some(rule) = ban.origin.rule() {
        fact["rule"] = json!(rule);
    }
    fact
}

/// An ended ban as a JSON object.
pub fn past(past: &EndedBan) -> Value {
    let mut fact = ban(&past.ban);
    fact["ended"] = json!(past.ended.to_xmpp());
    fact["ended_by"] = json!(past.by.as_ref().map(|actor| &actor.name));
    fact
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
        ban: context.active_ban(subject).as_ref().map(ban),
        pending: context.delivery.task(subject).is_some(),
    }
}
