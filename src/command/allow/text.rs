//! Sentences of `allow`.

use super::Allow;
use crate::command::outcome::{Ask, Row};
use crate::command::phrases::{self, author, because, by_then, by_then_counted, reach};
use crate::core::{Ban, Subject, Timestamp};

/// A ban that the exemption lifted.
pub(super) fn lifted(ban: &Ban) -> Row {
    let value = format!(
        "un-banned; was banned {}, by {}{}",
        by_then(ban.until),
        author(ban),
        because(&ban.reason)
    );
    Row::new(
        format!("ban{}", ban.id.0),
        format!("{} {}", ban.id, ban.subject),
        value,
    )
}

/// The question before a wide exemption.
pub(super) fn question(allow: &Allow, now: Timestamp) -> Ask {
    let until = by_then_counted(allow.term.and_then(|term| term.ends(now)), now);
    let (subject, comment) = (&allow.subject, because(&allow.comment));
    Ask {
        title: format!("Really exempt {subject}?"),
        lines: vec![
            format!("Nothing is done yet. Exempt {subject} from bans {until}{comment}"),
            format!(
                "{subject} is wide: {}. Nobody there could be banned, and no failed login there counted.",
                reach(subject)
            ),
        ],
        rows: Row::numbered("subject", [(phrases::kind(subject), reach(subject))]),
        values: None,
    }
}

/// What people might misunderstand about this exemption.
pub(super) fn what_exempt_means(subject: &Subject) -> Option<String> {
    matches!(subject, Subject::Account(_)).then(|| String::from(
        "The account itself cannot be banned; guessers of its password are still refused by address, pair and guard.",
    ))
}
