//! Phrases shared by commands and entry points: cleaned texts, reasons, times, counts.
//!
//! Text of a user (the reason) ends a sentence about a ban, or has its own line, so that nobody can write a reason
//! that reads like the rest of our answer. Control and bidirectional characters are always removed ([`clean`]). Times
//! are in UTC and say so.

mod bans;
mod logins;
mod orders;
mod refusals;
mod server;
mod server_side;
mod typed;

pub(crate) use bans::*;
pub(crate) use logins::*;
pub(crate) use orders::*;
pub(crate) use refusals::*;
pub(crate) use server::*;
pub(crate) use server_side::*;
pub(crate) use typed::*;

use crate::core::time::in_words;
use crate::core::{Subject, Timestamp};
use std::fmt::Write as _;

/// Maximum number of subjects that a sentence names; beyond it they are counted.
pub(crate) const NAMED: usize = 5;

/// Text from outside as one line: control, bidirectional and invisible characters are removed, line ends become
/// spaces.
pub(crate) fn clean(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_trick(*c))
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text from outside with several lines; otherwise as [`clean`].
pub(crate) fn clean_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean).collect();
    lines.join("\n").trim().to_owned()
}

/// Whether a character can deceive: control characters, bidirectional marks (a line can read backwards), zero-width
/// characters (two names can look the same), what XML cannot carry, and the marks that only we may set.
pub(crate) fn is_trick(c: char) -> bool {
    c.is_control()
        || typed::is_mark(c)
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// The text with a capital letter and a full stop, cut to a readable length.
pub(crate) fn sentence(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut text = clean(text);
    if let Some((cut, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(cut);
        text.push('…');
    }
    if !text.is_empty() {
        text = capital(&text);
        stop(&mut text);
    }
    text
}

/// The text with a capital letter, unless it begins with a name that has none: an address, a domain, a program, or an
/// option or module of one (`mod_fail2ban`).
pub(crate) fn capital(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    let word = first.trim_end_matches(['.', ',', ':', ';']);
    let program = word.strip_suffix("'s").unwrap_or(word);
    let is_name = word.contains(['@', '.', '_']) || matches!(program, "portcullis" | "ejabberd");
    if is_name {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

pub(crate) fn stop(text: &mut String) {
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
}

/// `: reason.`, or only the full stop if there is none.
pub(crate) fn because(reason: &str) -> String {
    let reason = clean(reason);
    let mut text = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    stop(&mut text);
    text
}

/// `1 ban`, `2 bans`.
pub(crate) fn count(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// `2030-01-01 12:00 UTC` or `forever`.
pub(crate) fn until(until: Option<Timestamp>) -> String {
    until.map_or_else(|| String::from("forever"), |end| end.to_string())
}

/// `until 2030-01-01 12:00 UTC` or `forever`.
pub(crate) fn by_then(end: Option<Timestamp>) -> String {
    end.map_or_else(|| String::from("forever"), |end| format!("until {end}"))
}

/// `until 2030-01-01 12:00 UTC (3 days)` or `forever`.
pub(crate) fn by_then_counted(end: Option<Timestamp>, now: Timestamp) -> String {
    match end {
        None => String::from("forever"),
        Some(at) => format!("until {at} ({})", in_words(at.since(now))),
    }
}

/// `Done`, `2 of 3 done`.
pub(crate) fn summary_title(done: usize, all: usize) -> String {
    match (done, all) {
        (0, _) => String::from("Not done"),
        (1, 1) => String::from("Done"),
        _ => format!("{done} of {all} done"),
    }
}

/// `2 of 3 done. Failed: a, b.`
pub(crate) fn summary(done: usize, all: usize, failed: &[&Subject]) -> String {
    let mut text = format!("{done} of {all} done.");
    if !failed.is_empty() {
        let _ = write!(text, " FAILED: {}.", named(failed.iter().copied()));
    }
    text
}

pub(crate) fn named(all: impl ExactSizeIterator<Item = impl ToString>) -> String {
    let number = all.len();
    let mut names: Vec<String> = all.take(NAMED).map(|one| one.to_string()).collect();
    if number > NAMED {
        names.push(format!("and {} more", number - NAMED));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tricks_with_direction_and_control_characters_do_not_pass() {
        assert_eq!(clean("a\u{202e}b\u{7}c\nd\u{2066}e\u{200b}f"), "abc def");
        assert_eq!(clean("  Ünïcode 👩‍🔧 stays  "), "Ünïcode 👩‍🔧 stays");
        assert_eq!(clean_lines("one\r\ntwo\u{0}\n\n"), "one\ntwo");
    }

    #[test]
    fn names_keep_their_letters() {
        assert_eq!(
            sentence("example.org is not here"),
            "example.org is not here."
        );
        assert_eq!(
            sentence("zoe@second.test was there"),
            "zoe@second.test was there."
        );
        assert_eq!(sentence("nobody."), "Nobody.");
        for name in ["mod_fail2ban is loaded.", "ejabberd's own.", "portcullis."] {
            assert_eq!(sentence(name), name);
        }
    }

    #[test]
    fn a_reason_gets_one_full_stop() {
        assert_eq!(because("spam"), ": spam.");
        assert_eq!(because("Enough!"), ": Enough!");
        assert_eq!(because(" \u{202e} "), ".");
    }
}
