//! Reads a plain list: `SUBJECT [DURATION] [REASON…]` per line, as in the chat command `ban`.
//!
//! `#` begins a comment. A ban without a duration lasts forever.

use super::{ImportedBan, Pile, Reading, said, subject};
use crate::command::phrases;
use crate::core::subject::{BadSubject, is_guard_of};
use crate::core::{Subject, Term};

pub(super) fn read(text: &str, reading: &Reading, pile: &mut Pile) {
    for (number, line) in said(text) {
        match one(line, reading) {
            Ok((subject, ban)) => pile.ban(number, subject, ban),
            Err(why) => pile.bad(number, why),
        }
    }
}

fn one(line: &str, reading: &Reading) -> Result<(Subject, ImportedBan), String> {
    // Spreadsheets and other programs separate with commas.
    let all: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .collect();
    let (subject, used) = match Subject::take(&all) {
        Ok(found) => found,
        Err(BadSubject::Bare(_)) => unqualified(&all, reading.host.as_deref())?,
        Err(why) => return Err(why.to_string()),
    };
    let rest = all.get(used..).unwrap_or_default();
    let (term, used) = match Term::take(rest) {
        Ok(Some(found)) => found,
        // Forever must not be a guess.
        Ok(None) => match Term::at_the_end(rest) {
            Some(term) => return Err(phrases::term_at_the_end(&term.join(" "))),
            None => (Term::Forever, 0),
        },
        Err(why) => return Err(phrases::bad_term_in_chat(&why)),
    };
    let reason = rest.get(used..).unwrap_or_default().join(" ");
    Ok((subject, ImportedBan::new(reason, term)))
}

/// A subject whose account has no domain: `bob`, `bob from 203.0.113.7` or `guard of bob`.
fn unqualified(all: &[&str], host: Option<&str>) -> Result<(Subject, usize), String> {
    let at = match all {
        [guard, of, _, ..] if is_guard_of(guard, of) => 2,
        _ => 0,
    };
    let account = subject(all.get(at).copied().unwrap_or_default(), host)?.to_string();
    let mut all = all.to_vec();
    all[at] = &account;
    Subject::take(&all).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::told;

    #[test]
    fn a_line_is_a_subject_a_duration_and_a_reason() {
        let text = "\
# spam wave of October
spam1@example.org
Spam2@Example.org/res 3d, spam in rooms
203.0.113.7,2 weeks,guessing
198.51.100.9/24 until 2027-01-01
spam3 forever
alice@example.org from 203.0.113.9 1h pair
2001:db8::1/129
old@example.org until 2020-01-01
five@example.org 5 strikes
203.0.113.0 /24 1d flood
203.0.113.0 255.255.255.0
203.0.113.1 - 203.0.113.9 1d range
six@example.org spam for 3 days
seven@example.org P1D spam
";
        assert_eq!(
            told(Format::Plain, text),
            [
                "2 spam1@example.org | forever, imported: ",
                "3 spam2@example.org | 2026-11-30T09:00:00Z, imported: spam in rooms",
                "4 203.0.113.7 | 2026-12-11T09:00:00Z, imported: guessing",
                "5 198.51.100.0/24 | 2027-01-01T00:00:00Z, imported: ",
                "6 spam3@example.org | forever, imported: ",
                "7 alice@example.org from 203.0.113.9 | 2026-11-27T10:00:00Z, imported: pair",
                "15 seven@example.org | 2026-11-28T09:00:00Z, imported: spam",
                "bad 8: \"2001:db8::1/129\" is not a valid network; write for example 203.0.113.0/24 or 2001:db8::/64.",
                "bad 10: 5 what? A duration needs a unit, for example 5m, 5h or 5d. If it belongs to the reason, put the reason in quotes.",
                "bad 11: \"203.0.113.0 /24\" is unclear; a network is written in one word, for example 203.0.113.0/24, and a range as networks.",
                "bad 12: \"203.0.113.0 255.255.255.0\" is unclear; a network is written in one word, for example 203.0.113.0/24, and a range as networks.",
                "bad 13: \"203.0.113.1 -\" is unclear; a network is written in one word, for example 203.0.113.0/24, and a range as networks.",
                "bad 14: Does “for 3 days” at the end say how long? Then write it right behind whom it is about. If it belongs to the reason, put the reason in quotes.",
                "out 9: The ban of old@example.org is over.",
            ]
        );
    }

    #[test]
    fn a_line_never_bans_more_than_it_says() {
        let text = "\
alice@example.org from 203.0.113.700 1h pair
bob from 203.0.113.9 1h pair
bob from 203.0.113.700 1h pair
guard of carol
guard of dave@example.org 3d
mallory from hell
alice@example.org from [203.0.113.7] 1h pair
alice@example.org from \"203.0.113.700\" 1h pair
eve From 203.0.113.9
Guard of carol
alice@example.org from ]02;.0.113.9 1h pair
alice@example.org from [203.0.113.7]:5222 1h pair
";
        assert_eq!(
            told(Format::Plain, text),
            [
                "2 bob@example.org from 203.0.113.9 | 2026-11-27T10:00:00Z, imported: pair",
                "4 guard of carol@example.org | forever, imported: ",
                "5 guard of dave@example.org | 2026-11-30T09:00:00Z, imported: ",
                "6 mallory@example.org | forever, imported: from hell",
                "7 alice@example.org from 203.0.113.7 | 2026-11-27T10:00:00Z, imported: pair",
                "9 eve@example.org from 203.0.113.9 | forever, imported: ",
                "bad 1: \"203.0.113.700\" is not a valid address; write for example 203.0.113.7 or 2001:db8::7.",
                "bad 3: \"203.0.113.700\" is not a valid address; write for example 203.0.113.7 or 2001:db8::7.",
                "bad 8: \"203.0.113.700\" is not a valid address; write for example 203.0.113.7 or 2001:db8::7.",
                "bad 11: \"alice@example.org from ]02;.0.113.9\" is not an account and a place; write for example alice@example.org from 203.0.113.7.",
                "bad 12: \"alice@example.org from [203.0.113.7]:5222\" is not an account and a place; write for example alice@example.org from 203.0.113.7.",
            ]
        );
    }
}
