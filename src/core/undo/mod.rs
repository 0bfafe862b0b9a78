//! Undo: what people changed lately, each change with the state before it.
//!
//! Part of the fold, so every instance keeps the same entries. Only the last change of a subject can be undone. An undo
//! is itself a change and can be undone too.

mod decide;
mod entry;
mod fold;
mod log;
mod query;
#[cfg(test)]
mod tests;

use super::bans::Ban;
use super::subject::Subject;

pub(in crate::core) use decide::decide;
pub(in crate::core) use entry::Before;
pub use entry::{UndoEntry, UndoKind};
pub(in crate::core) use fold::{fold, keep};
pub(in crate::core) use log::UndoLog;
pub use log::{UNDO_ENTRIES, is_one};
pub use query::Undo;

/// Undoing an exemption restores the bans it lifted only if there were at most this many.
pub const WIDEST: usize = 1_000;

/// The ruling on an undo.
#[derive(Debug, Clone, PartialEq, Eq)]
// Rulings are made and matched one at a time; a box would cost an allocation per undo.
#[expect(clippy::large_enum_variant)]
pub enum UndoRuling {
    /// The last change of the subject was undone.
    Undone {
        /// The undo entry of that change.
        entry: Box<UndoEntry>,
        /// The ban that was active until now.
        stood: Option<Ban>,
        /// The ban that is restored, or that has its earlier terms again.
        ban: Option<Ban>,
    },
    /// The change to undo is no longer the last change of this subject.
    ChangedSince(Subject),
}
