//! Sentences about what people did: taking it back, notes, sessions ended, and who was first.

use super::{because, by_then, by_then_counted, clean, count, typed};
use crate::command::outcome::Grade;
use crate::core::{Ban, Deed, Did, Exemption, Subject, Timestamp};
use crate::gate::ports::Undone;

/// The line that takes something back: by numbers, or by whom it was about.
pub fn undo(whom: &[&str]) -> String {
    format!("Undo: {}", typed(format_args!("undo {}", whom.join(" "))))
}

/// What was taken back.
pub fn undone(deed: &Deed) -> String {
    let number = deed.number.map(|id| format!("{id} ")).unwrap_or_default();
    format!(
        "Undone: {} {number}{}, by {} {}.",
        deed.did,
        deed.subject,
        clean(deed.by.bare_name()),
        deed.at
    )
}

/// How things are since.
pub fn as_before(
    stood: Option<&Ban>,
    ban: Option<&Ban>,
    subject: &Subject,
    now: Timestamp,
) -> String {
    match (stood, ban) {
        (_, Some(ban)) => format!(
            "As before, {} is banned: {} {}{}",
            ban.subject,
            ban.id,
            by_then_counted(ban.until, now),
            because(&ban.reason)
        ),
        (Some(stood), None) => format!("As before, {subject} is not banned; {} is gone.", stood.id),
        (None, None) => format!("{subject} is as it was before."),
    }
}

/// The exemption there is again, or no more.
pub fn exemption_again(deed: &Deed, now: Timestamp) -> Option<String> {
    let exempt = |one: &Exemption| {
        format!(
            "As before, {} is exempt {}{}",
            one.subject,
            by_then_counted(one.until, now),
            because(&one.comment)
        )
    };
    match (deed.did, deed.exemption_before()) {
        (Did::Allowed | Did::Unallowed | Did::Undid, Some(one)) => Some(exempt(one)),
        (Did::Allowed, None) => Some(format!("{} is not exempt any more.", deed.subject)),
        _ => None,
    }
}

/// Others that went back with it.
pub fn undone_with(number: usize) -> String {
    format!(
        "With it, {} went back that it had changed.",
        count(number, "other subject")
    )
}

/// It is not the last change any more.
pub fn changed_since(subject: &Subject, last: Option<(Timestamp, &str)>) -> String {
    match last {
        Some((at, what)) => {
            format!("{subject} was changed since, {at}: {what} Nothing was undone.")
        }
        None => format!("Nothing was ever done to {subject}."),
    }
}

/// Somebody else did the last thing, and the caller something before it.
pub fn others_did(deed: &Deed, name: &str) -> String {
    format!(
        "{} was changed since by {}: {} at {}. Nothing was undone. To take that back: {}",
        deed.subject,
        clean(deed.by.bare_name()),
        deed.did,
        deed.at,
        typed(format_args!("undo {name} --others"))
    )
}

/// The caller did nothing that could be undone.
pub fn nothing_to_undo() -> String {
    format!(
        "There is nothing of yours to undo. What others did is undone by number or name: {}",
        typed("undo #17")
    )
}

/// Above a question before several things are undone.
pub fn ask_undo_title(number: usize) -> String {
    format!("Really undo {number} things?")
}

/// What would be undone, of which so many are shown.
pub fn ask_undo(number: usize, shown: usize) -> String {
    let newest = match shown < number {
        true => format!(" The newest {shown} of them:"),
        false => String::new(),
    };
    format!(
        "Nothing is done yet. Undo {}?{newest}",
        count(number, "thing")
    )
}

/// Somebody else was first.
pub fn overtaken(deed: &Deed) -> String {
    let number = deed.number.map(|id| format!(" {id}")).unwrap_or_default();
    format!(
        "{}: NOT done: {} was first, with the {}{number} {}. Look with {}, then say it again if you still mean it.",
        deed.subject,
        clean(deed.by.bare_name()),
        deed.did,
        deed.at,
        typed(format_args!("show {}", deed.subject))
    )
}

/// A ban ends later now.
pub fn extended(ban: &Ban, before: Option<Timestamp>, now: Timestamp) -> String {
    format!(
        "Extended {} {}: was {}, now {}{}",
        ban.id,
        ban.subject,
        by_then(before),
        by_then_counted(ban.until, now),
        because(&ban.reason)
    )
}

/// A ban that is not there cannot be made longer.
pub fn nothing_to_extend(subject: &Subject) -> String {
    format!(
        "{subject} is not banned, so there is nothing to extend. To ban: {}",
        typed(format_args!("ban {subject} DURATION REASON"))
    )
}

/// No duration.
pub fn no_extension() -> String {
    String::from("Say for how much longer: 3d, 12h; or until 2030-01-01, or forever.")
}

/// A note was written or taken away.
pub fn annotated(subject: &Subject, note: Option<&str>, replaces: bool) -> String {
    match (note, replaces) {
        (Some(note), false) => format!("Noted of {subject}: {}", clean(note)),
        (Some(note), true) => {
            format!(
                "Noted of {subject}, in place of what was there: {}",
                clean(note)
            )
        }
        (None, _) => format!("The notes of {subject} are taken away."),
    }
}

/// No note.
pub fn no_note() -> String {
    format!(
        "Write the note: {}. To take the notes away: {}",
        typed("note #17 TEXT"),
        typed("note #17 --remove")
    )
}

/// A note and its removal.
pub fn note_or_remove() -> String {
    String::from("A note or --remove, not both; --replace puts a note in place of those there are.")
}

/// There are no notes.
pub fn no_notes_there(subject: &Subject) -> String {
    format!("There is no note of {subject}.")
}

/// A note, and whose it is.
pub fn note_by(note: &str, by: &str, at: Timestamp) -> String {
    format!("{} ({}, {at})", super::clean_lines(note), clean(by))
}

/// What came of ending sessions.
pub fn kicked(subject: &str, outcome: &Result<Option<u64>, Undone>) -> (Grade, String) {
    match outcome {
        Ok(Some(0)) => (
            Grade::Good,
            format!("{subject}: nobody was connected, as far as the server tells."),
        ),
        Ok(Some(number)) => (
            Grade::Good,
            format!("{subject}: {} ended.", count_were(*number)),
        ),
        Ok(None) => (
            Grade::Good,
            format!(
                "{subject}: the server ended what sessions there were; it does not tell how many."
            ),
        ),
        Err(Undone(why)) => (Grade::Bad, format!("{subject}: NOT done. {why}")),
    }
}

fn count_were(number: u64) -> String {
    match number {
        1 => String::from("1 session was"),
        _ => format!("{number} sessions were"),
    }
}

/// They are not banned.
pub fn may_come_back() -> String {
    String::from("They are not banned and can log in again at once.")
}

/// The question before somebody exempt is banned.
pub fn ask_exempt(subject: &Subject, why: &str) -> String {
    format!("{subject} is EXEMPT from bans ({why}); with --force it is banned all the same.")
}

/// The question before a ban without an end.
pub fn ask_forever() -> String {
    String::from("It has no end: it stands until somebody lifts it.")
}

/// The question before a ban loses its end.
pub fn ask_extend(subjects: &[Subject]) -> String {
    format!(
        "Nothing is done yet. Ban {} for ever?",
        super::named(subjects.iter())
    )
}

/// `End the sessions of 6 subjects?`
pub fn ask_kick_title(number: usize) -> String {
    match number {
        1 => String::from("Really end its sessions?"),
        _ => format!("Really end the sessions of {number} subjects?"),
    }
}

/// What would be ended.
pub fn ask_kick(whom: &[String]) -> String {
    format!(
        "Nothing is done yet. End the sessions of {}?",
        super::named(whom.iter())
    )
}

/// `Session alice@example.org/phone`
pub fn session(jid: &str) -> String {
    format!("Session {jid}")
}

/// How much that is.
pub fn one_session() -> String {
    String::from("this one and no other")
}

/// In front of the reason, where one session was ended and others not: for the history.
pub fn only_the_session(resource: &str, reason: &str) -> String {
    let resource: String = clean(resource).chars().take(60).collect();
    match reason {
        "" => format!("only the session {resource}"),
        reason => format!("only the session {resource}: {reason}"),
    }
}
