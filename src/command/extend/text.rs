//! Sentences of `extend`.

use crate::command::outcome::{Ask, Row};
use crate::command::phrases::{self, because, by_then, by_then_counted, typed};
use crate::core::{Ban, Subject, Timestamp};

/// There is no duration.
pub(super) const HOW_LONG: &str =
    "Say for how much longer: 3d, 12h; or until 2030-01-01, or forever.";

/// A ban got a later end.
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

/// There is no ban.
pub(super) fn not_banned(subject: &Subject) -> String {
    format!(
        "{subject} is not banned, so there is nothing to extend. To ban: {}",
        typed(format_args!("ban {} DURATION REASON", subject.written()))
    )
}

/// The question before a ban becomes permanent.
pub(super) fn question(subjects: &[Subject]) -> Ask {
    let names = phrases::named(subjects.iter());
    let row = |subject| (phrases::kind(subject), phrases::reach(subject));
    Ask {
        title: phrases::ask_title(subjects),
        lines: vec![
            format!("Nothing is done yet. Ban {names} forever?"),
            String::from(phrases::ASK_FOREVER),
        ],
        rows: Row::numbered("subject", subjects.iter().map(row)),
        values: None,
    }
}
