//! Opens engine, admission, delivery and news, and joins them.

use std::sync::Arc;

use crate::admission::{Admission, CounterStore, Tap};
use crate::core::Policy;
use crate::delivery::ports::{Enforcer, Outbox};
use crate::delivery::{Delivery, Queue};
use crate::engine::clock::Clock;
use crate::engine::{Engine, EngineParts, Snapshotter};
use crate::journal::{Journal, LogFault, Replica, Snapshots};
use crate::news::{Feed, News};

/// The ports through which state outlives the process.
pub struct Storage {
    /// The log of decisions.
    pub journal: Arc<dyn Journal>,
    /// The copy of the log on this machine.
    pub replica: Arc<dyn Replica>,
    /// Snapshots of the ledger.
    pub snapshots: Arc<dyn Snapshots>,
    /// Unfinished work on the server.
    pub outbox: Arc<dyn Outbox>,
    /// The counters of failed logins.
    pub counters: Arc<dyn CounterStore>,
}

impl Storage {
    /// Uses one store for all ports.
    pub fn of<S: Journal + Replica + Snapshots + Outbox + CounterStore>(store: &Arc<S>) -> Self {
        Storage {
            journal: Arc::clone(store) as _,
            replica: Arc::clone(store) as _,
            snapshots: Arc::clone(store) as _,
            outbox: Arc::clone(store) as _,
            counters: Arc::clone(store) as _,
        }
    }
}

/// Handles to the opened rooms.
#[derive(Clone)]
pub struct Gate {
    /// Makes decisions and holds the ledger.
    pub engine: Arc<Engine>,
    /// Saves snapshots of the ledger.
    pub snapshotter: Arc<Snapshotter>,
    /// Counts logins and decides whether they may go on.
    pub admission: Arc<Admission>,
    /// Carries out decisions on the server.
    pub delivery: Arc<Delivery>,
    /// Notifications, for `front::notices`.
    pub news: Arc<Feed>,
    /// Judged logins and orders, for the recording.
    pub tap: Arc<Tap>,
}

impl Gate {
    /// Restores everything from `storage`. Blocks on the disk. Until it returns, no login is answered.
    ///
    /// # Errors
    /// [`LogFault`] if the log, the outbox or the counters cannot be read: without its bans portcullis must not
    /// answer logins.
    pub fn open(
        storage: Storage,
        server: Arc<dyn Enforcer>,
        clock: Clock,
        policy: Policy,
    ) -> Result<Gate, LogFault> {
        let (news, tap) = (Arc::new(Feed::default()), Arc::new(Tap::default()));
        let queue = Queue::open(storage.outbox)?;
        let engine = Engine::open(EngineParts {
            journal: storage.journal,
            replica: storage.replica,
            snapshots: storage.snapshots,
            effects: Arc::clone(&queue) as _,
            listeners: vec![Arc::clone(&news) as _, Arc::clone(&tap) as _],
            clock: clock.clone(),
            policy,
        })?;
        let spared = {
            let (news, clock) = (Arc::clone(&news), clock.clone());
            move |notice| news.announce(News::Spared(notice), clock.now())
        };
        let incident = {
            let news = Arc::clone(&news);
            move |incident| news.announce(News::from(incident), clock.now())
        };
        Ok(Gate {
            snapshotter: Arc::new(Snapshotter::new(Arc::clone(&engine))),
            admission: Admission::open(
                Arc::clone(&engine),
                storage.counters,
                Arc::clone(&tap),
                spared,
            )?,
            delivery: Delivery::new(Arc::clone(&engine), queue, server, incident),
            engine,
            news,
            tap,
        })
    }
}
