//! What came of a report, and what follows from it.

use crate::core::policy::Refusal;
use crate::core::record::Ban;
use crate::core::subject::Subject;
use crate::core::undo::Deed;
use crate::core::watch::Watch;

pub use crate::core::bans::BanRuling;
pub use crate::core::exemptions::ExemptionRuling;
pub use crate::core::history::HistoryRuling;

/// The answer to whoever reported something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// About a ban.
    Ban(BanRuling),
    /// About an exemption.
    Exemption(ExemptionRuling),
    /// About what is known of a subject besides.
    History(HistoryRuling),
    /// A person or a room receives other notifications now.
    Subscribed {
        /// Who.
        subject: Subject,
        /// Which; `None`: those of everybody who chose none.
        watch: Option<Watch>,
    },
    /// About taking back.
    Undo(UndoRuling),
    /// The rules do not allow it.
    Refused(Refusal),
    /// Somebody else was first with this; nothing changed.
    Overtaken(Box<Deed>),
    /// Somebody else changed the subject in between; nothing changed.
    Stale,
    /// There was nothing to do.
    Noted,
}

/// What came of an order to take something back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoRuling {
    /// What was done last is taken back.
    Undone {
        /// What that was.
        deed: Box<Deed>,
        /// The ban that stood until now.
        stood: Option<Ban>,
        /// The ban that stands again, or with its earlier terms.
        ban: Option<Ban>,
    },
    /// What was to be taken back is not the last change of the subject any more.
    ChangedSince(Subject),
}

/// What a folded event asks of the world, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Bring the server in line with what the ledger says of the subject.
    Settle(Subject),
}

impl From<Refusal> for Box<Ruling> {
    fn from(refusal: Refusal) -> Self {
        Box::new(Ruling::Refused(refusal))
    }
}
