//! Which addresses count as one source, and which as one network.

use std::net::IpAddr;

use ipnet::IpNet;

/// The prefix lengths of sources and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Prefix length of an IPv6 source; providers usually assign a /64 per customer.
    pub ipv6: u8,
    /// Ranges with another prefix length, for example /128 in the range of Tor onion circuits. Neighbours in such a
    /// range have nothing in common, so they belong to no network.
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

/// Prefix length of an IPv4 network.
const NETWORK_V4: u8 = 24;
/// Prefix length of an IPv6 network.
pub(in crate::core) const NETWORK_V6: u8 = 48;

impl Reach {
    /// The source of an address.
    pub fn source(&self, address: IpAddr) -> IpNet {
        let length = match (self.range(address), address) {
            (Some(length), _) => length,
            (None, IpAddr::V4(_)) => 32,
            (None, IpAddr::V6(_)) => self.ipv6,
        };
        cut(address, length)
    }

    /// The network of an address; `None` in one of [`Reach::ranges`].
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
