//! Settings of enforcement.

use std::time::Duration;

use xmpp_parsers::jid::{BareJid, Jid};

use super::own_domains::OwnDomains;
use crate::core::Account;
use crate::core::seal::Keyring;
use crate::xmpp::secret::Secret;

/// Settings of enforcement.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The domain of our component.
    pub component: BareJid,
    /// Admins. Their domains are probed, and on ejabberd 24.12 the name of one is borrowed.
    pub admins: Vec<Account>,
    /// The admin to borrow; `None`: the first one on the virtual host.
    pub act_as: Option<Account>,
    /// The keys that seal records.
    pub keyring: Keyring,
    /// ejabberd's Erlang cookie.
    pub cookie: Option<Secret>,
    /// More virtual hosts whose hook modules are trusted.
    pub hook_hosts: Vec<String>,
    /// Time limits.
    pub limits: Timeouts,
}

impl Settings {
    /// The virtual hosts of this server, by the configuration.
    pub fn virtual_hosts(&self) -> Vec<String> {
        let own = self.own_domains();
        own.all().map(str::to_owned).collect()
    }

    pub(super) fn own_domains(&self) -> OwnDomains {
        let admins = self.admins.iter().chain(&self.act_as);
        OwnDomains::new(&Jid::from(self.component.clone()), admins, &self.hook_hosts)
    }
}

/// Time limits of enforcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the answer to one request.
    pub answer: Duration,
    /// For the answer to a probe, where silence is common.
    pub probe: Duration,
    /// From the link coming up to the first grant.
    pub grants: Duration,
    /// Interval between two probes.
    pub again: Duration,
    /// From a probe that misses earlier grants to the request for a new connection.
    pub regrant: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            answer: Duration::from_secs(5),
            probe: Duration::from_secs(2),
            grants: Duration::from_secs(2),
            again: Duration::from_secs(300),
            regrant: Duration::from_secs(30),
        }
    }
}
