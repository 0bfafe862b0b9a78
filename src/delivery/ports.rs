//! What delivery needs from the outside: a place for unfinished work, and the server.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::{broadcast, watch};

use crate::core::{Account, Ban, BanId, Seq, Subject, Timestamp};
use crate::journal::LogFault;

/// Work on a server that is not finished: bring it in line with the ledger for one subject.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Task {
    /// Whom it is about.
    pub subject: Subject,
    /// The event that asked for it last.
    pub since: Seq,
    /// When that was.
    pub asked: Timestamp,
    /// How often it was tried in vain.
    pub tries: u32,
    /// When to try next.
    pub next: Timestamp,
    /// Why it did not work the last time, for people.
    pub fault: Option<String>,
}

/// Where unfinished work outlives the program. At most one task a subject, so it is bounded by
/// the number of subjects.
pub trait Outbox: Send + Sync + 'static {
    /// Everything unfinished, and how far the log's effects had been taken in.
    ///
    /// # Errors
    /// [`LogFault`] when an entry is damaged or the disk fails.
    fn load(&self) -> Result<(Seq, Vec<Task>), LogFault>;

    /// Writes and removes tasks and the cursor in one step. Need not be durable at once: after a
    /// crash the effects of the log behind the stored cursor are taken in again.
    ///
    /// # Errors
    /// [`LogFault`] when the disk fails.
    fn save(&self, cursor: Seq, put: &[Task], remove: &[Subject]) -> Result<(), LogFault>;
}

/// The XMPP server, as far as bans are concerned.
pub trait Enforcer: Send + Sync + 'static {
    /// Makes a ban take hold: record, then kick, then look again.
    fn enforce<'a>(&'a self, ban: &'a Ban) -> BoxFuture<'a, Result<Held, Undone>>;

    /// Takes back what [`Enforcer::enforce`] did for a subject.
    fn release<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<(), Undone>>;

    /// Ends the sessions of a subject that are open, without a ban; how many there were, where the server tells.
    fn kick<'a>(
        &'a self,
        subject: &'a Subject,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>>;

    /// Ends one session of an account and leaves the others, without a ban; how many that were, where the server tells.
    fn end_session<'a>(
        &'a self,
        account: &'a Account,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>>;

    /// Whether there is such an account; `None` when the server does not tell.
    fn exists<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Option<bool>>;

    /// The addresses an account is connected from; empty when the server does not tell.
    fn addresses<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Vec<std::net::IpAddr>>;

    /// Follows what turns out to be changed in the records on the server.
    fn findings(&self) -> broadcast::Receiver<Finding> {
        // One whose other end is gone: nothing is ever found.
        broadcast::channel(1).1
    }

    /// Whether the server's record of a ban of an account is what it should be; `None` when it
    /// keeps none or does not tell. What is there instead goes into [`Enforcer::findings`].
    fn holds<'a>(&'a self, _: &'a Ban) -> BoxFuture<'a, Option<bool>> {
        Box::pin(std::future::ready(None))
    }

    /// The accounts that the server itself counts as banned; empty when it does not tell.
    fn banned_there(&self) -> BoxFuture<'_, Vec<Account>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// The ban that the server's own record of an account holds; `None` when there is none, or the
    /// server keeps no records or does not tell.
    fn recorded<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Option<Recorded>> {
        Box::pin(std::future::ready(None))
    }

    /// What the server lets us do, as last seen. It changes when the link comes or goes and when
    /// grants are seen: the moment to try unfinished work again.
    fn standing(&self) -> watch::Receiver<Arc<Enforcement>>;
}

/// What the server lets us do.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Enforcement {
    /// Whether the component stream is up.
    pub linked: bool,
    /// Whether the server has been probed since the link came up: what is missing is known.
    pub probed: bool,
    /// 0: nothing is enforced, 1: accounts by the server's own means, 2: everything, by the hook module.
    pub level: u8,
    /// Name and version as far as they are known: `ejabberd 26.07`.
    pub server: String,
    /// What is there, one short sentence each.
    pub has: Vec<String>,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// Something missing on the server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// What, in a short sentence.
    pub what: String,
    /// What does not work because of it.
    pub effect: String,
    /// The exact lines to paste, and where; several lines.
    pub remedy: String,
}

/// Somebody else had their hands in the record of a ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose record.
    pub account: Account,
    /// The ban it is of, where one stands.
    pub ban: Option<BanId>,
    /// What was there instead.
    pub found: RecordState,
}

/// What was found in the place of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// Nothing.
    Nothing,
    /// One of ours for other terms, put back.
    Older,
    /// Ours, but changed.
    Changed,
    /// One that claims to be ours and is not, or whose key was removed too early.
    Forged,
    /// Something else.
    Other,
}

/// A ban as the server's own record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Public reason.
    pub reason: String,
    /// Its end; only records under our seal tell one.
    pub until: Option<Timestamp>,
    /// The seal on it is ours.
    pub is_ours: bool,
}

/// How a ban took hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The server refuses the account by itself.
    Enforced,
    /// The server itself has no means for this kind of subject: only the hook module, which
    /// asks, enforces it.
    NeedsModule,
}

/// Why it could not be done now. It is kept, shown and tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undone(pub String);
