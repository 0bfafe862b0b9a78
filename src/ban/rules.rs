//! The rules for automatic bans, as data: what is counted by which key, when that is too much,
//! what the answer is and how it grows.
//!
//! | key | what is banned | whom it touches |
//! | --- | --- | --- |
//! | address | the address, for IPv6 its /64 | strangers there |
//! | network | its /24 or /48 | strangers there |
//! | account | the account gets a guard | sources that never logged in to it |
//! | pair | the account from this address | just that, also one that logged in before |

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::subject::{Account, Subject};
use super::tracker::Bounds;

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

/// A number with three decimal places, counted in thousandths: terms must come out the same
/// everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milli(pub u64);

impl Milli {
    /// 1.
    pub const ONE: Milli = Milli(1_000);

    /// From a number that is not negative and at most a million.
    pub fn from_f64(number: f64) -> Option<Milli> {
        let milli = (number * 1_000.0).round();
        // The bound makes the cast exact.
        (0.0..=1e9).contains(&milli).then_some(Milli(milli as u64))
    }
}

/// How the bans of one subject grow: fail2ban's increment (`bantime.increment` and what belongs
/// to it), and what it lacks: memory with an end, and decay.
///
/// With T for [`Rule::ban`] and c for the bans there were: T at first, then
/// `max(T, T · 2^min(c,20) · factor)`, or with multipliers `T · factor · m[c]` with the last one
/// for all further c (so the first of them is never used), as in fail2ban.
///
/// Different on purpose: nothing exceeds `cap`, neither the first ban nor by `jitter`; and
/// `jitter` never makes a ban shorter than the one before, as long as the settings stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// fail2ban's `bantime.factor`.
    pub factor: Milli,
    /// fail2ban's `bantime.multipliers`, never smaller than the one before; empty: doubling.
    pub multipliers: Vec<Milli>,
    /// The longest term: fail2ban's `bantime.maxtime`.
    pub cap: Duration,
    /// Up to so much is added by chance to the second and later terms: fail2ban's `rndtime`.
    pub jitter: Duration,
    /// Failures of a subject with c earlier bans count `min(2^(c-1) + 1, limit)`-fold, as in
    /// fail2ban: of 5 failures, 5, 3, 2, 1 are needed.
    pub known_bad_weight: bool,
    /// The bans are forgotten so long after the last of them ended; `None`: never.
    pub memory: Option<Duration>,
    /// The number of bans halves each time so much has passed since the last ended; `None`: never.
    pub decay: Option<Duration>,
}

impl Default for Growth {
    fn default() -> Self {
        Growth {
            factor: Milli::ONE,
            multipliers: Vec::new(),
            cap: CAP,
            jitter: Duration::ZERO,
            known_bad_weight: false,
            memory: None,
            decay: None,
        }
    }
}

/// The cap where none is set.
pub const CAP: Duration = Duration::from_secs(7 * 86_400);
/// fail2ban doubles no further than this.
const DOUBLINGS: u32 = 20;

impl Growth {
    /// How many of `count` bans still count when the last one ended `quiet` ago.
    pub fn remembered(&self, count: u32, quiet: Duration) -> u32 {
        if self.memory.is_some_and(|memory| quiet > memory) {
            return 0;
        }
        let halvings = match self.decay {
            Some(decay) if !decay.is_zero() => quiet.as_millis() / decay.as_millis().max(1),
            _ => 0,
        };
        count
            .checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    fn term(&self, first: Duration, count: u32, before: Option<Duration>, chance: u64) -> Duration {
        let first = first.as_millis().min(self.cap.as_millis());
        if count == 0 {
            return millis(first);
        }
        let times = |milli: Milli| u128::from(milli.0);
        let at = usize::try_from(count).unwrap_or(usize::MAX);
        let grown = match self.multipliers.get(at).or(self.multipliers.last()) {
            Some(multiplier) => {
                first
                    .saturating_mul(times(self.factor))
                    .saturating_mul(times(*multiplier))
                    / 1_000_000
            }
            None => (first << count.min(DOUBLINGS)).saturating_mul(times(self.factor)) / 1_000,
        };
        let grown = match self.multipliers.is_empty() {
            true => grown.max(first),
            false => grown,
        };
        let jitter = self.jitter.as_millis();
        // 64 bits of chance are a fraction of all there are.
        let drawn = (jitter.saturating_mul(u128::from(chance))) >> 64;
        let floor = before.map_or(0, |before| {
            before.as_millis().min(grown.saturating_add(jitter))
        });
        millis(
            grown
                .saturating_add(drawn)
                .max(floor)
                .min(self.cap.as_millis()),
        )
    }
}

fn millis(millis: u128) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

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

/// The number in words, as rules and evidence name it: `5 failures`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Counts::NAMES.iter().find(|(_, counts)| counts == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// How far an address reaches: which prefix counts as one source, which as its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Prefix length of one IPv6 source: a customer gets a /64.
    pub ipv6: u8,
    /// Ranges where a source is something else, for example a /128 in the range from which onion
    /// circuits arrive. What lies in them has nothing else in common: it belongs to no network.
    pub ranges: Vec<(IpNet, u8)>,
}

impl Default for Reach {
    fn default() -> Self {
        Reach {
            ipv6: 64,
            ranges: Vec::new(),
        }
    }
}

/// Prefix length of a network, IPv4.
const NETWORK_V4: u8 = 24;
/// Prefix length of a network, IPv6.
const NETWORK_V6: u8 = 48;

impl Reach {
    /// What counts as one source with this address.
    pub fn source(&self, address: IpAddr) -> IpNet {
        let length = match (self.range(address), address) {
            (Some(length), _) => length,
            (None, IpAddr::V4(_)) => 32,
            (None, IpAddr::V6(_)) => self.ipv6,
        };
        cut(address, length)
    }

    /// The network around an address, unless its range has none.
    pub fn network(&self, address: IpAddr) -> Option<IpNet> {
        if self.range(address).is_some() {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => cut(address, NETWORK_V4),
            IpAddr::V6(_) => cut(address, NETWORK_V6.min(self.ipv6)),
        })
    }

    fn range(&self, address: IpAddr) -> Option<u8> {
        self.ranges
            .iter()
            .filter(|(range, _)| range.contains(&address))
            .max_by_key(|(range, _)| range.prefix_len())
            .map(|(_, length)| *length)
    }
}

fn cut(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).map_or_else(|_| IpNet::from(address), |net| net.trunc())
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

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for Rules {
    fn default() -> Self {
        Rules {
            table: default_table(),
            proxies: Vec::new(),
            reach: Reach::default(),
            shared_accounts: 10,
            known_for: DAY * 90,
            quiet: HOUR,
            unknown_weight: 2,
            grace: MINUTE * 5,
            bounds: Bounds::default(),
        }
    }
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

    /// Whom a rule by `key` bans.
    pub fn subject(
        &self,
        key: Key,
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> Option<Subject> {
        Some(match key {
            Key::Address => Subject::network(self.reach.source(address?)),
            Key::Network => Subject::network(self.reach.network(address?)?),
            Key::Account => Subject::Guard(account?.clone()),
            Key::Pair => Subject::Pair(account?.clone(), self.reach.source(address?)),
        })
    }
}

/// What holds when the configuration has no rules of its own.
fn default_table() -> Vec<Rule> {
    let growing = |cap| Growth {
        cap,
        memory: Some(DAY * 90),
        decay: Some(DAY * 30),
        ..Growth::default()
    };
    let rule = |name: &str, key, counts, limit, window, ban, growth| Rule {
        name: name.to_owned(),
        key,
        counts,
        limit,
        window,
        ban,
        growth: Some(growth),
        dry_run: false,
    };
    let known_bad = |cap| Growth {
        known_bad_weight: true,
        ..growing(cap)
    };
    vec![
        rule(
            "pair-failures",
            Key::Pair,
            Counts::Failures,
            5,
            MINUTE * 10,
            MINUTE * 10,
            growing(DAY),
        ),
        rule(
            "address-failures",
            Key::Address,
            Counts::Failures,
            5,
            MINUTE * 10,
            MINUTE * 30,
            known_bad(DAY * 7),
        ),
        rule(
            "address-spray",
            Key::Address,
            Counts::Accounts,
            10,
            DAY,
            HOUR,
            known_bad(DAY * 7),
        ),
        rule(
            "network-bad-addresses",
            Key::Network,
            Counts::Addresses,
            20,
            DAY,
            HOUR,
            known_bad(DAY * 7),
        ),
        rule(
            "account-networks",
            Key::Account,
            Counts::Networks,
            10,
            HOUR,
            MINUTE * 15,
            growing(DAY),
        ),
        rule(
            "account-failures",
            Key::Account,
            Counts::Failures,
            30,
            HOUR,
            MINUTE * 15,
            growing(DAY),
        ),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule(growth: Growth) -> Rule {
        Rule {
            name: "x".into(),
            key: Key::Address,
            counts: Counts::Failures,
            limit: 5,
            window: MINUTE,
            ban: MINUTE,
            growth: Some(growth),
            dry_run: false,
        }
    }

    fn minutes(rule: &Rule, bans: u32) -> Vec<u64> {
        let term = |count| rule.term(count, None, 0).as_secs() / 60;
        (0..bans).map(term).collect()
    }

    /// The numbers of ban-engines 4.3, worked out with fail2ban's `BanTimeIncr`.
    #[test]
    fn terms_grow_as_in_fail2ban() {
        let plain = Growth {
            cap: DAY * 365,
            ..Growth::default()
        };
        assert_eq!(minutes(&rule(plain.clone()), 6), [1, 2, 4, 8, 16, 32]);
        let factor = |milli| Growth {
            factor: Milli(milli),
            ..plain.clone()
        };
        assert_eq!(minutes(&rule(factor(3_000)), 4), [1, 6, 12, 24]);
        assert_eq!(
            minutes(&rule(factor(250)), 5),
            [1, 1, 1, 2, 4],
            "never under T"
        );
        let steps = Growth {
            multipliers: [1, 5, 30, 60].map(|m| Milli(m * 1_000)).to_vec(),
            ..plain.clone()
        };
        assert_eq!(minutes(&rule(steps), 6), [1, 5, 30, 60, 60, 60]);
        let capped = Growth {
            cap: MINUTE * 5,
            ..plain.clone()
        };
        assert_eq!(minutes(&rule(capped), 5), [1, 2, 4, 5, 5]);
        let far = rule(Growth {
            cap: Duration::MAX,
            factor: Milli(1_000_000_000),
            ..plain
        });
        assert_eq!(
            far.term(20, None, 0),
            far.term(u32::MAX, None, 0),
            "20 doublings"
        );
        assert!(far.term(u32::MAX, None, u64::MAX) > DAY * 365);
    }

    #[test]
    fn failures_of_the_known_bad_weigh_as_in_fail2ban() {
        let needed = |limit: u32| {
            let rule = Rule {
                limit,
                ..rule(Growth {
                    known_bad_weight: true,
                    ..Growth::default()
                })
            };
            (0..7)
                .map(|c| limit.div_ceil(rule.weight(c)))
                .collect::<Vec<_>>()
        };
        assert_eq!(needed(5), [5, 3, 2, 1, 1, 1, 1]);
        assert_eq!(needed(10), [10, 5, 4, 2, 2, 1, 1]);
        assert_eq!(needed(20), [20, 10, 7, 4, 3, 2, 1]);
    }

    #[test]
    fn quiet_time_halves_the_count_and_memory_ends_it() {
        let growth = Growth {
            memory: Some(DAY * 90),
            decay: Some(DAY * 30),
            ..Growth::default()
        };
        let left = |days| growth.remembered(9, DAY * days);
        assert_eq!([0, 29, 30, 60, 90].map(left), [9, 9, 4, 2, 1]);
        assert_eq!(left(91), 0);
        assert_eq!(Growth::default().remembered(9, DAY * 10_000), 9);
    }

    #[test]
    fn an_address_reaches_as_far_as_set() {
        let reach = Reach {
            ranges: vec![("fd87:d87e:eb43::/48".parse().unwrap(), 128)],
            ..Reach::default()
        };
        let source = |text: &str| reach.source(text.parse().unwrap()).to_string();
        let network = |text: &str| reach.network(text.parse().unwrap()).map(|n| n.to_string());
        assert_eq!(source("2001:db8::1"), "2001:db8::/64");
        assert_eq!(source("fd87:d87e:eb43::1"), "fd87:d87e:eb43::1/128");
        assert_eq!(source("192.0.2.1"), "192.0.2.1/32");
        assert_eq!(network("192.0.2.1").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(
            network("2001:db8:1:2::1").as_deref(),
            Some("2001:db8:1::/48")
        );
        assert_eq!(network("fd87:d87e:eb43::1"), None);
    }

    #[test]
    fn the_default_table_is_sane() {
        for rule in Rules::default().table {
            let growth = rule.growth.as_ref().unwrap();
            assert!(
                rule.limit <= LIMIT_MAX && rule.ban <= growth.cap,
                "{}",
                rule.name
            );
            assert!(rule.counts.varies_within(rule.key), "{}", rule.name);
        }
        assert!(Rules::default().pairs_answer());
    }
}
