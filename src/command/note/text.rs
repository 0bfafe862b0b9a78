//! What `note` says.

use crate::command::phrases::{clean, typed};
use crate::core::Subject;

/// A note was written or taken away.
pub(super) fn annotated(subject: &Subject, note: Option<&str>, replaces: bool) -> String {
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
pub(super) fn no_note() -> String {
    format!(
        "Write the note: {}. To take the notes away: {}",
        typed("note #17 TEXT"),
        typed("note #17 --remove")
    )
}

/// A note and its removal.
pub(super) const NOTE_OR_REMOVE: &str =
    "A note or --remove, not both; --replace puts a note in place of those there are.";

/// There are no notes.
pub(super) fn no_notes_there(subject: &Subject) -> String {
    format!("There is no note of {subject}.")
}
