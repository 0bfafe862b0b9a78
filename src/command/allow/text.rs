//! What `allow` says.

use crate::command::phrases::{author, because, by_then, by_then_counted, reach};
use crate::core::{Ban, Subject, Timestamp};

/// Before a wide one.
pub(super) fn ask_allow_title(subject: &Subject) -> String {
    format!("Really exempt {subject}?")
}

/// What would be done.
pub(super) fn ask_allow(
    subject: &Subject,
    until: Option<Timestamp>,
    now: Timestamp,
    comment: &str,
) -> Vec<String> {
    vec![
        format!(
            "Nothing is done yet. Exempt {subject} from bans {}{}",
            by_then_counted(until, now),
            because(comment)
        ),
        format!(
            "{subject} is wide: {}. Nobody there could be banned, and no failed login there counted.",
            reach(subject)
        ),
    ]
}

/// The ban that ended.
pub(super) fn was(ban: &Ban) -> String {
    format!(
        "un-banned; was banned {}, by {}{}",
        by_then(ban.until),
        author(ban),
        because(&ban.reason)
    )
}

/// What people could get wrong about it.
pub(super) fn what_exempt_means(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Account(_) => Some(String::from(
            "The account itself cannot be banned; guessers of its password are still refused by address, pair and guard.",
        )),
        _ => None,
    }
}
