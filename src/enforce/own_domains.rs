//! The domains that count as virtual hosts of this server: those that the configuration names or implies, and no
//! others. A grant proves nothing, because a remote server can send one, and anything as `its.domain/portcullis`.

use std::collections::BTreeSet;

use xmpp_parsers::jid::Jid;

use crate::core::Account;
use crate::core::account::domain_key;

/// A set of domains, in the form that accounts use.
#[derive(Debug, Default)]
pub(crate) struct OwnDomains {
    /// The domains of admins (who could order anything anyway), and `[hook] hosts`.
    named: BTreeSet<String>,
    /// `[hook] hosts`.
    hosts: BTreeSet<String>,
    /// The parent domain of ours: portcullis.example.org most likely serves example.org.
    parent: Option<String>,
}

impl OwnDomains {
    pub(crate) fn new<'a>(
        component: &Jid,
        admins: impl IntoIterator<Item = &'a Account>,
        hosts: &[String],
    ) -> Self {
        let admins = admins.into_iter().map(|admin| admin.domain().to_owned());
        let hosts: BTreeSet<String> = hosts.iter().map(|host| domain_key(host)).collect();
        let parent = component.domain().as_str().split_once('.');
        OwnDomains {
            named: hosts.iter().cloned().chain(admins).collect(),
            hosts,
            parent: parent.map(|(_, parent)| domain_key(parent)),
        }
    }

    /// Whether the set contains a domain, given in the form that accounts use.
    pub(crate) fn contains(&self, domain: &str) -> bool {
        self.is_named(domain) || self.parent.as_deref() == Some(domain)
    }

    /// Whether the configuration names the domain.
    pub(crate) fn is_named(&self, domain: &str) -> bool {
        self.named.contains(domain)
    }

    /// The virtual hosts in `[hook] hosts`.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(String::as_str)
    }

    /// The parent domain of ours, unless the configuration names it.
    pub(crate) fn implied(&self) -> Option<&str> {
        self.parent
            .as_deref()
            .filter(|parent| !self.is_named(parent))
    }

    /// All domains of the set.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(String::as_str).chain(self.implied())
    }
}
