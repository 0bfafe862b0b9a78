//! The application core: appends decisions to the log, folds them, and answers from the folded state.
//!
//! [`Engine::submit`] is the only way a decision is made (`submit.rs`). [`Engine::follow`] alone folds the tail of
//! the log, [`Engine::watch_the_clock`] records the ends of bans, and [`Snapshotter`] saves snapshots. [`Effects`]
//! and [`Listener`]s receive what follows from decisions: the engine knows neither servers nor people.

pub mod clock;
mod follow;
mod jump;
mod log_pause;
mod put_back;
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
use jump::JumpWatch;

pub use jump::ClockJump;
pub use log_pause::LogPause;
pub use snapshots::Snapshotter;
pub use submit::Ruled;

/// Number of entries read at once when the log is replayed at start.
const REPLAY_AT_ONCE: usize = 4_096;
/// Maximum sleep of the expiry clock, so that it notices a wall clock that was set forward.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Maximum number of ended bans that are searched, newest first.
pub const ENDS: usize = 2_000;

/// Receives the effects of folded events.
pub trait Effects: Send + Sync + 'static {
    /// The position up to which effects were received and saved when the program last ended.
    fn cursor(&self) -> Seq;

    /// Receives the effects of the entry at `seq`, in the order of the log. Must not block.
    fn take_in(&self, seq: Seq, at: Timestamp, effects: Vec<Effect>);

    /// Saves the effects received up to `upto`.
    ///
    /// # Errors
    /// [`LogFault`] if they could not be saved. They are received again at the next start.
    fn save(&self, upto: Seq) -> Result<(), LogFault>;

    /// The received effects are in force now, so there may be work.
    fn wake(&self);
}

/// Receives the results of decisions. Must not block.
pub trait Listener: Send + Sync + 'static {
    /// A decision was folded.
    fn ruled(&self, _event: &Event, _ruling: &Ruling) {}

    /// A decision from shortly before the program last ended was folded again at start. Whoever should have heard of
    /// it may not have.
    fn replayed(&self, _event: &Event, _ruling: &Ruling, _now: Timestamp) {}

    /// An order has its ruling.
    fn ordered(&self, _order: &Order, _ruling: &Ruling, _decided: Timestamp) {}
}

/// The ports and settings of an engine.
pub struct EngineParts {
    /// The log of decisions.
    pub journal: Arc<dyn Journal>,
    /// The copy of the log on this machine.
    pub replica: Arc<dyn Replica>,
    /// Snapshots of the ledger.
    pub snapshots: Arc<dyn Snapshots>,
    /// Receives the work on the server.
    pub effects: Arc<dyn Effects>,
    /// Receive the results of decisions.
    pub listeners: Vec<Arc<dyn Listener>>,
    /// The clock.
    pub clock: Clock,
    /// The policy in force.
    pub policy: Policy,
}

/// Makes decisions and holds the ledger.
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
    /// Position of the snapshot it started from; 0: none.
    restored: Seq,
    folded: Notify,
    changes: watch::Sender<Seq>,
    jump: watch::Sender<Option<ClockJump>>,
    /// Held while it is recorded that the log was put back.
    putting_back: tokio::sync::Mutex<()>,
}

/// Number of bans visited under one lock.
const BANS_AT_ONCE: usize = 4_096;

impl Engine {
    /// Restores the ledger from a snapshot and the log behind it, and passes on the effects that a crash left behind.
    ///
    /// Blocks on the disk. Until it returns, no login is answered.
    ///
    /// # Errors
    /// [`LogFault`] if the log cannot be read: without its bans the program must not answer logins.
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
        match effects.save(ledger.folded()) {
            // They stay in memory, and are received again at the next start.
            Err(LogFault::Full(why)) => {
                tracing::warn!(%why, "unfinished work cannot be saved now");
            }
            saved => saved?,
        }
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
            jump: watch::Sender::new(None),
            putting_back: tokio::sync::Mutex::default(),
        }))
    }

    /// Decides on intents in this order: a later one about the same subject sees the result of an earlier one. The
    /// answers are in the order of the intents. When it returns, each change is durable and in force, or was not
    /// made.
    ///
    /// An order never silently overrules another person's decision about the subject made in the meantime: it is
    /// answered with [`Ruling::Overtaken`], alone or among many. "In the meantime" begins when the order is proposed,
    /// or at [`Order::seen`].
    ///
    /// Events appended together are stored all or none. If the future is dropped, what was appended stays and the
    /// rest is not made.
    pub async fn submit(&self, intents: Vec<Intent>) -> Vec<Ruled> {
        submit::run(self, intents).await
    }

    /// [`Engine::submit`] for one intent.
    ///
    /// # Errors
    /// [`LogFault`] if it could not be made durable; then it did not happen, unless the fault is
    /// [`LogFault::Unknown`].
    pub async fn submit_one(&self, intent: impl Into<Intent>) -> Ruled {
        let answers = self.submit(vec![intent.into()]).await;
        answers.into_iter().next().unwrap_or(Ok(Ruling::Noted))
    }

    /// Appends events, all or none, waits until they are folded, and returns the rulings on those in `asked`, in that
    /// order.
    pub(crate) async fn append(
        &self,
        events: &[Event],
        asked: Vec<EventId>,
    ) -> Result<Vec<Ruling>, LogFault> {
        journal::append(&*self.journal, &self.rulings, events, asked).await
    }

    /// Folds the log's tail until told to stop.
    ///
    /// # Errors
    /// [`LogFault`] if the log cannot be read any more. The ledger then no longer changes, so the program must stop.
    pub async fn follow(&self, stop: CancellationToken) -> Result<(), LogFault> {
        follow::run(self, stop).await
    }

    /// Records the end of each ban when its time is over, until told to stop. Logins do not depend on it; the
    /// server's own record does. After the clock was set, ends wait until it is believed.
    pub async fn watch_the_clock(&self, stop: CancellationToken) {
        let mut clocks = JumpWatch::default();
        loop {
            let look = clocks.look(self.clock.now(), self.clock.steady());
            self.tell_jump(look.jump);
            let now = look.sure;
            let next = self.read(|ledger| ledger.bans().next_end());
            let sleep = match next {
                Some(end) if end <= now => {
                    match self.submit_one(Intent::Tick { upto: now }).await {
                        Ok(Ruling::Ban(BanRuling::Lifted(_))) => continue,
                        // Nothing ended although it was time: sleep, to avoid a busy loop.
                        Ok(_) => LONGEST_SLEEP,
                        Err(why) => {
                            tracing::error!(%why, "cannot record that bans have ended; trying again");
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

    fn tell_jump(&self, jump: Option<ClockJump>) {
        let before = self.jump.send_replace(jump);
        match (before, jump) {
            (before, Some(jump))
                if before.is_none_or(|before| before.by.abs_diff(jump.by) > 60_000) =>
            {
                tracing::warn!(
                    seconds = jump.by / 1_000,
                    believed_at = %jump.believed,
                    "the clock of this machine was set: the ends of bans are not written down until it is put right or has stayed so for an hour"
                );
            }
            (Some(_), None) => {
                tracing::info!(
                    "the clock is put right, or believed: the ends of bans are written down again"
                );
            }
            _ => {}
        }
    }

    /// That the clock of this machine was set and is not believed yet, as it changes.
    pub fn clock_jump(&self) -> watch::Receiver<Option<ClockJump>> {
        self.jump.subscribe()
    }

    /// Reads the ledger. `look` must be short, because nothing is folded meanwhile.
    pub fn read<R>(&self, look: impl FnOnce(&Ledger) -> R) -> R {
        look(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Visits the bans, newest first, until `visit` breaks. There may be a million, so they are read in pieces: a
    /// login waits for one piece at most. Bans that begin meanwhile are not visited.
    pub fn each_ban(&self, mut visit: impl FnMut(&Ban) -> ControlFlow<()>) {
        let mut below = Some(BanId(u64::MAX));
        while let Some(from) = below.take() {
            self.read(|ledger| {
                for (looked_at, ban) in ledger.bans().older_than(from).enumerate() {
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

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Replaces the policy. Existing bans do not change.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The position of the last event that changed which bans are in force, as it changes.
    pub fn changes(&self) -> watch::Receiver<Seq> {
        self.changes.subscribe()
    }

    /// Why the log takes no decisions at present, as it changes; `None` while it takes them.
    pub(crate) fn trouble(&self) -> watch::Receiver<Option<LogFault>> {
        self.journal.trouble()
    }

    /// The whole history of a subject in the log, oldest first, with private notes and evidence.
    ///
    /// # Errors
    /// [`LogFault`] if the log cannot be read.
    pub async fn history(&self, subject: &Subject) -> Result<Vec<Entry>, LogFault> {
        let trail = self.read(|ledger| ledger.subjects().trail(subject).to_vec());
        let replica = Arc::clone(&self.replica);
        tokio::task::spawn_blocking(move || replica.trail(&trail))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))?
    }

    /// Up to `most` entries of the log from `from` on, oldest first, including stale ones.
    ///
    /// # Errors
    /// [`LogFault`] if the log cannot be read.
    pub async fn entries(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        let replica = Arc::clone(&self.replica);
        tokio::task::spawn_blocking(move || replica.read(from, most))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))?
    }
}

/// The bans that ended last, newest end first, at most [`ENDS`]; and whether there were more.
pub fn last_ended(ledger: &Ledger) -> (Vec<EndedBan>, bool) {
    let mut last = ledger.bans().last_ended();
    let ended = last.by_ref().take(ENDS).cloned().collect();
    (ended, last.next().is_some())
}
