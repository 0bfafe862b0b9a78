//! The index of active bans for login checks.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::core::bans::ban::Ban;
use crate::core::bans::bloom::BloomMap;
use crate::core::bans::nets::{Nets, PrefixLengths};
use crate::core::subject::{Account, Subject};
use crate::core::time::Timestamp;

/// A ban, with the fields that a check reads first stored inline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) struct ActiveBan {
    until: i64,
    by_rule: bool,
    pub(in crate::core) ban: Arc<Ban>,
}

impl ActiveBan {
    pub(in crate::core) fn new(ban: Arc<Ban>) -> Self {
        ActiveBan {
            until: ban.until.map_or(i64::MAX, Timestamp::as_millis),
            by_rule: ban.origin.rule().is_some(),
            ban,
        }
    }

    pub(in crate::core) fn is_in_force(&self, now: Timestamp) -> bool {
        now.as_millis() < self.until
    }
}

/// The active bans, by subject. Expired ones remain until their end is recorded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ActiveBans {
    accounts: BloomMap<Account, ActiveBan>,
    guards: BloomMap<Account, ActiveBan>,
    pairs: BloomMap<Pair, ActiveBan>,
    pair_lengths: PrefixLengths,
    nets: Nets<ActiveBan>,
    count: usize,
}

impl Extend<Arc<Ban>> for ActiveBans {
    fn extend<T: IntoIterator<Item = Arc<Ban>>>(&mut self, bans: T) {
        let all = bans.into_iter().map(ActiveBan::new);
        all.for_each(|active| self.insert(active));
    }
}

impl ActiveBans {
    pub(in crate::core) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(in crate::core) fn insert(&mut self, stands: ActiveBan) {
        self.count += 1;
        match &Arc::clone(&stands.ban).subject {
            Subject::Account(account) => {
                self.accounts.insert(account.clone(), stands);
            }
            Subject::Guard(account) => {
                self.guards.insert(account.clone(), stands);
            }
            Subject::Pair(account, net) => {
                self.pairs.insert(Pair(account.clone(), *net), stands);
                self.pair_lengths.enter(net);
            }
            Subject::Address(address) => self.nets.insert(IpNet::from(*address), stands),
            Subject::Network(net) => self.nets.insert(*net, stands),
        }
    }

    /// Removes the ban of a subject. There must be one.
    pub(in crate::core) fn remove(&mut self, subject: &Subject) {
        self.count -= 1;
        match subject {
            Subject::Account(account) => {
                self.accounts.remove(account);
            }
            Subject::Guard(account) => {
                self.guards.remove(account);
            }
            Subject::Pair(account, net) => {
                self.pairs.remove(&Pair(account.clone(), *net));
                self.pair_lengths.leave(net);
            }
            Subject::Address(address) => self.nets.remove(IpNet::from(*address)),
            Subject::Network(net) => self.nets.remove(*net),
        }
    }

    /// The ban of exactly this subject.
    pub(in crate::core) fn of(&self, subject: &Subject) -> Option<&ActiveBan> {
        let net = match subject {
            Subject::Account(account) => return self.accounts.get(account),
            Subject::Guard(account) => return self.guards.get(account),
            Subject::Pair(account, net) => return self.pairs.get(&(account, *net) as &dyn Halves),
            Subject::Address(address) => IpNet::from(*address),
            Subject::Network(net) => *net,
        };
        let mut found = None;
        self.nets.cover(net.addr(), |active| {
            if active.ban.subject == *subject {
                found = Some(active);
            }
        });
        found
    }

    pub(in crate::core) fn account(&self, account: &Account) -> Option<&ActiveBan> {
        self.accounts.get(account)
    }

    /// The ban or account lockdown that refuses a login, and whether it also applies to an account that logged in
    /// from there before. Manual bans of addresses and networks come first, then bans of the pair, then automatic
    /// bans, then the lockdown. Of several of one kind, the one that ends last wins.
    pub(in crate::core) fn against(
        &self,
        account: Option<&Account>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<(&ActiveBan, bool)> {
        let (mut by_people, mut by_rules) = (None, None);
        if let Some(address) = address {
            self.nets.cover(address, |stands| {
                let slot = match stands.by_rule {
                    true => &mut by_rules,
                    false => &mut by_people,
                };
                longest(slot, stands, now);
            });
        }
        if let Some(by_people) = by_people {
            return Some((by_people, true));
        }
        if let (Some(account), Some(address)) = (account, address)
            && let Some(pair) = self.pair(account, address, now)
        {
            return Some((pair, true));
        }
        if let Some(by_rules) = by_rules {
            return Some((by_rules, false));
        }
        let guard = self.guards.get(account?)?;
        guard.is_in_force(now).then_some((guard, false))
    }

    /// The ban that covers an address; of several, the one that ends last.
    pub(in crate::core) fn covering(&self, address: IpAddr, now: Timestamp) -> Option<&ActiveBan> {
        let mut found = None;
        self.nets
            .cover(address, |stands| longest(&mut found, stands, now));
        found
    }

    fn pair(&self, account: &Account, address: IpAddr, now: Timestamp) -> Option<&ActiveBan> {
        if self.pairs.is_empty() {
            return None;
        }
        let lengths = self.pair_lengths.of(address);
        lengths
            .filter_map(|length| IpNet::new(address, length).ok())
            .filter_map(|net| self.pairs.get(&(account, net.trunc()) as &dyn Halves))
            .find(|stands| stands.is_in_force(now))
    }
}

fn longest<'a>(slot: &mut Option<&'a ActiveBan>, stands: &'a ActiveBan, now: Timestamp) {
    if stands.is_in_force(now) && slot.is_none_or(|other| other.until < stands.until) {
        *slot = Some(stands);
    }
}

/// A pair as a key; [`Halves`] looks it up without copying the account's name.
#[derive(Debug, PartialEq, Eq)]
struct Pair(Account, IpNet);

trait Halves {
    fn halves(&self) -> (&str, IpNet);
}

impl Halves for Pair {
    fn halves(&self) -> (&str, IpNet) {
        (self.0.as_str(), self.1)
    }
}

impl Halves for (&Account, IpNet) {
    fn halves(&self) -> (&str, IpNet) {
        (self.0.as_str(), self.1)
    }
}

impl Hash for Pair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.halves().hash(state);
    }
}

impl Hash for dyn Halves + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.halves().hash(state);
    }
}

impl PartialEq for dyn Halves + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.halves() == other.halves()
    }
}

impl Eq for dyn Halves + '_ {}

impl<'a> Borrow<dyn Halves + 'a> for Pair {
    fn borrow(&self) -> &(dyn Halves + 'a) {
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::actor::Actor;
    use crate::core::bans::ban::BanId;
    use crate::core::event::{Origin, Seq};

    fn subject(text: &str) -> Subject {
        Subject::parse(text).unwrap()
    }

    fn ban(text: &str, until: i64, origin: Origin) -> Arc<Ban> {
        Arc::new(Ban {
            id: BanId(until.unsigned_abs()),
            subject: subject(text),
            reason: String::new(),
            by: Actor::rules(),
            origin,
            since: Timestamp::from_millis(0),
            until: Some(Timestamp::from_millis(until)),
            ordinal: 1,
            insisted: false,
            version: Seq(1),
        })
    }

    #[test]
    fn of_several_bans_around_an_address_the_last_to_end_counts() {
        let mut active = ActiveBans::default();
        let bans = [
            ("203.0.113.0/24", 30),
            ("203.0.113.7", 20),
            ("203.0.0.0/16", 40),
        ];
        active.extend(bans.map(|(net, until)| ban(net, until, Origin::Manual)));
        let address = "203.0.113.7".parse().unwrap();
        let ends = |found: Option<&ActiveBan>| found.map(|active| active.ban.id.0);
        for (now, end) in [(0, Some(40)), (39, Some(40)), (40, None)] {
            let now = Timestamp::from_millis(now);
            assert_eq!(ends(active.covering(address, now)), end);
            let against = active.against(None, Some(address), now);
            assert_eq!(ends(against.map(|found| found.0)), end);
        }
        active.remove(&subject("203.0.0.0/16"));
        assert_eq!(
            ends(active.covering(address, Timestamp::from_millis(0))),
            Some(30)
        );
    }

    #[test]
    fn a_pair_is_found_by_both_of_its_halves_alone() {
        let pair = |n: u32| format!("u{n}@example.org from 203.0.113.{}", n % 250);
        let mut active = ActiveBans::default();
        active.extend((0..2_000).map(|n| ban(&pair(n), 10, Origin::Manual)));
        let found = |n: u32, address: String| {
            let account = subject(&format!("u{n}@example.org"));
            let address = address.parse().unwrap();
            let now = Timestamp::from_millis(0);
            let found = active.against(account.account(), Some(address), now);
            found.map(|(active, _)| active.ban.subject.to_string())
        };
        for n in 0..2_000 {
            assert_eq!(found(n, format!("203.0.113.{}", n % 250)), Some(pair(n)));
            assert_eq!(found(n, format!("203.0.113.{}", (n + 1) % 250)), None);
            assert_eq!(found(n + 2_000, format!("203.0.113.{}", n % 250)), None);
        }
    }
}
