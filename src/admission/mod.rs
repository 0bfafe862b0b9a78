//! May this login go on? Counts failures, remembers logins in flight and bans that are not durable yet, and answers
//! from memory.
//!
//! All of it lies under one lock ([`LoginState`]), which is taken for a moment only, after the ledger's: a check takes these
//! two at most and waits for no disk. Start reading at [`Admission::try_admit`] and [`Admission::count`].

mod in_flight;
mod keep;
mod pending;
mod state;
mod tap;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::core::explain::{BANS_TOLD, concerns};
use crate::core::ledger::By;
use crate::core::tracker::Fill;
use crate::core::{
    Account, Attempt, Ban, BanId, Event, EventId, Explanation, Ledger, Notice, Policy, Proposal,
    Ruling, Signal, Subject, Timestamp, Verdict, explain, headroom, judge, subject,
};
use crate::engine::{Engine, clock};
use crate::journal::LogFault;
use in_flight::LASTS;
use keep::Keeper;
use state::LoginState;

pub use keep::{CounterStore, SAVE_EVERY};
pub use state::FailedLogin;
pub use tap::{Judged, JudgedFeed, JudgedInput, Tap};

/// What is told to whoever comes when as many logins are in flight as may fail, and is not served in time.
const AT_ONCE: &str = "too many logins at the same moment, try again in a few seconds";

/// Counts logins and answers whether they may go on.
pub struct Admission {
    engine: Arc<Engine>,
    shared: Arc<SharedLogins>,
    keeper: Keeper,
    tap: Arc<Tap>,
    spared: Box<dyn Fn(Notice) + Send + Sync>,
}

/// What is under the one lock, and what spares taking it.
struct SharedLogins {
    state: Mutex<LoginState>,
    /// How many bans are pending: nearly always none, and then no check looks for them.
    pending: AtomicUsize,
}

impl SharedLogins {
    fn lock(&self) -> MutexGuard<'_, LoginState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer at the password.
#[derive(Debug)]
pub enum AdmitAnswer {
    /// This. If it lets in, the login is in flight until its outcome is counted.
    Now(Verdict),
    /// Others first: ask [`Admission::admit_within`].
    Later,
}

/// Bans that rules ask for, to be made durable by [`Admission::impose`]. They
/// hold from now on until this is dropped.
#[must_use = "bans that are not imposed end at once"]
pub struct PendingBans {
    events: Vec<Event>,
    subjects: Vec<Subject>,
    home: Arc<SharedLogins>,
}

impl PendingBans {
    /// Whether rules ask for nothing.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many bans.
    pub fn len(&self) -> usize {
        self.events.len()
    }
}

impl Drop for PendingBans {
    fn drop(&mut self) {
        if self.subjects.is_empty() {
            return;
        }
        let mut state = self.home.lock();
        state.pending.end(&self.subjects);
        let left = state.pending.len();
        self.home.pending.store(left, Ordering::Release);
    }
}

enum Tried {
    Now(Verdict),
    Full(Arc<Notify>),
}

impl Admission {
    /// Brings the counters back. `spared` is told of what rules would have done and did not, the same once an hour;
    /// it must not wait for anything.
    ///
    /// # Errors
    /// [`LogFault`] when the counters cannot be read from the disk, or there is no randomness. Damaged ones start anew.
    pub fn open(
        engine: Arc<Engine>,
        store: Arc<dyn CounterStore>,
        tap: Arc<Tap>,
        spared: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Arc<Admission>, LogFault> {
        let (keeper, tracker) = Keeper::open(store, &engine.policy(), engine.now())?;
        Ok(Arc::new(Admission {
            engine,
            shared: Arc::new(SharedLogins {
                state: Mutex::new(LoginState::new(tracker)),
                pending: AtomicUsize::new(0),
            }),
            keeper,
            tap,
            spared: Box::new(spared),
        }))
    }

    /// May this account log in from this address, now? Without an account: may a stream start?
    /// From memory. What rules decided and the disk has not taken yet holds already.
    pub fn check(&self, account: Option<&Account>, address: Option<IpAddr>) -> Verdict {
        let (now, policy) = (self.engine.now(), self.engine.policy());
        let known = |state: &LoginState| knows(state, &policy, account, address, now);
        let by_ledger = self
            .engine
            .read(|ledger| ledger.check(account, address, || known(&self.shared.lock()), now));
        if by_ledger != Verdict::LetIn || self.shared.pending.load(Ordering::Acquire) == 0 {
            return by_ledger;
        }
        let state = self.shared.lock();
        let pending = &state.pending;
        let found = pending.against(&policy.rules, account, address, || known(&state));
        found.unwrap_or(Verdict::LetIn)
    }

    /// [`Admission::check`] for a login whose password is looked at next: counts logins in flight as well.
    pub fn try_admit(&self, account: &Account, address: IpAddr) -> AdmitAnswer {
        match self.attempt(account, address) {
            Tried::Now(verdict) => AdmitAnswer::Now(verdict),
            Tried::Full(_) => AdmitAnswer::Later,
        }
    }

    /// The same; waits at most `hold` for the outcomes of others, and is refused if they do not come:
    /// whoever can make a server slow must not get more guesses by it.
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
                Tried::Full(_) if is_over => return self.crowded(),
                Tried::Full(turn) => match timeout_at(end, turn.notified()).await {
                    Ok(()) => called = Some(turn),
                    Err(_) => is_over = true,
                },
            }
        }
    }

    /// The answer to one of too many.
    pub fn crowded(&self) -> Verdict {
        Verdict::Refuse {
            ban: BanId(0),
            by: By::Pair,
            reason: AT_ONCE.to_owned(),
            until: Some(self.engine.now().saturating_add(LASTS)),
        }
    }

    fn attempt(&self, account: &Account, address: IpAddr) -> Tried {
        let (now, policy) = (self.engine.now(), self.engine.policy());
        let (whom, from) = (Some(account), Some(address));
        self.engine.read(|ledger| {
            // Held to the end: what is no longer in flight is counted.
            let mut state = self.shared.lock();
            let known = || knows(&state, &policy, whom, from, now);
            let verdict = match ledger.check(whom, from, known, now) {
                Verdict::LetIn => {
                    let pending = &state.pending;
                    let found = pending.against(&policy.rules, whom, from, known);
                    found.unwrap_or(Verdict::LetIn)
                }
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

    /// Counts failures by hand. Gives back all that came of it: the bans that began (or one ruling that says why
    /// nothing was counted), and what rules would have done but did not.
    ///
    /// # Errors
    /// [`LogFault`] when a ban could not be made durable. The failures are counted all the same.
    pub async fn by_hand(&self, signal: &Signal) -> Result<(Vec<Ruling>, Vec<Notice>), LogFault> {
        let mut pending = self.nothing();
        let (answer, notices) = self.judge(signal, &mut pending)?;
        let rulings = match answer {
            Some(ruling) => vec![ruling],
            None => self.impose(pending).await?,
        };
        Ok((rulings, notices))
    }

    /// Takes many logins at once: all are counted, then what the rules answer is made durable together. Gives back the
    /// bans that began.
    ///
    /// # Errors
    /// [`LogFault`] when a ban could not be made durable. The failures are counted all the same,
    /// and the next one asks for the ban again.
    pub async fn report(&self, attempts: Vec<Attempt>) -> Result<Vec<Ruling>, LogFault> {
        let pending = self.count(attempts)?;
        self.impose(pending).await
    }

    /// Counts many logins, in memory and at once; gives back the bans that rules ask for, which
    /// [`Admission::impose`] then makes. A question asked after this knows of them all.
    ///
    /// # Errors
    /// [`LogFault`] when the system gives no randomness.
    pub fn count(&self, attempts: Vec<Attempt>) -> Result<PendingBans, LogFault> {
        let mut pending = self.nothing();
        for attempt in attempts {
            self.judge(&Signal::Login(attempt), &mut pending)?;
        }
        Ok(pending)
    }

    /// Makes the bans that rules ask for durable. It is not tried again when somebody else was
    /// first: then the subject is judged anew by its next failure.
    ///
    /// # Errors
    /// [`LogFault`] when they could not be made durable; then they were not made.
    pub async fn impose(&self, pending: PendingBans) -> Result<Vec<Ruling>, LogFault> {
        let all = pending.events.iter().map(|event| event.id).collect();
        self.engine.append(&pending.events, all).await
    }

    /// What stands for and against a login of an account, from a place, or both; from memory.
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
            let tracker = &mut self.shared.lock().tracker;
            explain(ledger, tracker, &policy, (account, place), bans, now)
        })
    }

    /// Whether the ban of an address or network may refuse at the start of a stream, where no
    /// account is named yet (`door='start'` of the hook protocol): not where anybody lives whom
    /// it does not touch, or who is exempt.
    pub fn holds_at_start(&self, ban: &Ban) -> bool {
        let Some(net) = ban.subject.net() else {
            return false;
        };
        let holds = Ledger::holds_at_start(ban, |net| self.shared.lock().tracker.lives_in(net));
        let policy = self.engine.policy();
        let mut exempt = policy.exempt_networks.iter();
        holds
            && !exempt.any(|other| subject::overlaps(other, &net))
            && self.engine.read(|ledger| {
                let mut nets = ledger.exemptions().filter_map(|one| one.subject.net());
                !nets.any(|other| subject::overlaps(&other, &net))
            })
    }

    /// The last failures, newest first, at most 1,000.
    pub fn failures(&self) -> Vec<FailedLogin> {
        self.shared.lock().failures()
    }

    /// How full the counters are.
    pub fn fill(&self) -> Vec<Fill> {
        self.shared.lock().tracker.fill()
    }

    /// Keeps the counters until told to stop, and then once more.
    pub async fn keep_counters(&self, stop: CancellationToken) {
        self.keeper.run(&self.shared, stop).await;
    }

    fn nothing(&self) -> PendingBans {
        PendingBans {
            events: Vec::new(),
            subjects: Vec::new(),
            home: Arc::clone(&self.shared),
        }
    }

    /// Counts one signal. What rules ask for is pending from then on; `Some`: nothing was counted, and why.
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
                pending.subjects.extend(state.pending.admit(events));
                self.shared
                    .pending
                    .store(state.pending.len(), Ordering::Release);
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

/// Whether a login comes from where the account logged in before, or is exempt by configuration.
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
