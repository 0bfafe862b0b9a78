use crate::core::record::{Ban, Past};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// What came of an order, a rule or the clock for the ban of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanRuling {
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
}
