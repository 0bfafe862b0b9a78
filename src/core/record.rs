//! What a ban is, while it is in force and after.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::actor::Actor;
use super::event::{Origin, Seq, Version};
use super::subject::Subject;
use super::time::Timestamp;

/// The short number people name a ban by (`#17`); given by the fold, in order, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BanId(pub u64);

impl BanId {
    /// Reads `#17` or `17`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix('#').unwrap_or(text.trim());
        digits.parse().ok().map(BanId)
    }
}

impl fmt::Display for BanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A ban in force.
///
/// The private note is not here: the fold may not depend on what can be forgotten. It is read
/// from the log where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Its short number.
    pub id: BanId,
    /// Whom it is about.
    pub subject: Subject,
    /// Public reason; the banned user sees it. May be empty.
    pub reason: String,
    /// Who imposed it, or who changed its terms last.
    #[serde(with = "super::actor::whole")]
    pub by: Actor,
    /// Where it came from.
    pub origin: Origin,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself; `None`: when somebody lifts it.
    pub until: Option<Timestamp>,
    /// The how-manieth ban of this subject that counts, from 1: what its term grew from. Bans
    /// that a rule's memory or decay, or `forget`, took away do not count.
    pub ordinal: u32,
    /// It was made although the subject was exempt, by an admin who insisted: no exemption there was then, or that
    /// comes back by an undo, stands against it.
    pub insisted: bool,
    /// The subject's version, for compare-and-set.
    pub version: Version,
}

impl Ban {
    /// Whether it has not ended by `now`. A ban ends at its second, whether or not anybody has
    /// written that down yet.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|end| now < end)
    }
}

/// The last ban of a subject that is free now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its short number.
    pub id: BanId,
    /// When it ended.
    pub ended: Timestamp,
    /// Where the log says how.
    pub seq: Seq,
}
