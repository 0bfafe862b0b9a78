//! Sentences of `note`.

use crate::command::phrases::typed;
use crate::core::Subject;

/// A note and its removal at once.
pub(super) const NOT_BOTH: &str =
    "A note or --remove, not both; --replace puts a note in place of those there are.";

/// There is no note in the call.
pub(super) fn write_it() -> String {
    format!(
        "Write the note: {}. To take the notes away: {}",
        typed("note #17 TEXT"),
        typed("note #17 --remove")
    )
}

/// There is nothing to remove.
pub(super) fn no_note(subject: &Subject) -> String {
    format!("There is no note of {subject}.")
}

/// A note was added or replaced; `None`: all notes were removed.
pub(super) fn noted(subject: &Subject, note: Option<&str>, replaces: bool) -> String {
    match note {
        Some(note) if replaces => format!("Noted of {subject}, in place of what was there: {note}"),
        Some(note) => format!("Noted of {subject}: {note}"),
        None => format!("The notes of {subject} are taken away."),
    }
}
