//! The hook modules that said hello: where they are, how they are, how far behind.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use xmpp_parsers::jid::Jid;

use super::clock_skew::ClockSkew;
use super::own_domains::OwnDomains;
use crate::xmpp::payload::hook::Hello;

/// Three missed hellos of one a minute (docs/hook-protocol.md), and a little: it is gone.
const SILENCE: Duration = Duration::from_secs(190);
/// Most virtual hosts with a module.
const HOSTS: usize = 256;
/// Most nodes of a cluster.
const NODES: usize = 64;

/// Who said hello.
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
    /// What it said last.
    pub(crate) hello: Hello,
    /// How many decisions it missed when it said so.
    pub(crate) behind: u64,
    /// How far its clock was from ours, where that matters.
    pub(crate) skew: Option<ClockSkew>,
    /// When that was.
    pub(crate) heard: Instant,
}

impl Modules {
    /// Takes a hello; `false`: there is no room for it.
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

    /// Forgets who has been silent for too long; `true`: there was one.
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

    /// Where the module of a virtual host listens.
    pub(crate) fn address(&self, vhost: &str) -> Option<&Jid> {
        self.0.get(vhost).map(|host| &host.address)
    }

    /// The virtual hosts with a module, and where it listens.
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

    /// The link is down, and nobody is known.
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
