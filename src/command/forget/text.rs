//! What `forget` says.

use crate::command::phrases::{by_then_counted, clean, count, named, typed};
use crate::core::{Ban, Explanation, Subject, Timestamp};

/// `2 bans`
pub(super) fn bans_counted(bans: u32) -> String {
    format!(
        "{} no longer {}",
        count(bans as usize, "ban"),
        verb_for(bans)
    )
}

/// What was forgotten.
pub(super) fn forgotten(subject: &Subject, bans: u32, with: &[(Subject, u32)]) -> String {
    let own = match bans {
        0 => String::from("no earlier ban counted"),
        bans => format!(
            "{} no longer {}",
            count(bans as usize, "ban"),
            verb_for(bans)
        ),
    };
    let more: u32 = with.iter().map(|(_, bans)| bans).sum();
    let with = match with.len() {
        0 => String::new(),
        _ => {
            let names = with.iter().map(|(other, _)| other).collect::<Vec<_>>();
            format!(
                " Forgotten with it: {} of {}.",
                count(more as usize, "ban"),
                named(names.into_iter())
            )
        }
    };
    format!("Forgotten: {subject}; {own}, and its next ban by a rule is its first.{with}")
}

fn verb_for(number: u32) -> &'static str {
    if number == 1 { "counts" } else { "count" }
}

/// What was counted until now.
pub(super) fn counters_cleared(subject: &Subject, before: &Explanation) -> Option<String> {
    let cleared: Vec<String> = before
        .counting
        .iter()
        // A network's other addresses go on to count.
        .filter(|counting| match (subject, counting.subject.place()) {
            (Subject::Address(_), Some(place)) => subject.net() == Some(place),
            _ => true,
        })
        .map(|counting| {
            format!(
                "{} ({} of {})",
                clean(&counting.rule.name),
                counting.amount,
                counting.limit
            )
        })
        .collect();
    (!cleared.is_empty()).then(|| format!("Counters cleared: {}.", cleared.join(", ")))
}

/// A ban in force stays.
pub(super) fn goes_on(ban: &Ban, now: Timestamp) -> String {
    format!(
        "The ban in force goes on: {} {}; to end it: {}",
        ban.id,
        by_then_counted(ban.until, now),
        typed(format_args!("unban {}", ban.id))
    )
}

/// What is not forgotten.
pub(super) fn log_stays(subject: &Subject) -> String {
    format!(
        "What happened stays on record; to read it: {}",
        typed(format_args!("show {subject}"))
    )
}
