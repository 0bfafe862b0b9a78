//! Rulings: what the fold decided about an event, and the effects that follow.

use crate::core::bans::ban::Ban;
use crate::core::history::undo::UndoEntry;
use crate::core::policy::Refusal;
use crate::core::subject::Subject;
use crate::core::subscription::Watch;

pub use crate::core::bans::BanRuling;
pub use crate::core::exemptions::ExemptionRuling;
pub use crate::core::history::HistoryRuling;

/// The answer to an order, a login or any other intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// About the ban of the subject.
    Ban(BanRuling),
    /// About the exemption of the subject.
    Exemption(ExemptionRuling),
    /// About the history of the subject.
    History(HistoryRuling),
    /// A person or a room now receives other notifications.
    Subscribed {
        /// The person or the room.
        subject: Subject,
        /// The new subscription; `None`: the default one.
        watch: Option<Watch>,
    },
    /// About an undo.
    Undo(UndoRuling),
    /// The rules do not allow it.
    Refused(Refusal),
    /// Another person changed the subject first; nothing was changed.
    Overtaken(Box<UndoEntry>),
    /// The subject was changed after the event was decided; nothing was changed.
    Stale,
    /// There was nothing to do.
    Noted,
}

/// The answer to an undo.
#[derive(Debug, Clone, PartialEq, Eq)]
// One at a time, made and matched: a box would only cost an allocation for each undo.
#[expect(clippy::large_enum_variant)]
pub enum UndoRuling {
    /// The last change of the subject was undone.
    Undone {
        /// The undo entry of that change.
        deed: Box<UndoEntry>,
        /// The ban that was active until now.
        stood: Option<Ban>,
        /// The ban that is restored, or that has its earlier terms again.
        ban: Option<Ban>,
    },
    /// The change to undo is no longer the last change of this subject.
    ChangedSince(Subject),
}

/// What must happen outside of the ledger after an event was folded, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Bring the server in line with the subject's state in the ledger.
    Settle(Subject),
}

impl From<Refusal> for Box<Ruling> {
    fn from(refusal: Refusal) -> Self {
        Box::new(Ruling::Refused(refusal))
    }
}
