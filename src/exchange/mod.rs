//! Import and export of bans, exemptions and history.
//!
//! Reading is pure: from a text and the current time it makes [`ImportEntry`]s, one per subject, and names every
//! unusable line by number. [`import`] submits the entries as orders, so exemptions, policy and history apply as to
//! any ban, and importing a file twice changes nothing the second time. [`export`] writes our own format.
//!
//! | format | content |
//! | --- | --- |
//! | [`lines`] | ours: JSON Lines of bans, exemptions and history (`portcullis export`) |
//! | [`ejabberd`] | `ejabberdctl list_banned` and `get_ban_details`; passwords `BANNED_ACCOUNT--…` of ejabberd before 24.06 |
//! | [`fail2ban`] | `fail2ban-client get JAIL banip --with-time` |
//! | [`crowdsec`] | `cscli decisions list -o json` |
//! | [`plain`] | one subject per line, optionally with a duration and a reason |
//!
//! Start reading at [`read`].

pub mod crowdsec;
pub mod ejabberd;
pub mod export;
pub mod fail2ban;

pub mod import;
pub mod lines;
pub mod plain;
pub mod salvage;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use crate::command::phrases;
use crate::core::policy::{NOTE_MAX, REASON_MAX};
use crate::core::words::cut;
use crate::core::{Account, Event, Origin, Subject, Term, Timestamp};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own JSON Lines.
    Portcullis,
    /// Names and details of ejabberd's own bans, or the passwords that were bans before 24.06.
    Ejabberd,
    /// fail2ban's list of one jail.
    Fail2ban,
    /// CrowdSec's list of decisions.
    Crowdsec,
    /// One subject per line.
    Plain,
}

impl Format {
    /// All formats, with the names that the command line takes.
    pub const ALL: [(&'static str, Format); 5] = [
        ("portcullis", Format::Portcullis),
        ("ejabberd", Format::Ejabberd),
        ("fail2ban", Format::Fail2ban),
        ("crowdsec", Format::Crowdsec),
        ("plain", Format::Plain),
    ];

    /// Guesses the format from the content. A list of names alone counts as plain; that it holds the server's own
    /// bans must be said by the user.
    pub fn guess(text: &str) -> Format {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('[') || text.trim_end() == "null" {
            return Format::Crowdsec;
        }
        if text.starts_with('{') {
            return Format::Portcullis;
        }
        for line in text.lines().take(100) {
            if fail2ban::is_one(line) {
                return Format::Fail2ban;
            }
            if ejabberd::is_one(line) {
                return Format::Ejabberd;
            }
        }
        Format::Plain
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Format::ALL.iter().find(|(_, format)| format == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// One subject of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportEntry {
    /// Number of the first line that names it, from 1.
    pub line: usize,
    /// The subject.
    pub subject: Subject,
    /// The ban, if the file has one.
    pub ban: Option<ImportedBan>,
    /// The exemption, if the file has one.
    pub exemption: Option<ListedExemption>,
}

/// A ban from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedBan {
    /// Public reason, cut to the maximum length.
    pub reason: String,
    /// Private note.
    pub note: Option<String>,
    /// How long it lasts; a duration counts from the import.
    pub term: Term,
    /// How the ban was made.
    pub origin: Origin,
    /// Whether the server keeps a record of it, from which reason and end are read.
    pub recorded: bool,
}

impl ImportedBan {
    /// A ban from a list of another program, without a private note.
    pub fn new(reason: String, term: Term) -> Self {
        ImportedBan {
            reason,
            note: None,
            term,
            origin: Origin::Imported,
            recorded: false,
        }
    }
}

/// An exemption from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedExemption {
    /// Why it is exempt.
    pub comment: String,
    /// Its end; `None`: forever.
    pub until: Option<Timestamp>,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Number of the line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, as a sentence for people.
    pub why: String,
}

/// The content of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// Decisions from another portcullis, in their order; only our own format has them.
    pub history: Vec<Event>,
    /// Number of decisions from another portcullis that were left out, because [`Reading::history`] was not set.
    pub unasked: usize,
    /// One entry per subject, in the order in which they were first named.
    pub entries: Vec<ImportEntry>,
    /// Lines that cannot be read.
    pub bad: Vec<Bad>,
    /// Lines that are readable and left out on purpose, such as a ban that has ended.
    pub left_out: Vec<Bad>,
}

/// The context that a reader needs.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The current time: durations begin now, and entries that have ended are left out.
    pub now: Timestamp,
    /// The domain of names without one; `None`: such names are bad lines.
    pub host: Option<String>,
    /// Whether decisions from another portcullis are wanted. They can ban, exempt and lift whatever an admin can, so a
    /// file with them must not be taken for a list of bans.
    pub history: bool,
}

/// Reads a file. Never fails as a whole: every problem is reported with its line.
pub fn read(format: Format, text: &str, reading: &Reading) -> Read {
    let text = text.trim_start_matches('\u{feff}');
    let mut pile = Pile::new(reading.now);
    match format {
        Format::Portcullis => lines::read(text, reading, &mut pile),
        Format::Ejabberd => ejabberd::read(text, reading, &mut pile),
        Format::Fail2ban => fail2ban::read(text, &mut pile),
        Format::Crowdsec => crowdsec::read(text, &mut pile),
        Format::Plain => plain::read(text, reading, &mut pile),
    }
    pile.read
}

/// Collects what readers find: one entry per subject, however often it is named.
#[derive(Debug)]
pub(crate) struct Pile {
    now: Timestamp,
    places: HashMap<Subject, usize>,
    read: Read,
}

impl Pile {
    fn new(now: Timestamp) -> Self {
        Pile {
            now,
            places: HashMap::new(),
            read: Read::default(),
        }
    }

    fn entry(&mut self, line: usize, subject: Subject) -> &mut ImportEntry {
        let entries = &mut self.read.entries;
        let at = match self.places.entry(subject) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                entries.push(ImportEntry {
                    line,
                    subject: place.key().clone(),
                    ban: None,
                    exemption: None,
                });
                *place.insert(entries.len() - 1)
            }
        };
        &mut entries[at]
    }

    /// Adds a ban. If a subject has several, the one that ends last is kept.
    fn ban(&mut self, line: usize, subject: Subject, mut ban: ImportedBan) {
        let end = ban.term.ends(self.now);
        if end.is_some_and(|end| end <= self.now) {
            return self.leave_out(line, is_over(&subject));
        }
        ban.reason = cut(phrases::clean(&ban.reason), REASON_MAX);
        ban.note = ban
            .note
            .map(|note| cut(phrases::clean_lines(&note), NOTE_MAX));
        let now = self.now;
        let entry = self.entry(line, subject);
        let lasts_longer = match &entry.ban {
            None => true,
            Some(before) => before
                .term
                .ends(now)
                .is_some_and(|before| end.is_none_or(|end| before < end)),
        };
        if lasts_longer {
            entry.ban = Some(ban);
        }
    }

    fn exemption(&mut self, line: usize, subject: Subject, mut exempt: ListedExemption) {
        if exempt.until.is_some_and(|end| end <= self.now) {
            return self.leave_out(line, is_over(&subject));
        }
        exempt.comment = cut(phrases::clean(&exempt.comment), REASON_MAX);
        self.entry(line, subject).exemption = Some(exempt);
    }

    fn event(&mut self, event: Event) {
        self.read.history.push(event);
    }

    fn bad(&mut self, line: usize, why: impl Into<String>) {
        let why = phrases::sentence(&why.into());
        self.read.bad.push(Bad { line, why });
    }

    fn leave_out(&mut self, line: usize, why: impl Into<String>) {
        let why = phrases::sentence(&why.into());
        self.read.left_out.push(Bad { line, why });
    }
}

fn is_over(subject: &Subject) -> String {
    format!("The ban of {subject} is over.")
}

fn no_time(text: &str) -> String {
    format!("{:?} is no time.", phrases::clean(text))
}

/// Parses a subject. A name without a domain gets `host`.
fn subject(text: &str, host: Option<&str>) -> Result<Subject, String> {
    match Subject::parse(text) {
        Err(crate::core::subject::BadSubject::Bare(name)) => match host {
            Some(host) => Subject::parse(&format!("{name}@{host}")).map_err(|why| why.to_string()),
            None => Err(format!(
                "{name:?} has no domain; write name@domain, or say the domain once with --host."
            )),
        },
        other => other.map_err(|why| why.to_string()),
    }
}

/// Parses an account, as [`subject`] does.
fn account(text: &str, host: Option<&str>) -> Result<Account, String> {
    match subject(text, host)? {
        Subject::Account(account) => Ok(account),
        other => Err(format!("{other} is no account.")),
    }
}

/// The lines that are neither empty nor comments (`#`), with their numbers from 1.
fn said(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) fn now() -> Timestamp {
        Timestamp::parse("2026-11-27T09:00:00Z").unwrap()
    }

    /// Reads a text and prints each entry as one line, then bad lines, then lines left out.
    pub(crate) fn told(format: Format, text: &str) -> Vec<String> {
        let reading = Reading {
            now: now(),
            host: Some("example.org".into()),
            history: true,
        };
        let read = read(format, text, &reading);
        let mut all: Vec<String> = read.entries.iter().map(entry).collect();
        all.extend(
            read.bad
                .iter()
                .map(|bad| format!("bad {}: {}", bad.line, bad.why)),
        );
        let left_out = read.left_out.iter();
        all.extend(left_out.map(|one| format!("out {}: {}", one.line, one.why)));
        all
    }

    fn entry(entry: &ImportEntry) -> String {
        let mut text = format!("{} {}", entry.line, entry.subject);
        let end = |until: Option<Timestamp>| {
            until.map_or_else(|| String::from("forever"), Timestamp::to_exact)
        };
        if let Some(ban) = &entry.ban {
            let recorded = if ban.recorded { ", recorded" } else { "" };
            let (until, origin) = (end(ban.term.ends(now())), &ban.origin);
            text += &format!(" | {until}, {origin}{recorded}: {}", ban.reason);
        }
        if let Some(exempt) = &entry.exemption {
            text += &format!(" | exempt {}: {}", end(exempt.until), exempt.comment);
        }
        text
    }

    #[test]
    fn a_file_is_recognised_by_what_it_looks_like() {
        for (text, format) in [
            ("[]", Format::Crowdsec),
            ("null\n", Format::Crowdsec),
            ("\u{feff}{\"kind\":\"ban\"}", Format::Portcullis),
            (
                "203.0.113.7 \t2026-11-27 09:19:13 + 3600 = 2026-11-27 10:19:13",
                Format::Fail2ban,
            ),
            ("spam@example.org\nreason\tspam", Format::Ejabberd),
            (
                "spam\tBANNED_ACCOUNT--20120229T12:34:56--x--spam",
                Format::Ejabberd,
            ),
            ("spam@example.org\n203.0.113.7 3d spam", Format::Plain),
            ("", Format::Plain),
        ] {
            assert_eq!(Format::guess(text), format, "{text}");
        }
        for (name, format) in Format::ALL {
            assert_eq!(format.to_string(), name);
        }
    }

    #[test]
    fn of_several_bans_of_one_subject_the_one_that_ends_last_counts() {
        assert_eq!(
            told(Format::Plain, "a@b.c 1d x\nA@b.c 3d y\na@b.c 2d z"),
            ["1 a@b.c | 2026-11-30T09:00:00Z, imported: y"]
        );
    }
}
