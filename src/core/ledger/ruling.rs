//! What came of a report, and what follows from it.

use crate::core::exempt::Exemption;
use crate::core::policy::Refusal;
use crate::core::record::{Ban, Past};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;
use crate::core::undo::Deed;
use crate::core::watch::Watch;

/// The answer to whoever reported something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// A ban began.
    Banned(Ban),
    /// The ban in force has other terms now.
    Amended {
        /// As it is now.
        ban: Ban,
        /// The end it had.
        before: Option<Timestamp>,
        /// The reason it had.
        before_reason: String,
    },
    /// The ban in force ended.
    Lifted(Ban),
    /// The same ban is in force already; nothing changed.
    Already(Ban),
    /// There is no ban to lift; with the last one there was.
    NotBanned(Subject, Option<Past>),
    /// The rules do not allow it.
    Refused(Refusal),
    /// An exemption began, or has another comment or end now.
    Allowed {
        /// As it is now.
        exemption: Exemption,
        /// The bans it covers, which ended by it.
        lifted: Vec<Ban>,
    },
    /// An exemption ended.
    Unallowed(Exemption),
    /// There is no exemption of exactly this subject.
    NotAllowed(Subject),
    /// The history of a subject counts no more.
    Forgotten {
        /// Whose.
        subject: Subject,
        /// How many bans counted until now.
        bans: u32,
    },
    /// A person or a room hears other news now.
    Watched {
        /// Who.
        subject: Subject,
        /// Which; `None`: what everybody hears who expressed no wish.
        watch: Option<Watch>,
    },
    /// What was done last is taken back.
    Undone {
        /// What that was.
        deed: Box<Deed>,
        /// The ban that stood until now.
        stood: Option<Ban>,
        /// The ban that stands again, or with its earlier terms.
        ban: Option<Ban>,
    },
    /// Somebody else was first with this; nothing changed.
    Overtaken(Box<Deed>),
    /// What was to be taken back is not the last change of the subject any more.
    ChangedSince(Subject),
    /// There is a note more, or less.
    Annotated(Subject),
    /// Its sessions were to be ended.
    Kicked(Subject),
    /// Somebody else changed the subject in between; nothing changed.
    Stale,
    /// There was nothing to do.
    Noted,
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
