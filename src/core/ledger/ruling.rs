//! Rulings: what the fold decided about an event, and the effects that follow.

use crate::core::bans::{BanId, BanRuling};
use crate::core::exemptions::ExemptionRuling;
use crate::core::history::HistoryRuling;
use crate::core::refusal::Refusal;
use crate::core::subject::Subject;
use crate::core::subscriptions::Watch;
use crate::core::undo::{UndoEntry, UndoRuling};

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
    /// The log was put back to an older copy; ban numbers go on at this one.
    PutBack {
        /// The number of the next ban.
        next: BanId,
    },
    /// There was nothing to do.
    Noted,
}

/// What a folded event leads to. An error says why it changed nothing; then its subject keeps its version.
pub(in crate::core) type Folded = Result<(Ruling, Vec<Effect>), Box<Ruling>>;

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

impl From<BanRuling> for Ruling {
    fn from(ruling: BanRuling) -> Self {
        Ruling::Ban(ruling)
    }
}

impl From<ExemptionRuling> for Ruling {
    fn from(ruling: ExemptionRuling) -> Self {
        Ruling::Exemption(ruling)
    }
}

impl From<HistoryRuling> for Ruling {
    fn from(ruling: HistoryRuling) -> Self {
        Ruling::History(ruling)
    }
}

impl From<UndoRuling> for Ruling {
    fn from(ruling: UndoRuling) -> Self {
        Ruling::Undo(ruling)
    }
}
