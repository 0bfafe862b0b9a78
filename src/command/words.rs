//! Every sentence people read, in one place, so that another language is another file.
//!
//! A sentence about a ban ends with what a user supplied (the reason), or has a line to itself:
//! nobody can write a reason that reads like the rest of our answer. Control and bidirectional
//! characters never pass ([`clean`]). Times are UTC and say so.

mod login;

pub use login::*;

use std::fmt::Write as _;

use ipnet::IpNet;

use super::outcome::{Grade, Outcome, Reference};
use super::spec::{DEFAULT_TERM, Kind, Place, Spec};
use crate::ban::term::BadTerm;
use crate::ban::time::in_words;
use crate::ban::{
    Account, Ban, BanId, Change, Door, Event, Past, Role, Ruling, Subject, Term, Timestamp,
};
use crate::gate::Settled;
use crate::gate::ports::{Gap, Held, LogFault, Standing, Task};

/// How many subjects a sentence names before it only counts them.
const NAMED: usize = 5;

/// One line of a text from outside: control characters, those that turn the direction of
/// writing and invisible ones are taken out, line ends become spaces.
pub fn clean(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_trick(*c))
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same for a text of several lines.
pub fn clean_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean).collect();
    lines.join("\n").trim().to_owned()
}

/// Control characters, marks of direction (they can make a line read backwards), zero-width
/// characters (they make two names look the same) and what XML cannot carry.
fn is_trick(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// With a capital and a full stop, and no longer than anybody reads.
pub fn sentence(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut text = clean(text);
    if let Some((cut, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(cut);
        text.push('…');
    }
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return text;
    };
    let mut text: String = first.to_uppercase().chain(letters).collect();
    stop(&mut text);
    text
}

fn stop(text: &mut String) {
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
}

/// `: reason.`, or only the full stop when there is none.
fn because(reason: &str) -> String {
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
fn count(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

// Terms.

/// The preset that leaves the term open.
pub fn default_term(term: Term) -> String {
    format!("As configured ({term}), or as it is")
}

/// A term.
pub fn term(term: Term) -> String {
    term.to_string()
}

/// `2030-01-01 12:00 UTC` or `for ever`.
pub fn until(until: Option<Timestamp>) -> String {
    until.map_or_else(|| String::from("for ever"), |end| end.to_string())
}

/// `until 2030-01-01 12:00 UTC` or `for ever`.
fn by_then(end: Option<Timestamp>) -> String {
    end.map_or_else(|| String::from("for ever"), |end| format!("until {end}"))
}

/// `until 2030-01-01 12:00 UTC (3 days)` or `for ever`.
fn by_then_counted(end: Option<Timestamp>, now: Timestamp) -> String {
    match end {
        None => String::from("for ever"),
        Some(at) => format!("until {at} ({})", in_words(at.since(now))),
    }
}

/// The end of a ban and how far it is.
pub fn until_and_left(ban: &Ban, now: Timestamp) -> String {
    match ban.until {
        None => String::from("for ever"),
        Some(end) => format!("{end} ({} left)", in_words(end.since(now))),
    }
}

// Ban and un-ban.

/// A ban began.
pub fn banned(ban: &Ban, now: Timestamp) -> String {
    format!(
        "Banned {} {} {}{}",
        ban.id,
        ban.subject,
        by_then_counted(ban.until, now),
        because(&ban.reason)
    )
}

/// A ban got other terms.
pub fn amended(ban: &Ban, before: Option<Timestamp>, now: Timestamp) -> String {
    let now_until = by_then_counted(ban.until, now);
    if before == ban.until {
        return format!(
            "Changed {} {}: still {now_until}, reason now{}",
            ban.id,
            ban.subject,
            because_or_none(&ban.reason)
        );
    }
    format!(
        "Changed {} {}: was {}, now {now_until}{}",
        ban.id,
        ban.subject,
        by_then(before),
        because(&ban.reason)
    )
}

fn because_or_none(reason: &str) -> String {
    because(if reason.is_empty() { "none" } else { reason })
}

/// The reason before a change.
pub fn reason_was(reason: &str) -> String {
    format!("The reason was{}", because_or_none(reason))
}

/// Nothing to do: the same ban stands.
pub fn already(ban: &Ban, now: Timestamp) -> String {
    format!(
        "{} is already banned: {} {}, by {}{}",
        ban.subject,
        ban.id,
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// How to give a ban other terms.
pub fn how_to_change(ban: &Ban) -> String {
    format!(
        "To change it: ban {0} DURATION REASON. To end it: unban {0}",
        ban.id
    )
}

/// Who decided: a person, or `the rule pair-failures`, which a person may have called upon.
pub fn author(ban: &Ban) -> String {
    let name = clean(ban.by.bare_name());
    match (ban.origin.rule(), ban.by.door) {
        (None, _) => name,
        (Some(rule), Door::Hook) => format!("the rule {}", clean(rule)),
        (Some(rule), _) => format!("the rule {} (called upon by {name})", clean(rule)),
    }
}

/// A ban ended.
pub fn lifted(ban: &Ban) -> String {
    format!("Un-banned {} {}.", ban.id, ban.subject)
}

/// There was no ban.
pub fn not_banned(subject: &Subject, last: Option<&Past>) -> String {
    match last {
        None => format!("{subject} is not banned. It never was."),
        Some(past) => format!(
            "{subject} is not banned. Its last ban, {}, ended {}.",
            past.id, past.ended
        ),
    }
}

/// The line that takes a ban back.
pub fn undo(numbers: &[&str]) -> String {
    format!("Undo: unban {}", numbers.join(" "))
}

/// The line that restores a ban.
pub fn ban_again(ban: &Ban, now: Timestamp) -> String {
    undo_by_ban(&ban.subject.to_string(), ban.until, &ban.reason, now)
}

/// The line that takes a change back.
pub fn back_to(id: BanId, before: Option<Timestamp>, reason: &str, now: Timestamp) -> String {
    undo_by_ban(&id.to_string(), before, reason, now)
}

fn undo_by_ban(whom: &str, until: Option<Timestamp>, reason: &str, now: Timestamp) -> String {
    let term = match until {
        Some(end) if end > now => format!("until {}", end.to_xmpp()),
        Some(_) => String::from("DURATION"),
        None => String::from("forever"),
    };
    format!("Undo: ban {whom} {term} {}", clean(reason))
        .trim_end()
        .to_owned()
}

/// What the server did about a ban that began or, else, was changed or there already.
pub fn held(subject: &Subject, settled: &Settled, level: u8, began: bool) -> (Grade, String) {
    let text = match (settled, subject) {
        _ if level == 0 => return (Grade::Warning, nothing_enforced()),
        (Settled::Pending(why), _) => return (Grade::Warning, not_yet(why.as_deref())),
        (Settled::Done(Held::NeedsModule), _) => return (Grade::Warning, needs_module(subject)),
        (Settled::Done(Held::Enforced), Subject::Account(_)) if began => {
            "Their sessions were ended."
        }
        (Settled::Done(Held::Enforced), Subject::Account(_)) => "The server refuses them.",
        (Settled::Done(Held::Enforced), _) => "The server enforces it.",
    };
    (Grade::Good, String::from(text))
}

/// What the server did about the end of a ban.
pub fn released(subject: &Subject, settled: &Settled) -> (Grade, String) {
    match (settled, subject) {
        (Settled::Done(_), Subject::Account(_)) => {
            (Grade::Good, String::from("They can log in again."))
        }
        (Settled::Done(_), _) => (Grade::Good, String::from("It is let in again.")),
        (Settled::Pending(why), _) => (Grade::Warning, not_yet(why.as_deref())),
    }
}

fn not_yet(why: Option<&str>) -> String {
    let why = why
        .map(|why| format!(": {}", clean(why).trim_end_matches('.')))
        .unwrap_or_default();
    format!("The server has not carried it out yet{why}; I keep trying.")
}

/// Level 0, loudly.
fn nothing_enforced() -> String {
    String::from(
        "NOT ENFORCED: the server does not let portcullis act yet (level 0). It is stored and will be carried out; `status` shows the missing lines.",
    )
}

/// What only the module enforces, without it.
fn needs_module(subject: &Subject) -> String {
    let what = match subject {
        Subject::Pair(..) => "bans of an account from one place",
        Subject::Guard(_) => "a guard",
        _ => "address bans",
    };
    format!(
        "Stored and checked, but on this server only the hook module can enforce {what}; it is not installed."
    )
}

/// Where the server stands with a ban.
pub fn on_the_server(subject: &Subject, task: Option<&Task>, level: u8) -> String {
    match (task, subject) {
        (Some(task), _) => format!("Not carried out yet: {}", self::task(task)),
        _ if level == 0 => nothing_enforced(),
        (None, Subject::Account(_)) => String::from("The server refuses them."),
        (None, _) if level < 2 => needs_module(subject),
        (None, _) => String::from("The server enforces it."),
    }
}

/// An address is free itself but covered.
pub fn still_covered(ban: &Ban, now: Timestamp) -> String {
    format!(
        "Another ban covers it: {} {} {}{}",
        ban.id,
        ban.subject,
        by_then_counted(ban.until, now),
        because(&ban.reason)
    )
}

/// A ruling that did not do it.
pub fn not_done(subject: &Subject, ruling: &Ruling) -> String {
    match ruling {
        Ruling::Refused(why) => format!("{subject}: {why}"),
        Ruling::Stale => format!("{subject}: somebody else is changing it; try again."),
        _ => format!("{subject}: nothing was changed."),
    }
}

/// The store did not do it.
pub fn failed(subject: &Subject, fault: &LogFault, reference: &Reference) -> String {
    match fault {
        LogFault::Busy => format!("{subject}: too much is being written; try again in a moment."),
        _ => format!("{subject}: NOT stored. {}", broken(reference)),
    }
}

/// A fault of ours.
pub fn broken(reference: &Reference) -> String {
    format!(
        "Something failed here; the log says more under the reference {}.",
        reference.0
    )
}

// Answers for several.

/// `Done`, `2 of 3 done`.
pub fn summary_title(done: usize, all: usize) -> String {
    match (done, all) {
        (0, _) => String::from("Not done"),
        (1, 1) => String::from("Done"),
        _ => format!("{done} of {all} done"),
    }
}

/// `2 of 3 done. Failed: a, b.`
pub fn summary(done: usize, all: usize, failed: &[&Subject]) -> String {
    let mut text = format!("{done} of {all} done.");
    if !failed.is_empty() {
        let _ = write!(text, " FAILED: {}.", named(failed.iter().copied()));
    }
    text
}

fn named<'a>(subjects: impl ExactSizeIterator<Item = &'a Subject>) -> String {
    let all = subjects.len();
    let mut names: Vec<String> = subjects.take(NAMED).map(ToString::to_string).collect();
    if all > NAMED {
        names.push(format!("and {} more", all - NAMED));
    }
    names.join(", ")
}

/// What is to be said of several subjects at once: each sentence once, with how often it holds.
pub fn shared<'a>(sentences: impl Iterator<Item = &'a str>, all: usize) -> Vec<String> {
    let mut told: Vec<(&str, usize)> = Vec::new();
    for sentence in sentences {
        match told.iter_mut().find(|(known, _)| *known == sentence) {
            Some((_, times)) => *times += 1,
            None => told.push((sentence, 1)),
        }
    }
    told.into_iter()
        .take(NAMED)
        .map(|(sentence, times)| {
            if times == all {
                sentence.to_owned()
            } else {
                format!("{times} of {all}: {sentence}")
            }
        })
        .collect()
}

// Asking back.

/// `Ban 6 subjects?`
pub fn ask_title(number: usize) -> String {
    match number {
        1 => String::from("Really ban it?"),
        _ => format!("Really ban {number} subjects?"),
    }
}

/// What would be done.
pub fn ask(
    subjects: &[Subject],
    is_wide: &dyn Fn(&Subject) -> bool,
    term: Term,
    now: Timestamp,
    reason: Option<&str>,
) -> Vec<String> {
    let mut lines = vec![format!(
        "Nothing is done yet. Ban {} {}{}",
        named(subjects.iter()),
        by_then_counted(term.ends(now), now),
        because(reason.unwrap_or_default()),
    )];
    for subject in subjects
        .iter()
        .filter(|subject| is_wide(subject))
        .take(NAMED)
    {
        lines.push(format!("{subject} is wide: {}.", reach(subject)));
    }
    if subjects.len() > NAMED {
        lines.push(format!("These are {} subjects at once.", subjects.len()));
    }
    lines
}

/// `Account spam@host`
pub fn kind(subject: &Subject) -> String {
    let mut kind = subject.kind().to_owned();
    if let Some(first) = kind.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{kind} {subject}")
}

/// How much a subject covers.
pub fn reach(subject: &Subject) -> String {
    match subject {
        Subject::Account(_) => String::from("one account"),
        Subject::Address(_) => String::from("one address"),
        Subject::Network(IpNet::V4(net)) => {
            format!("{} addresses", 1_u64 << (32 - u32::from(net.prefix_len())))
        }
        Subject::Network(IpNet::V6(net)) => {
            let bits = 128 - u32::from(net.prefix_len());
            match bits.checked_sub(64) {
                None => format!("part of one site (/{})", net.prefix_len()),
                Some(bits) => format!("{} sites (/64)", 1_u128 << bits),
            }
        }
        Subject::Pair(..) => String::from("one account from one place"),
        Subject::Guard(_) => String::from("one account, for sources it never came from"),
    }
}

// Wrong input.

/// No subject at all.
pub fn no_subject() -> String {
    String::from(
        "Say whom: an account (spam@example.org), an address (203.0.113.7), a network (203.0.113.0/24) or a number (#17).",
    )
}

/// More subjects than one call takes.
pub fn too_many_subjects(number: usize, most: usize) -> String {
    format!("These are {number} subjects; at most {most} at once.")
}

/// A number that no ban has.
pub fn no_such_number(word: &str) -> String {
    format!("There is no ban {}; list shows the numbers.", clean(word))
}

/// An account the server does not know.
pub fn no_such_account(account: &Account) -> String {
    format!(
        "There is no account {account} on this server. To ban the name before anybody takes it, add --force (in the form: “Even if no such account”)."
    )
}

/// A command that takes one.
pub fn one_at_a_time() -> String {
    String::from("One at a time: name one subject or one number.")
}

/// Neither yes nor no.
pub fn no_flag(field: &str) -> String {
    format!("{field} takes true or false.")
}

/// A duration in chat that cannot be read.
pub fn bad_term_in_chat(why: &BadTerm) -> String {
    format!(
        "{} If it belongs to the reason, put the reason in quotes.",
        sentence(&why.to_string())
    )
}

/// Words nobody asked for.
pub fn left_over(text: &str) -> String {
    let text: String = clean(text).chars().take(80).collect();
    format!("I do not know what “{text}” means here.")
}

/// No number of a page.
pub fn no_page(text: &str) -> String {
    format!("“{}” is no page; pages are numbers from 1.", clean(text))
}

/// A page behind the last.
pub fn too_few_pages(pages: usize) -> String {
    match pages {
        1 => String::from("There is only one page."),
        _ => format!("There are only {pages} pages."),
    }
}

/// A filter we do not know.
pub fn no_such_filter(word: &str) -> String {
    format!(
        "There is no filter “{}”. Filters are account, address, network, pair, guard, by:NAME, rule:NAME, #10.., an address, or words.",
        clean(word)
    )
}

/// A range we cannot read.
pub fn no_range(word: &str) -> String {
    format!(
        "“{}” is no range of numbers; write #10.. or #10..20.",
        clean(word)
    )
}

/// A command we do not have.
pub fn no_such_command(name: &str, nearest: Option<&str>) -> String {
    let name: String = clean(name).chars().take(40).collect();
    match nearest {
        Some(right) => format!("There is no command “{name}”. Did you mean {right}?"),
        None => format!("There is no command “{name}”. help lists them."),
    }
}

/// A subject without a command.
pub fn command_first(subject: &str) -> String {
    let subject = clean(subject);
    format!(
        "What about {subject}? Write show {subject}, ban {subject} or unban {subject}. Nothing was done."
    )
}

// Lists and show.

/// What a list is of.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// `Bans`
    all: &'static str,
    /// `Matching bans`
    matching: &'static str,
    /// `No bans in force`
    none: &'static str,
    /// `No ban matches`
    no_match: &'static str,
}

/// Bans.
pub const BANS: Listed = Listed {
    all: "Bans",
    matching: "Matching bans",
    none: "No bans in force",
    no_match: "No ban matches",
};

/// `Bans 11-20 of 35`
pub fn page_title(
    names: Listed,
    first: usize,
    shown: usize,
    total: usize,
    filtered: bool,
) -> String {
    let what = if filtered { names.matching } else { names.all };
    match total {
        0 if filtered => names.no_match.to_owned(),
        0 => names.none.to_owned(),
        _ => format!("{what} {}-{} of {total}", first + 1, first + shown),
    }
}

/// A ban in a list, behind its number and subject.
pub fn in_a_list(ban: &Ban, pending: bool, now: Timestamp) -> String {
    let pending = if pending {
        " (not carried out yet)"
    } else {
        ""
    };
    format!(
        "{}{pending}, by {}{}",
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// What follows a page.
pub fn more(next: &str) -> String {
    format!("More: {next}")
}

/// What follows a page, in a form.
pub fn more_in_form(page: usize) -> String {
    format!("More on page {page}.")
}

/// `spam@host is banned (#17)`
pub fn is_banned_title(ban: &Ban) -> String {
    format!("{} is banned ({})", ban.subject, ban.id)
}

/// `spam@host is not banned`
pub fn not_banned_title(subject: &Subject) -> String {
    format!("{subject} is not banned")
}

/// A ban in force.
pub fn is_banned(ban: &Ban, now: Timestamp) -> String {
    format!(
        "{} is {}: {} {}, by {}{}",
        ban.subject,
        match ban.subject {
            Subject::Guard(_) => "up",
            _ => "banned",
        },
        ban.id,
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// How to end what is shown.
pub fn how_to_end(subject: &Subject) -> String {
    format!("To end it: unban {subject}")
}

/// One event of a history.
pub fn happened(event: &Event) -> String {
    let who = format!("by {} ({})", clean(&event.actor.name), event.actor.door);
    match &event.change {
        Change::Imposed { reason, until } => {
            format!("banned {} {who}{}", by_then(*until), because(reason))
        }
        Change::Amended { reason, until } => {
            format!("changed: {} {who}{}", by_then(*until), because(reason))
        }
        Change::Lifted { reason } => format!("un-banned {who}{}", because(reason)),
        Change::Expired => String::from("ended: its time was over."),
        Change::ImposedByRule {
            reason,
            until,
            ordinal,
        } => {
            let by = match event.origin.rule() {
                Some(rule) => format!("by the rule {}", clean(rule)),
                None => String::from("by a rule"),
            };
            format!(
                "banned {} {by}{}, ban no. {ordinal} of it{}",
                by_then(Some(*until)),
                match event.actor.door {
                    Door::Hook => String::new(),
                    door => format!(", called upon by {} ({door})", clean(&event.actor.name)),
                },
                because(reason)
            )
        }
        Change::Allowed { comment, until } => {
            format!(
                "exempt from bans {} {who}{}",
                by_then(*until),
                because(comment)
            )
        }
        Change::Unallowed => format!("no longer exempt {who}."),
        Change::Forgotten => format!("its history counts no more {who}."),
    }
}

/// What private notes are called.
pub fn note_label() -> &'static str {
    "Private note"
}

/// What the rest of a history is called.
pub fn older_label() -> &'static str {
    "Before that"
}

/// The rest of a history.
pub fn older(number: usize) -> String {
    format!("{} more", count(number, "event"))
}

// Status.

/// The level in a few words.
pub fn status_title(standing: &Standing) -> String {
    match standing.level {
        0 => String::from("Level 0: NOTHING IS ENFORCED"),
        level => format!("Level {level}"),
    }
}

/// The level.
pub fn level(standing: &Standing) -> String {
    let means = match standing.level {
        0 => "NOTHING IS ENFORCED; bans are stored and will be carried out",
        1 => "the server refuses banned accounts; addresses and networks need the hook module",
        _ => "accounts, addresses and networks are refused by the hook module",
    };
    format!("{} ({means})", standing.level)
}

/// The server and the link to it.
pub fn server(standing: &Standing) -> String {
    let name = match clean(&standing.server) {
        name if name.is_empty() => String::from("unknown"),
        name => name,
    };
    match (standing.linked, standing.probed) {
        (true, true) => format!("{name}, connected"),
        (true, false) => format!("{name}, connected, still being asked what it lets us do"),
        (false, _) => format!("{name}, NOT CONNECTED"),
    }
}

/// `3 accounts, 1 address, 0 networks`
pub fn counts(counts: &[(&str, usize)]) -> String {
    let words: Vec<String> = counts
        .iter()
        .filter(|(kind, number)| *number > 0 || !matches!(*kind, "pair" | "guard"))
        .map(|(kind, number)| match (*kind, *number) {
            ("address", number) if number != 1 => format!("{number} addresses"),
            (kind, number) => count(number, kind),
        })
        .collect();
    words.join(", ")
}

/// How much work is unfinished.
pub fn pending(number: usize) -> String {
    match number {
        0 => String::from("none"),
        _ => format!("{}, tried again and again", count(number, "subject")),
    }
}

/// One piece of unfinished work.
pub fn task(task: &Task) -> String {
    let tries = match task.tries {
        0 => String::from("not tried yet"),
        tries => format!(
            "{} in vain, next {}",
            count(tries as usize, "try").replace("trys", "tries"),
            task.next
        ),
    };
    match &task.fault {
        Some(why) => format!("{tries}: {}", sentence(why)),
        None => format!("{tries}."),
    }
}

/// What is there.
pub fn has_label() -> &'static str {
    "There"
}

/// What is missing.
pub fn gap_label() -> &'static str {
    "MISSING"
}

/// What to do about it.
pub fn remedy_label() -> &'static str {
    "To add"
}

/// What is missing and what that means.
pub fn gap(gap: &Gap) -> String {
    format!("{} {}", sentence(&gap.what), sentence(&gap.effect))
}

/// How long the program runs.
pub fn uptime(started: Timestamp, now: Timestamp) -> String {
    format!("{}, since {started}", in_words(now.since(started)))
}

/// Name and version.
pub fn version() -> String {
    format!("portcullis {}", env!("CARGO_PKG_VERSION"))
}

/// The status in short.
pub fn status(standing: &Standing, pending: usize) -> Vec<String> {
    let mut lines = vec![match standing.level {
        0 => String::from("NOTHING IS ENFORCED (level 0): the server does not let portcullis act."),
        level => format!("Level {level} on {}.", server(standing)),
    }];
    match standing.gaps.len() {
        0 => {}
        number => lines.push(format!(
            "{} missing on the server; the lines to add are below.",
            match number {
                1 => String::from("1 thing is"),
                _ => format!("{number} things are"),
            }
        )),
    }
    if pending > 0 {
        lines.push(format!("Unfinished work: {}.", self::pending(pending)));
    }
    lines
}

// Help.

/// All commands, a line each.
pub fn help(specs: impl Iterator<Item = &'static Spec>) -> Vec<String> {
    let mut lines: Vec<String> = specs
        .map(|spec| format!("{}: {}", spec.usage, spec.summary))
        .collect();
    lines.push(String::from(
        "Durations: 30m, 12h, 3d, 1d12h, 2 weeks, until 2030-01-01, forever. Without one the configuration decides.",
    ));
    lines.push(String::from(
        "For example: ban spam@example.org 3d spam in rooms",
    ));
    lines.push(String::from(
        "The same as forms: your client's menu of commands, at this address.",
    ));
    lines
}

/// One command.
pub fn help_for(spec: &Spec) -> Vec<String> {
    let mut lines = vec![spec.summary.to_owned(), format!("Write: {}", spec.usage)];
    for field in spec.fields {
        let how = match field.place {
            Place::Nowhere => continue,
            Place::Option => format!("--{}", field.name),
            _ => field.name.to_uppercase(),
        };
        lines.push(format!("{how}: {}", field.desc));
    }
    if spec
        .fields
        .iter()
        .any(|f| matches!(f.kind, Kind::Term { .. }))
    {
        lines.push(String::from(
            "A duration is 30m, 12h, 3d, 1d12h, 2 weeks, until 2030-01-01 or forever; a number needs its unit.",
        ));
    }
    for (line, what) in spec.examples {
        lines.push(format!("`{line}`: {what}"));
    }
    lines
}

/// The role that is missing.
pub fn forbidden(needs: Role) -> String {
    format!("You need the role {needs} for that.")
}

// Doors.

/// In front of what is wrong with a form.
pub fn error_title(text: &str) -> String {
    format!("Error: {text}")
}

/// Below what is wrong in a chat line.
pub fn nothing_was_done(spec: Option<&Spec>) -> String {
    match spec {
        Some(spec) => format!("Nothing was done. Write: {}", spec.usage),
        None => String::from("Nothing was done."),
    }
}

/// Above an empty form.
pub fn instructions(spec: &Spec, minutes: u64) -> String {
    format!(
        "{} This form stays open for {minutes} minutes.",
        spec.summary
    )
}

/// Below a question in a form.
pub fn confirm_form() -> String {
    String::from("Complete does it; back changes it; cancel drops it.")
}

/// Below a question in chat.
pub fn confirm_chat() -> String {
    String::from("Answer yes within 2 minutes to do it; anything else drops it.")
}

/// A question was dropped.
pub fn dropped() -> String {
    String::from("Dropped; nothing was done.")
}

/// A yes without a question.
pub fn nothing_to_confirm() -> String {
    String::from(
        "There is nothing to say yes to; a question waits for 2 minutes only. Nothing was done.",
    )
}

/// A form was cancelled.
pub fn canceled() -> String {
    String::from("Cancelled; nothing was done.")
}

/// To people without a role.
pub fn stranger() -> String {
    String::from(
        "This is portcullis, which keeps abusers off this server. It takes orders from the server's admins only.",
    )
}

/// To an encrypted message.
pub fn encrypted() -> String {
    String::from(
        "I cannot read encrypted messages; please switch encryption off for this chat. Nothing was done.",
    )
}

/// To a corrected line that had been carried out.
pub fn corrected() -> String {
    String::from(
        "A corrected line does not run again, since the first one did. Send it as a new message if you mean it.",
    )
}

/// Several commands in one message.
pub fn one_command() -> String {
    String::from("One command a message, please. Nothing was done.")
}

/// More lines than a person writes.
pub fn too_fast() -> String {
    String::from("That is too fast for me; I am silent until it is quiet for 10 seconds.")
}

/// More work than fits.
pub fn busy() -> String {
    String::from("Too much is waiting just now; nothing was done. Try again in a moment.")
}

/// Who we are, in lists of contacts.
pub fn presence() -> String {
    String::from("Write help")
}

/// What came of a call, for the audit log.
pub fn audit(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(answer) => answer.lines.first().cloned().unwrap_or_default(),
        Outcome::Rows(page) => page.title.clone(),
        Outcome::Ask(ask) => ask.title.clone(),
        Outcome::Invalid(problems) | Outcome::Refused(problems) => problems
            .iter()
            .take(NAMED)
            .map(|problem| problem.text.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        Outcome::Forbidden { needs } => forbidden(*needs),
        Outcome::Unknown { .. } => String::from("No such command."),
        Outcome::Broken(reference) => broken(reference),
    }
}

/// What a preset term means in the manual.
pub fn manual_presets() -> String {
    format!(
        "`{DEFAULT_TERM}` or {}; any other duration is taken too",
        super::spec::PRESETS
            .map(|preset| format!("`{preset}`"))
            .join(", ")
    )
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
    fn a_reason_gets_one_full_stop() {
        assert_eq!(because("spam"), ": spam.");
        assert_eq!(because("Enough!"), ": Enough!");
        assert_eq!(because(" \u{202e} "), ".");
    }

    #[test]
    fn networks_tell_how_many_they_hit() {
        let reach = |text| Subject::parse(text).map(|subject| super::reach(&subject));
        assert_eq!(reach("10.0.0.0/8"), Ok("16777216 addresses".into()));
        assert_eq!(reach("0.0.0.0/0"), Ok("4294967296 addresses".into()));
        assert_eq!(reach("2001:db8::/48"), Ok("65536 sites (/64)".into()));
        assert_eq!(reach("2001:db8::/80"), Ok("part of one site (/80)".into()));
        assert!(reach("::/0").is_ok());
    }
}
