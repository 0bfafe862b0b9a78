//! What is allowed: plain values from the configuration, and the one place that compares with
//! them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::actor::Role;
use super::record::BanId;
use super::rules::Rules;
use super::subject::{Account, Subject, overlaps};
use super::term::Term;
use super::time::{Timestamp, in_words};

/// What is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The term of a manual ban that names none.
    pub default_term: Term,
    /// The longest term an admin may give; `None`: any, also for ever.
    pub longest: Option<Duration>,
    /// The longest term a moderator may give.
    pub moderator_longest: Option<Duration>,
    /// Networks that are never banned, loopback among them unless it was taken out.
    pub exempt_networks: Vec<IpNet>,
    /// Accounts that are never banned: admins and what the configuration names.
    pub exempt_accounts: Vec<Account>,
    /// What moderators may do to bans that others made.
    pub moderators_change: Whose,
    /// For so long something that was done can be undone.
    pub undo_for: Duration,
    /// The rules for automatic bans, and declared proxies.
    pub rules: Arc<Rules>,
}

/// Whose bans somebody may end or change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whose {
    /// Anybody's, as far as their own could be as long.
    #[default]
    Any,
    /// Their own.
    Own,
}

/// For so long something can be undone, where the configuration does not say.
pub const UNDO_FOR: Duration = Duration::from_secs(86_400);
/// The longest public reason, in characters: it must fit in a SASL failure and on a phone.
pub const REASON_MAX: usize = 500;
/// The longest private note, in characters.
pub const NOTE_MAX: usize = 4_000;
/// IPv4 networks shorter than this hit more than one site: asked about once.
pub const WIDE_V4: u8 = 24;
/// IPv6 networks shorter than this hit more than one site: asked about once.
pub const WIDE_V6: u8 = 48;
/// The addresses of this machine.
pub const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Why the rules do not allow something. `Display` is what stands in the way; what to do about it is said where commands are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// One's own account.
    OwnAccount(Account),
    /// A network or address one is connected from.
    OwnAddress(Subject, std::net::IpAddr),
    /// An exemption stands in the way.
    Exempt(Subject, String),
    /// An exemption given by `allow` does.
    Allowed(Subject, String),
    /// Pairs and guards cannot be exempt.
    NoExemption(Subject),
    /// A term beyond what is allowed.
    TooLong(Duration, Role),
    /// An end that has passed.
    EndsInThePast(Timestamp),
    /// A text beyond what is allowed.
    TextTooLong(&'static str, usize),
    /// The role may not do this.
    NeedsRole(Role, &'static str),
    /// A moderator may do this to their own bans only.
    NotYours(BanId, String),
    /// What somebody else did is for them or an admin to take back.
    NotYourDeed(Subject, String),
    /// It was done too long ago to be undone.
    TooLate(Timestamp, Duration),
    /// A ban that would come back has ended meanwhile.
    OverByNow(BanId, Timestamp),
    /// A ban cannot be made longer this way.
    NotLonger(BanId, Option<Timestamp>),
    /// Sessions of these cannot be ended.
    NoSessions(Subject),
    /// So many wishes are kept already.
    TooManyWatches(usize),
    /// A place of the server's own, by configuration: no force moves that.
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
    /// Any term, for ever where none is named; nothing is exempt; no rules but the built-in ones.
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
    /// May `role` ban this subject for this term?
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

    /// The same of an admin who insists though the subject is exempt. Of what is exempt by configuration these are
    /// accounts only: its networks are loopback, proxies and what else the server itself lives from.
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

    /// May `role` give this term?
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

    /// The longest term for a role; `None`: any.
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

    /// The term of a ban that names none: the default, cut to what the role may give.
    pub fn default_term_for(&self, role: Role, now: Timestamp) -> Term {
        match self.longest_for(role) {
            Some(most) if self.default_term.length(now).is_none_or(|len| len > most) => {
                Term::For(most)
            }
            _ => self.default_term,
        }
    }

    /// Which exemption covers a subject, or would be hit by a ban of it.
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
        // One account behind a proxy may be banned; the proxy may not.
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

    /// Whether a ban of this subject hits so many that one asks once before doing it.
    pub fn is_risky(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Network(IpNet::V4(net)) => net.prefix_len() < WIDE_V4,
            Subject::Network(IpNet::V6(net)) => net.prefix_len() < WIDE_V6,
            _ => false,
        }
    }
}
