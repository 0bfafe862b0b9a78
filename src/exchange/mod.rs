//! Bans, exemptions and history in files: our own lines both ways, and what other programs print.
//!
//! Reading is pure: a text and the present go in, [`ImportEntry`]s come out, one a subject, and every
//! line that cannot be used is named with its number. [`import`] carries entries down the one road:
//! a ban from a file is an order like any other, so exemptions, policy and history hold for it,
//! and taking the same file twice changes nothing the second time. [`export`] writes our own lines.
//!
//! | format | what it is |
//! | --- | --- |
//! | [`lines`] | ours: JSON Lines of bans, exemptions and history (`portcullis export`) |
//! | [`ejabberd`] | `ejabberdctl list_banned` and `get_ban_details`; passwords `BANNED_ACCOUNT--…` of ejabberd before 24.06 |
//! | [`fail2ban`] | `fail2ban-client get JAIL banip --with-time` |
//! | [`crowdsec`] | `cscli decisions list -o json` |
//! | [`plain`] | one subject a line, with a duration and a reason behind it where you like |
//!
//! Start reading at [`read`].

mod text;

pub mod crowdsec;
pub mod ejabberd;
pub mod export;
pub mod fail2ban;

pub mod import;
pub mod lines;
pub mod plain;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use crate::command::phrases;
use crate::core::policy::{NOTE_MAX, REASON_MAX};
use crate::core::{Account, Event, Origin, Subject, Term, Timestamp};

/// What a file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own lines.
    Portcullis,
    /// Names and details of ejabberd's own bans, or the passwords of its older ones.
    Ejabberd,
    /// fail2ban's list of a jail.
    Fail2ban,
    /// CrowdSec's decisions.
    Crowdsec,
    /// One subject a line.
    Plain,
}

impl Format {
    /// All of them, with the word for each.
    pub const ALL: [(&'static str, Format); 5] = [
        ("portcullis", Format::Portcullis),
        ("ejabberd", Format::Ejabberd),
        ("fail2ban", Format::Fail2ban),
        ("crowdsec", Format::Crowdsec),
        ("plain", Format::Plain),
    ];

    /// What a text looks like. Names alone are a plain list: that they are the server's own bans
    /// has to be said.
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

/// What a file says of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportEntry {
    /// The line it was first named in, from 1.
    pub line: usize,
    /// Whom it is about.
    pub subject: Subject,
    /// A ban that is to stand.
    pub ban: Option<ImportedBan>,
    /// An exemption that is to stand.
    pub exemption: Option<ListedExemption>,
}

/// A ban in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedBan {
    /// Public reason, no longer than is allowed.
    pub reason: String,
    /// Private note.
    pub note: Option<String>,
    /// How long; a length counts from now.
    pub term: Term,
    /// Where it comes from.
    pub origin: Origin,
    /// The server keeps a record of it, which says more: reason and end are read from there.
    pub recorded: bool,
}

/// An exemption in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedExemption {
    /// Why.
    pub comment: String,
    /// Its end; `None`: none.
    pub until: Option<Timestamp>,
}

/// A line that says nothing we could use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Its number, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong with it, for people.
    pub why: String,
}

/// What was read from a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// Decisions made elsewhere, in their order; only our own lines tell them.
    pub history: Vec<Event>,
    /// One a subject, in the order they were first named.
    pub entries: Vec<ImportEntry>,
    /// Lines that cannot be read.
    pub bad: Vec<Bad>,
    /// Lines that can be read and are left out on purpose, such as a ban that is over.
    pub left_out: Vec<Bad>,
}

/// What a reader needs to know.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The present: terms begin now, and what has ended is left out.
    pub now: Timestamp,
    /// The domain of names without one.
    pub host: Option<String>,
}

/// Reads a file. Never fails as a whole: what is wrong is told line by line.
pub fn read(format: Format, text: &str, reading: &Reading) -> Read {
    let text = text.trim_start_matches('\u{feff}');
    let mut pile = Pile::new(reading.now);
    match format {
        Format::Portcullis => lines::read(text, &mut pile),
        Format::Ejabberd => ejabberd::read(text, reading, &mut pile),
        Format::Fail2ban => fail2ban::read(text, &mut pile),
        Format::Crowdsec => crowdsec::read(text, &mut pile),
        Format::Plain => plain::read(text, reading, &mut pile),
    }
    pile.read
}

/// Where readers put what they found: one entry a subject, however often it is named.
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

    /// A ban. Of several of one subject the one that ends last counts.
    fn ban(&mut self, line: usize, subject: Subject, mut ban: ImportedBan) {
        let end = ban.term.ends(self.now);
        if end.is_some_and(|end| end <= self.now) {
            return self.leave_out(line, text::is_over(&subject));
        }
        ban.reason = cut(&phrases::clean(&ban.reason), REASON_MAX);
        ban.note = ban
            .note
            .map(|note| cut(&phrases::clean_lines(&note), NOTE_MAX));
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
            return self.leave_out(line, text::is_over(&subject));
        }
        exempt.comment = cut(&phrases::clean(&exempt.comment), REASON_MAX);
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

/// The first characters of a text: a reason from elsewhere may be longer than ours.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// Reads a subject; a name without a domain is one of `host`, if that is known.
fn subject(text: &str, host: Option<&str>) -> Result<Subject, String> {
    match Subject::parse(text) {
        Err(crate::core::subject::BadSubject::Bare(name)) => match host {
            Some(host) => Subject::parse(&format!("{name}@{host}")).map_err(|why| why.to_string()),
            None => Err(text::bare_name(&name)),
        },
        other => other.map_err(|why| why.to_string()),
    }
}

/// Reads an account, as [`subject`] does.
fn account(text: &str, host: Option<&str>) -> Result<Account, String> {
    match subject(text, host)? {
        Subject::Account(account) => Ok(account),
        other => Err(text::is_no_account(&other)),
    }
}

/// The lines of a text that say anything, with their numbers; `#` begins a comment.
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

    /// Reads a text; each entry as one line, then what is bad and what is left out.
    pub(crate) fn told(format: Format, text: &str) -> Vec<String> {
        let reading = Reading {
            now: now(),
            host: Some("example.org".into()),
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
            until.map_or_else(|| String::from("for ever"), Timestamp::to_exact)
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
