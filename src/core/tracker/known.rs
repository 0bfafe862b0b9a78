//! Trusted sources: which account logged in from which source, and how many accounts did from each source.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::table::{Table, TableRow};

/// When an account last logged in from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastLogin {
    /// The source's first address, as two words: it keeps the row at 32 bytes.
    home: [u64; 2],
    /// Time of the login, in the tracker's milliseconds.
    pub(super) at: u64,
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
    /// Number of accounts with a login from a source, by the first address of the source.
    homes: BTreeMap<u128, u32>,
    /// How long a login counts, in milliseconds.
    pub(super) lasts: u64,
}

impl Known {
    pub(super) fn new(most: usize, lasts: u64) -> Self {
        Known {
            table: Table::new(most),
            homes: BTreeMap::new(),
            lasts,
        }
    }

    /// Records a successful login; `pair` is the hashed key.
    pub(super) fn note(&mut self, pair: u64, home: u128, at: u64) {
        if let Some(seen) = self.table.get_mut(pair) {
            seen.at = seen.at.max(at);
            return;
        }
        let oldest = at.saturating_sub(self.lasts);
        let homes = &mut self.homes;
        *homes.entry(home).or_default() += 1;
        let seen = LastLogin {
            home: [(home >> 64) as u64, home as u64],
            at,
        };
        let gone = |seen: LastLogin| leave(homes, seen.home());
        self.table.add(pair, seen, |seen| seen.at < oldest, gone);
    }

    /// Whether this pair logged in recently enough to be trusted.
    pub(super) fn is_good(&self, pair: u64, now: u64) -> bool {
        self.table
            .get(pair)
            .is_some_and(|seen| seen.at >= now.saturating_sub(self.lasts))
    }

    /// Number of accounts that logged in from a source; some may have expired.
    pub(super) fn accounts_at(&self, source: IpNet) -> u32 {
        self.homes.get(&bits(source.addr())).copied().unwrap_or(0)
    }

    /// Whether any account logged in from a source in this network.
    pub(super) fn lives_in(&self, net: IpNet) -> bool {
        let range = bits(net.network())..=bits(net.broadcast());
        self.homes.range(range).next().is_some()
    }

    /// Bytes of memory in use; the size of the tree is an estimate.
    pub(super) fn bytes(&self) -> usize {
        const HOME: usize = (size_of::<u128>() + size_of::<u32>()) * 3 / 2;
        self.table.bytes() + self.homes.len() * HOME
    }
}

fn leave(homes: &mut BTreeMap<u128, u32>, home: u128) {
    if let Some(count) = homes.get_mut(&home) {
        *count -= 1;
        if *count == 0 {
            homes.remove(&home);
        }
    }
}

impl LastLogin {
    pub(super) fn home(&self) -> u128 {
        u128::from(self.home[0]) << 64 | u128::from(self.home[1])
    }
}

/// An address as a number, IPv4 as `::ffff:a.b.c.d`.
pub(super) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => 0xffff << 32 | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
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

    #[test]
    fn homes_count_accounts_and_are_found_by_network() {
        let mut known = Known::new(3, 1_000);
        known.note(1, home("192.0.2.1/32"), 10);
        known.note(2, home("192.0.2.1/32"), 10);
        known.note(2, home("192.0.2.1/32"), 20);
        known.note(3, home("2001:db8::/64"), 30);
        assert_eq!(known.accounts_at(net("192.0.2.1/32")), 2);
        assert!(known.lives_in(net("192.0.2.0/24")) && known.lives_in(net("2001:db8::/48")));
        assert!(!known.lives_in(net("192.0.3.0/24")));
        assert!(known.is_good(1, 1_010) && !known.is_good(1, 1_011));
        // The table is full: the oldest pair is evicted and its source counts one account less.
        known.note(4, home("198.51.100.1/32"), 40);
        assert_eq!(known.accounts_at(net("192.0.2.1/32")), 1);
        assert_eq!(
            (known.table.len(), known.homes.len(), known.table.evicted),
            (3, 3, 1)
        );
    }
}
