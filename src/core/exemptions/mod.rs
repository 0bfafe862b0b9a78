//! Exemptions: accounts and networks that are never banned.

use super::exempt::Exemption;
use super::record::Ban;
use super::subject::Subject;
use super::term::Term;
use super::time::Timestamp;

/// What an event changes about the exemption of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExemptionChange {
    /// The subject is exempt from bans from now on; those it covers end.
    Granted {
        /// Why, for the list.
        comment: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// The exemption ends because somebody says so.
    Revoked,
}

/// What somebody wants done about the exemption of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExemptionOrder {
    /// Exempt from bans, or change comment and end of the exemption.
    Grant {
        /// For how long; `None`: until somebody revokes it.
        term: Option<Term>,
        /// Why.
        comment: String,
    },
    /// Revoke the exemption.
    Revoke,
}

/// What came of an order about an exemption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExemptionRuling {
    /// An exemption began, or has another comment or end now.
    Granted {
        /// As it is now.
        exemption: Exemption,
        /// The bans it covers, which ended by it.
        lifted: Vec<Ban>,
    },
    /// An exemption ended.
    Revoked(Exemption),
    /// There is no exemption of exactly this subject.
    NotExempt(Subject),
}
