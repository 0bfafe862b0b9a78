//! What `allowed` says.

use crate::command::phrases::{ListTitle, because, by_then_counted, clean};
use crate::core::Timestamp;

/// Exemptions.
pub(super) const EXEMPTIONS: ListTitle = ListTitle {
    all: "Exemptions",
    matching: "Matching exemptions",
    none: "Nobody is exempt",
    no_match: "No exemption matches",
};

/// Who gave an exemption that nobody gave.
pub(super) const CONFIGURATION: &str = "the configuration";

/// Why a proxy is exempt.
pub(super) const PROXY: &str = "a proxy";

/// An exemption in a list.
pub(super) fn exempt_in_a_list(
    until: Option<Timestamp>,
    by: &str,
    comment: &str,
    now: Timestamp,
) -> String {
    format!(
        "{}, by {}{}",
        by_then_counted(until, now),
        clean(by),
        because(comment)
    )
}
