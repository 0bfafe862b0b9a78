//! What `extend` says.

use crate::command::phrases::{because, by_then, by_then_counted, named, typed};
use crate::core::{Ban, Subject, Timestamp};

/// A ban ends later now.
pub(super) fn extended(ban: &Ban, before: Option<Timestamp>, now: Timestamp) -> String {
    format!(
        "Extended {} {}: was {}, now {}{}",
        ban.id,
        ban.subject,
        by_then(before),
        by_then_counted(ban.until, now),
        because(&ban.reason)
    )
}

/// A ban that is not there cannot be made longer.
pub(super) fn nothing_to_extend(subject: &Subject) -> String {
    format!(
        "{subject} is not banned, so there is nothing to extend. To ban: {}",
        typed(format_args!("ban {subject} DURATION REASON"))
    )
}

/// No duration.
pub(super) const NO_EXTENSION: &str =
    "Say for how much longer: 3d, 12h; or until 2030-01-01, or forever.";

/// The question before a ban loses its end.
pub(super) fn ask_extend(subjects: &[Subject]) -> String {
    format!(
        "Nothing is done yet. Ban {} for ever?",
        named(subjects.iter())
    )
}
