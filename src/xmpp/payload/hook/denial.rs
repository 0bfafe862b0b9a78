//! The text that a refused user reads: the public reason of the ban and its end, never the private note.

use crate::core::{By, Timestamp};

/// The sentence for a banned user, e.g. `You are banned until 2030-01-01 12:00 UTC: spam`; without reason and end
/// `You are banned.` Control characters and the noncharacters that XML forbids become spaces.
pub fn denial_text(by: By, reason: &str, until: Option<Timestamp>) -> String {
    let mut text = String::from(match by {
        By::Account | By::Address | By::Network => "You are banned",
        By::Pair | By::Guard => "Logins to this account from here are refused",
    });
    if let Some(until) = until {
        text.push_str(&format!(" until {until}"));
    }
    let reason = reason.trim();
    if reason.is_empty() {
        text.push('.');
    } else {
        text.push_str(": ");
        // A character that XML forbids would invalidate the whole answer.
        text.extend(reason.chars().map(|c| match c {
            '\u{fffe}' | '\u{ffff}' => ' ',
            c if c.is_control() => ' ',
            c => c,
        }));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reason_and_end_are_told_where_there_are_any() {
        let end = Timestamp::parse("2030-01-01T12:00:00Z");
        assert_eq!(
            denial_text(By::Account, "spam", end),
            "You are banned until 2030-01-01 12:00 UTC: spam"
        );
        assert_eq!(denial_text(By::Network, " ", None), "You are banned.");
        assert_eq!(
            denial_text(By::Address, "a\nb\u{ffff}", None),
            "You are banned: a b "
        );
        assert!(
            denial_text(By::Guard, "attack", end).starts_with("Logins to this account from here")
        );
    }
}
