//! Active bans by address: finds those that cover an address, in a time that does not grow with their number.
//!
//! A single address is looked up directly. A network is in a bucket with all networks that share its bits up to its
//! step, the greatest listed prefix length that is no longer than its own. So a lookup is one probe per step in use.
//! Steps are close together at the lengths at which networks are assigned and banned, so that a bucket holds few
//! networks that do not cover the address.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::core::bans::bloom::BloomMap;

/// A value for each network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) struct Nets<V> {
    v4: BloomMap<u32, V>,
    v6: BloomMap<u128, V>,
    buckets: BloomMap<(u8, u128), Vec<(IpNet, V)>>,
    /// Number of buckets at each step, for IPv6 and IPv4.
    in_use: [[usize; STEPS]; 2],
}

/// Number of steps per family, and so the most probes per lookup.
const STEPS: usize = 16;
const V6: [u8; STEPS] = [
    0, 16, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 80, 96, 112,
];
/// Prefix lengths of IPv4-mapped IPv6 addresses: 96 is /0, 120 is /24.
const V4: [u8; STEPS] = [
    96, 104, 106, 108, 110, 112, 114, 115, 116, 117, 118, 119, 120, 122, 124, 126,
];

fn steps(address: IpAddr) -> &'static [u8; STEPS] {
    match address {
        IpAddr::V4(_) => &V4,
        IpAddr::V6(_) => &V6,
    }
}

impl<V> Default for Nets<V> {
    fn default() -> Self {
        Nets {
            v4: BloomMap::default(),
            v6: BloomMap::default(),
            buckets: BloomMap::default(),
            in_use: [[0; STEPS]; 2],
        }
    }
}

impl<V> Nets<V> {
    pub(in crate::core) fn insert(&mut self, net: IpNet, value: V) {
        match (net.addr(), net.prefix_len()) {
            (IpAddr::V4(v4), 32) => {
                self.v4.insert(v4.to_bits(), value);
            }
            (IpAddr::V6(v6), 128) => {
                self.v6.insert(v6.to_bits(), value);
            }
            _ => {
                let (step, bits) = home(net);
                let key = (family(net.addr()) | step as u8, bits);
                let bucket = self.buckets.entry(key);
                if bucket.is_empty() {
                    self.in_use[usize::from(net.addr().is_ipv4())][step] += 1;
                }
                // Sorted, so that of two bans with the same end the same one is always found.
                match bucket.binary_search_by(|(other, _)| other.cmp(&net)) {
                    Ok(at) => bucket[at].1 = value,
                    Err(at) => bucket.insert(at, (net, value)),
                }
            }
        }
    }

    pub(in crate::core) fn remove(&mut self, net: IpNet) {
        match (net.addr(), net.prefix_len()) {
            (IpAddr::V4(v4), 32) => {
                self.v4.remove(&v4.to_bits());
            }
            (IpAddr::V6(v6), 128) => {
                self.v6.remove(&v6.to_bits());
            }
            _ => {
                let (step, bits) = home(net);
                let key = (family(net.addr()) | step as u8, bits);
                if let Some(bucket) = self.buckets.get_mut(&key) {
                    bucket.retain(|(other, _)| *other != net);
                    if bucket.is_empty() {
                        self.buckets.remove(&key);
                        self.in_use[usize::from(net.addr().is_ipv4())][step] -= 1;
                    }
                }
            }
        }
    }

    /// Calls `visit` with the value of each network that covers an address.
    pub(in crate::core) fn cover<'a>(&'a self, address: IpAddr, mut visit: impl FnMut(&'a V)) {
        let exact = match address {
            IpAddr::V4(v4) => self.v4.get(&v4.to_bits()),
            IpAddr::V6(v6) => self.v6.get(&v6.to_bits()),
        };
        if let Some(value) = exact {
            visit(value);
        }
        let all = bits(address);
        let in_use = &self.in_use[usize::from(address.is_ipv4())];
        for (step, length) in steps(address).iter().enumerate() {
            if in_use[step] == 0 {
                continue;
            }
            let key = (family(address) | step as u8, masked(all, *length));
            for (net, value) in self.buckets.get(&key).into_iter().flatten() {
                if net.contains(&address) {
                    visit(value);
                }
            }
        }
    }
}

/// Keeps the families apart, because `::/0` covers no IPv4 address.
fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 0x80 } else { 0 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn masked(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// The step of a network, and its bits up to that step.
fn home(net: IpNet) -> (usize, u128) {
    let length = match net {
        IpNet::V4(v4) => v4.prefix_len() + 96,
        IpNet::V6(v6) => v6.prefix_len(),
    };
    let steps = steps(net.addr());
    let step = steps.partition_point(|step| *step <= length) - 1;
    (step, masked(bits(net.addr()), steps[step]))
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
}
