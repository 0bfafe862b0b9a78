//! How far an address reaches: which others belong to the same source and the same network.

use std::net::IpAddr;

use ipnet::IpNet;

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
}
