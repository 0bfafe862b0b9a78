//! Policy: the limits and exemptions of the configuration as plain values, and the checks against them.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::actor::Role;
use super::bans::BanId;
use super::rules::Rules;
use super::subject::{Account, Subject, overlaps};
use super::term::Term;
use super::time::{Timestamp, in_words};

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

/// Why an order is refused. `Display` says what prevents it; callers that know the commands add what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A ban of the actor's own account.
    OwnAccount(Account),
    /// A ban of an address that the actor is connected from, or of its network.
    OwnAddress(Subject, std::net::IpAddr),
    /// The configuration exempts the subject; with the exemption.
    Exempt(Subject, String),
    /// An exemption granted by `allow` covers the subject; with the exemption.
    Allowed(Subject, String),
    /// Pairs and account lockdowns cannot be exempt.
    NoExemption(Subject),
    /// The term is longer than the role may give; with the longest term.
    TooLong(Duration, Role),
    /// The end is in the past.
    EndsInThePast(Timestamp),
    /// A text is too long; with its name and the longest length in characters.
    TextTooLong(&'static str, usize),
    /// The order needs this role; with the first words of the refusal.
    NeedsRole(Role, &'static str),
    /// Moderators may only change their own bans; with the author of this one.
    NotYours(BanId, String),
    /// Another person made the last change of the subject; only they or an admin may undo it.
    NotYourDeed(Subject, String),
    /// The change is too old to be undone; with its time and [`Policy::undo_for`].
    TooLate(Timestamp, Duration),
    /// The ban that the undo would restore has expired since.
    OverByNow(BanId, Timestamp),
    /// The term would not extend the ban; with its present end.
    NotLonger(BanId, Option<Timestamp>),
    /// A subject of this kind has no sessions.
    NoSessions(Subject),
    /// The limit of subscriptions is reached; with the limit.
    TooManyWatches(usize),
    /// The configuration exempts the address or network, and a ban of it cannot be forced.
    Protected(Subject, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OwnAccount(account) => write!(
                f,
                "{account} is your own account; you would lock yourself out. Ask another admin."
            ),
            Refusal::OwnAddress(subject, address) => write!(
                f,
                "{subject} covers {address}, where you are connected from; you would lock yourself out."
            ),
            Refusal::Exempt(subject, by) | Refusal::Allowed(subject, by) => {
                write!(f, "{subject} is exempt from bans ({by}).")
            }
            Refusal::Protected(subject, by) => write!(
                f,
                "{subject} is exempt from bans by the configuration ({by}), and --force does not change that: a ban there can shut the server's own ways. Take it out of [exempt] first if you mean it."
            ),
            Refusal::NoExemption(subject) => write!(
                f,
                "{subject} cannot be exempt; allow the account, the address or the network."
            ),
            Refusal::TooLong(longest, role) => write!(
                f,
                "That is too long: the longest ban for the role {role} is {}.",
                in_words(*longest)
            ),
            Refusal::EndsInThePast(end) => {
                write!(f, "{end} is in the past. Name a later end.")
            }
            Refusal::TextTooLong(what, most) => {
                write!(f, "The {what} is too long: at most {most} characters.")
            }
            Refusal::NeedsRole(role, what) => write!(f, "{what} needs the role {role}."),
            Refusal::NotYours(ban, by) => write!(
                f,
                "Ban {ban} was made by {by}. Moderators end and change their own bans only; that needs the role admin."
            ),
            Refusal::NotYourDeed(subject, by) => write!(
                f,
                "What was done last to {subject} was done by {by}. To undo what others did needs the role admin."
            ),
            Refusal::TooLate(at, within) => write!(
                f,
                "That was done {at}; things can be undone for {} only.",
                in_words(*within)
            ),
            Refusal::OverByNow(ban, end) => write!(
                f,
                "Ban {ban} would stand until {end}, which is over, so there is nothing to go back to."
            ),
            Refusal::NotLonger(ban, until) => match until {
                None => write!(f, "Ban {ban} is for ever already."),
                Some(end) => write!(
                    f,
                    "That is no later than {end}, when ban {ban} ends now, and extend never shortens."
                ),
            },
            Refusal::NoSessions(subject) => write!(
                f,
                "{subject} has no sessions to end; name the account, the address or the network."
            ),
            Refusal::TooManyWatches(most) => write!(
                f,
                "{most} people and rooms have chosen what they hear, which is the most that are kept."
            ),
        }
    }
}

impl Default for Policy {
    /// Any term, permanent by default; no exemptions; the built-in rules.
    fn default() -> Self {
        Policy {
            default_term: Term::Forever,
            longest: None,
            moderator_longest: None,
            exempt_networks: Vec::new(),
            exempt_accounts: Vec::new(),
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
    /// The [`Refusal`] to show.
    pub fn allows(
        &self,
        role: Role,
        subject: &Subject,
        term: Term,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if role < Role::Moderator {
            return Err(Refusal::NeedsRole(Role::Moderator, "Banning"));
        }
        if let Subject::Network(_) = subject
            && role < Role::Admin
        {
            return Err(Refusal::NeedsRole(Role::Admin, "Banning a network"));
        }
        if let Some(by) = self.exempts(subject) {
            return Err(Refusal::Exempt(subject.clone(), by));
        }
        self.allows_term(role, term, now)
    }

    /// Whether `role` may force a ban of this exempt subject for this term. A ban of an address or network that the
    /// configuration exempts cannot be forced: loopback, proxies and other addresses that the server itself needs.
    ///
    /// # Errors
    /// The [`Refusal`] to show.
    pub fn allows_insisting(
        &self,
        role: Role,
        subject: &Subject,
        term: Term,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if role < Role::Admin {
            return Err(Refusal::NeedsRole(Role::Admin, "Banning the exempt"));
        }
        if let Some(by) = self.exempts(subject).filter(|_| subject.net().is_some()) {
            return Err(Refusal::Protected(subject.clone(), by));
        }
        self.allows_term(role, term, now)
    }

    /// Whether `role` may give this term.
    ///
    /// # Errors
    /// The [`Refusal`] to show.
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
        match self.longest_for(role) {
            Some(most) if self.default_term.length(now).is_none_or(|len| len > most) => {
                Term::For(most)
            }
            _ => self.default_term,
        }
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
