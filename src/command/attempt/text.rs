//! What `attempt` says.

use crate::command::phrases::count;
use crate::core::{BanRuling, Ruling, Subject};

/// A pair with a whole network.
pub(super) const FROM_ONE_ADDRESS: &str =
    "An account fails from one address at a time: name an address, not a network.";

/// No number of attempts.
pub(super) fn no_times(most: u32) -> String {
    format!("“How often” is a number from 1 to {most}.")
}

/// The news of an attempt in a few words.
pub(super) fn counted_title(rulings: &[Ruling]) -> String {
    let began = rulings
        .iter()
        .filter(|ruling| matches!(ruling, Ruling::Ban(BanRuling::Banned(_))))
        .count();
    match began {
        0 => String::from("Counted"),
        began => format!("Counted; {} began", count(began, "ban")),
    }
}

/// What would be refused is not counted.
pub(super) fn not_counted(subject: &Subject) -> String {
    format!("Not counted: {subject} is refused already, and what is refused does not count.")
}

/// Attempts were counted and no limit was reached.
pub(super) fn counted(subject: &Subject, times: u32, by_nobody: bool) -> String {
    let times = count(times as usize, "failed login");
    match by_nobody {
        true => format!(
            "Counted {times} of {subject}; none of it counts toward a limit now: it was un-banned just now, or no rule counts this."
        ),
        false => format!("Counted {times} of {subject}; no limit is reached."),
    }
}
