use crate::core::event::Origin;
use crate::core::term::Term;

/// What a person orders about the ban of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanOrder {
    /// Ban, or change the terms of the active ban.
    Impose {
        /// The term; `None`: the default term, or unchanged.
        term: Option<Term>,
        /// Public reason; `None`: empty, or unchanged.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Ban a subject although it is exempt. Otherwise as [`BanOrder::Impose`].
    Force {
        /// The term; `None`: the default term, or unchanged.
        term: Option<Term>,
        /// Public reason; `None`: empty, or unchanged.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Import a ban that was made elsewhere. An active ban is never shortened by it.
    Import {
        /// Public reason.
        reason: String,
        /// Private note.
        note: Option<String>,
        /// The term. A length counts from the first import; importing the same ban again changes nothing.
        term: Term,
        /// Where the ban comes from.
        origin: Origin,
    },
    /// Extend the active ban. It is never shortened.
    Extend {
        /// A length is added to the current end; a point in time becomes the new end.
        by: Term,
    },
    /// Lift the ban.
    Lift {
        /// Reason for the history.
        reason: String,
    },
}
