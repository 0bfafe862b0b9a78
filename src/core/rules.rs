//! The rules for automatic bans, as data: the key that failures are counted by, the limit, and the ban with its
//! escalation (`growth.rs`).
//!
//! | key | what is banned | who is refused |
//! | --- | --- | --- |
//! | address | the address, for IPv6 its /64 | accounts that never logged in from there |
//! | network | its /24 or /48 | accounts that never logged in from there |
//! | account | the account is locked down | sources that never logged in to it |
//! | pair | the account at this source | only that pair, even if it logged in before |

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
pub(super) use reach::NETWORK_V6;
pub use reach::Reach;

/// The key that a rule counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleKey {
    /// One source: an IPv4 address or an IPv6 prefix ([`Reach`]).
    Address,
    /// The network of an address.
    Network,
    /// The account that the login was for.
    Account,
    /// An account at one source.
    Pair,
}

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counts {
    /// Failed logins.
    Failures,
    /// Different accounts that the failed logins were for.
    Accounts,
    /// Different sources that they came from.
    Addresses,
    /// Different networks that they came from.
    Networks,
}

impl RuleKey {
    /// All keys, with their words in the configuration.
    pub const NAMES: [(&'static str, RuleKey); 4] = [
        ("address", RuleKey::Address),
        ("network", RuleKey::Network),
        ("account", RuleKey::Account),
        ("pair", RuleKey::Pair),
    ];
}

impl Counts {
    /// All variants, with their words in the configuration.
    pub const NAMES: [(&'static str, Counts); 4] = [
        ("failures", Counts::Failures),
        ("accounts", Counts::Accounts),
        ("addresses", Counts::Addresses),
        ("networks", Counts::Networks),
    ];

    /// Whether this count can exceed 1 for one `key`. A pair has one account and one address, for example, and an
    /// account is always one account.
    pub fn varies_within(self, key: RuleKey) -> bool {
        match self {
            Counts::Failures => true,
            Counts::Accounts => matches!(key, RuleKey::Address | RuleKey::Network),
            Counts::Addresses => matches!(key, RuleKey::Network | RuleKey::Account),
            Counts::Networks => key == RuleKey::Account,
        }
    }
}

/// The plural, to follow a number: `5 failures`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Counts::NAMES.iter().find(|(_, counts)| counts == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// A rule for automatic bans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, shown in bans and lists.
    pub name: String,
    /// The key it counts by.
    pub key: RuleKey,
    /// What it counts.
    pub counts: Counts,
    /// The count at which it bans, from 1 to [`LIMIT_MAX`].
    pub limit: u32,
    /// The time in which failures are counted, both ends included.
    pub window: Duration,
    /// Length of the first ban.
    pub ban: Duration,
    /// Escalation of later bans; `None`: they are as long as the first.
    pub growth: Option<Growth>,
    /// Whether it only reports what it would have done.
    pub dry_run: bool,
}

/// The highest limit of a rule. A key keeps at most that many failures.
pub const LIMIT_MAX: u32 = 500;

impl Rule {
    /// The term of a ban after `count` earlier bans that count, the last of which was `before` long. `chance` is 64
    /// random bits for the jitter.
    pub fn term(&self, count: u32, before: Option<Duration>, chance: u64) -> Duration {
        match &self.growth {
            None => self.ban,
            Some(growth) => growth.term(self.ban, count, before, chance),
        }
    }

    /// How many of `count` bans still count, `quiet` after the last one ended.
    pub fn remembered(&self, count: u32, quiet: Duration) -> u32 {
        match &self.growth {
            None => count,
            Some(growth) => growth.remembered(count, quiet),
        }
    }

    /// Weight of one failure of a subject with `count` earlier bans; 1 without escalation by `known_bad_weight`.
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
            RuleKey::Address => "too many failed logins from this address",
            RuleKey::Network => "too many failed logins from this network",
            RuleKey::Pair => "too many failed logins",
            RuleKey::Account => {
                "somebody is trying passwords on this account; log in from where you did before"
            }
        }
    }
}

/// All rules, and how sources are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The rules, in the order of the configuration.
    pub table: Vec<Rule>,
    /// Proxies and gateways, behind which users cannot be told apart by address. They are never banned by rules; only
    /// rules by pair apply there.
    pub proxies: Vec<IpNet>,
    /// Which addresses count as one source.
    pub reach: Reach,
    /// The number of accounts with a login from one source at which it is shared. A shared source is treated like a
    /// proxy.
    pub shared_accounts: u32,
    /// How long a successful login makes a source trusted for the account.
    pub known_for: Duration,
    /// Repeat window: failures of one account from one source count once for the source until they pause for this
    /// long, because they usually come from a client with a stale password. Needs a rule by pair that stops a
    /// guesser; without one every failure counts.
    pub quiet: Duration,
    /// How many accounts a failure counts for if its account does not exist.
    pub unknown_weight: u32,
    /// Cooldown after an un-ban by a person: failures before its end do not count, so that no rule bans the subject
    /// again at once.
    pub grace: Duration,
    /// Memory bounds of the tracker. Read at start only.
    pub bounds: Bounds,
}

impl Rules {
    /// Whether some rule by pair stops a guesser who keeps trying one account.
    pub fn pairs_answer(&self) -> bool {
        self.table
            .iter()
            .any(|rule| rule.key == RuleKey::Pair && !rule.dry_run)
    }

    /// Whether an address belongs to a declared proxy.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(&address))
    }

    /// The most that one failure can count for: where accounts are counted, one that does not exist counts as
    /// several.
    pub(super) fn heaviest(&self, counts: Counts) -> u32 {
        match counts {
            Counts::Accounts => self.unknown_weight.max(1),
            Counts::Failures | Counts::Addresses | Counts::Networks => 1,
        }
    }

    /// The subject that a rule by `key` bans; `None` if the attempt does not name it.
    pub fn subject(
        &self,
        key: RuleKey,
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> Option<Subject> {
        LoginOrigin::at(&self.reach, account, address).subject(key)
    }
}
