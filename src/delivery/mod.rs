//! Brings the server in line with what is decided: unfinished work, carried out and tried again until it is done, and a
//! look now and then whether the server still says the same.
//!
//! [`Queue`] holds the work; `worker.rs` carries it out; `reconcile.rs` looks; [`ports`] says what a server must be able
//! to do.

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

/// Whether the server is in line with the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Done(Held),
    /// Not yet; why, for people, when it is known.
    Pending(Option<String>),
}

/// What people should hear of unfinished work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incident {
    /// The server does not carry something out.
    Stuck(Task),
    /// It did after all.
    Unstuck(Task),
}

/// Carries out on the server what is decided.
pub struct Delivery {
    engine: Arc<Engine>,
    queue: Arc<Queue>,
    server: Arc<dyn Enforcer>,
    incident: Box<dyn Fn(Incident) + Send + Sync>,
}

impl Delivery {
    /// `queue` is the one the engine fills. `incident` is told what people should hear of; it must not wait for anything.
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

    /// Carries out unfinished work on the server until told to stop; then waits for what is in flight, at most
    /// [`STOP_WAIT`].
    pub async fn carry_out(self: Arc<Self>, stop: CancellationToken) {
        worker::run(self, stop).await;
    }

    /// Looks every so often whether the server still says what the ledger says, until told to stop.
    pub async fn reconcile(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        reconcile::run(self, every, stop).await;
    }

    /// The unfinished work on the server for one subject.
    pub fn task(&self, subject: &Subject) -> Option<Task> {
        self.queue.task(subject)
    }

    /// All unfinished work on the server.
    pub fn tasks(&self) -> Vec<Task> {
        self.queue.tasks()
    }

    /// Waits until the server is in line with the ledger for a subject, or the first try failed,
    /// at most so long.
    pub async fn settled(&self, subject: &Subject, wait: Duration) -> Settled {
        let fault = match tokio::time::timeout(wait, self.queue.tried(subject)).await {
            Ok(None) => return Settled::Done(self.means(subject)),
            Ok(Some(fault)) => Some(fault),
            Err(_) => self.queue.task(subject).and_then(|task| task.fault),
        };
        Settled::Pending(fault)
    }

    /// How a ban of this subject takes hold on the server as it is now.
    fn means(&self, subject: &Subject) -> Held {
        let level = self.server.standing().borrow().level;
        match subject {
            Subject::Account(_) => Held::Enforced,
            _ if level >= 2 => Held::Enforced,
            _ => Held::NeedsModule,
        }
    }

    /// The server.
    pub fn server(&self) -> &Arc<dyn Enforcer> {
        &self.server
    }
}
