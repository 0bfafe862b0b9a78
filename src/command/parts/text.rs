//! Sentences of the shared parts.

use crate::command::phrases::{clean, typed};
use crate::core::{Rights, Role, Subject, UndoEntry};

/// There is no subject.
pub(super) const NO_SUBJECT: &str = "Say whom: an account (spam@example.org), an address (203.0.113.7), a network (203.0.113.0/24) or a number (#17).";

/// No ban has this number.
pub(super) fn no_such_number(word: &str) -> String {
    format!(
        "There is no ban {}; {} shows the numbers.",
        clean(word),
        typed("list")
    )
}

/// A word with a comma that may be one name or several.
pub(super) fn one_or_several(word: &str) -> String {
    let word = clean(word);
    format!(
        "“{word}” may be one name or several; put a space behind each comma, or the name in quotes: \"{word}\"."
    )
}

/// The caller's role does not cover the subject.
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

/// The caller's role does not cover the ban of this number, about which nothing else may be said.
pub(super) fn number_beyond(number: &str, needs: Role, rights: &Rights) -> String {
    format!(
        "{} is not about an account of your hosts; that needs the role {needs} there. You are {rights}.",
        clean(number)
    )
}

/// A change of many was not made because another person decided first.
pub(super) fn overtaken_by(entry: &UndoEntry) -> String {
    format!(
        "{} was first; look, then say it again.",
        clean(entry.by.bare_name())
    )
}
