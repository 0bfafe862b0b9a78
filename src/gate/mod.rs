//! The hands: the one road every change takes, and the order of its effects.
//!
//! An intent is proposed on under a lock, its events are appended outside of it, and the answer
//! is given when the event's own fold has ruled ([`Gate::submit`]). The log's tail is
//! folded in one place ([`Gate::follow`], `follow.rs`), ended bans are written down by
//! [`Gate::watch_the_clock`], and what the server still has to learn is carried out by [`effects`].
//! What may be asked is in `asked.rs`.
//!
//! Failed logins are counted ([`Gate::report`], `count.rs`), and the counters kept, by [`counters`]; those whose
//! outcome is not known yet are in `tries`. Who wants to write down what was weighed listens to
//! [`weighed`]; what people should hear of leaves by [`notices`].
//!
//! The gate never waits for a disk or a network to answer [`Gate::check`], and knows nothing of
//! XML. Start reading at [`Gate::submit`].

mod asked;
pub mod clock;
mod count;
pub mod counters;
mod desk;
pub mod effects;
mod follow;
pub mod notices;
mod patrol;
pub mod ports;
pub mod snapshots;
mod submit;
mod tries;
mod under_way;
pub mod weighed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::core::{BanRuling, Intent, Ledger, Policy, Ruling, Seq, Timestamp};
use crate::journal::{self, Entry, Journal, Replica, Rulings, Snapshots};
use clock::Clock;
use counters::Counters;
use desk::Desk;
use notices::Herald;
use ports::{LogFault, Server, Storage};
use tries::Tries;
use weighed::{Teller, Weighings};

pub use asked::{ENDS, Settled};
pub use submit::Answer;
pub use tries::Admission;
pub use under_way::Wanted;

/// How many entries are read at once when the log is replayed at start.
const REPLAY_AT_ONCE: usize = 4_096;
/// The longest the expiry clock sleeps, so that a wall clock that was set forward is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The one road for every change, and the verdict from memory.
pub struct Gate {
    journal: Arc<dyn Journal>,
    replica: Arc<dyn Replica>,
    snapshots: Arc<dyn Snapshots>,
    server: Arc<dyn Server>,
    clock: Clock,
    policy: ArcSwap<Policy>,
    ledger: RwLock<Ledger>,
    rulings: Rulings,
    desk: Desk,
    /// The place of the snapshot it began with.
    restored: Seq,
    counters: Counters,
    tries: Tries,
    teller: Teller,
    herald: Herald,
    folded: Notify,
    news: watch::Sender<Seq>,
}

impl Gate {
    /// Brings the ledger back, from a snapshot and the log behind it, and takes in the effects a
    /// crash left behind.
    ///
    /// Blocks on the disk; nothing is let in or refused before it returns.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read: a program that does not know its bans must not
    /// answer for them.
    pub fn open(
        storage: Storage,
        server: Arc<dyn Server>,
        clock: Clock,
        policy: Policy,
    ) -> Result<Arc<Gate>, LogFault> {
        let Storage {
            journal,
            replica,
            snapshots,
            outbox,
            counters,
        } = storage;
        let (cursor, tasks) = outbox.load()?;
        let counters = Counters::open(counters, &policy, clock.now())?;
        let desk = Desk::new(outbox, cursor, tasks);
        let mut ledger = journal::restore(&*replica, &*snapshots, cursor)?;
        let restored = ledger.folded();
        let herald = Herald::default();
        loop {
            let entries = replica.read(ledger.folded().next(), REPLAY_AT_ONCE)?;
            if entries.is_empty() {
                break;
            }
            for Entry { seq, event, .. } in &entries {
                let (ruling, effects) = ledger.fold(*seq, event);
                if *seq > cursor {
                    herald.keep(event, &ruling, clock.now());
                    desk.take_in(*seq, event.at, effects);
                }
            }
        }
        desk.save(ledger.folded())?;
        let news = watch::Sender::new(ledger.folded());
        Ok(Arc::new(Gate {
            journal,
            replica,
            snapshots,
            server,
            clock,
            policy: ArcSwap::from_pointee(policy),
            ledger: RwLock::new(ledger),
            rulings: Rulings::default(),
            desk,
            restored,
            counters,
            tries: Tries::default(),
            teller: Teller::default(),
            herald,
            folded: Notify::new(),
            news,
        }))
    }

    /// Writes down the end of each ban when its time is over, until told to stop. [`Gate::check`]
    /// needs nobody for that; the server does.
    pub async fn watch_the_clock(&self, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let next = self.read(Ledger::next_end);
            let sleep = match next {
                Some(end) if end <= now => {
                    match self.submit_one(Intent::Tick).await {
                        Ok(Ruling::Ban(BanRuling::Lifted(_))) => continue,
                        // Nothing ended although it was time: never in a circle without a pause.
                        Ok(_) => LONGEST_SLEEP,
                        Err(why) => {
                            tracing::error!(%why, "cannot write down that bans have ended; trying again");
                            LONGEST_SLEEP
                        }
                    }
                }
                Some(end) => end.since(now).min(LONGEST_SLEEP),
                None => LONGEST_SLEEP,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(sleep) => {}
                () = self.folded.notified() => {}
            }
        }
    }

    /// Looks every so often whether the server still says what the ledger says, until told to stop.
    pub async fn patrol(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        patrol::run(self, every, stop).await;
    }

    /// Carries out unfinished work on the server until told to stop.
    pub async fn carry_out(self: Arc<Self>, stop: CancellationToken) {
        effects::run(self, stop).await;
    }

    /// Follows the place of the last event that changed which bans are in force.
    pub fn news(&self) -> watch::Receiver<Seq> {
        self.news.subscribe()
    }

    /// The counters of failed logins.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is weighed from now on; only the first who asks gets it.
    pub fn weighings(&self) -> Option<Weighings> {
        self.teller.listen()
    }

    /// Keeps the counters until told to stop, and then once more.
    pub async fn keep_counters(&self, stop: CancellationToken) {
        self.counters.keep(stop).await;
    }

    /// Looks at the ledger.
    pub fn read<R>(&self, look: impl FnOnce(&Ledger) -> R) -> R {
        look(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is allowed at present.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Puts another policy in force; bans that stand are left as they are.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// The place in the log of the snapshot it began with; 0: it folded the whole log.
    pub fn began_with(&self) -> Seq {
        self.restored
    }

    /// The server.
    pub fn server(&self) -> &Arc<dyn Server> {
        &self.server
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
