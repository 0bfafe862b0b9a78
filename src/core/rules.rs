//! The rules for automatic bans, as data: what is counted by which key, when that is too much,
//! what the answer is and how it grows (`growth.rs`).
//!
//! | key | what is banned | whom it touches |
//! | --- | --- | --- |
//! | address | the address, for IPv6 its /64 | strangers there |
//! | network | its /24 or /48 | strangers there |
//! | account | the account gets a guard | sources that never logged in to it |
//! | pair | the account from this address | just that, also one that logged in before |

mod default;
mod growth;
mod reach;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::subject::{Account, Subject};
use super::tracker::{Bounds, LoginOrigin};

pub use growth::{CAP, Growth, Milli};
pub use reach::Reach;

/// What a rule keeps count by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// One address; for IPv6 one prefix ([`Reach`]).
    Address,
    /// The network around an address.
    Network,
    /// The account somebody wants to log in to.
    Account,
    /// An account from one address.
    Pair,
}

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counts {
    /// Failed logins.
    Failures,
    /// Different accounts they were for.
    Accounts,
    /// Different addresses they came from.
    Addresses,
    /// Different networks they came from.
    Networks,
}

impl Key {
    /// All of them, with the word for each.
    pub const NAMES: [(&'static str, Key); 4] = [
        ("address", Key::Address),
        ("network", Key::Network),
        ("account", Key::Account),
        ("pair", Key::Pair),
    ];
}

impl Counts {
    /// All of them, with the word for each.
    pub const NAMES: [(&'static str, Counts); 4] = [
        ("failures", Counts::Failures),
        ("accounts", Counts::Accounts),
        ("addresses", Counts::Addresses),
        ("networks", Counts::Networks),
    ];

    /// Whether counting this by `key` can ever come to more than one: a pair has one account and
    /// one address, an account is one account.
    pub fn varies_within(self, key: Key) -> bool {
        match self {
            Counts::Failures => true,
            Counts::Accounts => matches!(key, Key::Address | Key::Network),
            Counts::Addresses => matches!(key, Key::Network | Key::Account),
            Counts::Networks => key == Key::Account,
        }
    }
}

/// The word for it, as it stands behind a number: `5 failures`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Counts::NAMES.iter().find(|(_, counts)| counts == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as it stands in bans and lists.
    pub name: String,
    /// What it keeps count by.
    pub key: Key,
    /// What it counts.
    pub counts: Counts,
    /// As many of them are too many; from 1 to [`LIMIT_MAX`].
    pub limit: u32,
    /// Within this time, both ends included.
    pub window: Duration,
    /// How long the first ban is.
    pub ban: Duration,
    /// How later ones grow; `None`: they do not.
    pub growth: Option<Growth>,
    /// Only tell what it would have done.
    pub dry_run: bool,
}

/// The highest limit of a rule: a key keeps that many times at most.
pub const LIMIT_MAX: u32 = 500;

impl Rule {
    /// The term of a ban: `count` bans were before it and still count, the last of them was
    /// `before` long, `chance` is 64 random bits.
    pub fn term(&self, count: u32, before: Option<Duration>, chance: u64) -> Duration {
        match &self.growth {
            None => self.ban,
            Some(growth) => growth.term(self.ban, count, before, chance),
        }
    }

    /// How many of `count` bans still count when the last one ended `quiet` ago.
    pub fn remembered(&self, count: u32, quiet: Duration) -> u32 {
        match &self.growth {
            None => count,
            Some(growth) => growth.remembered(count, quiet),
        }
    }

    /// How many failures one failure counts for a subject with `count` earlier bans.
    pub fn weight(&self, count: u32) -> u32 {
        match &self.growth {
            Some(growth) if growth.known_bad_weight && count > 0 => 2u32
                .saturating_pow(count - 1)
                .saturating_add(1)
                .min(self.limit),
            _ => 1,
        }
    }

    /// The public reason of its bans.
    pub fn reason(&self) -> &'static str {
        match self.key {
            Key::Address => "too many failed logins from this address",
            Key::Network => "too many failed logins from this network",
            Key::Pair => "too many failed logins",
            Key::Account => {
                "somebody is trying passwords on this account; log in from where you did before"
            }
        }
    }
}

/// All rules, and what they need to know of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The rules.
    pub table: Vec<Rule>,
    /// Addresses behind which others sit, who cannot be told apart by it: never banned
    /// themselves; only pairs answer there.
    pub proxies: Vec<IpNet>,
    /// How far an address reaches.
    pub reach: Reach,
    /// A source to which so many accounts logged in is shared: treated like a proxy.
    pub shared_accounts: u32,
    /// How long a login is remembered as a good one.
    pub known_for: Duration,
    /// Repeated failures of one account from one address count once toward the address until
    /// they pause for so long: a stale saved password. Only where a rule by pair bans the
    /// guesser: without one every failure counts.
    pub quiet: Duration,
    /// How many different accounts one that does not exist counts as.
    pub unknown_weight: u32,
    /// So long after an un-ban by hand no rule bans the same subject.
    pub grace: Duration,
    /// How much is counted at most. Seen when the program starts.
    pub bounds: Bounds,
}

impl Rules {
    /// Whether a rule by pair answers a guesser who tries one account over and over.
    pub fn pairs_answer(&self) -> bool {
        self.table
            .iter()
            .any(|rule| rule.key == Key::Pair && !rule.dry_run)
    }

    /// Whether an address is a declared proxy.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(&address))
    }

    /// How much one mark can count for: an account that does not exist is worth several.
    pub(super) fn heaviest(&self, counts: Counts) -> u32 {
        match counts {
            Counts::Accounts => self.unknown_weight.max(1),
            Counts::Failures | Counts::Addresses | Counts::Networks => 1,
        }
    }

    /// Whom a rule by `key` bans.
    pub fn subject(
        &self,
        key: Key,
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> Option<Subject> {
        LoginOrigin::at(&self.reach, account, address).subject(key)
    }
}
