//! Sentences of `undo`.

use crate::command::phrases::{because, by_then_counted, clean, count, happened, typed};
use crate::core::time::in_words;
use crate::core::{Ban, CommandId, Event, Exemption, Subject, Timestamp, UndoEntry, UndoKind};
use std::time::Duration;

/// How many of how many were undone, and how fast.
pub(super) fn undone_many(
    undone: usize,
    total: usize,
    command: Option<CommandId>,
    took: Duration,
) -> String {
    let took = match took.as_secs() {
        0 => String::new(),
        _ => format!(" in {}", in_words(took)),
    };
    let whose = match command {
        Some(command) => format!(", all that {command} did"),
        None => String::new(),
    };
    format!("Undone: {undone} of {total}{took}{whose}.")
}

/// A command changed more than is kept.
pub(super) fn more_than_is_kept(most: usize) -> String {
    format!(
        "That command did more at first, which cannot be undone any more: only the last {most} changes can."
    )
}

/// How far the server has carried out the undo.
pub(super) fn server_follows(pending: usize) -> String {
    match pending {
        0 => String::from("The server is in line with it."),
        pending => format!(
            "The server has still to be told of {pending} of them; {} counts it down.",
            typed("status")
        ),
    }
}

/// Of several changes to undo, what others changed since.
pub(super) const STAY_AS_THEY_ARE: &str = "changed since; they stay as they are.";

/// The change to undo is not the last one; `since` says what is.
pub(super) fn nothing_undone(since: &str) -> String {
    format!("{since} Nothing was undone.")
}

/// Nothing is left to undo of a command.
pub(super) fn nothing_of(command: CommandId) -> String {
    format!(
        "There is nothing of {command} to undo: it did nothing, or all of it was changed since or is too long ago."
    )
}

/// The title of the question.
pub(super) fn really_undo(number: usize) -> String {
    format!("Really undo {}?", count(number, "thing"))
}

/// What was undone.
pub(super) fn undone(entry: &UndoEntry) -> String {
    let number = entry.number.map(|id| format!("{id} ")).unwrap_or_default();
    format!(
        "Undone: {} {number}{}, by {} {}.",
        entry.kind,
        entry.subject,
        clean(entry.by.bare_name()),
        entry.at
    )
}

/// The state after the undo.
pub(super) fn as_before(
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
        (Some(stood), None) => format!(
            "As before, {subject} is not banned; {} is taken back.",
            stood.id
        ),
        (None, None) => format!("{subject} is as it was before."),
    }
}

/// The notes after the undo of a note.
pub(super) fn notes_again(subject: &Subject) -> String {
    format!("The notes about {subject} are as they were before.")
}

/// The last change of a subject, which is not the one to undo.
pub(super) fn changed_since(subject: &Subject, last: Option<&Event>) -> String {
    match last {
        Some(last) => format!(
            "{subject} was changed since, {}: {}",
            last.at,
            happened(last)
        ),
        None => format!("Nothing was ever done to {subject}."),
    }
}

/// There is nothing that the caller did.
pub(super) fn nothing_to_undo() -> String {
    format!(
        "There is nothing of yours to undo. What others did is undone by number or name: {}",
        typed("undo #17")
    )
}

/// The log is too long to find the caller's last command in it.
pub(super) fn too_much_since(looked_at: u64) -> String {
    format!(
        "The last {looked_at} changes are not yours. Name what you mean, by number or by whom it was about: {}",
        typed("undo #17")
    )
}

/// All that the caller's last command did was changed since; `before` is what they did before that.
pub(super) fn last_was_changed(
    last: &Event,
    number: usize,
    since: &str,
    before: Option<String>,
) -> String {
    let kind = UndoKind::of(&last.change).map_or_else(String::new, |kind| kind.to_string());
    let more = match number {
        0 | 1 => String::new(),
        number => format!(" and {} more", number - 1),
    };
    let mut text = format!(
        "Your last command was the {kind} of {}{more}. {since} Nothing was undone.",
        last.subject
    );
    if let Some(before) = before {
        text.push_str(&format!(" {before}"));
    }
    text
}

/// How to undo what the caller did before their last command.
pub(super) fn one_before(entry: &UndoEntry, name: &str) -> String {
    format!(
        "Before that you did the {} of {}; to take that back: {}",
        entry.kind,
        entry.subject,
        typed(format_args!("undo {name}"))
    )
}

/// What of a command others changed since, which stays as it is.
pub(super) fn left(number: usize, since: &str) -> String {
    format!(
        "{} of that command stay as they are: {since}",
        count(number, "change")
    )
}

/// The exemption that is restored or removed.
pub(super) fn exemption_again(entry: &UndoEntry, now: Timestamp) -> Option<String> {
    let exempt = |one: &Exemption| {
        format!(
            "As before, {} is exempt {}{}",
            one.subject,
            by_then_counted(one.until, now),
            because(&one.comment)
        )
    };
    match (entry.kind, entry.exemption_before()) {
        (UndoKind::Allowed | UndoKind::Unallowed | UndoKind::Undid, Some(one)) => Some(exempt(one)),
        (UndoKind::Allowed, None) => Some(format!("{} is not exempt any more.", entry.subject)),
        _ => None,
    }
}

/// Somebody else made the last change, and the caller an earlier one.
pub(super) fn others_did(entry: &UndoEntry, name: &str) -> String {
    format!(
        "{} was changed since by {}: {} at {}. Nothing was undone. To take that back: {}",
        entry.subject,
        clean(entry.by.bare_name()),
        entry.kind,
        entry.at,
        typed(format_args!("undo {name} --others"))
    )
}

/// Other subjects that go back together with the named ones.
pub(super) fn restored_too(number: usize) -> String {
    let go = if number == 1 { "goes" } else { "go" };
    format!(
        "{} {go} back with it to what was before.",
        count(number, "other subject")
    )
}

/// The question; `shown` changes are listed.
pub(super) fn ask_undo(number: usize, shown: usize) -> String {
    let newest = match shown < number {
        true => format!(" The newest {shown} of them:"),
        false => String::new(),
    };
    format!(
        "Nothing is done yet. Undo {}?{newest}",
        count(number, "thing")
    )
}
