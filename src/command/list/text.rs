//! Sentences of `list`.

use super::ListedBan;
use crate::command::outcome::{ListEntry, Row};
use crate::command::parts::facts::Fact as _;
use crate::command::parts::pages::ListTitle;
use crate::command::phrases::{author, because, clean, in_a_list, typed, until};
use crate::core::Timestamp;
use crate::engine::ENDS;

/// The columns, with their names for scripts.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("number", "Number"),
    ("subject", "Subject"),
    ("until", "Until"),
    ("by", "By"),
    ("reason", "Reason"),
];

/// The headings.
pub(super) const BANS: ListTitle = ListTitle {
    all: "Bans",
    matching: "Matching bans",
    none: "No bans in force",
    no_match: "No ban matches",
};

/// More bans have ended than were searched.
pub(super) fn more_ended() -> String {
    format!(
        "Of those that ended, only the last {ENDS} are looked through; {} tells all of one.",
        typed("show SUBJECT")
    )
}

/// A ban as a line, as cells, and as JSON.
pub(super) fn entry(listed: &ListedBan, now: Timestamp) -> ListEntry {
    let (ban, fact, end, value) = match listed {
        ListedBan::InForce { ban, is_pending } => {
            let value = in_a_list(ban, *is_pending, now);
            (ban, ban.json(), until(ban.until), value)
        }
        ListedBan::Ended(past) => {
            let ban = &past.ban;
            let end = format!("ended {}", past.ended);
            let how = match &past.by {
                None => String::from("its time was over"),
                Some(actor) => format!("by {}", clean(actor.bare_name())),
            };
            let (by, why) = (author(ban), because(&ban.reason));
            let value = format!("{end}, {how}; it was by {by}{why}");
            (ban, past.json(), end, value)
        }
    };
    ListEntry {
        row: Row::new(
            format!("ban{}", ban.id.0),
            format!("{} {}", ban.id, ban.subject),
            value,
        ),
        cells: vec![
            ban.id.0.to_string(),
            ban.subject.to_string(),
            end,
            clean(&author(ban)),
            clean(&ban.reason),
        ],
        fact: Some(fact),
    }
}
