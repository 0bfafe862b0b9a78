//! Sentences about what is done to many at once: un-bans by filter, the undoing of whole commands.

use std::time::Duration;

use super::{clean, count, counts, in_words, named, typed};
use crate::core::{Ban, CommandId, Deed, Subject};

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

/// Some were not done, for one reason.
pub fn failed_of_many(subjects: &[Subject], why: &str) -> String {
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

/// Why a change of many was not made: another person decided about the same first.
pub fn overtaken_by(deed: &Deed) -> String {
    format!(
        "{} was first; look, then say it again.",
        clean(deed.by.bare_name())
    )
}

/// Why a change of many was not made: others are changing the same all the time.
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

/// How to take back all that one command did.
pub fn undo_command(command: CommandId) -> String {
    format!("Undo: {}", typed(format_args!("undo {command}")))
}

/// How many were undone, of how many, how fast.
pub fn undone_many(
    undone: usize,
    total: usize,
    command: Option<CommandId>,
    took: Duration,
) -> String {
    let took = match took.as_secs() {
        0 => String::new(),
        _ => format!(" in {}", in_words(took)),
    };
    let whose = match command {
        Some(command) => format!(", all that {command} did"),
        None => String::new(),
    };
    format!("Undone: {undone} of {total}{took}{whose}.")
}

/// Some were not undone because they are not as the command left them.
pub fn were_changed_since() -> String {
    String::from("changed since; they stay as they are.")
}

/// A command did more than is kept.
pub fn more_than_is_kept(most: usize) -> String {
    format!(
        "That command did more at first, which cannot be undone any more: only the last {most} changes can."
    )
}

/// What the server made of what was undone.
pub fn server_follows(pending: usize) -> String {
    match pending {
        0 => String::from("The server is in line with it."),
        pending => format!(
            "The server has still to be told of {pending} of them; {} counts it down.",
            typed("status")
        ),
    }
}

/// A command that left nothing to undo.
pub fn no_such_command_to_undo(command: CommandId) -> String {
    format!(
        "There is nothing of {command} to undo: it did nothing, or all of it was changed since or is too long ago."
    )
}
