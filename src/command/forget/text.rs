//! Sentences of `forget`.

use crate::command::phrases::{by_then_counted, clean, count, named, typed, typed_about};
use crate::core::{Ban, Counting, Subject, Timestamp};

/// The log still has it.
pub(super) fn on_record(subject: &Subject) -> String {
    format!(
        "What happened stays on record; to read it: {}",
        typed_about("show", subject)
    )
}

/// `2 bans no longer count`
pub(super) fn no_longer(bans: u32) -> String {
    let verb = if bans == 1 { "counts" } else { "count" };
    format!("{} no longer {verb}", count(bans as usize, "ban"))
}

/// What was forgotten.
pub(super) fn forgotten(subject: &Subject, bans: u32, with: &[(Subject, u32)]) -> String {
    let own = match bans {
        0 => String::from("no earlier ban counted"),
        bans => no_longer(bans),
    };
    let more: u32 = with.iter().map(|(_, bans)| bans).sum();
    let with = match with.len() {
        0 => String::new(),
        _ => format!(
            " Forgotten with it: {} of {}.",
            count(more as usize, "ban"),
            named(with.iter().map(|(other, _)| other))
        ),
    };
    format!("Forgotten: {subject}; {own}, and its next ban by a rule is its first.{with}")
}

/// The counters that were reset; `None` if there were none.
pub(super) fn counters_cleared<'a>(counting: impl Iterator<Item = &'a Counting>) -> Option<String> {
    let cleared: Vec<String> = counting
        .map(|one| {
            format!(
                "{} ({} of {})",
                clean(&one.rule.name),
                one.amount,
                one.limit
            )
        })
        .collect();
    (!cleared.is_empty()).then(|| format!("Counters cleared: {}.", cleared.join(", ")))
}

/// The active ban continues.
pub(super) fn goes_on(ban: &Ban, now: Timestamp) -> String {
    format!(
        "The ban in force goes on: {} {}; to end it: {}",
        ban.id,
        by_then_counted(ban.until, now),
        typed(format_args!("unban {}", ban.id))
    )
}
