//! Opens the application core and what stands around it, and joins them: nothing else is in here.

use std::sync::Arc;

use crate::admission::{Admission, CounterStore, Tap};
use crate::core::Policy;
use crate::delivery::ports::{Enforcer, Outbox};
use crate::delivery::{Delivery, Queue};
use crate::engine::clock::Clock;
use crate::engine::{Engine, EngineParts, Snapshotter};
use crate::journal::{Journal, LogFault, Replica, Snapshots};
use crate::news::{Feed, News};

/// Where everything outlives the program.
pub struct Storage {
    /// The log of decisions.
    pub journal: Arc<dyn Journal>,
    /// Its copy on this machine.
    pub replica: Arc<dyn Replica>,
    /// Snapshots of the folded log.
    pub snapshots: Arc<dyn Snapshots>,
    /// Unfinished work on the server.
    pub outbox: Arc<dyn Outbox>,
    /// The counters of failed logins.
    pub counters: Arc<dyn CounterStore>,
}

impl Storage {
    /// All of it in one store.
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

/// The application core and what stands around it.
#[derive(Clone)]
pub struct Gate {
    /// Decides, and knows what is decided.
    pub engine: Arc<Engine>,
    /// Keeps snapshots of what is decided.
    pub snapshotter: Arc<Snapshotter>,
    /// Counts logins and answers whether they may go on.
    pub admission: Arc<Admission>,
    /// Carries out on the server what is decided.
    pub delivery: Arc<Delivery>,
    /// What people should hear of.
    pub news: Arc<Feed>,
    /// What is judged, for who records it.
    pub tap: Arc<Tap>,
}

impl Gate {
    /// Brings everything back. Blocks on the disk; nothing is let in or refused before it returns.
    ///
    /// # Errors
    /// [`LogFault`] when the log, the outbox or the counters cannot be read: a program that does not know its bans must
    /// not answer for them.
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
