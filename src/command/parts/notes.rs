//! The private notes of a subject, read from its history: they are stored with the events, apart from what the fold
//! needs.

use crate::core::{Change, HistoryChange};
use crate::journal::Entry;

/// The entries whose notes are current, oldest first: a note is current until another one replaces it, or its change
/// is undone.
pub(in crate::command) fn standing(entries: &[Entry]) -> Vec<&Entry> {
    let mut now: Vec<&Entry> = Vec::new();
    // The state before the last event, to which an undo returns.
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
