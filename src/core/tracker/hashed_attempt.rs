//! A login attempt before and after its names are hashed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::known;
use super::secret::HashSecret;
use crate::core::rules::{Reach, RuleKey};
use crate::core::subject::{Account, Subject};

/// The account and source of a login attempt, and what is already known about them.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::core) struct LoginOrigin<'a> {
    pub(in crate::core) account: Option<&'a Account>,
    pub(in crate::core) address: Option<IpAddr>,
    /// The prefix that counts as one source (IPv6: usually the /64).
    source: Option<IpNet>,
    /// The network of the address. For failures that a person entered, the network that they named.
    pub(in crate::core) network: Option<IpNet>,
    pub(in crate::core) unknown: bool,
    pub(in crate::core) shared: bool,
    pub(in crate::core) by_hand: bool,
    /// The network is a larger part of IPv6 than the source.
    in_network: bool,
}

impl<'a> LoginOrigin<'a> {
    /// The origin for an account and an address; either may be unknown.
    pub(in crate::core) fn at(
        reach: &Reach,
        account: Option<&'a Account>,
        address: Option<IpAddr>,
    ) -> Self {
        let address = address.map(|address| address.to_canonical());
        let source = address.map(|address| reach.source(address));
        let network = address.and_then(|address| reach.network(address));
        let is_v6 = address.is_some_and(|address| address.is_ipv6());
        LoginOrigin {
            account,
            address,
            source,
            network,
            in_network: is_v6 && network.is_some() && network != source,
            ..LoginOrigin::default()
        }
    }

    /// The subject that a rule with this key bans; `None` if the attempt does not name it.
    pub(in crate::core) fn subject(&self, key: RuleKey) -> Option<Subject> {
        Some(match key {
            RuleKey::Address => Subject::network(self.source?),
            RuleKey::Network => Subject::network(self.network?),
            RuleKey::Account => Subject::Guard(self.account?.clone()),
            RuleKey::Pair => Subject::Pair(self.account?.clone(), self.source?),
        })
    }

    /// The attempt with every name hashed.
    pub(super) fn trace(&self, secret: &HashSecret, at: u64) -> HashedAttempt {
        let account = self.account.map_or(0, |account| secret.account(account));
        let source = self.source.map_or(0, |net| secret.net(net));
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        HashedAttempt {
            account,
            source,
            network: self.network.map_or(0, |net| secret.net(net)),
            pair: secret.pair(account, source),
            home: self.source.map_or(0, |net| known::bits(net.addr())),
            at,
            flags: flag(self.unknown, UNKNOWN)
                | flag(self.by_hand, BY_HAND)
                | flag(self.in_network, IN_NETWORK),
        }
    }
}

/// The hashes and the time of one outcome: all that the tracker keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::core) struct HashedAttempt {
    /// 0: none.
    pub(super) account: u64,
    /// 0: none.
    pub(super) source: u64,
    /// 0: none.
    pub(super) network: u64,
    /// Hash of account and source, or of account and network where the account has many sources; 0: none.
    pub(super) pair: u64,
    /// The first address of the source; set for successes only.
    pub(super) home: u128,
    pub(super) at: u64,
    pub(super) flags: u8,
}

impl HashedAttempt {
    /// Marks the source as shared by many accounts: its failures do not count for its network.
    pub(in crate::core) fn share(&mut self) {
        self.flags |= SHARED;
    }

    /// The hash for a key; 0 if the attempt has none.
    pub(super) fn key(&self, key: RuleKey) -> u64 {
        match key {
            RuleKey::Address => self.source,
            RuleKey::Network => self.network,
            RuleKey::Account => self.account,
            RuleKey::Pair => self.pair,
        }
    }
}

pub(super) const UNKNOWN: u8 = 1;
/// The account logged in from this source before: only rules by pair apply.
pub(super) const KNOWN: u8 = 2;
/// The source is shared: its failures do not count for its network.
pub(super) const SHARED: u8 = 4;
pub(super) const SUCCESS: u8 = 8;
/// Entered by a person: every failure without a name counts as a different one.
pub(super) const BY_HAND: u8 = 16;
/// The source is a part of an IPv6 network, which may be trusted as a whole.
pub(super) const IN_NETWORK: u8 = 32;
