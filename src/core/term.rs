//! Terms of bans, and the text forms that people use.

use std::fmt;
use std::time::Duration;

use super::time::{Timestamp, in_words};

/// The term of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// This long from now.
    For(Duration),
    /// Until a point in time.
    Until(Timestamp),
    /// Permanent: until a person lifts the ban.
    Forever,
}

/// The text is no term. `Display` says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTerm {
    /// A number without a unit. Guessing between minutes and days would be dangerous.
    #[error("{0} what? A duration needs a unit, for example {0}m, {0}h or {0}d")]
    NoUnit(String),
    /// Not a duration at all.
    #[error(
        "{0:?} is not a duration; write for example 30m, 12h, 3d, 1d12h, 2 weeks, until 2030-01-01, forever"
    )]
    Unreadable(String),
    /// `until` is not followed by a date.
    #[error("{0:?} is not a date; write for example until 2030-01-01 or until 2030-01-01T12:00Z")]
    NoDate(String),
    /// Zero, or longer than the longest term.
    #[error("a duration must be longer than nothing and shorter than 1000 years")]
    OutOfRange,
}

/// The longest term with an end: 1000 years of 365 days.
const MOST: Duration = Duration::from_secs(1000 * 365 * 86_400);

impl Term {
    /// Parses a text that is a term and nothing else.
    ///
    /// # Errors
    /// [`BadTerm`] if the text is no term or has further words.
    pub fn parse(text: &str) -> Result<Term, BadTerm> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match Self::take(&words)? {
            Some((term, used)) if used == words.len() => Ok(term),
            _ => Err(BadTerm::Unreadable(text.trim().to_owned())),
        }
    }

    /// Parses a term at the start of `words` and returns how many words it took; `None` if they do not begin with a
    /// term.
    ///
    /// # Errors
    /// [`BadTerm`] if they begin with a malformed term, such as a bare number.
    pub fn take(words: &[&str]) -> Result<Option<(Term, usize)>, BadTerm> {
        let Some(first) = words.first().map(|word| word.to_lowercase()) else {
            return Ok(None);
        };
        match first.as_str() {
            "forever" | "permanent" | "permanently" | "perm" => {
                return Ok(Some((Term::Forever, 1)));
            }
            "for" if words.get(1).is_some_and(|word| starts_with_digit(word)) => {
                return Ok(Self::take(&words[1..])?.map(|(term, used)| (term, used + 1)));
            }
            "until" => {
                return Self::take_date(&words[1..]).map(|found| Some((found.0, found.1 + 1)));
            }
            _ => {}
        }
        if let Some(span) = iso_span(&first) {
            let span = span.filter(|span| !span.is_zero() && *span <= MOST);
            return Ok(Some((Term::For(span.ok_or(BadTerm::OutOfRange)?), 1)));
        }
        if !starts_with_digit(&first) {
            return Ok(None);
        }
        if let Some(at) = Timestamp::parse(words[0]) {
            return Ok(Some((Term::Until(at), 1)));
        }
        let (mut total, mut used) = (Duration::ZERO, 0);
        while let Some((span, count)) = take_span(&words[used..])? {
            total = total.checked_add(span).ok_or(BadTerm::OutOfRange)?;
            used += count;
        }
        if total.is_zero() || total > MOST {
            return Err(BadTerm::OutOfRange);
        }
        Ok(Some((Term::For(total), used)))
    }

    /// The words of a term at the end of a text that does not begin with one, such as `3 days` in `spam for 3 days`: it
    /// may be the term of the ban or belong to the reason. A date alone is no term here, but `until` and a date is.
    pub fn at_the_end<'a>(words: &'a [&'a str]) -> Option<&'a [&'a str]> {
        let ends = (1..words.len()).filter(|at| Timestamp::parse(words[*at]).is_none());
        let mut ends = ends.map(|at| &words[at..]);
        ends.find(|rest| matches!(Self::take(rest), Ok(Some((_, used))) if used == rest.len()))
    }

    fn take_date(words: &[&str]) -> Result<(Term, usize), BadTerm> {
        let first = words.first().copied().unwrap_or_default();
        if let Some(time) = words.get(1).filter(|word| word.contains(':'))
            && let Some(at) = Timestamp::parse(&format!("{first}T{time}"))
        {
            let zone = usize::from(
                words
                    .get(2)
                    .is_some_and(|word| word.eq_ignore_ascii_case("utc")),
            );
            return Ok((Term::Until(at), 2 + zone));
        }
        match Timestamp::parse(first) {
            Some(at) => Ok((Term::Until(at), 1)),
            None => Err(BadTerm::NoDate(first.to_owned())),
        }
    }

    /// The term that ends at this time; `None`: permanent.
    pub fn up_to(end: Option<Timestamp>) -> Term {
        end.map_or(Term::Forever, Term::Until)
    }

    /// When a ban of this term that starts now ends; `None`: permanent.
    pub fn ends(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Term::For(span) => Some(now.saturating_add(span)),
            Term::Until(at) => Some(at),
            Term::Forever => None,
        }
    }

    /// The length from now; `None`: permanent.
    pub fn length(self, now: Timestamp) -> Option<Duration> {
        self.ends(now).map(|end| end.since(now))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::For(span) => f.write_str(&in_words(*span)),
            Term::Until(at) => write!(f, "until {at}"),
            Term::Forever => f.write_str("forever"),
        }
    }
}

fn starts_with_digit(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// A duration of ISO 8601 in lower case (`p1d`, `pt12h`, `p1w`); `None`: the word is none, `Some(None)`: it is too long.
fn iso_span(word: &str) -> Option<Option<Duration>> {
    let rest = word.strip_prefix('p')?;
    let (date, time) = match rest.split_once('t') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let units = |text: &str, known: &[(char, u64)]| {
        let (mut total, mut number) = (Some(0_u64), String::new());
        let mut left = known.iter();
        for c in text.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            // Each unit at most once, the largest first.
            let (_, size) = left.find(|(unit, _)| *unit == c)?;
            if number.is_empty() {
                return None;
            }
            let count = std::mem::take(&mut number).parse::<u64>().ok();
            let seconds = count.and_then(|count| count.checked_mul(*size));
            total = total
                .zip(seconds)
                .and_then(|(sum, more)| sum.checked_add(more));
        }
        number.is_empty().then_some(total)
    };
    let days = [
        ('y', 365 * 86_400),
        ('m', 30 * 86_400),
        ('w', 7 * 86_400),
        ('d', 86_400),
    ];
    let date = units(date, &days)?;
    let time = units(time, &[('h', 3_600), ('m', 60), ('s', 1)])?;
    let total = date
        .zip(time)
        .and_then(|(date, time)| date.checked_add(time));
    Some(total.map(Duration::from_secs))
}

/// One or more `NUMBER UNIT` pairs: `1d12h` in one word, or `2` and `weeks` in two.
fn take_span(words: &[&str]) -> Result<Option<(Duration, usize)>, BadTerm> {
    let Some(word) = words.first().filter(|word| starts_with_digit(word)) else {
        return Ok(None);
    };
    let mut rest = *word;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (name, after) = after.split_at(letters);
        let (name, used) = match name {
            "" => (words.get(1).copied().unwrap_or_default(), 2),
            name => (name, 1),
        };
        if number.is_empty() {
            return Err(BadTerm::Unreadable((*word).to_owned()));
        }
        let Some(size) = unit(name) else {
            return Err(match used {
                2 => BadTerm::NoUnit(number.to_owned()),
                _ => BadTerm::Unreadable((*word).to_owned()),
            });
        };
        let count: u64 = number.parse().map_err(|_| BadTerm::OutOfRange)?;
        let seconds = count.checked_mul(size).ok_or(BadTerm::OutOfRange)?;
        total = total
            .checked_add(Duration::from_secs(seconds))
            .ok_or(BadTerm::OutOfRange)?;
        if used == 2 {
            return Ok(Some((total, 2)));
        }
        rest = after;
    }
    Ok(Some((total, 1)))
}

/// Seconds in a unit; `None` for an unknown one. A month is 30 days and a year 365: a ban needs no calendar.
fn unit(name: &str) -> Option<u64> {
    Some(match name.to_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        "mo" | "month" | "months" => 30 * 86_400,
        "y" | "yr" | "year" | "years" => 365 * 86_400,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(input: &str, seconds: u64) {
        assert_eq!(
            Term::parse(input),
            Ok(Term::For(Duration::from_secs(seconds))),
            "{input}"
        );
    }

    #[test]
    fn terms_read_like_people_write_them() {
        check("30m", 1_800);
        check("2h", 7_200);
        check("3d", 259_200);
        check("1d12h", 129_600);
        check("2 weeks", 1_209_600);
        check("1 day 6 hours", 108_000);
        check("for 3 days", 259_200);
        check("1mo", 2_592_000);
        check("1y", 31_536_000);
        check("45 s", 45);
        assert_eq!(Term::parse("Forever"), Ok(Term::Forever));
        let date = Timestamp::parse("2030-01-01").unwrap();
        assert_eq!(Term::parse("until 2030-01-01"), Ok(Term::Until(date)));
        assert_eq!(Term::parse("2030-01-01"), Ok(Term::Until(date)));
        assert_eq!(
            Term::parse("until 2030-01-01 12:00 UTC"),
            Ok(Term::Until(Timestamp::parse("2030-01-01T12:00Z").unwrap()))
        );
    }

    #[test]
    fn a_number_without_a_unit_is_an_error_never_minutes() {
        assert_eq!(Term::parse("5"), Err(BadTerm::NoUnit("5".into())));
        assert_eq!(
            Term::take(&["3", "strikes"]),
            Err(BadTerm::NoUnit("3".into()))
        );
        assert!(BadTerm::NoUnit("5".into()).to_string().contains("5m"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(matches!(Term::parse("1d12x"), Err(BadTerm::Unreadable(_))));
        assert!(matches!(
            Term::parse("until tuesday"),
            Err(BadTerm::NoDate(_))
        ));
        assert_eq!(Term::parse("0s"), Err(BadTerm::OutOfRange));
        assert_eq!(
            Term::parse("99999999999999999999y"),
            Err(BadTerm::OutOfRange)
        );
        assert!(Term::parse("1000y").is_ok());
        assert_eq!(Term::parse("1000y 1s"), Err(BadTerm::OutOfRange));
        assert!(matches!(Term::parse("spam"), Err(BadTerm::Unreadable(_))));
        assert!(matches!(Term::parse(""), Err(BadTerm::Unreadable(_))));
        assert!(matches!(
            Term::parse("2h spam"),
            Err(BadTerm::Unreadable(_))
        ));
    }

    #[test]
    fn the_words_after_a_term_are_left_for_the_reason() {
        let (term, used) = Term::take(&["2", "weeks", "spam", "again"])
            .unwrap()
            .unwrap();
        assert_eq!((term.to_string().as_str(), used), ("14 days", 2));
        assert_eq!(Term::take(&["spam", "2h"]), Ok(None));
        assert_eq!(Term::take(&["for", "permanent", "spam"]), Ok(None));
    }
}
