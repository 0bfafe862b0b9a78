//! What `show` says.

use crate::command::phrases::{
    ENFORCED, clean, clean_lines, count, needs_module, nothing_enforced, task,
};
use crate::core::time::in_words;
use crate::core::{Ban, Subject, Timestamp};
use crate::delivery::ports::Task;

/// The end of a ban and how far it is.
pub(super) fn until_and_left(ban: &Ban, now: Timestamp) -> String {
    match ban.until {
        None => String::from("for ever"),
        Some(end) => format!("{end} ({} left)", in_words(end.since(now))),
    }
}

/// Where the server stands with a ban.
pub(super) fn on_the_server(subject: &Subject, task: Option<&Task>, level: u8) -> String {
    match (task, subject) {
        (Some(task), _) => format!("Not carried out yet: {}", self::task(task)),
        _ if level == 0 => nothing_enforced(),
        (None, Subject::Account(_)) => String::from("The server refuses them."),
        (None, _) if level < 2 => needs_module(subject),
        (None, _) => String::from(ENFORCED),
    }
}

/// A note, and whose it is.
pub(super) fn note_by(note: &str, by: &str, at: Timestamp) -> String {
    format!("{} ({}, {at})", clean_lines(note), clean(by))
}

/// `spam@host is banned (#17)`
pub(super) fn is_banned_title(ban: &Ban) -> String {
    format!("{} is banned ({})", ban.subject, ban.id)
}

/// `spam@host is not banned`
pub(super) fn not_banned_title(subject: &Subject) -> String {
    format!("{subject} is not banned")
}

/// The rest of a history.
pub(super) fn older(number: usize) -> String {
    format!("{} more", count(number, "event"))
}

/// What the server made of a ban.
pub(super) const ON_THE_SERVER: &str = "On the server";
