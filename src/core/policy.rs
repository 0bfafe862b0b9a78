//! Policy: the limits and exemptions of the configuration as plain values, and the checks against them.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::actor::Role;
use super::refusal::{Permission, Refusal};
use super::rules::Rules;
use super::subject::{Account, Subject, overlaps};
use super::term::Term;
use super::time::Timestamp;

/// The limits and exemptions of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The term of a ban by a person who names none.
    pub default_term: Term,
    /// The longest term that an admin may give; `None`: any, also permanent.
    pub longest: Option<Duration>,
    /// The longest term that a moderator may give; `None`: as for an admin.
    pub moderator_longest: Option<Duration>,
    /// Networks that are never banned. Loopback is one of them unless the configuration removes it.
    pub exempt_networks: Vec<IpNet>,
    /// Accounts that are never banned: admins, and those that the configuration names.
    pub exempt_accounts: Vec<Account>,
    /// The virtual hosts of the server. Accounts of other domains can only be banned by force; empty: of all domains.
    pub hosts: Vec<String>,
    /// Which bans moderators may lift or change.
    pub moderators_change: Whose,
    /// How long a change can be undone.
    pub undo_for: Duration,
    /// The rules for automatic bans, and the declared proxies.
    pub rules: Arc<Rules>,
}

/// Which bans a moderator may lift or change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whose {
    /// All bans, if the moderator could give the same term.
    #[default]
    Any,
    /// Only the moderator's own.
    Own,
}

/// Default of [`Policy::undo_for`].
pub const UNDO_FOR: Duration = Duration::from_secs(86_400);
/// The longest public reason, in characters. It must fit into a SASL failure and on a phone's screen.
pub const REASON_MAX: usize = 500;
/// The longest private note, in characters.
pub const NOTE_MAX: usize = 4_000;
/// An IPv4 network with a shorter prefix is likely to span several sites; its ban needs a confirmation.
pub const WIDE_V4: u8 = 24;
/// An IPv6 network with a shorter prefix is likely to span several sites; its ban needs a confirmation.
pub const WIDE_V6: u8 = 48;
/// The loopback networks.
pub const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

impl Default for Policy {
    /// Any term, permanent by default; no exemptions; the built-in rules.
    fn default() -> Self {
        Policy {
            default_term: Term::Forever,
            longest: None,
            moderator_longest: None,
            exempt_networks: Vec::new(),
            exempt_accounts: Vec::new(),
            hosts: Vec::new(),
            moderators_change: Whose::default(),
            undo_for: UNDO_FOR,
            rules: Arc::default(),
        }
    }
}

impl Policy {
    /// Whether `role` may ban this subject for this term.
    ///
    /// # Errors
    /// Why not.
    pub fn allows(
        &self,
        role: Role,
        subject: &Subject,
        term: Term,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if role < Role::Moderator {
            return Err(Refusal::NeedsRole(Role::Moderator, Permission::Ban));
        }
        if let Subject::Network(_) = subject
            && role < Role::Admin
        {
            return Err(Refusal::NeedsRole(Role::Admin, Permission::BanNetwork));
        }
        if let Some(by) = self.exempts(subject) {
            return Err(Refusal::Exempt(subject.clone(), by));
        }
        self.allows_term(role, term, now)
    }

    /// Whether the account of a subject, if it has one, is on a virtual host of the server.
    ///
    /// # Errors
    /// [`Refusal::NotHere`].
    pub fn is_here(&self, subject: &Subject) -> Result<(), Refusal> {
        let is_here = |account: &Account| {
            let domain = account.domain();
            self.hosts.is_empty() || self.hosts.iter().any(|host| host == domain)
        };
        match subject.whose().is_none_or(is_here) {
            true => Ok(()),
            false => Err(Refusal::NotHere(subject.clone(), self.hosts.clone())),
        }
    }

    /// Whether `role` may force a ban of this exempt subject for this term. A ban of an address or network that the
    /// configuration exempts cannot be forced: loopback, proxies and other addresses that the server itself needs.
    ///
    /// # Errors
    /// Why not.
    pub fn allows_insisting(
        &self,
        role: Role,
        subject: &Subject,
        term: Term,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if role < Role::Admin {
            return Err(Refusal::NeedsRole(Role::Admin, Permission::BanExempt));
        }
        if let Some(by) = self.exempts(subject).filter(|_| subject.net().is_some()) {
            return Err(Refusal::Protected(subject.clone(), by));
        }
        self.allows_term(role, term, now)
    }

    /// Whether `role` may give this term.
    ///
    /// # Errors
    /// Why not.
    pub fn allows_term(&self, role: Role, term: Term, now: Timestamp) -> Result<(), Refusal> {
        if let Some(end) = term.ends(now)
            && end <= now
        {
            return Err(Refusal::EndsInThePast(end));
        }
        let longest = self.longest_for(role);
        match (longest, term.length(now)) {
            (Some(most), None) => Err(Refusal::TooLong(most, role)),
            (Some(most), Some(length)) if length > most => Err(Refusal::TooLong(most, role)),
            _ => Ok(()),
        }
    }

    /// The longest term that a role may give; `None`: any.
    pub fn longest_for(&self, role: Role) -> Option<Duration> {
        match role {
            Role::Admin => self.longest,
            Role::Moderator => match (self.moderator_longest, self.longest) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            Role::Stranger | Role::Viewer => Some(Duration::ZERO),
        }
    }

    /// The term of a ban that names none: the default, shortened to the longest that the role may give.
    pub fn default_term_for(&self, role: Role, now: Timestamp) -> Term {
        self.shortened_for(role, now)
            .map_or(self.default_term, Term::For)
    }

    /// The longest term that the role may give, if the default is longer.
    pub fn shortened_for(&self, role: Role, now: Timestamp) -> Option<Duration> {
        let default = self.default_term.length(now);
        self.longest_for(role)
            .filter(|most| default.is_none_or(|length| length > *most))
    }

    /// The exemption of the configuration that covers a subject, or lies inside of it; `None` if there is none.
    pub fn exempts(&self, subject: &Subject) -> Option<String> {
        if let Subject::Account(account) = subject {
            let exempt = self.exempt_accounts.contains(account);
            return exempt.then(|| String::from("account"));
        }
        let place = subject.place()?;
        let hit = |nets: &[IpNet], what: &str| {
            let net = nets.iter().find(|exempt| overlaps(exempt, &place));
            net.map(|net| format!("{what} {net}"))
        };
        // A pair at a proxy may be banned; the proxy itself may not.
        let proxy = || hit(&self.rules.proxies, "proxy").filter(|_| subject.net().is_some());
        hit(&self.exempt_networks, "network").or_else(proxy)
    }

    /// Whether the configuration exempts an address.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.exempt_networks
            .iter()
            .any(|net| net.contains(&address))
    }

    /// Whether a ban of this subject affects so many users that it needs a confirmation.
    pub fn is_risky(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Network(IpNet::V4(net)) => net.prefix_len() < WIDE_V4,
            Subject::Network(IpNet::V6(net)) => net.prefix_len() < WIDE_V6,
            _ => false,
        }
    }
}
