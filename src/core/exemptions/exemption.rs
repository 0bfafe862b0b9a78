//! Exemptions granted by `allow`: which subjects are never banned, why, and until when.
//!
//! Rules ignore logins from an exempt network, and only a forced ban of an address refuses them. An exempt account
//! cannot be banned as an account, but its pairs, its lockdown and the addresses of guessers can: otherwise exempting
//! an account would let anybody guess its password.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::core::actor::Actor;
use crate::core::subject::{Subject, overlaps};
use crate::core::time::Timestamp;

/// An exemption of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// The exempt account, address or network.
    pub subject: Subject,
    /// Comment, shown in lists.
    #[serde(deserialize_with = "crate::core::words::public")]
    pub comment: String,
    /// The person who granted it.
    #[serde(with = "crate::core::actor::whole")]
    pub by: Actor,
    /// When it was granted.
    pub since: Timestamp,
    /// When it ends; `None`: when it is revoked.
    pub until: Option<Timestamp>,
}

impl Exemption {
    /// Whether it has not ended by `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|end| now < end)
    }

    /// Whether granting it lifts a ban of this subject: any ban of the account, or any inside of the network.
    pub fn covers(&self, banned: &Subject) -> bool {
        self.subject.holds(banned)
    }

    /// Whether a ban of this subject would affect something exempt.
    fn forbids(&self, banned: &Subject) -> bool {
        match self.subject.net() {
            None => *banned == self.subject,
            Some(net) => banned.place().is_some_and(|place| overlaps(&place, &net)),
        }
    }
}

/// As shown to a person whose ban it prevents: `192.0.2.0/24, allowed by admin@example.org: office`.
impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, allowed by {}", self.subject, self.by.bare_name())?;
        match self.comment.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.comment),
        }
    }
}

/// All exemptions granted by `allow`. People grant them one by one, so they are few, and a linear search is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemptions(BTreeMap<Subject, Exemption>);

impl Exemptions {
    /// The exemption of exactly this subject, which may have ended; `None` if there is none.
    pub fn of(&self, subject: &Subject) -> Option<&Exemption> {
        self.0.get(subject)
    }

    /// All exemptions, ordered by subject. Those that have ended are included.
    pub fn all(&self) -> impl Iterator<Item = &Exemption> {
        self.0.values()
    }

    /// The exemption in force that forbids a ban of this subject: it covers the subject, or lies inside of it. `None`
    /// if there is none.
    pub fn covering(&self, subject: &Subject, now: Timestamp) -> Option<&Exemption> {
        self.all()
            .find(|exemption| exemption.is_in_force(now) && exemption.forbids(subject))
    }

    /// Whether an address is exempt, itself or by its network.
    pub fn holds(&self, address: IpAddr, now: Timestamp) -> bool {
        let address = address.to_canonical();
        self.all().any(|exemption| {
            let net = exemption.subject.net();
            exemption.is_in_force(now) && net.is_some_and(|net| net.contains(&address))
        })
    }

    pub(in crate::core) fn insert(&mut self, exemption: Exemption) {
        self.0.insert(exemption.subject.clone(), exemption);
    }

    pub(in crate::core) fn remove(&mut self, subject: &Subject) -> Option<Exemption> {
        self.0.remove(subject)
    }
}
