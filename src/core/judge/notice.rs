//! What admins should hear of although nothing was done.

use std::fmt;

use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// Something an admin should hear of although nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The rule whose limit was reached.
    pub rule: String,
    /// Whom it would have banned.
    pub subject: Subject,
    /// Until when.
    pub until: Timestamp,
    /// What led to it, for admins.
    pub evidence: String,
    /// Why it was not.
    pub spared: Spared,
}

/// Why a rule did not ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spared {
    /// The rule only tells.
    DryRun,
    /// Many accounts log in from there, or it is a declared proxy: pairs answer.
    Shared {
        /// How many accounts did.
        accounts: u32,
    },
    /// It is exempt, or a ban would hit what is.
    Exempt(String),
}

/// `dry run of address-failures: 203.0.113.7 would be banned until …: …`.
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
