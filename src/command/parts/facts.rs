//! What programs read where people read sentences: JSON with names that stay (docs/terminal.md).
//!
//! The names and spellings are those of the files of `portcullis export`. Times are RFC 3339 in UTC; no end
//! is `null`.

use serde_json::{Value, json};

use crate::command::context::Context;
use crate::core::{Ban, EndedBan, Origin, Subject, Timestamp};

/// A ban.
pub fn ban(ban: &Ban) -> Value {
    let mut fact = json!({
        "number": ban.id.0,
        "subject": ban.subject.to_string(),
        "type": ban.subject.kind(),
        "since": ban.since.to_xmpp(),
        "until": ban.until.map(Timestamp::to_xmpp),
        "by": ban.by.name,
        "origin": origin(&ban.origin),
        "reason": ban.reason,
    });
    if let Some(rule) = ban.origin.rule() {
        fact["rule"] = json!(rule);
    }
    fact
}

/// A ban that is over.
pub fn past(past: &EndedBan) -> Value {
    let mut fact = ban(&past.ban);
    fact["ended"] = json!(past.ended.to_xmpp());
    fact["ended_by"] = json!(past.by.as_ref().map(|actor| &actor.name));
    fact
}

/// Where a subject stands: its ban in force, if there is one, and whether the server has been brought in line.
pub fn standing(subject: &Subject, context: &Context) -> Value {
    let now = context.engine.now();
    let ban = context.engine.read(|ledger| {
        let ban = ledger.bans().of(subject).filter(|ban| ban.is_in_force(now));
        ban.map(self::ban)
    });
    json!({
        "subject": subject.to_string(),
        "ban": ban,
        "pending": context.delivery.task(subject).is_some(),
    })
}

/// An exemption; `by` nobody is by the configuration.
pub fn exemption(
    subject: &Subject,
    until: Option<Timestamp>,
    by: Option<&str>,
    comment: &str,
) -> Value {
    json!({
        "subject": subject.to_string(),
        "type": subject.kind(),
        "until": until.map(Timestamp::to_xmpp),
        "by": by,
        "comment": comment,
    })
}

fn origin(origin: &Origin) -> &'static str {
    match origin {
        Origin::Manual => "hand",
        Origin::Automatic { .. } => "rule",
        Origin::Imported => "import",
        Origin::Server => "server",
    }
}
