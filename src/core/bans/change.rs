use crate::core::time::Timestamp;

/// What an event changes about the ban of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanChange {
    /// A ban is imposed.
    Imposed {
        /// Public reason.
        reason: String,
        /// When it ends; `None`: permanent.
        until: Option<Timestamp>,
    },
    /// A ban is imposed although the subject is exempt, because an admin forces it.
    Forced {
        /// Public reason.
        reason: String,
        /// When it ends; `None`: permanent.
        until: Option<Timestamp>,
    },
    /// A rule imposes a ban.
    ImposedByRule {
        /// Public reason.
        reason: String,
        /// When it ends. Rules never ban permanently.
        until: Timestamp,
        /// Offence number, from 1, after memory and decay of the rule; escalation computed the term from it.
        ordinal: u32,
    },
    /// The active ban gets other terms.
    Amended {
        /// Public reason.
        reason: String,
        /// When it ends; `None`: permanent.
        until: Option<Timestamp>,
    },
    /// The active ban is lifted before its end.
    Lifted {
        /// Reason for the history.
        reason: String,
    },
    /// The active ban ended because its term is over.
    Expired,
}
