//! Sentences of `attempt`.

use crate::command::phrases::{count, sentence};
use crate::core::Subject;
use crate::core::judge::ATTEMPTS_AT_ONCE;
use crate::journal::LogFault;

/// An account and a network that is more than one source.
pub(super) const ONE_ADDRESS: &str =
    "An account fails from one address at a time: name an address, not a network.";

/// The number is none, or too large.
pub(super) fn no_number() -> String {
    format!("“How often” is a number from 1 to {ATTEMPTS_AT_ONCE}.")
}

/// The title, with the number of bans that began.
pub(super) fn title(bans: usize) -> String {
    format!("Counted; {} began", count(bans, "ban"))
}

/// What was counted, if no ban began; `counts`: whether a rule counts any of it.
pub(super) fn counted(subject: &Subject, times: u32, counts: bool) -> String {
    let times = count(times as usize, "failed login");
    match counts {
        true => format!("Counted {times} of {subject}; no limit is reached."),
        false => format!(
            "Counted {times} of {subject}; none of it counts toward a limit now: it was un-banned just now, or no rule counts this."
        ),
    }
}

/// The log did not store the ban that began.
pub(super) fn in_memory(subject: &Subject, times: u32, fault: &LogFault) -> String {
    format!(
        "Counted {} of {subject}. The ban they led to is in force in memory only: {}",
        count(times as usize, "failed login"),
        sentence(&fault.to_string())
    )
}

/// The login is refused already.
pub(super) fn not_counted(subject: &Subject) -> String {
    format!("Not counted: {subject} is refused already, and what is refused does not count.")
}
