//! Notices: what admins should know although no ban was imposed.

use std::fmt;

use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// A rule reached its limit but imposed no ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Name of the rule.
    pub rule: String,
    /// The subject that it would have banned.
    pub subject: Subject,
    /// When that ban would have ended.
    pub until: Timestamp,
    /// Evidence for admins: failures, window, last attempt.
    pub evidence: String,
    /// Why no ban was imposed.
    pub spared: Spared,
}

/// Why a rule imposed no ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spared {
    /// The rule is in dry run.
    DryRun,
    /// The source is shared by many accounts or is a declared proxy; rules by pair apply there instead.
    Shared {
        /// Number of accounts that logged in from the source.
        accounts: u32,
    },
    /// The subject is exempt, or a ban of it would cover something exempt; with the exemption.
    Exempt(String),
}

/// For example `dry run of address-failures: 203.0.113.7 would be banned until …: …`.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Notice {
            rule,
            subject,
            until,
            evidence,
            spared,
        } = self;
        match spared {
            Spared::DryRun => write!(
                f,
                "dry run of {rule}: {subject} would be banned until {until}: {evidence}"
            ),
            Spared::Shared { accounts } => write!(
                f,
                "{subject} is not banned by {rule}, because {accounts} accounts log in from there \
                 or it is a proxy; guessers there are refused account by account: {evidence}"
            ),
            Spared::Exempt(by) => write!(
                f,
                "{subject} is not banned by {rule}, because it is exempt ({by}): {evidence}"
            ),
        }
    }
}
