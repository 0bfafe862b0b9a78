//! Sentences of `unban`.

use crate::command::phrases::{clean, count, counts, typed};
use crate::core::time::in_words;
use crate::core::{Ban, Subject};
use std::time::Duration;

/// Subjects and a filter were given.
pub(super) const NOT_BOTH: &str = "Name subjects or give a filter, not both.";
/// The filter asks for bans that have ended.
pub(super) const ONLY_IN_FORCE: &str =
    "Only bans in force can be ended: leave out state:, or write state:pending.";

/// A ban that only the server's record holds is not the caller's to end; `only` says that there is one.
pub(super) fn an_admin_can(only: &str) -> String {
    format!("{only} An admin can end it.")
}

/// The same, because of its length.
pub(super) fn longer_than_allowed(only: &str) -> String {
    format!("{only} It is longer than you may end; an admin can.")
}

/// A ban that was not written to the store yet ended.
pub(super) fn lifted_in_memory(subject: &Subject) -> String {
    format!(
        "Un-banned {subject}. The ban, by a rule, was in force in memory only and is in no history."
    )
}

/// The filter matches every ban.
pub(super) fn all_of_what() -> String {
    format!(
        "All of what? Write for example: {}. What a filter matches: {}. Every ban there is: {}",
        typed("unban all origin:import by:alice"),
        typed("list origin:import by:alice"),
        typed("unban all #1..")
    )
}

/// The filter matches nothing.
pub(super) fn none_matches(filter: &str) -> String {
    format!("No ban in force matches: {}", clean(filter))
}

/// The filter matches more than one call ends.
pub(super) fn too_many(total: usize, most: usize) -> String {
    format!(
        "{total} bans match; at most {most} at once. Narrow it, for example with numbers: #1..{most}"
    )
}

/// More bans match than when the caller was asked.
pub(super) fn more_match(before: usize, total: usize) -> String {
    format!("{before} matched when you were asked, {total} do now.")
}

/// The title of the question.
pub(super) fn really_end(total: usize) -> String {
    format!("Really end {}?", count(total, "ban"))
}

/// How many bans had already ended; `None`: none had.
pub(super) fn over_already(number: usize) -> Option<String> {
    match number {
        0 => None,
        1 => Some(String::from("1 was over already.")),
        _ => Some(format!("{number} were over already.")),
    }
}

/// The question: how many bans of each kind, how many in all with the newest of them, and how many the caller may not
/// end, with the reason for the first of those.
pub(super) fn ask_unban(
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

/// The reason in the history of each ban.
pub(super) fn lifted_with(total: usize, filter: &str) -> String {
    let filter: String = clean(filter).chars().take(200).collect();
    match total {
        1 => format!("un-banned by filter: {filter}"),
        _ => format!("one of {total} un-banned by filter: {filter}"),
    }
}

/// How many of how many were ended, and how fast.
pub(super) fn unbanned_all(lifted: usize, total: usize, filter: &str, took: Duration) -> String {
    let took = match took.as_secs() {
        0 => String::new(),
        _ => format!(" in {}", in_words(took)),
    };
    format!("Un-banned {lifted} of {total}{took}. {}", filtered(filter))
}

/// How far the server has carried it out.
pub(super) fn server_told(lifted: usize, pending: usize) -> String {
    match pending {
        0 => String::from(
            "portcullis no longer refuses them. Whether the server itself refuses some of them was not asked.",
        ),
        pending => format!(
            "The server has been told of {} of them; the rest follows, and {} counts it down.",
            lifted.saturating_sub(pending),
            typed("status")
        ),
    }
}

/// How many addresses the server held and has let go, and of how many subjects it was not asked.
pub(super) fn let_go(unblocked: u64, left_out: usize) -> Option<String> {
    let mut said = match unblocked {
        0 => String::new(),
        1 => String::from("mod_fail2ban of ejabberd held 1 address of these, and has let it go."),
        number => format!(
            "mod_fail2ban of ejabberd held {number} addresses of these, and has let them go."
        ),
    };
    if left_out > 0 {
        said.push_str(&format!(
            " It was not asked about {left_out} more addresses and networks."
        ));
    }
    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
}
