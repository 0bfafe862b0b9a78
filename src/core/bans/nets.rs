//! Active bans by address: finds those that cover an address, in a time that does not grow with their number.
//!
//! Single addresses and networks have a table each. A look-up is one probe for the address and one for each prefix
//! length in use: a handful in practice, 128 at worst.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::core::bans::bloom::BloomMap;

/// A value for each network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) struct Nets<V> {
    v4: BloomMap<u32, V>,
    v6: BloomMap<u128, V>,
    nets: BloomMap<(u8, u128), V>,
    lengths: PrefixLengths,
}

impl<V> Default for Nets<V> {
    fn default() -> Self {
        Nets {
            v4: BloomMap::default(),
            v6: BloomMap::default(),
            nets: BloomMap::default(),
            lengths: PrefixLengths::default(),
        }
    }
}

impl<V> Nets<V> {
    pub(in crate::core) fn insert(&mut self, net: IpNet, value: V) {
        let is_new = match (net.addr(), net.prefix_len()) {
            (IpAddr::V4(v4), 32) => self.v4.insert(v4.to_bits(), value).is_none(),
            (IpAddr::V6(v6), 128) => self.v6.insert(v6.to_bits(), value).is_none(),
            (address, length) => self.nets.insert(key(address, length), value).is_none(),
        };
        if is_new && net.prefix_len() != net.max_prefix_len() {
            self.lengths.enter(&net);
        }
    }

    pub(in crate::core) fn remove(&mut self, net: IpNet) {
        let was_there = match (net.addr(), net.prefix_len()) {
            (IpAddr::V4(v4), 32) => self.v4.remove(&v4.to_bits()).is_some(),
            (IpAddr::V6(v6), 128) => self.v6.remove(&v6.to_bits()).is_some(),
            (address, length) => self.nets.remove(&key(address, length)).is_some(),
        };
        if was_there && net.prefix_len() != net.max_prefix_len() {
            self.lengths.leave(&net);
        }
    }

    /// Calls `visit` with the value of each network that covers an address, in the same order for the same networks.
    pub(in crate::core) fn cover<'a>(&'a self, address: IpAddr, visit: impl FnMut(&'a V)) {
        let exact = match address {
            IpAddr::V4(v4) => self.v4.get(&v4.to_bits()),
            IpAddr::V6(v6) => self.v6.get(&v6.to_bits()),
        };
        let lengths = self.lengths.of(address);
        let around = lengths.filter_map(|length| self.nets.get(&key(address, length)));
        exact.into_iter().chain(around).for_each(visit);
    }
}

/// The key of the network of this length around an address. The families are kept apart, because `::/0` covers no IPv4
/// address.
fn key(address: IpAddr, length: u8) -> (u8, u128) {
    let cut = |bits: u128, rest: u8| bits & u128::MAX.checked_shl(rest.into()).unwrap_or(0);
    match address {
        IpAddr::V4(v4) => (0x80 | length, cut(v4.to_bits().into(), 32 - length)),
        IpAddr::V6(v6) => (length, cut(v6.to_bits(), 128 - length)),
    }
}

/// How many networks have each prefix length, by family; shorter lengths first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::core) struct PrefixLengths {
    v4: Vec<(u8, usize)>,
    v6: Vec<(u8, usize)>,
}

impl PrefixLengths {
    pub(in crate::core) fn enter(&mut self, net: &IpNet) {
        let counts = self.counts(net);
        match counts.binary_search_by_key(&net.prefix_len(), |(length, _)| *length) {
            Ok(at) => counts[at].1 += 1,
            Err(at) => counts.insert(at, (net.prefix_len(), 1)),
        }
    }

    /// Takes back one [`PrefixLengths::enter`].
    pub(in crate::core) fn leave(&mut self, net: &IpNet) {
        let counts = self.counts(net);
        counts.retain_mut(|(length, count)| {
            *count -= usize::from(*length == net.prefix_len());
            *count > 0
        });
    }

    /// The lengths in use for the family of an address.
    pub(in crate::core) fn of(&self, address: IpAddr) -> impl Iterator<Item = u8> {
        let counts = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        counts.iter().map(|(length, _)| *length)
    }

    fn counts(&mut self, net: &IpNet) -> &mut Vec<(u8, usize)> {
        match net {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn any_net() -> impl Strategy<Value = IpNet> {
        let v4 = (0..4u32, 0..=32u8).prop_map(|(bits, length)| {
            IpNet::new(Ipv4Addr::from_bits(bits * 0x2001_0101).into(), length)
        });
        let v6 = (0..4u128, 0..=128u8).prop_map(|(bits, length)| {
            let bits = bits * 0x2000_1000_0100_0001_0000_0001_0000_0001;
            IpNet::new(Ipv6Addr::from_bits(bits).into(), length)
        });
        prop_oneof![v4, v6].prop_map(|net| net.map(|net| net.trunc()).unwrap_or_default())
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_all_of_them_finds(
            steps in proptest::collection::vec((any_net(), any::<bool>()), 1..60),
            asked in any_net(),
        ) {
            let mut nets = Nets::default();
            let mut plain = Vec::new();
            for (count, (net, add)) in steps.into_iter().enumerate() {
                plain.retain(|(other, _)| *other != net);
                if add {
                    nets.insert(net, count);
                    plain.push((net, count));
                } else {
                    nets.remove(net);
                }
            }
            let mut found = Vec::new();
            nets.cover(asked.addr(), |value| found.push(*value));
            found.sort_unstable();
            let covers = |(net, value): &(IpNet, usize)| net.contains(&asked.addr()).then_some(*value);
            let wanted: Vec<_> = plain.iter().filter_map(covers).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    /// A `[tracker] ipv6_prefix` of 79 lets one /64 hold 32,768 banned sources.
    #[test]
    fn many_odd_networks_in_one_place_are_looked_up_one_by_one() {
        let mut nets = Nets::default();
        let odd = |n: u128| {
            let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | n << 49);
            IpNet::new(address.into(), 79).unwrap_or_default()
        };
        for n in 0..32_768 {
            nets.insert(odd(n), n);
        }
        assert_eq!(nets.lengths.of(odd(0).addr()).count(), 1);
        for n in 0..32_768 {
            nets.cover(odd(n).addr(), |value| assert_eq!(*value, n));
        }
        (0..32_768).for_each(|n| nets.remove(odd(n)));
        assert_eq!(nets.lengths, PrefixLengths::default());
    }
}
