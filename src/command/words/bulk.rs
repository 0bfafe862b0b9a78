//! Sentences of un-bans by filter.

use std::time::Duration;

use super::{clean, count, counts, in_words, named, typed};
use crate::ban::{Ban, Subject};

/// `Really un-ban 3?`
pub fn ask_unban_title(number: usize) -> String {
    format!("Really end {}?", count(number, "ban"))
}

/// What would be ended: how many of each kind, how many in all with the newest of them, and how many
/// the caller may not end, with why the first of those.
pub fn ask_unban(
    filter: &str,
    kinds: &[(&str, usize)],
    (total, newest): (usize, &[Ban]),
    refused: Option<&(usize, String)>,
) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Nothing is done yet. End {} in force ({}).",
            count(total, "ban"),
            counts(kinds)
        ),
        filtered(filter),
    ];
    if let Some((number, why)) = refused {
        lines.push(format!("{number} of them will stay: {why}"));
    }
    let names: Vec<String> = newest
        .iter()
        .map(|ban| format!("{} {}", ban.id, ban.subject))
        .collect();
    let which = if total > newest.len() {
        "The newest of them"
    } else {
        "These are"
    };
    lines.push(format!("{which}: {}", names.join(", ")));
    lines
}

fn filtered(filter: &str) -> String {
    format!("The filter: “{}”.", clean(filter))
}

/// Why, in the history of each.
pub fn lifted_with(total: usize, filter: &str) -> String {
    let filter: String = clean(filter).chars().take(200).collect();
    match total {
        1 => format!("un-banned by filter: {filter}"),
        _ => format!("one of {total} un-banned by filter: {filter}"),
    }
}

/// Nothing matches.
pub fn none_matches(filter: &str) -> String {
    format!("No ban in force matches: {}", clean(filter))
}

/// How many were ended, of how many, how fast.
pub fn unbanned_all(lifted: usize, total: usize, filter: &str, took: Duration) -> String {
    let took = match took.as_secs() {
        0 => String::new(),
        _ => format!(" in {}", in_words(took)),
    };
    format!("Un-banned {lifted} of {total}{took}. {}", filtered(filter))
}

/// Some were not ended, for one reason.
pub fn not_unbanned(subjects: &[Subject], why: &str) -> String {
    format!(
        "{} FAILED ({}): {why}",
        subjects.len(),
        named(subjects.iter())
    )
}

/// Some had ended before their turn came.
pub fn over_already(number: usize) -> String {
    match number {
        1 => String::from("1 was over already."),
        _ => format!("{number} were over already."),
    }
}

/// Somebody else was faster, again and again.
pub fn somebody_else() -> String {
    String::from("somebody else is changing it; try again.")
}

/// What the server made of it.
pub fn server_told(lifted: usize, pending: usize) -> String {
    match pending {
        0 => String::from("The server lets them in again."),
        pending => format!(
            "The server has been told of {} of them; the rest follows, and {} counts it down.",
            lifted.saturating_sub(pending),
            typed("status")
        ),
    }
}

/// How to take back what one undo takes back.
pub fn undo_all() -> String {
    format!("Undo: {}", typed("undo"))
}

/// How to take back what hit more.
pub fn no_undo_for_many() -> String {
    format!(
        "Nothing takes this back at once: {} shows what the bans were, {} brings one back, and the log keeps who gave this filter.",
        typed("list state:ended"),
        typed("undo #NUMBER")
    )
}
