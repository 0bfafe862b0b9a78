//! The ports of delivery: storage for unfinished work, and the server.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use ipnet::IpNet;
use tokio::sync::{broadcast, watch};

use super::refusals::ServerRefusals;
use crate::core::{Account, Ban, BanId, Seq, Subject, Timestamp};
use crate::journal::LogFault;
use crate::xmpp::wire::NameConflict;

/// Unfinished work: bring the server in line with the ledger for one subject.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Task {
    /// The subject.
    pub subject: Subject,
    /// Position in the log of the last event that required it.
    pub since: Seq,
    /// When that event was decided.
    pub asked: Timestamp,
    /// Number of failed attempts.
    pub tries: u32,
    /// When to try next.
    pub next: Timestamp,
    /// Error of the last attempt, as a sentence for people; `None` before the first failure.
    pub fault: Option<String>,
}

/// Stores unfinished work. There is at most one task per subject, so it is bounded by the number of subjects.
pub trait Outbox: Send + Sync + 'static {
    /// All unfinished tasks, and the position in the log up to which effects are in the outbox.
    ///
    /// # Errors
    /// [`LogFault`] if an entry is damaged or the disk fails.
    fn load(&self) -> Result<(Seq, Vec<Task>), LogFault>;

    /// Writes and removes tasks and the cursor atomically. Need not be durable on return: after a crash the effects
    /// of the log behind the stored cursor are added again.
    ///
    /// # Errors
    /// [`LogFault`] if the disk fails.
    fn save(&self, cursor: Seq, put: &[Task], remove: &[Subject]) -> Result<(), LogFault>;
}

/// The XMPP server, as far as bans are concerned.
pub trait Enforcer: Send + Sync + 'static {
    /// Enforces a ban: writes the record, ends sessions, and reads the record back.
    ///
    /// # Errors
    /// [`Undone`]: try again later.
    fn enforce<'a>(&'a self, ban: &'a Ban) -> BoxFuture<'a, Result<Held, Undone>>;

    /// Undoes [`Enforcer::enforce`] for a subject.
    ///
    /// # Errors
    /// [`Undone`]: try again later.
    fn release<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<(), Undone>>;

    /// Ends the open sessions of a subject without a ban. Returns how many there were; `None` if the server does not
    /// say.
    ///
    /// # Errors
    /// [`Undone`] if they could not be ended.
    fn kick<'a>(
        &'a self,
        subject: &'a Subject,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>>;

    /// Ends one session of an account without a ban, and leaves the others. Returns how many were ended (0 or 1);
    /// `None` if the server does not say.
    ///
    /// # Errors
    /// [`Undone`] if it could not be ended.
    fn end_session<'a>(
        &'a self,
        account: &'a Account,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>>;

    /// Whether the server has the account.
    fn exists<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Existence>;

    /// The addresses that the account is connected from; empty if the server does not say.
    fn addresses<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Vec<IpAddr>>;

    /// Records on the server that turn out to be changed by others.
    fn findings(&self) -> broadcast::Receiver<Finding> {
        // The sender is dropped, so nothing is ever received.
        broadcast::channel(1).1
    }

    /// Whether the server's record of a ban of an account is as it should be; `None` if the server keeps none or does
    /// not say. A different record is reported through [`Enforcer::findings`].
    fn holds<'a>(&'a self, _: &'a Ban) -> BoxFuture<'a, Option<bool>> {
        Box::pin(std::future::ready(None))
    }

    /// The accounts that the server itself has banned; empty if it does not say.
    fn banned_there(&self) -> BoxFuture<'_, Vec<Account>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// The ban in the server's own record of an account; `None` if there is none, or the server does not say.
    fn recorded<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Option<Recorded>> {
        Box::pin(std::future::ready(None))
    }

    /// What of the server itself refuses an account, an address, or the account at each of a few addresses.
    fn refusals<'a>(
        &'a self,
        _account: Option<&'a Account>,
        _addresses: &'a [IpAddr],
    ) -> BoxFuture<'a, ServerRefusals> {
        Box::pin(std::future::ready(ServerRefusals::default()))
    }

    /// Lets the server let the addresses of a network go that it refuses for their failed logins (`mod_fail2ban`).
    /// Returns how many there were; `None` if nobody could be asked.
    fn unblock(&self, _net: IpNet) -> BoxFuture<'_, Option<u64>> {
        Box::pin(std::future::ready(None))
    }

    /// The state of enforcement, as last seen. It changes with the link and with grants; then unfinished work is
    /// tried again.
    fn standing(&self) -> watch::Receiver<Arc<Enforcement>>;
}

/// What the server lets us do.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Enforcement {
    /// Whether the component stream is up.
    pub linked: bool,
    /// Whether the server was probed since the link came up, so that `gaps` is complete.
    pub probed: bool,
    /// 0: nothing is enforced, 1: accounts by the server's own means, 2: everything, by the hook module.
    pub level: u8,
    /// Name and version, as far as known: `ejabberd 26.07`.
    pub server: String,
    /// What works, one short sentence each.
    pub has: Vec<String>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Another program that is connected under our name; known also while the stream is down.
    #[serde(default)]
    pub conflict: Option<NameConflict>,
    /// What works against it, or wants a decision of the operator; nothing is missing.
    #[serde(default)]
    pub warnings: Vec<Gap>,
    /// The level of each virtual host; `level` is the highest of them.
    #[serde(default)]
    pub hosts: Vec<HostLevel>,
}

impl Enforcement {
    /// Whether some virtual host is on a lower level than another.
    pub fn is_uneven(&self) -> bool {
        self.hosts.iter().any(|host| host.level != self.level)
    }
}

/// The level of enforcement on one virtual host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostLevel {
    /// Its domain.
    pub host: String,
    /// As [`Enforcement::level`].
    pub level: u8,
}

/// A capability that is missing on the server, or something else that the operator should change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// What is missing, as a short sentence.
    pub what: String,
    /// What does not work because of it.
    pub effect: String,
    /// The exact configuration lines to add, and where; several lines.
    pub remedy: String,
}

/// A ban record that somebody else changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The account of the record.
    pub account: Account,
    /// The ban it belongs to; `None` if there is no active ban.
    pub ban: Option<BanId>,
    /// The state of the record.
    pub found: RecordState,
}

/// What was found instead of the expected record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// No record.
    Nothing,
    /// Our record of earlier terms, put back.
    Older,
    /// Our record with changes.
    Changed,
    /// A record that claims to be ours and is not, or whose key was removed too early.
    Forged,
    /// Our record, with a hash that the server does not accept: it bans nobody. The server has a new cookie.
    Refused,
    /// Anything else.
    Other,
}

/// A ban as recorded by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Public reason.
    pub reason: String,
    /// Its end; `None`: unknown or forever. Only records under our seal have one.
    pub until: Option<Timestamp>,
    /// Whether the record has our seal.
    pub is_ours: bool,
    /// The number of the ban, if the record has our seal.
    pub ban: Option<BanId>,
    /// Whether only a command on the server can lift it, because the server keeps the password of the account in the
    /// record (`ban_account` of ejabberd 24.06 to 25.07).
    pub needs_server: bool,
}

/// What a server says when asked whether it has an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existence {
    /// It has the account.
    Exists,
    /// It has no such account.
    Missing,
    /// It remembers neither a login nor a registration, but may have the account nonetheless: an imported one, one of
    /// LDAP, or one whose last activity was lost in a crash.
    NoTrace,
    /// It does not say.
    #[default]
    Unknown,
}

/// How a ban is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The server refuses the logins.
    Enforced,
    /// The server has no means for this kind of subject; only a hook module could enforce it.
    NeedsModule,
}

/// Why it could not be done now, as a sentence for people. The task is kept, shown and retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undone(pub String);
