//! Lists: their titles and entries.

use crate::command::phrases::{author, because, by_then_counted};
use crate::core::{Ban, Timestamp};

/// What a list is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListTitle {
    /// `Bans`
    pub(crate) all: &'static str,
    /// `Matching bans`
    pub(crate) matching: &'static str,
    /// `No bans in force`
    pub(crate) none: &'static str,
    /// `No ban matches`
    pub(crate) no_match: &'static str,
}

/// A ban in a list, behind its number and subject.
pub(crate) fn in_a_list(ban: &Ban, pending: bool, now: Timestamp) -> String {
    let pending = if pending {
        " (not carried out yet)"
    } else {
        ""
    };
    format!(
        "{}{pending}, by {}{}",
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}
