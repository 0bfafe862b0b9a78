//! Sentences said in rooms and about them.

use super::clean;

/// What is said to one occupant for all to read.
pub fn to_nick(nick: &str, text: &str) -> String {
    format!("{}: {text}", clean(nick))
}

/// An answer that is too long for a room, in its place.
pub fn rest_in_private(first: &str, lines: usize) -> String {
    format!("{first}\nThe whole answer has {lines} lines; I sent it to you in private.")
}
