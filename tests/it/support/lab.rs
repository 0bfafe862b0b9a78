//! The rules alone: a ledger, a tracker and a clock that the test moves.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::core::{
    Account, Action, Actor, Attempt, Ban, Bounds, By, EntryPoint, Event, EventId, Intent, Ledger,
    LoginOutcome, Order, Policy, Proposal, Role, Rules, Ruling, Seq, Signal, Subject, Timestamp,
    Tracker, Verdict, judge, propose,
};

pub(crate) const START: i64 = 1_795_320_000_000;

/// A server with a hook, a clock that the test moves, and accounts whose passwords the test knows.
pub(crate) struct Lab {
    pub(crate) policy: Policy,
    pub(crate) ledger: Ledger,
    pub(crate) tracker: Tracker,
    pub(crate) log: Vec<Event>,
    pub(crate) now: Timestamp,
    pub(crate) notes: Vec<String>,
    /// Number of ids handed out.
    pub(crate) ids: u64,
}

/// The result that a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    In,
    /// A wrong password that was checked.
    Wrong,
    Refused(By),
}

pub(crate) fn policy(rules: Rules) -> Policy {
    Policy {
        rules: Arc::new(rules),
        ..Policy::default()
    }
}

pub(crate) fn account(text: &str) -> Account {
    Subject::parse(text).unwrap().account().unwrap().clone()
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(policy(Rules::default()), Bounds::default())
    }

    pub(crate) fn with(policy: Policy, bounds: Bounds) -> Self {
        let now = Timestamp::from_millis(START);
        Lab {
            tracker: Tracker::new(Arc::clone(&policy.rules), bounds, [7; 16], now),
            policy,
            ledger: Ledger::default(),
            log: Vec::new(),
            now,
            notes: Vec::new(),
            ids: 0,
        }
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.saturating_add(Duration::from_millis(millis));
    }

    pub(crate) fn verdict(&self, account: &Account, address: IpAddr) -> Verdict {
        let known = || self.tracker.knows(account, address, self.now);
        self.ledger
            .check(Some(account), Some(address), known, self.now)
    }

    /// One login attempt: check, password, report.
    pub(crate) fn login(&mut self, name: &str, address: &str, right: bool) -> Seen {
        self.log_in(name, address, right, false)
    }

    pub(crate) fn log_in(&mut self, name: &str, address: &str, right: bool, unknown: bool) -> Seen {
        let who = account(&format!("{name}@example.org"));
        let from: IpAddr = address.parse().unwrap();
        let (outcome, seen) = match self.verdict(&who, from) {
            Verdict::Refuse { by, .. } => (LoginOutcome::Refused, Seen::Refused(by)),
            Verdict::LetIn if right => (LoginOutcome::Success, Seen::In),
            Verdict::LetIn => (LoginOutcome::Failure, Seen::Wrong),
        };
        let attempt = Attempt {
            account: Some(who),
            address: Some(from),
            outcome,
            unknown,
            at: self.now,
        };
        self.judge(&Signal::Login(attempt));
        self.pass(20);
        seen
    }

    pub(crate) fn judge(&mut self, signal: &Signal) -> Vec<Ruling> {
        let (proposal, notices) = judge(
            &self.ledger,
            &mut self.tracker,
            &self.policy,
            signal,
            self.now,
            &mut fresh(&mut self.ids),
        );
        self.notes.extend(notices.iter().map(ToString::to_string));
        self.carry_out(proposal)
    }

    pub(crate) fn submit(&mut self, intent: &Intent) -> Vec<Ruling> {
        let proposal = propose(
            &self.ledger,
            &self.policy,
            intent,
            self.now,
            &mut fresh(&mut self.ids),
        );
        self.carry_out(proposal)
    }

    fn carry_out(&mut self, proposal: Proposal) -> Vec<Ruling> {
        match proposal {
            Proposal::Answer(ruling) => vec![ruling],
            Proposal::Events(events) => events
                .into_iter()
                .map(|event| {
                    self.log.push(event.clone());
                    self.ledger.fold(Seq(self.log.len() as u64), &event).0
                })
                .collect(),
        }
    }

    pub(crate) fn order(&mut self, subject: &str, what: Action) -> Ruling {
        let order = Order::new(
            Actor::person("admin@example.org/x", Role::Admin, EntryPoint::Chat),
            Subject::parse(subject).unwrap(),
            what,
        );
        self.submit(&Intent::Order(order)).remove(0)
    }

    /// Makes these wrong guesses; returns how many passwords were checked.
    pub(crate) fn guesses(&mut self, tries: impl IntoIterator<Item = (String, String)>) -> usize {
        tries
            .into_iter()
            .filter(|(name, address)| self.login(name, address, false) == Seen::Wrong)
            .count()
    }

    pub(crate) fn bans(&self) -> Vec<Ban> {
        self.ledger.bans().newest_first().cloned().collect()
    }

    /// Simulates a restart: counters through their bytes, bans through the log.
    pub(crate) fn restart(&mut self) {
        let saved = self.tracker.save();
        let rules = Arc::clone(&self.policy.rules);
        self.tracker = Tracker::restore(&[saved], rules, Bounds::default(), self.now).unwrap();
        self.replay();
    }

    pub(crate) fn replay(&mut self) {
        self.ledger = Ledger::default();
        for (place, event) in self.log.iter().enumerate() {
            self.ledger.fold(Seq(place as u64 + 1), event);
        }
    }
}

/// Hands out numbered ids.
fn fresh(ids: &mut u64) -> impl FnMut() -> EventId {
    move || {
        *ids += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&ids.to_be_bytes());
        id[8..].copy_from_slice(&ids.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        EventId(id)
    }
}
