//! Shared by commands about a login: its counters, the bans that concern it, and their evidence.

use crate::command::context::Context;
use crate::command::outcome::Row;
use crate::command::phrases::{self, clean};
use crate::core::time::in_words;
use crate::core::{Ban, BanId, Counting, Explanation, Subject};

/// The evidence for a ban by a rule.
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
    let var = format!("evidence{}", ban.id.0);
    Some(Row::new(var, "Evidence", clean(&evidence)))
}

/// The active bans that concern a login, without the one already shown.
pub(in crate::command) fn others(
    explanation: &Explanation,
    told: Option<BanId>,
    context: &Context,
) -> Vec<Row> {
    let now = context.engine.now();
    let others = explanation.bans.iter().filter(|ban| Some(ban.id) != told);
    let row = |ban: &Ban| {
        let var = format!("ban{}", ban.id.0);
        Row::new(var, "Also in force", phrases::is_banned(ban, now))
    };
    others.map(row).collect()
}

/// The counters, one row per rule; one row if all are zero.
pub(in crate::command) fn counters(explanation: &Explanation) -> Vec<Row> {
    let counting = explanation.counting.iter();
    match counting.len() {
        0 => vec![Row::new(
            "count",
            "Counters",
            "nothing is counted at present",
        )],
        _ => Row::numbered(
            "count",
            counting.map(|one| (clean(&one.rule.name), counter(one))),
        ),
    }
}

/// `3 of 5 failures within 10 minutes; at the limit 203.0.113.7 is banned for 30 minutes`
fn counter(counting: &Counting) -> String {
    let Counting {
        rule,
        subject,
        amount,
        limit,
        term,
    } = counting;
    let dry_run = if rule.dry_run { " (dry run)" } else { "" };
    let then = match (subject, rule.dry_run) {
        (Subject::Guard(_), false) => format!("the {subject} goes up"),
        (Subject::Guard(_), true) => format!("the {subject} would go up"),
        (_, false) => format!("{subject} is banned"),
        (_, true) => format!("{subject} would be banned"),
    };
    format!(
        "{amount} of {limit} {} within {}{dry_run}; at the limit {then} for {}",
        rule.counts,
        in_words(rule.window),
        in_words(*term),
    )
}

/// Another active ban that covers an address.
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
