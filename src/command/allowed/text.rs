//! Sentences of `allowed`.

use super::ShownExemption;
use crate::command::outcome::{ListEntry, Row};
use crate::command::parts::facts::Fact as _;
use crate::command::parts::pages::ListTitle;
use crate::command::phrases::{self, because, by_then_counted, clean};
use crate::core::Timestamp;

/// The columns, with their names for scripts.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("subject", "Subject"),
    ("until", "Until"),
    ("by", "By"),
    ("comment", "Comment"),
];

/// The headings.
pub(super) const EXEMPTIONS: ListTitle = ListTitle {
    all: "Exemptions",
    matching: "Matching exemptions",
    none: "Nobody is exempt",
    no_match: "No exemption matches",
};

/// The author shown for exemptions by the configuration.
pub(super) const CONFIGURATION: &str = "the configuration";

/// An exemption as a line, as cells, and as JSON.
pub(super) fn entry(exempt: &ShownExemption, now: Timestamp) -> ListEntry {
    let subject = exempt.subject.to_string();
    let by = clean(exempt.by.as_deref().unwrap_or(CONFIGURATION));
    let until = by_then_counted(exempt.until, now);
    let value = format!("{until}, by {by}{}", because(&exempt.comment));
    ListEntry {
        row: Row::new(subject.clone(), subject.clone(), value),
        fact: Some(exempt.json()),
        cells: vec![
            subject,
            phrases::until(exempt.until),
            by,
            clean(&exempt.comment),
        ],
    }
}
