//! Carries out decisions on the server: keeps unfinished work, retries it until it is done, and reconciles regularly.
//!
//! [`Queue`] holds the work, `worker.rs` carries it out, `reconcile.rs` compares the server with the ledger, and
//! [`ports`] says what a server must be able to do.

pub mod ports;
mod queue;
mod reconcile;
pub mod refusals;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::core::{Account, BanId, Subject};
use crate::engine::Engine;
use ports::{Enforcer, Held, Recorded, Task};

pub use queue::Queue;
pub use worker::STOP_WAIT;

/// Whether the server is in line with the ledger for a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Done(Held),
    /// Not yet; with the error of the last attempt as a sentence for people, if there was one.
    Pending(Option<String>),
}

/// An event of unfinished work that people should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incident {
    /// The task failed several times.
    Stuck(Task),
    /// The task was stuck and is done now.
    Unstuck(Task),
}

/// Carries out decisions on the server.
pub struct Delivery {
    engine: Arc<Engine>,
    queue: Arc<Queue>,
    server: Arc<dyn Enforcer>,
    incident: Box<dyn Fn(Incident) + Send + Sync>,
}

impl Delivery {
    /// `queue` is the one that the engine fills. `incident` is called for events that people should know of; it must
    /// not block.
    pub fn new(
        engine: Arc<Engine>,
        queue: Arc<Queue>,
        server: Arc<dyn Enforcer>,
        incident: impl Fn(Incident) + Send + Sync + 'static,
    ) -> Arc<Delivery> {
        Arc::new(Delivery {
            engine,
            queue,
            server,
            incident: Box::new(incident),
        })
    }

    /// Carries out tasks until told to stop; then waits for those in flight, at most [`STOP_WAIT`].
    pub async fn carry_out(self: Arc<Self>, stop: CancellationToken) {
        worker::run(self, stop).await;
    }

    /// Reconciles the server with the ledger every `every`, until told to stop.
    pub async fn reconcile(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        reconcile::run(self, every, stop).await;
    }

    /// Lifts a ban that only the server's own record of an account holds ([`Delivery::record_beyond`]). Returns how
    /// far that has come after at most `wait`.
    pub async fn lift_record(
        &self,
        account: &Account,
        recorded: &Recorded,
        wait: Duration,
    ) -> Settled {
        let subject = Subject::Account(account.clone());
        self.notice_number(&subject, recorded.ban).await;
        let version = self.engine.read(|ledger| ledger.version(&subject));
        self.queue.again(&subject, version, self.engine.now());
        self.settled(&subject, wait).await
    }

    /// The ban in the server's own record of an account that is not banned here; `None` if there is none that we may
    /// believe, or the server does not say within `wait`.
    pub async fn record_beyond(&self, account: &Account, wait: Duration) -> Option<Recorded> {
        let subject = Subject::Account(account.clone());
        let is_known = self
            .engine
            .read(|ledger| ledger.bans().of(&subject).is_some());
        // The removal of the record is under way.
        if is_known
            || self.queue.task(&subject).is_some()
            || !self.server.standing().borrow().linked
        {
            return None;
        }
        let recorded = self.server.recorded(account);
        tokio::time::timeout(wait, recorded).await.ok().flatten()
    }

    /// Records that the store was put back to an older copy, if a record names a ban that was not made here yet.
    async fn notice_number(&self, subject: &Subject, named: Option<BanId>) {
        let Some(named) = named else { return };
        if let Err(why) = self.engine.was_put_back(subject, named).await {
            tracing::warn!(%subject, ban = %named, %why, "cannot record that the store was put back to an older copy");
        }
    }

    /// The unfinished task for a subject; `None` if the server is in line.
    pub fn task(&self, subject: &Subject) -> Option<Task> {
        self.queue.task(subject)
    }

    /// All unfinished tasks.
    pub fn tasks(&self) -> Vec<Task> {
        self.queue.tasks()
    }

    /// Waits until the server is in line with the ledger for a subject, or the first attempt has failed; at most
    /// `wait`.
    pub async fn settled(&self, subject: &Subject, wait: Duration) -> Settled {
        let fault = match tokio::time::timeout(wait, self.queue.tried(subject)).await {
            Ok(None) => return Settled::Done(self.means(subject)),
            Ok(Some(fault)) => Some(fault),
            Err(_) => self.queue.task(subject).and_then(|task| task.fault),
        };
        Settled::Pending(fault)
    }

    /// How a ban of this subject is enforced at the current level.
    fn means(&self, subject: &Subject) -> Held {
        let level = self.server.standing().borrow().level;
        match subject {
            Subject::Account(_) => Held::Enforced,
            _ if level >= 2 => Held::Enforced,
            _ => Held::NeedsModule,
        }
    }

    /// The port to the server.
    pub fn server(&self) -> &Arc<dyn Enforcer> {
        &self.server
    }
}
