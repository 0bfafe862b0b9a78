//! What `list` says.

use crate::command::phrases::{ListTitle, author, because, clean, typed};
use crate::core::EndedBan;

/// Bans.
pub(super) const BANS: ListTitle = ListTitle {
    all: "Bans",
    matching: "Matching bans",
    none: "No bans in force",
    no_match: "No ban matches",
};

/// When a ban that is over ended: `ended 2026-11-22 04:00 UTC`.
pub(super) fn ended(past: &EndedBan) -> String {
    format!("ended {}", past.ended)
}

/// A ban that is over in a list, behind its number and subject.
pub(super) fn ended_in_a_list(past: &EndedBan) -> String {
    let how = match &past.by {
        None => String::from("its time was over"),
        Some(actor) => format!("by {}", clean(actor.bare_name())),
    };
    format!(
        "{}, {how}; it was by {}{}",
        ended(past),
        author(&past.ban),
        because(&past.ban.reason)
    )
}

/// More has ended than is looked through.
pub(super) fn only_the_last(most: usize) -> String {
    format!(
        "Of those that ended, only the last {most} are looked through; {} tells all of one.",
        typed("show SUBJECT")
    )
}
