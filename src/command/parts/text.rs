//! Sentences of the parts that several commands share.

use crate::command::phrases::{clean, typed};
use crate::core::{Rights, Role, Subject, UndoEntry};

/// No subject at all.
pub(super) const NO_SUBJECT: &str = "Say whom: an account (spam@example.org), an address (203.0.113.7), a network (203.0.113.0/24) or a number (#17).";

/// A number that no ban has.
pub(super) fn no_such_number(word: &str) -> String {
    format!(
        "There is no ban {}; {} shows the numbers.",
        clean(word),
        typed("list")
    )
}

/// A role that does not hold over a subject.
pub(super) fn beyond(subject: &Subject, needs: Role, rights: &Rights) -> String {
    match subject.whose() {
        Some(account) => format!(
            "{subject}: that needs the role {needs} on {}. You are {rights}.",
            account.domain()
        ),
        None => format!(
            "{subject}: addresses and networks concern every host, so that needs the role {needs} everywhere. You are {rights}."
        ),
    }
}

/// The same for a number of which no more may be said.
pub(super) fn number_beyond(number: &str, needs: Role, rights: &Rights) -> String {
    format!(
        "{} is not about an account of your hosts; that needs the role {needs} there. You are {rights}.",
        clean(number)
    )
}

/// Why a change of many was not made: another person decided about the same first.
pub(super) fn overtaken_by(deed: &UndoEntry) -> String {
    format!(
        "{} was first; look, then say it again.",
        clean(deed.by.bare_name())
    )
}
