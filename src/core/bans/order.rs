use crate::core::event::Origin;
use crate::core::term::Term;

/// What somebody wants done about the ban of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanOrder {
    /// Ban, or change the terms of the ban in force.
    Impose {
        /// For how long; `None`: the default, or as it is.
        term: Option<Term>,
        /// Public reason; `None`: none, or as it is.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Ban somebody who is exempt. Otherwise as [`BanOrder::Impose`].
    Force {
        /// For how long; `None`: the default, or as it is.
        term: Option<Term>,
        /// Public reason; `None`: none, or as it is.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Take over a ban made elsewhere. One that is in force here is never shortened by it.
    Import {
        /// Public reason.
        reason: String,
        /// Private note.
        note: Option<String>,
        /// How long. A length counts from the first import: imported again, it changes nothing.
        term: Term,
        /// Where it comes from.
        origin: Origin,
    },
    /// Make the ban in force longer: by a length, or to a later end. Never shorter.
    Extend {
        /// A length is added to the end it has.
        by: Term,
    },
    /// Un-ban.
    Lift {
        /// Why, for the history.
        reason: String,
    },
}
