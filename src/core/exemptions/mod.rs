//! Exemptions: accounts and networks that are never banned.

mod decide;
mod exemption;
mod fold;

use super::bans::Ban;
use super::ledger::Ledger;
use super::policy::Policy;
use super::subject::Subject;
use super::term::Term;
use super::time::Timestamp;

pub(in crate::core) use decide::decide;
pub use exemption::{Exemption, Exemptions};
pub(in crate::core) use fold::fold;

/// What an event changes about the exemption of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExemptionChange {
    /// The subject is exempt from bans from now on; the bans it covers are lifted.
    Granted {
        /// Comment, shown in the list of exemptions.
        comment: String,
        /// When it ends; `None`: when it is revoked.
        until: Option<Timestamp>,
    },
    /// The exemption is revoked.
    Revoked,
}

/// What a person orders about the exemption of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExemptionOrder {
    /// Exempt from bans, or change comment and end of the exemption.
    Grant {
        /// The term; `None`: until it is revoked.
        term: Option<Term>,
        /// Comment, shown in the list of exemptions.
        comment: String,
    },
    /// Revoke the exemption.
    Revoke,
}

/// The ruling on an order about an exemption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExemptionRuling {
    /// An exemption was granted, or its comment or end was changed.
    Granted {
        /// The exemption as it is now.
        exemption: Exemption,
        /// The bans that it covers, which were lifted.
        lifted: Vec<Ban>,
    },
    /// An exemption was revoked.
    Revoked(Exemption),
    /// There is no exemption of exactly this subject.
    NotExempt(Subject),
}

/// Why a ban of this subject would affect something exempt: by the configuration, or by `allow`. `None`: it would not.
pub(in crate::core) fn exempt_by(
    ledger: &Ledger,
    policy: &Policy,
    subject: &Subject,
    now: Timestamp,
) -> Option<String> {
    let granted = || ledger.exemptions.covering(subject, now);
    policy
        .exempts(subject)
        .or_else(|| granted().map(ToString::to_string))
}
