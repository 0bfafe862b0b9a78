//! The private notes of a subject, read from its history: they are kept with the events, apart from
//! what the fold needs.

use crate::core::{Change, HistoryChange};
use crate::journal::Entry;

/// The entries whose notes count, oldest first: each note until one replaces it, or what brought it
/// is undone.
pub(in crate::command) fn standing(entries: &[Entry]) -> Vec<&Entry> {
    let mut now: Vec<&Entry> = Vec::new();
    // As it was before the last event: an undo goes back there.
    let mut before: Vec<&Entry> = Vec::new();
    for entry in entries {
        let here = now.clone();
        match &entry.event.change {
            Change::History(HistoryChange::Kicked { .. }) => continue,
            Change::Undone => now = std::mem::take(&mut before),
            Change::History(HistoryChange::Annotated { replaces: true }) => now.clear(),
            _ => {}
        }
        if entry.event.personal.note.is_some() {
            now.push(entry);
        }
        before = here;
    }
    now
}
