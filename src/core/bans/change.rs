use crate::core::time::Timestamp;

/// What an event changes about the ban of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanChange {
    /// A ban begins.
    Imposed {
        /// Public reason.
        reason: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// A ban begins although the subject is exempt, because an admin forces it.
    Forced {
        /// Public reason.
        reason: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// A ban begins because a rule says so.
    ImposedByRule {
        /// Public reason.
        reason: String,
        /// Its end. Rules never ban permanently.
        until: Timestamp,
        /// Offence number, from 1, after memory and decay of the rule; its term grew from it.
        ordinal: u32,
    },
    /// The ban in force gets other terms.
    Amended {
        /// Public reason.
        reason: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// The ban in force ends because somebody says so.
    Lifted {
        /// Why, for the history.
        reason: String,
    },
    /// The ban in force ends because its time is over.
    Expired,
}
