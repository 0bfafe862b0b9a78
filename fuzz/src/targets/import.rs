//! Files of bans: nothing is read that its line does not say, never a wider ban, and what is read is the same after an
//! export.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis::core::policy::{NOTE_MAX, REASON_MAX};
use portcullis::core::{Subject, Term, Timestamp};
use portcullis::exchange::{Format, ImportEntry, Read, Reading, lines, read};

use super::{case_and_text, subject};

pub fn run(data: &[u8]) {
    let Some((case, text)) = case_and_text(data) else {
        return;
    };
    let format = match Format::ALL.get(usize::from(case % 6)) {
        Some((_, format)) => *format,
        None => Format::guess(&text),
    };
    let reading = Reading {
        now: Timestamp::from_millis(1_795_320_000_000),
        host: (case % 12 < 6).then(|| String::from("example.org")),
        history: true,
    };
    let found = read(format, &text, &reading);
    // Decisions in CrowdSec's list are numbered instead of lines.
    let most = match format {
        Format::Crowdsec => usize::MAX,
        _ => text.lines().count(),
    };
    for bad in found.bad.iter().chain(&found.left_out) {
        assert!(bad.line <= most && !bad.why.is_empty() && !bad.why.contains(char::is_control));
    }
    for entry in &found.entries {
        subject::reads_back(&entry.subject);
        assert!((1..=most).contains(&entry.line));
        bounded(entry, &reading);
        let line = text
            .trim_start_matches('\u{feff}')
            .lines()
            .nth(entry.line - 1);
        let said = match format {
            Format::Crowdsec => &text,
            _ => line.expect("the line exists"),
        };
        // JSON may escape any character.
        if !said.contains('\\') {
            as_wide_as_said(entry, said, format);
        }
    }
    same_after_export(&found, &reading);
}

fn bounded(entry: &ImportEntry, reading: &Reading) {
    if let Some(ban) = &entry.ban {
        assert!(
            ban.term
                .ends(reading.now)
                .is_none_or(|end| end > reading.now)
        );
        assert!(ban.reason.chars().count() <= REASON_MAX && !ban.reason.contains(char::is_control));
        let note = ban.note.as_deref().unwrap_or_default();
        assert!(note.chars().count() <= NOTE_MAX);
    }
}

/// Checks that the addresses of an entry stand in its line as they are, and that an account that stands there with a
/// place is not read without it.
fn as_wide_as_said(entry: &ImportEntry, line: &str, format: Format) {
    let between = |c: char| c.is_whitespace() || matches!(c, ',' | '"' | '[' | ']');
    let words = || line.split(between).filter(|word| !word.is_empty());
    let is_said = |net: IpNet| {
        words().any(|word| {
            let word = word.strip_prefix("xmpp:").unwrap_or(word);
            let address = word.parse::<IpAddr>().map(IpNet::from);
            let said = address.or_else(|_| word.parse::<IpNet>());
            said.is_ok_and(|said| Subject::network(said).net() == Some(net))
        })
    };
    if let Some(net) = entry.subject.place() {
        assert!(
            is_said(net),
            "{} is not what this line says: {line:?}",
            entry.subject
        );
    } else if format == Format::Plain && matches!(entry.subject, Subject::Account(_)) {
        let whole = |c: char| c.is_whitespace() || c == ',';
        let said: Vec<&str> = line.split(whole).filter(|word| !word.is_empty()).collect();
        let has_place = said
            .get(1)
            .is_some_and(|from| from.eq_ignore_ascii_case("from"))
            && said.get(2).is_some_and(|place| {
                let place = place.trim_start_matches(|c: char| !c.is_alphanumeric());
                place.starts_with(|c: char| c.is_ascii_digit()) && place.contains(['.', ':', '/'])
            });
        assert!(!has_place, "{} without its place: {line:?}", entry.subject);
    }
}

fn same_after_export(found: &Read, reading: &Reading) {
    let exported = found.entries.iter().flat_map(lines::of);
    let decisions = found
        .history
        .iter()
        .map(|event| lines::ExportLine::event(event, true));
    let text: String = decisions
        .chain(exported)
        .map(|line| line.to_text() + "\n")
        .collect();
    let again = read(Format::Portcullis, &text, reading);
    assert_eq!(again.bad, [], "{text}");
    assert_eq!(again.history, found.history);
    assert_eq!(again.entries.len(), found.entries.len());
    for (again, before) in again.entries.iter().zip(&found.entries) {
        assert_eq!(again.subject, before.subject);
        assert_eq!(again.exemption, before.exemption);
        match (&again.ban, &before.ban) {
            (None, None) => {}
            (Some(again), Some(before)) => {
                assert_eq!(again.reason, before.reason);
                assert_eq!(again.note, before.note);
                assert_eq!(
                    (&again.origin, again.recorded),
                    (&before.origin, before.recorded)
                );
                same_term(again.term, before.term);
            }
            _ => panic!("{again:?} was {before:?}"),
        }
    }
}

/// A duration is written in whole seconds, at least one.
fn same_term(again: Term, before: Term) {
    match (again, before) {
        (Term::For(again), Term::For(before)) => {
            assert_eq!(again.as_secs(), before.as_secs().max(1));
        }
        _ => assert_eq!(again, before),
    }
}
