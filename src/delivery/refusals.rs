//! What of the server itself refuses a login, besides portcullis: as a hook module tells it (docs/hook-protocol.md, 8).

use std::net::IpAddr;

use crate::core::{BanId, Timestamp};

/// The answer of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerRefusals {
    /// Whether anybody could be asked.
    pub asked: ServerAsked,
    /// What refuses the login. If nobody was asked, only what the record of the account says.
    pub found: Vec<ServerRefusal>,
    /// What could not be looked at although the server was asked, in the words of the protocol: `access`,
    /// `mod_firewall`.
    pub left_out: Vec<String>,
    /// Number of addresses that were not asked about because there were too many.
    pub more_addresses: usize,
}

/// Whether the server could be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerAsked {
    /// There is no hook module to ask.
    #[default]
    NoModule,
    /// The hook module does not know the question.
    TooOld,
    /// The hook module did not answer, or the link is down.
    Silent,
    /// It answered.
    Yes,
}

/// One thing that refuses a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerRefusal {
    /// A ban of the account by ejabberd itself.
    OwnBan {
        /// Its reason; may be empty.
        reason: String,
    },
    /// The record of a ban by portcullis, under our seal.
    OurRecord {
        /// The number of that ban.
        ban: BanId,
    },
    /// Prosody has disabled the account.
    Disabled,
    /// There is no such account.
    NoAccount,
    /// An access rule of ejabberd's listeners for clients.
    AccessRule,
    /// ejabberd's `mod_fail2ban`.
    Fail2ban {
        /// The address that it refuses.
        address: IpAddr,
        /// Until when; `None` if it does not say.
        until: Option<Timestamp>,
    },
}

impl ServerRefusals {
    /// Whether the server was asked about everything, and refuses nothing.
    pub fn is_clear(&self) -> bool {
        self.asked == ServerAsked::Yes
            && self.found.is_empty()
            && self.left_out.is_empty()
            && self.more_addresses == 0
    }

    /// Adds what another question found. Nothing was asked unless both were.
    #[must_use]
    pub fn and(mut self, other: ServerRefusals) -> ServerRefusals {
        if other.asked != ServerAsked::Yes {
            self.asked = other.asked;
        }
        for one in other.found {
            if !self.found.contains(&one) {
                self.found.push(one);
            }
        }
        for one in other.left_out {
            if !self.left_out.contains(&one) {
                self.left_out.push(one);
            }
        }
        self.more_addresses += other.more_addresses;
        self
    }
}
