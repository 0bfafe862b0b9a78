//! What can be undone.

use super::entry::{UndoEntry, UndoKind};
use crate::core::event::{CommandId, Seq};
use crate::core::ledger::Ledger;
use crate::core::propose::FORGOTTEN_AT_ONCE;
use crate::core::subject::Subject;

/// The undo entries of a ledger. An undo concerns several parts of the state, so the queries read the whole ledger.
#[derive(Debug, Clone, Copy)]
pub struct Undo<'a>(pub(in crate::core) &'a Ledger);

impl<'a> Undo<'a> {
    /// The undo entry of a subject's last change; `None` if that change cannot be undone.
    pub fn of(self, subject: &Subject) -> Option<&'a UndoEntry> {
        let entry = self.0.subjects.last_change(subject)?;
        (entry.seq == self.0.subjects.version(subject)).then_some(entry)
    }

    /// The undo entries up to a position in the log, newest first: one per subject, even if the subject was changed
    /// since.
    pub fn up_to(self, upto: Seq) -> impl Iterator<Item = &'a UndoEntry> {
        self.0.undo.up_to(upto, &self.0.subjects)
    }

    /// Whether some changes of a command can no longer be undone, because their undo entries were dropped.
    pub fn is_partly_dropped(self, command: CommandId) -> bool {
        self.0.undo.is_partly_dropped(command)
    }

    /// The other subjects that an undo of `subject` restores too: those whose histories were forgotten by the same
    /// order, or whose bans its exemption lifted.
    pub fn restored_with(self, subject: &Subject) -> impl Iterator<Item = &'a Subject> {
        let first = self.of(subject).filter(|entry| self.is_wide(entry));
        first.into_iter().flat_map(move |first| {
            let same = move |other: &&UndoEntry| {
                first.subject.holds(&other.subject)
                    && other.subject != first.subject
                    && (other.command, other.at) == (first.command, first.at)
                    && other.by.bare_name() == first.by.bare_name()
                    && match first.kind {
                        UndoKind::Allowed => other.seq == first.seq,
                        UndoKind::Forgot => other.kind == UndoKind::Forgot,
                        // Subjects that were undone together are restored together again.
                        UndoKind::Undid => other.kind == UndoKind::Undid,
                        _ => false,
                    }
                    && self.of(&other.subject).is_some()
            };
            // The events of one order are next to each other in the log; the one of its own subject is the last.
            let earliest = first.seq.0.saturating_sub(FORGOTTEN_AT_ONCE as u64);
            let near = self.up_to(first.seq);
            let near = near.take_while(move |other| other.seq.0 >= earliest);
            let with = near.filter(same).take(FORGOTTEN_AT_ONCE);
            with.map(|entry| &entry.subject)
        })
    }

    /// Whether undoing the last change of a subject affects no other subject: none is restored with it, and no
    /// exemption is granted or revoked.
    pub fn is_alone(self, subject: &Subject) -> bool {
        self.of(subject).is_none_or(|entry| !self.is_wide(entry))
    }

    fn is_wide(self, entry: &UndoEntry) -> bool {
        match entry.kind {
            UndoKind::Allowed | UndoKind::Unallowed | UndoKind::Forgot => true,
            UndoKind::Undid => {
                let forgotten = self.0.history(&entry.subject).forgotten;
                entry.exemption_before() != self.0.exemptions.of(&entry.subject)
                    || entry.before.history.forgotten != forgotten
            }
            UndoKind::Banned | UndoKind::Changed | UndoKind::Lifted | UndoKind::Annotated => false,
        }
    }
}
