//! The hook modules that said hello: their addresses, health, and how far behind they are.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use xmpp_parsers::jid::Jid;

use super::clock_skew::ClockSkew;
use super::own_domains::OwnDomains;
use crate::xmpp::payload::hook::Hello;

/// After three missed hellos of one per minute (docs/hook-protocol.md) a module counts as gone.
const SILENCE: Duration = Duration::from_secs(190);
/// Maximum number of virtual hosts with a module.
const HOSTS: usize = 256;
/// Maximum number of nodes per virtual host.
const NODES: usize = 64;

/// The modules by virtual host.
#[derive(Debug, Default)]
pub(crate) struct Modules(BTreeMap<String, Host>);

#[derive(Debug)]
struct Host {
    address: Jid,
    nodes: BTreeMap<String, Node>,
}

/// The module on one node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Its last hello.
    pub(crate) hello: Hello,
    /// Number of decisions it had not fetched then.
    pub(crate) behind: u64,
    /// Difference between its clock and ours, if it matters.
    pub(crate) skew: Option<ClockSkew>,
    /// When the hello arrived.
    pub(crate) heard: Instant,
}

impl Modules {
    /// Records a hello; `false` if the maximum is reached.
    pub(crate) fn heard(&mut self, vhost: &str, from: &Jid, node: Node) -> bool {
        self.tidy(node.heard);
        if self.0.len() >= HOSTS && !self.0.contains_key(vhost) {
            return false;
        }
        let host = self.0.entry(vhost.to_owned()).or_insert_with(|| Host {
            address: from.clone(),
            nodes: BTreeMap::new(),
        });
        host.address.clone_from(from);
        if host.nodes.len() >= NODES && !host.nodes.contains_key(&node.hello.node) {
            return false;
        }
        host.nodes.insert(node.hello.node.clone(), node);
        true
    }

    /// Forgets modules that have been silent for too long; returns whether there were any.
    pub(crate) fn tidy(&mut self, now: Instant) -> bool {
        let before = self.count();
        for host in self.0.values_mut() {
            host.nodes
                .retain(|_, node| now.duration_since(node.heard) < SILENCE);
        }
        self.0.retain(|_, host| !host.nodes.is_empty());
        self.count() != before
    }

    fn count(&self) -> usize {
        self.0.values().map(|host| host.nodes.len()).sum()
    }

    /// The address of the module on a virtual host.
    pub(crate) fn address(&self, vhost: &str) -> Option<&Jid> {
        self.0.get(vhost).map(|host| &host.address)
    }

    /// The virtual hosts with a module, and its address.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&str, &Jid)> {
        let hosts = self.0.iter();
        hosts.map(|(vhost, host)| (vhost.as_str(), &host.address))
    }

    /// The nodes on which the module of a virtual host runs.
    pub(crate) fn nodes(&self, vhost: &str) -> impl Iterator<Item = &Node> {
        self.0
            .get(vhost)
            .into_iter()
            .flat_map(|host| host.nodes.values())
    }

    /// Forgets those of other domains.
    pub(crate) fn keep(&mut self, own: &OwnDomains) {
        self.0.retain(|vhost, _| own.contains(vhost));
    }

    /// Forgets all modules, because the link is down.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_is_forgotten_and_the_table_has_a_bound() {
        let (mut modules, now) = (Modules::default(), Instant::now());
        let from = Jid::new("example.org/portcullis").unwrap();
        let node = |node: usize, heard: Instant| Node {
            hello: Hello {
                node: format!("n{node}"),
                ..Hello::default()
            },
            behind: 0,
            skew: None,
            heard,
        };
        for n in 0..=NODES {
            let taken = modules.heard("example.org", &from, node(n, now));
            assert_eq!(taken, n < NODES);
        }
        for host in 1..HOSTS {
            assert!(modules.heard(&format!("h{host}"), &from, node(0, now)));
        }
        assert!(!modules.heard("one.more", &from, node(0, now)));
        let later = now + SILENCE / 2;
        assert!(modules.heard("example.org", &from, node(3, later)));
        assert!(modules.tidy(now + SILENCE));
        assert_eq!(modules.addresses().count(), 1);
        assert_eq!(modules.nodes("example.org").count(), 1);
        assert!(modules.tidy(later + SILENCE));
        assert!(modules.address("example.org").is_none());
    }
}
