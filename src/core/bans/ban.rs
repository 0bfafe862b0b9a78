//! Bans: active ones, and the last one of a subject that ended.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::core::actor::Actor;
use crate::core::event::{Origin, Seq, Version};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// The short number by which people name a ban (`#17`). The fold assigns it in ascending order and never reuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BanId(pub u64);

impl BanId {
    /// Parses `#17` or `17`; `None` for anything else.
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

/// An active ban.
///
/// It has no private note, because the fold may not depend on data that can be deleted. Notes are read from the log
/// when they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Its short number.
    pub id: BanId,
    /// The banned subject.
    pub subject: Subject,
    /// Public reason; the banned user sees it. May be empty.
    #[serde(deserialize_with = "crate::core::words::public")]
    pub reason: String,
    /// The actor who imposed it or last changed its terms.
    #[serde(with = "crate::core::actor::whole")]
    pub by: Actor,
    /// Where it comes from.
    pub origin: Origin,
    /// When it began.
    pub since: Timestamp,
    /// When it ends by itself; `None`: permanent.
    pub until: Option<Timestamp>,
    /// Offence number, from 1, which escalation computed the term from. Earlier bans do not count if the rule's
    /// memory or decay, or `forget`, removed them.
    pub ordinal: u32,
    /// Whether an admin forced it although the subject was exempt. It overrides the exemption of that time, and one
    /// that an undo restores.
    pub insisted: bool,
    /// The version of the subject that set these terms.
    pub version: Version,
}

impl Ban {
    /// Whether it has not ended by `now`. A ban ends at the time set, even if its end is not in the log yet.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|end| now < end)
    }

    /// Whether it may refuse the start of a stream (`door='start'`), when the account is not known yet. It must be the
    /// ban of an address or network, and apply to everybody there or to a network where no account has logged in
    /// before, which `lives_in` answers.
    pub fn holds_at_start(&self, lives_in: impl FnOnce(ipnet::IpNet) -> bool) -> bool {
        let net = self.subject.net();
        net.is_some_and(|net| self.origin.rule().is_none() || !lives_in(net))
    }
}

/// The last ban of a subject that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its short number.
    pub id: BanId,
    /// When it ended.
    pub ended: Timestamp,
    /// The position in the log of the event that ended it.
    pub seq: Seq,
}
