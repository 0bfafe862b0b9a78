//! Which domains are taken for virtual hosts of this server: those the configuration names or implies. Nothing else makes
//! one. A grant proves nothing, for a remote server can send one, as it can send as `its.domain/portcullis` whatever it likes.

use std::collections::BTreeSet;

use xmpp_parsers::jid::Jid;

use super::privilege::domain_key;
use crate::core::Account;

/// Domains as accounts name them.
#[derive(Debug, Default)]
pub(crate) struct OwnDomains {
    /// Where an admin lives (who could order anything anyway), and those of `[hook] hosts`.
    named: BTreeSet<String>,
    /// The one above ours: portcullis.example.org most likely serves example.org.
    parent: Option<String>,
}

impl OwnDomains {
    pub(crate) fn new<'a>(
        component: &Jid,
        admins: impl IntoIterator<Item = &'a Account>,
        hosts: &[String],
    ) -> Self {
        let admins = admins.into_iter().map(|admin| admin.domain().to_owned());
        let hosts = hosts.iter().map(|host| domain_key(host));
        let parent = component.domain().as_str().split_once('.');
        OwnDomains {
            named: hosts.chain(admins).collect(),
            parent: parent.map(|(_, parent)| domain_key(parent)),
        }
    }

    /// Whether a domain is one of them, named as accounts name it.
    pub(crate) fn contains(&self, domain: &str) -> bool {
        self.is_named(domain) || self.parent.as_deref() == Some(domain)
    }

    /// Whether somebody wrote it into the configuration.
    pub(crate) fn is_named(&self, domain: &str) -> bool {
        self.named.contains(domain)
    }

    /// The domain that is one of them only because ours is below it.
    pub(crate) fn implied(&self) -> Option<&str> {
        self.parent
            .as_deref()
            .filter(|parent| !self.is_named(parent))
    }

    /// Each of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(String::as_str).chain(self.implied())
    }
}
