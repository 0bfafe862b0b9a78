//! The hands: the one road every change takes, and the order of its effects.
//!
//! A report is proposed on under a lock, its events are appended outside of it, and the answer
//! is given when the event's own fold has ruled ([`Gate::submit`]). The log's tail is folded in
//! one place ([`Gate::follow`]), ended bans are written down by [`Gate::watch_the_clock`], and
//! what the server still has to learn is carried out by [`effects`].
//!
//! Failed logins are counted on the way, and the counters kept, by [`counters`]; those whose
//! outcome is not known yet are in `tries`. Who wants to write
//! down what was weighed listens to [`weighed`]; what people should hear of leaves by [`notices`].
//!
//! The gate never waits for a disk or a network to answer [`Gate::check`], and knows nothing of
//! XML. Start reading at [`Gate::submit`].

mod bulk;
pub mod clock;
pub mod counters;
mod desk;
pub mod effects;
pub mod notices;
pub mod past;
mod patrol;
pub mod ports;
pub mod snapshots;
mod tries;
mod under_way;
pub mod weighed;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::ban::outlook::bans_of;
use crate::ban::{
    Account, Attempt, Ban, Deed, Effect, Event, EventId, Ledger, Notice, Outlook, Policy, Proposal,
    Report, Ruling, Seq, Subject, Timestamp, Verdict, outlook, subject, weigh,
};
use clock::Clock;
use counters::Counters;
use desk::Desk;
use notices::{Herald, News};
use ports::{Entry, EventLog, Held, LogFault, Outbox, Server, Task};
use tries::Tries;
use weighed::{Teller, Weighings};

pub use tries::Admission;
pub use under_way::Wanted;

/// How often a person's order is proposed again when somebody else changed the subject first.
const STALE_RETRIES: u32 = 5;
/// How many entries of the log are folded under one lock.
const FOLD_AT_ONCE: usize = 512;
/// How many entries are read at once when the log is replayed at start.
const REPLAY_AT_ONCE: usize = 4_096;
/// The longest the expiry clock sleeps, so that a wall clock that was set forward is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The one road for every change, and the verdict from memory.
pub struct Gate {
    log: Arc<dyn EventLog>,
    server: Arc<dyn Server>,
    clock: Clock,
    policy: ArcSwap<Policy>,
    ledger: RwLock<Ledger>,
    waiting: WaitingRoom,
    desk: Desk,
    outbox: Arc<dyn Outbox>,
    /// The place of the snapshot it began with.
    restored: Seq,
    counters: Counters,
    tries: Tries,
    teller: Teller,
    herald: Herald,
    folded: Notify,
    news: watch::Sender<Seq>,
}

/// Whether the server is in line with the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Done(Held),
    /// Not yet; why, for people, when it is known.
    Pending(Option<String>),
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
        log: Arc<dyn EventLog>,
        outbox: Arc<dyn Outbox>,
        server: Arc<dyn Server>,
        clock: Clock,
        policy: Policy,
    ) -> Result<Arc<Gate>, LogFault> {
        let (cursor, tasks) = outbox.load()?;
        let counters = Counters::open(Arc::clone(&outbox), &policy, clock.now())?;
        let desk = Desk::new(Arc::clone(&outbox), cursor, tasks);
        let mut ledger = snapshots::restore(&*log, &*outbox, cursor)?;
        let restored = ledger.folded();
        let herald = Herald::default();
        loop {
            let entries = log.read(ledger.folded().next(), REPLAY_AT_ONCE)?;
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
            log,
            server,
            clock,
            policy: ArcSwap::from_pointee(policy),
            ledger: RwLock::new(ledger),
            waiting: Mutex::default(),
            desk,
            outbox,
            restored,
            counters,
            tries: Tries::default(),
            teller: Teller::default(),
            herald,
            folded: Notify::new(),
            news,
        }))
    }

    /// Takes a report down the road: rules, log, fold. When it returns, the change is durable
    /// and in force, or it was not made.
    ///
    /// # Errors
    /// [`LogFault`] when it could not be made durable; then it did not happen.
    pub async fn submit(&self, report: Report) -> Result<Ruling, LogFault> {
        if matches!(report, Report::Login(_) | Report::Attempt { .. }) {
            let (rulings, _) = self.attempt(&report).await?;
            return Ok(rulings.into_iter().next().unwrap_or(Ruling::Noted));
        }
        let mut rival = None;
        for _ in 0..STALE_RETRIES {
            let now = self.clock.now();
            let events = match self.propose(&report, now)?.0 {
                Proposal::Answer(ruling) => return Ok(ruling),
                Proposal::Events(events) => events,
            };
            // What was ordered without knowing of it must not overturn what somebody else decided.
            if let Some(deed) = rival {
                return Ok(Ruling::Overtaken(Box::new(deed)));
            }
            let decided_on = events.last().map_or(Seq(0), |event| event.based_on);
            let last = events.last().map(|event| event.id);
            let ruled = self.append(events, last.into_iter().collect()).await?;
            match ruled.into_iter().next().unwrap_or(Ruling::Noted) {
                Ruling::Stale => rival = self.rival(&report, decided_on),
                ruling => {
                    self.teller.ordered(&report, &ruling, now);
                    return Ok(ruling);
                }
            }
        }
        Ok(Ruling::Stale)
    }

    /// What another person did to the subject of an order since a version of it.
    fn rival(&self, report: &Report, since: Seq) -> Option<Deed> {
        let Report::Order(order) = report else {
            return None;
        };
        self.read(|ledger| {
            let deed = ledger.undoable(&order.subject)?;
            let is_anothers = deed.by.bare_name() != order.actor.bare_name();
            (deed.seq > since && is_anothers).then(|| deed.clone())
        })
    }

    /// Takes a login or an attempt by hand down the road, as [`Gate::submit`] does. Gives back all
    /// that came of it: the bans that began (or one ruling that says why none could), and what
    /// rules would have done but did not.
    ///
    /// # Errors
    /// [`LogFault`] when a ban could not be made durable. The failures are counted all the same.
    pub async fn attempt(&self, report: &Report) -> Result<(Vec<Ruling>, Vec<Notice>), LogFault> {
        let (proposal, notices) = self.propose(report, self.clock.now())?;
        let rulings = match proposal {
            Proposal::Answer(ruling) => vec![ruling],
            Proposal::Events(events) => {
                let wanted = self.counters.under_way().admit(events);
                if let Report::Login(attempt) = report {
                    self.through(std::slice::from_ref(attempt));
                }
                self.impose(wanted).await?
            }
        };
        Ok((rulings, notices))
    }

    /// Takes many logins down the road at once: all are counted, then what the rules answer is
    /// made durable together. Gives back the bans that began.
    ///
    /// # Errors
    /// [`LogFault`] when a ban could not be made durable. The failures are counted all the same,
    /// and the next one asks for the ban again.
    pub async fn report(&self, attempts: Vec<Attempt>) -> Result<Vec<Ruling>, LogFault> {
        let wanted = self.count(attempts)?;
        self.impose(wanted).await
    }

    /// Counts many logins, in memory and at once; gives back the bans that rules ask for, which
    /// [`Gate::impose`] then makes. A question asked after this knows of them all.
    ///
    /// # Errors
    /// [`LogFault`] when the system gives no randomness.
    pub fn count(&self, attempts: Vec<Attempt>) -> Result<Wanted, LogFault> {
        let mut wanted = Vec::new();
        for attempt in &attempts {
            let report = Report::Login(attempt.clone());
            if let Proposal::Events(events) = self.propose(&report, self.clock.now())?.0 {
                wanted.extend(events);
            }
        }
        let wanted = self.counters.under_way().admit(wanted);
        self.through(&attempts);
        Ok(wanted)
    }

    /// Makes the bans that rules ask for durable. It is not tried again when somebody else was
    /// first: then the subject is judged anew by its next failure.
    ///
    /// # Errors
    /// [`LogFault`] when they could not be made durable; then they were not made.
    pub async fn impose(&self, mut wanted: Wanted) -> Result<Vec<Ruling>, LogFault> {
        let events = std::mem::take(&mut wanted.events);
        let all = events.iter().map(|event| event.id).collect();
        self.append(events, all).await
    }

    fn propose(
        &self,
        report: &Report,
        now: Timestamp,
    ) -> Result<(Proposal, Vec<Notice>), LogFault> {
        let policy = self.policy.load();
        let mut no_chance = None;
        let mut fresh = || {
            clock::fresh_id().unwrap_or_else(|why| {
                no_chance = Some(why);
                EventId([0; 16])
            })
        };
        // The ledger before the counters, here as in `check`: two orders could wait for each other.
        let (proposal, notices) = self.read(|ledger| {
            let mut tracker = self.counters.tracker();
            weigh(ledger, &mut tracker, &policy, report, now, &mut fresh)
        });
        for notice in self.counters.saw(report, &proposal, &notices, now) {
            self.announce(News::Spared(notice.clone()));
        }
        self.teller.weighed(report, &proposal, now);
        match no_chance {
            Some(why) => Err(LogFault::Broken(format!("no randomness: {why}"))),
            None => Ok((proposal, notices)),
        }
    }

    /// Appends events, all of them or none, and waits until they have been folded: the rulings on
    /// those that are `asked` about, in that order.
    async fn append(
        &self,
        events: Vec<Event>,
        asked: Vec<EventId>,
    ) -> Result<Vec<Ruling>, LogFault> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let (waiting, told) = Waiting::take_seats(&self.waiting, asked);
        self.log.append(events).await?;
        let mut rulings = Vec::with_capacity(told.len());
        for told in told {
            rulings.push(told.await.map_err(|_| {
                LogFault::Broken(String::from("the log is no longer followed; see the log"))
            })?);
        }
        drop(waiting);
        Ok(rulings)
    }

    /// Folds what the log brings, from wherever it comes, until told to stop.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read any more. The ledger then stands still, and the
    /// program must not go on as if nothing had happened.
    pub async fn follow(&self, stop: CancellationToken) -> Result<(), LogFault> {
        let mut head = self.log.head();
        loop {
            let from = self.read(|ledger| ledger.folded().next());
            if *head.borrow_and_update() >= from {
                self.fold_from(from).await?;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = head.changed() => {
                    changed.map_err(|_| LogFault::Broken(String::from("the log was closed")))?;
                }
            }
        }
    }

    async fn fold_from(&self, from: Seq) -> Result<(), LogFault> {
        let log = Arc::clone(&self.log);
        let entries = tokio::task::spawn_blocking(move || log.read(from, FOLD_AT_ONCE))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))??;
        let mut rulings = Vec::with_capacity(entries.len());
        let mut news = None;
        {
            let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
            for Entry { seq, event, .. } in &entries {
                let (ruling, effects) = ledger.fold(*seq, event);
                if !effects.is_empty() {
                    news = Some(*seq);
                }
                self.desk.take_in(*seq, event.at, effects);
                rulings.push((event.id, ruling));
            }
        }
        if let Some(last) = entries.last()
            && let Err(why) = self.desk.save(last.seq)
        {
            // Not lost: the effects behind the stored cursor are taken in again at start.
            tracing::error!(%why, "cannot save unfinished work");
        }
        if let Some(seq) = news {
            self.news.send_replace(seq);
        }
        for (entry, (_, ruling)) in entries.iter().zip(&rulings) {
            self.herald.ruled(&entry.event, ruling);
        }
        self.tell(rulings);
        self.desk.wake();
        self.folded.notify_one();
        Ok(())
    }

    /// Gives rulings to those who wait for them.
    fn tell(&self, rulings: Vec<(EventId, Ruling)>) {
        let mut waiting = lock(&self.waiting);
        for (id, ruling) in rulings {
            told_by_rule(&ruling);
            if let Some(tell) = waiting.remove(&id) {
                // Whoever waited may have gone away; the ruling stands all the same.
                let _ = tell.send(ruling);
            }
        }
    }

    /// Writes down the end of each ban when its time is over, until told to stop. [`Gate::check`]
    /// needs nobody for that; the server does.
    pub async fn watch_the_clock(&self, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let next = self.read(Ledger::next_end);
            let sleep = match next {
                Some(end) if end <= now => {
                    match self.submit(Report::Tick).await {
                        Ok(Ruling::Lifted(_)) => continue,
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

    /// May this account log in from this address, now? Without an account: may a stream start?
    /// From memory. What rules decided and the disk has not taken yet holds already.
    pub fn check(&self, account: Option<&Account>, address: Option<IpAddr>) -> Verdict {
        let now = self.clock.now();
        let known = || {
            address.is_some_and(|address| {
                let tracker = self.counters.tracker();
                let is_known = match account {
                    Some(account) => tracker.knows(account, address, now),
                    None => tracker.knows_source(address),
                };
                is_known || self.policy.load().is_exempt(address)
            })
        };
        match self.read(|ledger| ledger.check(account, address, known, now)) {
            Verdict::LetIn => {
                let policy = self.policy.load();
                let under_way = self.counters.under_way();
                let found = under_way.against(&policy.rules, account, address, known);
                found.unwrap_or(Verdict::LetIn)
            }
            refuse => refuse,
        }
    }

    /// What stands for and against a login of an account, from a place, or both; from memory.
    pub fn outlook(&self, account: Option<&Account>, place: Option<IpNet>) -> Outlook {
        let (now, policy) = (self.clock.now(), self.policy.load());
        self.read(|ledger| {
            let bans = bans_of(ledger, account, place, now);
            let mut tracker = self.counters.tracker();
            let whom = (account, place);
            outlook(ledger, &mut tracker, &policy, whom, bans, now)
        })
    }

    /// Whether the ban of an address or network may refuse at the start of a stream, where no
    /// account is named yet (`door='start'` of the hook protocol): not where anybody lives whom
    /// it does not touch, or who is exempt.
    pub fn holds_at_start(&self, ban: &Ban) -> bool {
        let Some(net) = ban.subject.net() else {
            return false;
        };
        let holds = Ledger::holds_at_start(ban, |net| self.counters.tracker().lives_in(net));
        let policy = self.policy.load();
        let mut exempt = policy.exempt_networks.iter();
        holds
            && !exempt.any(|other| subject::overlaps(other, &net))
            && self.read(|ledger| {
                let mut nets = ledger.exemptions().filter_map(|one| one.subject.net());
                !nets.any(|other| subject::overlaps(&other, &net))
            })
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

    /// Everything the log holds of a subject, oldest first, with its personal parts.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read.
    pub async fn history(&self, subject: &Subject) -> Result<Vec<Entry>, LogFault> {
        let trail = self.read(|ledger| ledger.trail(subject).to_vec());
        let log = Arc::clone(&self.log);
        tokio::task::spawn_blocking(move || {
            let mut entries = Vec::with_capacity(trail.len());
            for seq in trail {
                entries.extend(log.read(seq, 1)?);
            }
            Ok(entries)
        })
        .await
        .map_err(|why| LogFault::Broken(why.to_string()))?
    }

    /// Up to `most` entries of the log from `from` on, oldest first, those that changed nothing
    /// among them.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read.
    pub async fn entries(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        let log = Arc::clone(&self.log);
        tokio::task::spawn_blocking(move || log.read(from, most))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))?
    }

    /// The unfinished work on the server for one subject.
    pub fn task(&self, subject: &Subject) -> Option<Task> {
        self.desk.task(subject)
    }

    /// All unfinished work on the server.
    pub fn tasks(&self) -> Vec<Task> {
        self.desk.tasks()
    }

    /// Waits until the server is in line with the ledger for a subject, or the first try failed,
    /// at most so long.
    pub async fn settled(&self, subject: &Subject, wait: Duration) -> Settled {
        let fault = match tokio::time::timeout(wait, self.desk.tried(subject)).await {
            Ok(None) => return Settled::Done(self.means(subject)),
            Ok(Some(fault)) => Some(fault),
            Err(_) => self.desk.task(subject).and_then(|task| task.fault),
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

/// What a person orders is told to that person; what a rule decides is told here.
fn told_by_rule(ruling: &Ruling) {
    if let Ruling::Banned(ban) = ruling
        && let Some(rule) = ban.origin.rule()
    {
        tracing::info!(
            ban = %ban.id,
            subject = %ban.subject,
            until = ?ban.until.map(Timestamp::to_xmpp),
            ordinal = ban.ordinal,
            rule,
            "banned by a rule"
        );
    }
}

/// Who waits for rulings, by the event they are on.
type WaitingRoom = Mutex<HashMap<EventId, oneshot::Sender<Ruling>>>;

/// Seats in the waiting room; given up when the one who waits goes away.
struct Waiting<'a> {
    room: &'a WaitingRoom,
    seats: Vec<EventId>,
}

impl<'a> Waiting<'a> {
    fn take_seats(
        room: &'a WaitingRoom,
        seats: Vec<EventId>,
    ) -> (Self, Vec<oneshot::Receiver<Ruling>>) {
        let mut table = lock(room);
        let told = seats.iter().map(|id| {
            let (tell, told) = oneshot::channel();
            table.insert(*id, tell);
            told
        });
        let told = told.collect();
        drop(table);
        (Waiting { room, seats }, told)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut table = lock(self.room);
        for id in &self.seats {
            table.remove(id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an effect asks the desk to do.
fn subject_of(effect: &Effect) -> &Subject {
    match effect {
        Effect::Settle(subject) => subject,
    }
}
