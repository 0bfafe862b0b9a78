//! Trusted sources: which account logged in from which source, and how many accounts did from each source.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::HashedAttempt;
use super::table::{Table, TableRow};
use crate::core::rules::NETWORK_V6;

/// The most sources of one account that are remembered; then its own oldest one is forgotten.
const SOURCES: usize = 128;
/// The same while the table is full: an account with this many takes no other account's place.
const SOURCES_WHEN_FULL: usize = 8;
/// An account with this many sources in one IPv6 network (/48) is trusted in all of it after a login from another one.
const SOURCES_IN_NETWORK: usize = 8;

/// When an account last logged in from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastLogin {
    /// Hash of the account; 0: unknown, because an earlier version saved the row.
    pub(super) account: u64,
    /// The source's first address, as two words: it keeps the row at 40 bytes.
    home: [u64; 2],
    /// Time of the login, in the tracker's milliseconds.
    pub(super) at: u64,
}

impl LastLogin {
    pub(super) fn new(account: u64, home: u128, at: u64) -> Self {
        let home = [(home >> 64) as u64, home as u64];
        LastLogin { account, home, at }
    }

    /// The first address of the source; for a whole IPv6 network the last one.
    pub(super) fn home(&self) -> u128 {
        u128::from(self.home[0]) << 64 | u128::from(self.home[1])
    }
}

impl TableRow for LastLogin {
    fn danger(&self) -> u64 {
        self.at
    }
}

/// Successful logins.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) table: Table<LastLogin>,
    /// Number of accounts with a login from a source, by [`LastLogin::home`].
    homes: BTreeMap<u128, u32>,
    /// The rows of each account: its hash and the key of the row.
    sources: BTreeSet<(u64, u64)>,
    /// How long a login counts, in milliseconds.
    pub(super) lasts: u64,
}

impl Known {
    pub(super) fn new(most: usize, lasts: u64) -> Self {
        Known {
            table: Table::new(most),
            homes: BTreeMap::new(),
            sources: BTreeSet::new(),
            lasts,
        }
    }

    /// Records a successful login. `network` is the key of the account in the whole IPv6 network of the source;
    /// 0: the source is not part of one.
    pub(super) fn note(&mut self, login: &HashedAttempt, network: u64) {
        let HashedAttempt { account, at, .. } = *login;
        let (mut pair, mut home) = (login.pair, login.home);
        let mut own = Vec::new();
        if self.table.get(pair).is_none() {
            own.extend(self.rows_of(account));
            let around = whole_network(home);
            let is_near =
                |row: &&(u64, u64, u128)| row.1 != network && whole_network(row.2) == around;
            if network != 0 && own.iter().filter(is_near).count() >= SOURCES_IN_NETWORK {
                (pair, home) = (network, around);
            }
        }
        if let Some(seen) = self.table.get_mut(pair) {
            seen.at = seen.at.max(at);
            seen.account = account;
            self.sources.insert((account, pair));
            return;
        }
        let most = match self.table.is_full() {
            true => SOURCES_WHEN_FULL,
            false => SOURCES,
        };
        own.sort_unstable();
        for (_, oldest, _) in own.iter().take((own.len() + 1).saturating_sub(most)) {
            self.remove(*oldest);
        }
        self.restore(pair, LastLogin::new(account, home, at));
    }

    /// Adds a row as it was saved; one that is there already stays as it is.
    pub(super) fn restore(&mut self, pair: u64, login: LastLogin) {
        if self.table.get(pair).is_some() {
            return;
        }
        *self.homes.entry(login.home()).or_default() += 1;
        if login.account != 0 {
            self.sources.insert((login.account, pair));
        }
        let oldest = login.at.saturating_sub(self.lasts);
        let (homes, sources) = (&mut self.homes, &mut self.sources);
        let gone = |pair, login| forget(homes, sources, pair, login);
        self.table.add(pair, login, |seen| seen.at < oldest, gone);
    }

    /// The rows of an account: time, key, and [`LastLogin::home`] of each.
    fn rows_of(&self, account: u64) -> impl Iterator<Item = (u64, u64, u128)> {
        let sources = self.sources.range((account, 0)..=(account, u64::MAX));
        sources.filter_map(|(_, pair)| {
            let row = self.table.get(*pair)?;
            Some((row.at, *pair, row.home()))
        })
    }

    /// The first addresses of an account's sources, the latest login first, at most `most`.
    pub(super) fn homes(&self, account: u64, most: usize) -> Vec<IpAddr> {
        let mut rows: Vec<_> = self.rows_of(account).collect();
        rows.sort_unstable_by_key(|(at, ..)| std::cmp::Reverse(*at));
        let homes = rows.into_iter().map(|(_, _, home)| home);
        homes.take(most).map(address).collect()
    }

    pub(super) fn remove(&mut self, pair: u64) {
        if let Some(login) = self.table.remove(pair) {
            forget(&mut self.homes, &mut self.sources, pair, login);
        }
    }

    /// Whether this pair logged in recently enough to be trusted.
    pub(super) fn is_good(&self, pair: u64, now: u64) -> bool {
        self.table
            .get(pair)
            .is_some_and(|seen| seen.at >= now.saturating_sub(self.lasts))
    }

    /// Number of accounts that logged in from a source, at least; some may have expired.
    pub(super) fn accounts_at(&self, source: IpNet) -> u32 {
        let home = bits(source.addr());
        let at = |home| self.homes.get(&home).copied().unwrap_or(0);
        match source {
            IpNet::V4(_) => at(home),
            // An account may be in both.
            IpNet::V6(_) => at(home).max(at(whole_network(home))),
        }
    }

    /// Whether any account logged in from a source in this network, or is trusted in a larger one around it.
    pub(super) fn lives_in(&self, net: IpNet) -> bool {
        let range = bits(net.network())..=bits(net.broadcast());
        let around = whole_network(bits(net.addr()));
        self.homes.range(range).next().is_some() || self.homes.contains_key(&around)
    }

    /// Bytes of memory in use; the size of the trees is an estimate.
    pub(super) fn bytes(&self) -> usize {
        const HOME: usize = (size_of::<u128>() + size_of::<u32>()) * 3 / 2;
        const SOURCE: usize = size_of::<(u64, u64)>() * 3 / 2;
        self.table.bytes() + self.homes.len() * HOME + self.sources.len() * SOURCE
    }
}

fn forget(
    homes: &mut BTreeMap<u128, u32>,
    sources: &mut BTreeSet<(u64, u64)>,
    pair: u64,
    login: LastLogin,
) {
    sources.remove(&(login.account, pair));
    let home = login.home();
    if let Some(count) = homes.get_mut(&home) {
        *count -= 1;
        if *count == 0 {
            homes.remove(&home);
        }
    }
}

/// The last address of the IPv6 network around a source: it stands for the whole network, and is no source's first one.
fn whole_network(home: u128) -> u128 {
    home | u128::MAX >> NETWORK_V6
}

/// An address as a number, IPv4 as `::ffff:a.b.c.d`.
pub(super) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => 0xffff << 32 | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address of a number made by [`bits`].
fn address(bits: u128) -> IpAddr {
    IpAddr::from(bits.to_be_bytes()).to_canonical()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn home(text: &str) -> u128 {
        bits(net(text).addr())
    }

    fn login(account: u64, home: u128, at: u64) -> HashedAttempt {
        // Any number that differs for each pair will do.
        let pair = account << 32 | (home >> 64) as u64 & 0xffff_ffff | home as u64 & 0xffff_ffff;
        HashedAttempt {
            account,
            pair,
            home,
            at,
            ..HashedAttempt::default()
        }
    }

    #[test]
    fn homes_count_accounts_and_are_found_by_network() {
        let mut known = Known::new(3, 1_000);
        let office = home("192.0.2.1/32");
        known.note(&login(1, office, 10), 0);
        known.note(&login(2, office, 10), 0);
        known.note(&login(2, office, 20), 0);
        known.note(&login(3, home("2001:db8::/64"), 30), 0);
        assert_eq!(known.accounts_at(net("192.0.2.1/32")), 2);
        assert!(known.lives_in(net("192.0.2.0/24")) && known.lives_in(net("2001:db8::/48")));
        assert!(!known.lives_in(net("192.0.3.0/24")));
        let first = login(1, office, 0).pair;
        assert!(known.is_good(first, 1_010) && !known.is_good(first, 1_011));
        // The table is full: the oldest pair is evicted and its source counts one account less.
        known.note(&login(4, home("198.51.100.1/32"), 40), 0);
        assert_eq!(known.accounts_at(net("192.0.2.1/32")), 1);
        assert_eq!(
            (known.table.len(), known.homes.len(), known.sources.len()),
            (3, 3, 3)
        );
        assert_eq!(known.table.evicted, 1);
    }

    #[test]
    fn an_account_forgets_its_own_oldest_source_and_nobody_elses() {
        let mut known = Known::new(1_000, u64::MAX);
        let others = home("192.0.2.1/32");
        known.note(&login(1, others, 1), 0);
        for n in 0..500u64 {
            known.note(&login(2, u128::from(n) << 80, 10 + n), 0);
        }
        assert!(known.is_good(login(1, others, 1).pair, 1));
        assert_eq!(known.table.len(), 1 + SOURCES);
        assert_eq!(known.sources.len(), known.table.len());
        assert_eq!(known.homes.len(), known.table.len());
        assert!(known.is_good(login(2, 499 << 80, 0).pair, 0));
        assert!(!known.is_good(login(2, 371 << 80, 0).pair, 0));
    }

    #[test]
    fn accounts_that_fill_the_table_take_few_places_from_others() {
        let mut known = Known::new(1_000, u64::MAX);
        for account in 1..=500 {
            known.note(&login(account, u128::from(account), 1), 0);
        }
        let sources = |known: &mut Known, account: u64| {
            for n in 0..200u64 {
                known.note(&login(account, u128::from(n + 1) << 80, 1_000 + n), 0);
            }
        };
        (1_001..1_008).for_each(|account| sources(&mut known, account));
        let honest = |known: &Known| {
            let is_good =
                |account: &u64| known.is_good(login(*account, u128::from(*account), 0).pair, 0);
            (1..=500).filter(is_good).count()
        };
        let most = 7 * SOURCES_WHEN_FULL;
        assert!(honest(&known) >= 500 - most, "{}", honest(&known));
    }

    #[test]
    fn many_sources_in_an_ipv6_network_become_one() {
        let mut known = Known::new(1_000, u64::MAX);
        let source = |n: u128| home("2001:db8:7::/48") + (n << 64);
        let network = 77;
        for n in 0..SOURCES_IN_NETWORK as u128 {
            known.note(&login(2, source(n), 1), network);
        }
        assert!(known.table.get(network).is_none());
        known.note(&login(2, home("192.0.2.1/32"), 1), 0);
        known.note(&login(2, source(100), 2), network);
        assert_eq!((known.table.len(), known.homes.len()), (10, 10));
        known.note(&login(2, source(101), 3), network);
        assert_eq!(known.table.len(), 10);
        assert!(known.is_good(network, 3));
        for net_text in ["2001:db8:7:5::/64", "2001:db8:7::/48", "2001:db8::/32"] {
            assert!(known.lives_in(net(net_text)), "{net_text}");
        }
        assert!(!known.lives_in(net("2001:db8:8::/48")));
        assert_eq!(known.accounts_at(net("2001:db8:7:200::/64")), 1);
    }

    #[test]
    fn the_oldest_login_is_forgotten_first_and_an_expired_one_is_no_loss() {
        for (now, evicted) in [(110, 1), (111, 0)] {
            let mut known = Known::new(3, 100);
            for (account, at) in [(2, 10), (1, 30), (3, 20)] {
                known.note(&login(account, u128::from(account), at), 0);
            }
            known.note(&login(4, 4, now), 0);
            let is_there = |account: u64| known.is_good(login(account, account.into(), 0).pair, 0);
            assert!(is_there(1) && !is_there(2) && is_there(3) && is_there(4));
            assert_eq!(known.table.evicted, evicted, "at {now}");
        }
    }

    #[test]
    fn memory_includes_the_trees_and_addresses_of_both_families_are_kept_apart() {
        let mut known = Known::new(1_000, 100);
        for account in 1..=10 {
            known.note(&login(account, 1, 1), 0);
        }
        let trees = known.bytes() - known.table.bytes();
        // One home of 20 bytes and ten rows of 16, and half of it for the nodes.
        assert_eq!(trees, 30 + 10 * 24);
        let bits = |text: &str| bits(text.parse().unwrap());
        assert_ne!(bits("192.0.2.1"), bits("::192.0.2.1"));
    }
}
