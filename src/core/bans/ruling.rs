use crate::core::bans::ban::{Ban, Past};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// The ruling on the ban of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanRuling {
    /// A ban was imposed.
    Banned(Ban),
    /// The active ban has other terms now.
    Amended {
        /// The ban with its new terms.
        ban: Ban,
        /// Its end before; `None`: it was permanent.
        before: Option<Timestamp>,
        /// Its reason before.
        before_reason: String,
    },
    /// The active ban was lifted, or its term was over.
    Lifted(Ban),
    /// The same ban is active already; nothing was changed.
    Already(Ban),
    /// There is no ban to lift; with the subject's last ban, if there was one.
    NotBanned(Subject, Option<Past>),
}
