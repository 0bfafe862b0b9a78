//! Login admission: counts failed logins, tracks logins in flight and pending bans, and answers from memory whether a
//! login may go on.
//!
//! All of this state is under one lock ([`LoginState`]), which is held briefly and always taken after the ledger's
//! lock. A check takes at most these two locks and never waits for a disk. Start reading at [`Admission::try_admit`]
//! and [`Admission::count`].

mod in_flight;
mod keep;
mod pending;
mod state;
mod tap;
mod unwritten;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::core::explain::{BANS_TOLD, concerns};
use crate::core::ledger::By;
use crate::core::tracker::Fill;
use crate::core::{
    Account, Attempt, Ban, BanId, BanRuling, Event, EventId, Explanation, Ledger, Notice, Policy,
    Proposal, Ruling, Signal, Subject, Timestamp, Tracker, Verdict, explain, headroom, judge,
    subject,
};
use crate::engine::{Engine, clock};
use crate::journal::LogFault;
use in_flight::LASTS;
use keep::Keeper;
use state::LoginState;

pub use keep::{CounterStore, SAVE_EVERY};
pub use state::FailedLogin;
pub use tap::{Judged, JudgedFeed, JudgedInput, Tap};
pub use unwritten::Unwritten;

/// Denial text when the limit of logins in flight is reached and none of them ends in time.
const AT_ONCE: &str = "too many logins at the same moment, try again in a few seconds";

/// Decides whether logins may go on, and counts their outcomes.
pub struct Admission {
    engine: Arc<Engine>,
    shared: Arc<SharedLogins>,
    unwritten: watch::Sender<Option<Unwritten>>,
    keeper: Keeper,
    tap: Arc<Tap>,
    spared: Box<dyn Fn(Notice) + Send + Sync>,
}

/// The state under the one lock, and a counter that can be read without it.
struct SharedLogins {
    state: Mutex<LoginState>,
    /// Number of pending bans. Nearly always 0, and then a check need not look for them.
    pending: AtomicUsize,
    /// Number of pending bans that could not be written.
    unwritten: watch::Sender<usize>,
}

impl SharedLogins {
    fn new(tracker: Tracker) -> Self {
        SharedLogins {
            state: Mutex::new(LoginState::new(tracker)),
            pending: AtomicUsize::new(0),
            unwritten: watch::Sender::new(0),
        }
    }

    /// Publishes the number of pending bans; to be called after every change of the table.
    fn settle(&self, state: &LoginState) {
        self.pending.store(state.pending.len(), Ordering::Release);
        self.unwritten.send_if_modified(|before| {
            let now = state.pending.unwritten_len();
            std::mem::replace(before, now) != now
        });
    }

    /// Up to `most` bans that could not be written and have not ended.
    fn unwritten(&self, most: usize, now: Timestamp) -> Vec<Event> {
        let mut state = self.lock();
        state.pending.drop_ended(now);
        self.settle(&state);
        state.pending.unwritten(most)
    }

    fn unwritten_len(&self) -> usize {
        self.lock().pending.unwritten_len()
    }

    fn lock(&self) -> MutexGuard<'_, LoginState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a login whose password is checked next.
#[derive(Debug)]
pub enum AdmitAnswer {
    /// The final verdict. After [`Verdict::LetIn`] the login is in flight until its outcome is counted.
    Now(Verdict),
    /// The limit of logins in flight is reached: ask [`Admission::admit_within`], which waits.
    Later,
}

/// Bans proposed by rules, to be made durable by [`Admission::impose`]. They are in force from now on. If this value is
/// dropped before they are in the log, they stay in force in memory and [`Admission::persist`] writes them.
#[must_use = "bans that are not imposed are lost when the program stops"]
pub struct PendingBans {
    events: Vec<Event>,
    is_written: bool,
    home: Arc<SharedLogins>,
}

impl PendingBans {
    /// Whether there is no ban to make durable.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Number of bans to make durable.
    pub fn len(&self) -> usize {
        self.events.len()
    }
}

impl Drop for PendingBans {
    fn drop(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let mut state = self.home.lock();
        match self.is_written {
            true => state.pending.end(&self.events),
            false => {
                let dropped = state.pending.hold(&self.events);
                if dropped > 0 {
                    tracing::error!(
                        dropped,
                        "too many bans are in force in memory only; those that end first are dropped"
                    );
                }
            }
        }
        self.home.settle(&state);
    }
}

enum Tried {
    Now(Verdict),
    Full(Arc<Notify>),
}

/// The temporary refusal when the limit of logins in flight is reached. It bans nobody and is not counted.
pub fn crowded(now: Timestamp) -> Verdict {
    Verdict::Refuse {
        ban: BanId(0),
        by: By::Pair,
        reason: AT_ONCE.to_owned(),
        until: Some(now.saturating_add(LASTS)),
    }
}

impl Admission {
    /// Restores the counters from `store`. `spared` receives a notice when a rule reached its limit and did not ban,
    /// at most once an hour for each rule and subject; it must not block.
    ///
    /// # Errors
    /// [`LogFault`] if the counters cannot be read from disk or the system gives no randomness. Damaged counters are
    /// not an error: counting starts from zero.
    pub fn open(
        engine: Arc<Engine>,
        store: Arc<dyn CounterStore>,
        tap: Arc<Tap>,
        spared: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Arc<Admission>, LogFault> {
        let (keeper, tracker) = Keeper::open(store, &engine.policy(), engine.now())?;
        Ok(Arc::new(Admission {
            engine,
            shared: Arc::new(SharedLogins::new(tracker)),
            unwritten: watch::Sender::new(None),
            keeper,
            tap,
            spared: Box::new(spared),
        }))
    }

    /// The verdict on a login of `account` from `address` now; without an account, on the start of a stream. Reads
    /// memory only. Bans proposed by rules apply before they are durable.
    pub fn check(&self, account: Option<&Account>, address: Option<IpAddr>) -> Verdict {
        let (now, policy) = (self.engine.now(), self.engine.policy());
        let known = |state: &LoginState| knows(state, &policy, account, address, now);
        let by_ledger = self
            .engine
            .read(|ledger| ledger.check(account, address, || known(&self.shared.lock()), now));
        if by_ledger != Verdict::LetIn || self.shared.pending.load(Ordering::Acquire) == 0 {
            return by_ledger;
        }
        self.engine.read(|ledger| {
            let state = self.shared.lock();
            by_pending(ledger, &state, &policy, account, address, now)
        })
    }

    /// [`Admission::check`] for a login whose password is checked next. Logins in flight count as failures
    /// (docs/adr/0011-tries-under-way.md). If the verdict is [`Verdict::LetIn`], this login is in flight from now on.
    pub fn try_admit(&self, account: &Account, address: IpAddr) -> AdmitAnswer {
        match self.attempt(account, address) {
            Tried::Now(verdict) => AdmitAnswer::Now(verdict),
            Tried::Full(_) => AdmitAnswer::Later,
        }
    }

    /// [`Admission::try_admit`] that waits at most `hold` for other logins in flight to end. If none ends in time,
    /// the login is refused: an attacker who slows the server down must not gain guesses.
    pub async fn admit_within(
        &self,
        account: &Account,
        address: IpAddr,
        hold: Duration,
    ) -> Verdict {
        let end = Instant::now() + hold;
        let mut called: Option<Arc<Notify>> = None;
        let mut is_over = false;
        loop {
            let tried = self.attempt(account, address);
            let next = match &tried {
                Tried::Full(turn) if !is_over => Some(turn),
                _ => None,
            };
            if let Some(before) = called.take()
                && !next.is_some_and(|turn| Arc::ptr_eq(turn, &before))
            {
                before.notify_one();
            }
            match tried {
                Tried::Now(verdict) => return verdict,
                Tried::Full(_) if is_over => return crowded(self.engine.now()),
                Tried::Full(turn) => match timeout_at(end, turn.notified()).await {
                    Ok(()) => called = Some(turn),
                    Err(_) => is_over = true,
                },
            }
        }
    }

    fn attempt(&self, account: &Account, address: IpAddr) -> Tried {
        let (now, policy) = (self.engine.now(), self.engine.policy());
        let (whom, from) = (Some(account), Some(address));
        self.engine.read(|ledger| {
            // Held until the login is in flight: an outcome is counted before its login leaves the table.
            let mut state = self.shared.lock();
            let known = || knows(&state, &policy, whom, from, now);
            let verdict = match ledger.check(whom, from, known, now) {
                Verdict::LetIn => by_pending(ledger, &state, &policy, whom, from, now),
                refuse => refuse,
            };
            if verdict != Verdict::LetIn {
                return Tried::Now(verdict);
            }
            let state = &mut *state;
            state.in_flight.tidy(now);
            let tracker = &mut state.tracker;
            let headroom = headroom(ledger, tracker, &policy, account, address, now);
            if let Some(turn) = state.in_flight.full(&headroom) {
                return Tried::Full(turn);
            }
            let subjects = headroom.into_iter().map(|(subject, _)| subject).collect();
            let who = (account.clone(), address.to_canonical());
            state.in_flight.enter(who, subjects, now);
            Tried::Now(verdict)
        })
    }

    /// Counts failures that a person reported. Returns the rulings on the bans that began, or one ruling that says
    /// why nothing was counted; and notices about rules that reached their limit without banning.
    ///
    /// # Errors
    /// [`LogFault`] if a ban could not be made durable. The failures are counted all the same, and the ban is in force
    /// in memory.
    pub async fn by_hand(&self, signal: &Signal) -> Result<(Vec<Ruling>, Vec<Notice>), LogFault> {
        let mut pending = self.nothing();
        if let Signal::ByHand { subject, .. } = signal
            && let Some(ban) = self.shared.lock().pending.of(subject, self.engine.now())
        {
            // As with a ban in the log: failures that are refused anyway are not counted.
            let already = Ruling::Ban(BanRuling::Already(ban.clone()));
            return Ok((vec![already], Vec::new()));
        }
        let (answer, notices) = self.judge(signal, &mut pending)?;
        let rulings = match answer {
            Some(ruling) => vec![ruling],
            None => self.impose(pending).await?,
        };
        Ok((rulings, notices))
    }

    /// Counts all outcomes, then makes the resulting bans durable together. Returns the rulings on these bans.
    ///
    /// # Errors
    /// [`LogFault`] if a ban could not be made durable. The failures are counted all the same, and the ban is in force
    /// in memory.
    pub async fn report(&self, attempts: Vec<Attempt>) -> Result<Vec<Ruling>, LogFault> {
        let pending = self.count(attempts)?;
        self.impose(pending).await
    }

    /// Counts outcomes in memory without waiting. Returns the bans that rules propose, for [`Admission::impose`].
    /// Every later check takes these outcomes into account.
    ///
    /// # Errors
    /// [`LogFault`] if the system gives no randomness.
    pub fn count(&self, attempts: Vec<Attempt>) -> Result<PendingBans, LogFault> {
        let mut pending = self.nothing();
        for attempt in attempts {
            self.judge(&Signal::Login(attempt), &mut pending)?;
        }
        Ok(pending)
    }

    /// Makes bans proposed by rules durable. A stale ban is not proposed again: the next failure of its subject is
    /// judged anew.
    ///
    /// # Errors
    /// [`LogFault`] if the bans could not be made durable. They stay in force in memory until they end, and
    /// [`Admission::persist`] tries again and tells operators.
    pub async fn impose(&self, mut pending: PendingBans) -> Result<Vec<Ruling>, LogFault> {
        let all = pending.events.iter().map(|event| event.id).collect();
        let rulings = self.engine.append(&pending.events, all).await?;
        pending.is_written = true;
        Ok(rulings)
    }

    /// Whether one of these accounts logged in from this source within `[tracker] known_for`.
    pub(crate) fn knows_any<'a>(
        &self,
        mut accounts: impl Iterator<Item = &'a Account>,
        address: IpAddr,
    ) -> bool {
        let (now, state) = (self.engine.now(), self.shared.lock());
        accounts.any(|account| state.tracker.knows(account, address, now))
    }

    /// The addresses where an account logged in within `[tracker] known_for`, the latest first, at most `most`; of a source
    /// of many addresses the first.
    pub(crate) fn homes(&self, account: &Account, most: usize) -> Vec<IpAddr> {
        let (now, state) = (self.engine.now(), self.shared.lock());
        let mut homes = state.tracker.homes(account, most);
        homes.retain(|address| state.tracker.knows(account, *address, now));
        homes
    }

    /// Ends the pending ban of a subject and those it covers, if `may_end` says so: somebody lifted it or granted an
    /// exemption, and the log cannot end what it does not hold. Returns the number. A ban whose writing has begun may
    /// still be written.
    pub fn release(&self, subject: &Subject, may_end: impl FnMut(&Ban) -> bool) -> usize {
        let mut state = self.shared.lock();
        let released = state.pending.release(subject, may_end);
        self.shared.settle(&state);
        released
    }

    /// Why the log takes no decisions, and the bans that are in force in memory only; `None` while it takes them.
    pub fn unwritten(&self) -> watch::Receiver<Option<Unwritten>> {
        self.unwritten.subscribe()
    }

    /// Everything that speaks for or against a login of an account, from a place, or both. Reads memory only.
    pub fn explain(&self, account: Option<&Account>, place: Option<IpNet>) -> Explanation {
        let (now, policy) = (self.engine.now(), self.engine.policy());
        let mut bans = Vec::new();
        self.engine.each_ban(|ban| {
            if concerns(ban, account, place, now) {
                bans.push(ban.clone());
            }
            match bans.len() < BANS_TOLD {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        self.engine.read(|ledger| {
            let mut state = self.shared.lock();
            let pending = state.pending.all();
            let pending = pending.filter(|ban| concerns(ban, account, place, now));
            bans.extend(pending.take(BANS_TOLD - bans.len()).cloned());
            let tracker = &mut state.tracker;
            let mut explanation = explain(ledger, tracker, &policy, (account, place), bans, now);
            if explanation.verdict == Verdict::LetIn {
                let address = place.filter(|net| net.prefix_len() == net.max_prefix_len());
                let address = address.map(|net| net.addr());
                explanation.verdict = by_pending(ledger, &state, &policy, account, address, now);
            }
            explanation
        })
    }

    /// Whether the ban of an address or network may refuse a stream at its start, before an account is named
    /// (`door='start'` in docs/hook-protocol.md). `false` if an account that the ban spares logged in from there
    /// before, or if part of the network is exempt.
    pub fn holds_at_start(&self, ban: &Ban) -> bool {
        let Some(net) = ban.subject.net() else {
            return false;
        };
        let holds = ban.holds_at_start(|net| self.shared.lock().tracker.lives_in(net));
        let policy = self.engine.policy();
        let mut exempt = policy.exempt_networks.iter();
        holds
            && !exempt.any(|other| subject::overlaps(other, &net))
            && self.engine.read(|ledger| {
                let mut nets = ledger
                    .exemptions()
                    .all()
                    .filter_map(|one| one.subject.net());
                !nets.any(|other| subject::overlaps(&other, &net))
            })
    }

    /// The last failed logins, newest first, at most 1,000.
    pub fn failures(&self) -> Vec<FailedLogin> {
        self.shared.lock().failures()
    }

    /// How full each table of the counters is.
    pub fn fill(&self) -> Vec<Fill> {
        self.shared.lock().tracker.fill()
    }

    /// Saves the counters, and writes the bans that could not be made durable when they were decided, until told to
    /// stop.
    pub async fn persist(&self, stop: CancellationToken) {
        tokio::join!(
            self.keeper.run(&self.shared, stop.clone()),
            unwritten::write(&self.engine, &self.shared, &self.unwritten, stop),
        );
    }

    fn nothing(&self) -> PendingBans {
        PendingBans {
            events: Vec::new(),
            is_written: false,
            home: Arc::clone(&self.shared),
        }
    }

    /// Counts one signal. Bans that rules propose are pending from then on. `Some` is the reason why nothing was
    /// counted.
    fn judge(
        &self,
        signal: &Signal,
        pending: &mut PendingBans,
    ) -> Result<(Option<Ruling>, Vec<Notice>), LogFault> {
        let (now, policy) = (self.engine.now(), self.engine.policy());
        let mut no_chance = None;
        let mut fresh = || {
            clock::fresh_id().unwrap_or_else(|why| {
                no_chance = Some(why);
                EventId::default()
            })
        };
        let (proposal, notices, new) = self.engine.read(|ledger| {
            let mut state = self.shared.lock();
            let tracker = &mut state.tracker;
            let (mut proposal, notices) = judge(ledger, tracker, &policy, signal, now, &mut fresh);
            let new = state.note(signal, &proposal, &notices, now);
            if let Proposal::Events(events) = &mut proposal {
                state.pending.admit(events, now);
                self.shared.settle(&state);
            }
            if let Signal::Login(attempt) = signal {
                state.came_out(attempt, now);
            }
            (proposal, notices, new)
        });
        for notice in new {
            tracing::warn!(rule = notice.rule, subject = %notice.subject, "{notice}");
            (self.spared)(notice);
        }
        self.tap.judged(signal, &proposal, now);
        if let Some(why) = no_chance {
            if let Proposal::Events(events) = &proposal {
                let mut state = self.shared.lock();
                state.pending.end(events);
                self.shared.settle(&state);
            }
            return Err(LogFault::Broken(format!("no randomness: {why}")));
        }
        let answer = match proposal {
            Proposal::Answer(ruling) => Some(ruling),
            Proposal::Events(events) => {
                pending.events.extend(events);
                None
            }
        };
        Ok((answer, notices))
    }
}

/// The verdict by bans that are not in the log yet. They refuse nobody from an exempt address.
fn by_pending(
    ledger: &Ledger,
    state: &LoginState,
    policy: &Policy,
    account: Option<&Account>,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Verdict {
    let is_exempt = |address| policy.is_exempt(address) || ledger.exemptions().holds(address, now);
    if state.pending.len() == 0 || address.is_some_and(is_exempt) {
        return Verdict::LetIn;
    }
    let known = || knows(state, policy, account, address, now);
    let found = state
        .pending
        .against(&policy.rules, account, address, known, now);
    found.unwrap_or(Verdict::LetIn)
}

/// Whether the login comes from a source where the account logged in before, or from an address that the
/// configuration exempts.
fn knows(
    state: &LoginState,
    policy: &Policy,
    account: Option<&Account>,
    address: Option<IpAddr>,
    now: Timestamp,
) -> bool {
    address.is_some_and(|address| {
        let is_known = match account {
            Some(account) => state.tracker.knows(account, address, now),
            None => state.tracker.knows_source(address),
        };
        is_known || policy.is_exempt(address)
    })
}
