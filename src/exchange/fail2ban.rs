//! Reads the output of `fail2ban-client get JAIL banip --with-time` (seen with fail2ban 1.0.2):
//!
//! ```text
//! 203.0.113.7 <tab>2026-11-27 09:19:13 + 3600 = 2026-11-27 10:19:13
//! 192.0.2.9 <tab>2026-11-27 09:19:14 + -1 = 9999-12-31 23:59:59
//! ```
//!
//! Times are in the local time zone of the machine that runs fail2ban; `-1` means forever.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{ImportedBan, Pile, no_time, said, subject};
use crate::command::phrases::clean;
use crate::core::{Subject, Term, Timestamp};

/// Whether the line has fail2ban's form.
const NOT_ONE: &str = "This is no line of `fail2ban-client get JAIL banip --with-time`: an address, a time + seconds = a time.";

pub(super) fn is_one(line: &str) -> bool {
    parts(line).is_some()
}

/// A line in its parts.
struct BannedLine<'a> {
    address: &'a str,
    begin: &'a str,
    /// `-1`: forever.
    seconds: &'a str,
    end: &'a str,
}

fn parts(line: &str) -> Option<BannedLine<'_>> {
    let (address, rest) = line.trim().split_once(char::is_whitespace)?;
    let (begin, rest) = rest.split_once(" + ")?;
    let (seconds, end) = rest.split_once(" = ")?;
    Some(BannedLine {
        address,
        begin: begin.trim(),
        seconds: seconds.trim(),
        end: end.trim(),
    })
}

pub(super) fn read(text: &str, pile: &mut Pile) {
    let here = TimeZone::system();
    for (number, line) in said(text) {
        match one(line, &here) {
            Ok((subject, ban)) => pile.ban(number, subject, ban),
            Err(why) => pile.bad(number, why),
        }
    }
}

fn one(line: &str, zone: &TimeZone) -> Result<(Subject, ImportedBan), String> {
    let BannedLine {
        address,
        begin,
        seconds,
        end,
    } = parts(line).ok_or(NOT_ONE)?;
    let subject = subject(address, None)?;
    let time = |text| local(text, zone).ok_or_else(|| no_time(text));
    let term = match seconds {
        "-1" => Term::Forever,
        _ => Term::Until(time(end)?),
    };
    // Where the begin or the seconds are something else, the end may be, too.
    time(begin)?;
    if seconds != "-1" && seconds.parse::<u64>().is_err() {
        return Err(format!("{:?} is no number of seconds.", clean(seconds)));
    }
    Ok((subject, ImportedBan::new(String::from("fail2ban"), term)))
}

fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Output of fail2ban 1.0.2.
    const PRINTED: &str = include_str!("../../tests/it/lists/fail2ban.txt");

    #[test]
    fn the_list_of_a_jail_is_read_with_its_ends() {
        let zone = TimeZone::get("UTC").unwrap();
        let all: Vec<_> = PRINTED
            .lines()
            .map(|line| one(line, &zone).unwrap())
            .collect();
        let shown: Vec<String> = all
            .iter()
            .map(|(subject, ban)| {
                let end = match ban.term {
                    Term::Until(end) => end.to_exact(),
                    other => other.to_string(),
                };
                format!("{subject} {end}")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "203.0.113.7 2026-11-27T10:19:13Z",
                "2001:db8::7 2026-11-27T10:19:13Z",
                "198.51.100.0/24 2026-11-27T10:19:13Z",
                "192.0.2.9 forever",
            ]
        );
    }

    #[test]
    fn times_are_local_ones() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let (_, ban) = one(
            "192.0.2.9 \t2026-11-27 09:00:00 + 60 = 2026-11-27 09:01:00",
            &zone,
        )
        .unwrap();
        let end = Timestamp::parse("2026-11-27T07:01:00Z").unwrap();
        assert_eq!(ban.term, Term::Until(end));
    }

    #[test]
    fn other_lines_say_what_is_expected() {
        let zone = TimeZone::UTC;
        assert!(
            one("203.0.113.7 203.0.113.8", &zone)
                .unwrap_err()
                .contains("--with-time")
        );
        assert!(
            one("203.0.113.7 x + 1 = never", &zone)
                .unwrap_err()
                .contains("never")
        );
        for (seconds, begin) in [
            ("60h", "09:00:00"),
            ("60 of", "09:00:00"),
            ("60", "09:00:00 x"),
        ] {
            let line = format!("192.0.2.9 \t2026-11-27 {begin} + {seconds} = 2026-11-27 09:01:00");
            assert!(one(&line, &zone).is_err(), "{line}");
        }
        assert!(one("http-bot x + 1 = 2026-11-27 09:01:00", &zone).is_err());
    }
}
