//! The application core: appends decisions to the log, folds them, and answers from what is folded.
//!
//! [`Engine::submit`] is the one road every decision takes (`submit.rs`). The log's tail is folded in one place
//! ([`Engine::follow`]); ended bans are written down by [`Engine::watch_the_clock`]; [`Snapshotter`] keeps snapshots.
//! What follows from a decision is told to whoever was given as [`Effects`] and [`Listener`]s: the engine knows neither
//! servers nor people.

pub mod clock;
mod follow;
mod snapshots;
mod submit;

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::core::{
    Ban, BanId, BanRuling, Effect, EndedBan, Event, EventId, Intent, Ledger, Order, Policy, Ruling,
    Seq, Subject, Timestamp,
};
use crate::journal::{self, Entry, Journal, LogFault, Replica, Rulings, Snapshots};
use clock::Clock;

pub use snapshots::Snapshotter;
pub use submit::Ruled;

/// How many entries are read at once when the log is replayed at start.
const REPLAY_AT_ONCE: usize = 4_096;
/// The longest the expiry clock sleeps, so that a wall clock that was set forward is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// How many ends of bans are looked through at most, newest first.
pub const ENDS: usize = 2_000;

/// Takes in what the fold asks of the server.
pub trait Effects: Send + Sync + 'static {
    /// How far effects had been taken in and kept when the program last ended.
    fn cursor(&self) -> Seq;

    /// Takes in what the entry at a place asks for, in the order of the log. Must not wait for anything.
    fn take_in(&self, seq: Seq, at: Timestamp, effects: Vec<Effect>);

    /// Keeps what was taken in up to a place.
    ///
    /// # Errors
    /// [`LogFault`] when it could not be kept. Then it is taken in again at the next start.
    fn save(&self, upto: Seq) -> Result<(), LogFault>;

    /// What was taken in is in force: there may be something to do.
    fn wake(&self);
}

/// Hears what came of decisions. Must not wait for anything.
pub trait Listener: Send + Sync + 'static {
    /// A decision was folded.
    fn ruled(&self, _event: &Event, _ruling: &Ruling) {}

    /// A decision from shortly before the program last ended was folded again at start: who had to hear of it may not have.
    fn replayed(&self, _event: &Event, _ruling: &Ruling, _now: Timestamp) {}

    /// An order got its answer.
    fn ordered(&self, _order: &Order, _ruling: &Ruling, _decided: Timestamp) {}
}

/// What an engine works with.
pub struct EngineParts {
    /// The log of decisions.
    pub journal: Arc<dyn Journal>,
    /// Its copy on this machine.
    pub replica: Arc<dyn Replica>,
    /// Snapshots of the folded log.
    pub snapshots: Arc<dyn Snapshots>,
    /// Takes in what has to be done on the server.
    pub effects: Arc<dyn Effects>,
    /// Hear what came of decisions.
    pub listeners: Vec<Arc<dyn Listener>>,
    /// The present.
    pub clock: Clock,
    /// What is allowed.
    pub policy: Policy,
}

/// Decides, and knows what is decided.
pub struct Engine {
    journal: Arc<dyn Journal>,
    replica: Arc<dyn Replica>,
    snapshots: Arc<dyn Snapshots>,
    effects: Arc<dyn Effects>,
    listeners: Vec<Arc<dyn Listener>>,
    clock: Clock,
    policy: ArcSwap<Policy>,
    ledger: RwLock<Ledger>,
    rulings: Rulings,
    /// The place of the snapshot it began with.
    restored: Seq,
    folded: Notify,
    changes: watch::Sender<Seq>,
}

/// How many bans are visited under one lock.
const BANS_AT_ONCE: usize = 4_096;

impl Engine {
    /// Brings the ledger back, from a snapshot and the log behind it, and hands on the effects a
    /// crash left behind.
    ///
    /// Blocks on the disk; nothing is let in or refused before it returns.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read: a program that does not know its bans must not
    /// answer for them.
    pub fn open(parts: EngineParts) -> Result<Arc<Engine>, LogFault> {
        let EngineParts {
            journal,
            replica,
            snapshots,
            effects,
            listeners,
            clock,
            policy,
        } = parts;
        let cursor = effects.cursor();
        let mut ledger = journal::restore(&*replica, &*snapshots, cursor)?;
        let restored = ledger.folded();
        loop {
            let entries = replica.read(ledger.folded().next(), REPLAY_AT_ONCE)?;
            if entries.is_empty() {
                break;
            }
            for Entry { seq, event, .. } in &entries {
                let (ruling, asked) = ledger.fold(*seq, event);
                if *seq > cursor {
                    for listener in &listeners {
                        listener.replayed(event, &ruling, clock.now());
                    }
                    effects.take_in(*seq, event.at, asked);
                }
            }
        }
        effects.save(ledger.folded())?;
        let changes = watch::Sender::new(ledger.folded());
        Ok(Arc::new(Engine {
            journal,
            replica,
            snapshots,
            effects,
            listeners,
            clock,
            policy: ArcSwap::from_pointee(policy),
            ledger: RwLock::new(ledger),
            rulings: Rulings::default(),
            restored,
            folded: Notify::new(),
            changes,
        }))
    }

    /// Decides on intents, in this order: a later one about the same subject knows what came of an earlier one. The
    /// answers stand in the order of the intents. When it returns, each change is durable and in force, or was not made.
    ///
    /// An order of a person never overrules silently what another person decided about the subject in the meantime: it
    /// is answered with [`Ruling::Overtaken`], alone or among many. "In the meantime" begins when the order is proposed,
    /// or at [`Order::seen`].
    ///
    /// Of those appended together all or none happen. When the future is dropped half-way, what was appended stands and
    /// the rest is not made.
    pub async fn submit(&self, intents: Vec<Intent>) -> Vec<Ruled> {
        submit::run(self, intents).await
    }

    /// [`Engine::submit`] for one.
    ///
    /// # Errors
    /// [`LogFault`] when it could not be made durable; then it did not happen.
    pub async fn submit_one(&self, intent: impl Into<Intent>) -> Ruled {
        let answers = self.submit(vec![intent.into()]).await;
        answers.into_iter().next().unwrap_or(Ok(Ruling::Noted))
    }

    /// Appends events, all of them or none, and waits until they have been folded: the rulings on
    /// those that are `asked` about, in that order.
    pub(crate) async fn append(
        &self,
        events: &[Event],
        asked: Vec<EventId>,
    ) -> Result<Vec<Ruling>, LogFault> {
        journal::append(&*self.journal, &self.rulings, events, asked).await
    }

    /// Folds what the log brings, from wherever it comes, until told to stop.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read any more. The ledger then stands still, and the
    /// program must not go on as if nothing had happened.
    pub async fn follow(&self, stop: CancellationToken) -> Result<(), LogFault> {
        follow::run(self, stop).await
    }

    /// Writes down the end of each ban when its time is over, until told to stop. To let somebody in nobody needs to
    /// wait for that; the server's own record needs it.
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

    /// Looks at the ledger. The look must be short: while it lasts nothing is folded.
    pub fn read<R>(&self, look: impl FnOnce(&Ledger) -> R) -> R {
        look(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Visits the bans, newest first, until `visit` breaks. There may be a million, so they are read a piece at a time:
    /// a login waits for one piece at most. Bans that begin meanwhile are not visited.
    pub fn each_ban(&self, mut visit: impl FnMut(&Ban) -> ControlFlow<()>) {
        let mut below = Some(BanId(u64::MAX));
        while let Some(from) = below.take() {
            self.read(|ledger| {
                for (looked_at, ban) in ledger.older_than(from).enumerate() {
                    if visit(ban).is_break() {
                        return;
                    }
                    if looked_at + 1 == BANS_AT_ONCE {
                        below = Some(ban.id);
                        return;
                    }
                }
            });
        }
    }

    /// What is allowed at present.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Puts another policy in force; bans that stand are left as they are.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Follows the place of the last event that changed which bans are in force.
    pub fn changes(&self) -> watch::Receiver<Seq> {
        self.changes.subscribe()
    }

    /// Everything the log holds of a subject, oldest first, with its personal parts.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read.
    pub async fn history(&self, subject: &Subject) -> Result<Vec<Entry>, LogFault> {
        let trail = self.read(|ledger| ledger.trail(subject).to_vec());
        let replica = Arc::clone(&self.replica);
        tokio::task::spawn_blocking(move || replica.trail(&trail))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))?
    }

    /// Up to `most` entries of the log from `from` on, oldest first, those that changed nothing
    /// among them.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read.
    pub async fn entries(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        let replica = Arc::clone(&self.replica);
        tokio::task::spawn_blocking(move || replica.read(from, most))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))?
    }
}

/// The bans that ended last, newest end first, at most [`ENDS`]; and whether there were more.
pub fn last_ended(ledger: &Ledger) -> (Vec<EndedBan>, bool) {
    let mut last = ledger.last_ended();
    let ended = last.by_ref().take(ENDS).cloned().collect();
    (ended, last.next().is_some())
}
