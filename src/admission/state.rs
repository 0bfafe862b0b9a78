//! Everything about logins that is in memory, under one lock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ipnet::IpNet;

use super::in_flight::InFlight;
use super::pending::Pending;
use crate::core::{
    Account, Attempt, LoginOutcome, Notice, Proposal, Ruling, Signal, Subject, Timestamp, Tracker,
};

/// How many failures are kept to be shown.
const SHOWN: usize = 1_000;
/// The same notice is given once in this time.
const NOTICE_PAUSE: Duration = Duration::from_secs(3_600);
/// How many notices are remembered as given.
const NOTICES: usize = 1_000;

/// What is known of logins.
pub(super) struct LoginState {
    pub(super) tracker: Tracker,
    pub(super) in_flight: InFlight,
    pub(super) pending: Pending,
    shown: VecDeque<FailedLogin>,
    given: HashMap<(String, Subject), Timestamp>,
}

/// A failed login, as it is shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedLogin {
    /// Whose; `None` when nobody told.
    pub account: Option<Account>,
    /// From where; `None` when nobody told.
    pub place: Option<IpNet>,
    /// The server says that there is no such account.
    pub unknown: bool,
    /// When.
    pub at: Timestamp,
    /// How many at once.
    pub times: u32,
    /// Not reported by the server, but by a person.
    pub by_hand: bool,
}

impl LoginState {
    pub(super) fn new(tracker: Tracker) -> Self {
        LoginState {
            tracker,
            in_flight: InFlight::default(),
            pending: Pending::default(),
            shown: VecDeque::new(),
            given: HashMap::new(),
        }
    }

    /// The last failures, newest first.
    pub(super) fn failures(&self) -> Vec<FailedLogin> {
        self.shown.iter().rev().cloned().collect()
    }

    /// Takes note of what was judged; gives back what admins should hear of although nothing was
    /// done, the same once an hour.
    pub(super) fn note(
        &mut self,
        signal: &Signal,
        proposal: &Proposal,
        notices: &[Notice],
        now: Timestamp,
    ) -> Vec<Notice> {
        if let Some(failure) = failure(signal, proposal, now) {
            if self.shown.len() >= SHOWN {
                self.shown.pop_front();
            }
            self.shown.push_back(failure);
        }
        let new = notices.iter().filter(|notice| self.is_new(notice, now));
        new.cloned().collect()
    }

    fn is_new(&mut self, notice: &Notice, now: Timestamp) -> bool {
        let key = (notice.rule.clone(), notice.subject.clone());
        let before = self.given.get(&key);
        if before.is_some_and(|before| now.since(*before) < NOTICE_PAUSE && *before <= now) {
            return false;
        }
        if self.given.len() >= NOTICES {
            self.given.clear();
        }
        self.given.insert(key, now);
        true
    }

    /// The outcome of a login was counted: it is in flight no more.
    pub(super) fn came_out(&mut self, attempt: &Attempt, now: Timestamp) {
        if self.in_flight.is_empty() {
            return;
        }
        // What was refused was never in flight.
        if attempt.outcome != LoginOutcome::Refused
            && let (Some(account), Some(address)) = (&attempt.account, attempt.address)
        {
            let who = (account.clone(), address.to_canonical());
            self.in_flight.leave(&who);
        }
        self.in_flight.tidy(now);
    }
}

/// The failed logins in a signal. Those by hand that were turned down are none.
fn failure(signal: &Signal, proposal: &Proposal, now: Timestamp) -> Option<FailedLogin> {
    match signal {
        Signal::Login(attempt) if attempt.outcome == LoginOutcome::Failure => Some(FailedLogin {
            account: attempt.account.clone(),
            place: attempt.address.map(|address| address.to_canonical().into()),
            unknown: attempt.unknown,
            at: attempt.at,
            times: 1,
            by_hand: false,
        }),
        Signal::ByHand { subject, times, .. }
            if matches!(
                proposal,
                Proposal::Events(_) | Proposal::Answer(Ruling::Noted)
            ) =>
        {
            Some(FailedLogin {
                account: subject.whose().cloned(),
                place: subject.place(),
                unknown: false,
                at: now,
                times: *times,
                by_hand: true,
            })
        }
        _ => None,
    }
}
