//! What the server's side of the program is told at start.

use std::time::Duration;

use xmpp_parsers::jid::BareJid;

use crate::core::Account;
use crate::core::seal::Keyring;
use crate::xmpp::secret::Secret;

/// What this side of the program needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our domain.
    pub component: BareJid,
    /// Admins; their domains are asked, and one of them may be borrowed for ejabberd 24.12.
    pub admins: Vec<Account>,
    /// The admin to borrow, if not the first one on the virtual host.
    pub act_as: Option<Account>,
    /// Seals records.
    pub keyring: Keyring,
    /// ejabberd's cookie.
    pub cookie: Option<Secret>,
    /// More virtual hosts whose hook modules are believed.
    pub hook_hosts: Vec<String>,
    /// How long things may take.
    pub limits: Timeouts,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// An answer of the server to one request.
    pub answer: Duration,
    /// The same while probing, where silence is a common answer.
    pub probe: Duration,
    /// From the link to the first grant.
    pub grants: Duration,
    /// From one probing to the next.
    pub again: Duration,
    /// From a probing that misses what was granted before to asking for a new connection.
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
