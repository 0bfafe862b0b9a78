//! Carries out decisions on the server: keeps unfinished work, retries it until it is done, and reconciles regularly.
//!
//! [`Queue`] holds the work, `worker.rs` carries it out, `reconcile.rs` compares the server with the ledger, and
//! [`ports`] says what a server must be able to do.

pub mod ports;
mod queue;
mod reconcile;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::core::Subject;
use crate::engine::Engine;
use ports::{Enforcer, Held, Task};

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
