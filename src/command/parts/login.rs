//! What commands share that tell about a login: its counters, the bans that concern it, and what led to them.

use super::text;
use crate::command::context::Context;
use crate::command::outcome::Row;
use crate::command::phrases;
use crate::core::{Ban, BanId, Explanation, Subject};

/// What led to a ban by a rule.
pub(in crate::command) async fn evidence(ban: &Ban, context: &Context) -> Option<Row> {
    let entries = match context.engine.history(&ban.subject).await {
        Ok(entries) => entries,
        Err(why) => {
            tracing::warn!(%why, "cannot read what led to a ban");
            return None;
        }
    };
    let evidence = entries
        .iter()
        .rev()
        .find_map(|entry| entry.event.personal.evidence.clone())?;
    Some(Row::new(
        format!("evidence{}", ban.id.0),
        "Evidence",
        phrases::clean(&evidence),
    ))
}

/// The bans in force that have to do with it, but for the one that has been told.
pub(in crate::command) fn others(
    explanation: &Explanation,
    told: Option<BanId>,
    context: &Context,
) -> Vec<Row> {
    let now = context.engine.now();
    explanation
        .bans
        .iter()
        .filter(|ban| Some(ban.id) != told)
        .map(|ban| {
            Row::new(
                format!("ban{}", ban.id.0),
                text::OTHER_BAN_LABEL,
                phrases::is_banned(ban, now),
            )
        })
        .collect()
}

/// What is counted, a row a rule; one row when nothing is.
pub(in crate::command) fn counters(explanation: &Explanation) -> Vec<Row> {
    if explanation.counting.is_empty() {
        return vec![Row::new(
            "count",
            text::counter_label(None),
            String::from(text::NOTHING_COUNTED),
        )];
    }
    explanation
        .counting
        .iter()
        .enumerate()
        .map(|(place, counting)| {
            Row::new(
                format!("count{}", place + 1),
                text::counter_label(Some(counting)),
                text::counter(counting),
            )
        })
        .collect()
}

/// Another ban in force that covers an address.
pub(in crate::command) fn covering(subject: &Subject, context: &Context) -> Option<Ban> {
    let Subject::Address(address) = subject else {
        return None;
    };
    let now = context.engine.now();
    context
        .engine
        .read(|ledger| ledger.bans().covering(*address, now).cloned())
        .filter(|ban| ban.subject != *subject)
}
