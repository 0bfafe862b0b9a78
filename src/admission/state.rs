//! The state of logins in memory, all under one lock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ipnet::IpNet;

use super::in_flight::InFlight;
use super::pending::Pending;
use crate::core::{
    Account, Attempt, LoginOutcome, Notice, Proposal, Ruling, Signal, Subject, Timestamp, Tracker,
};

/// How many failed logins are kept for display.
const SHOWN: usize = 1_000;
/// A notice about the same rule and subject is given at most once in this time.
const NOTICE_PAUSE: Duration = Duration::from_secs(3_600);
/// How many given notices are remembered.
const NOTICES: usize = 1_000;

/// Counters, logins in flight, pending bans, and the last failures and notices.
pub(super) struct LoginState {
    pub(super) tracker: Tracker,
    pub(super) in_flight: InFlight,
    pub(super) pending: Pending,
    shown: VecDeque<FailedLogin>,
    given: HashMap<(String, Subject), Timestamp>,
}

/// A failed login, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedLogin {
    /// The account; `None` if it was not named.
    pub account: Option<Account>,
    /// The address or network it came from; `None` if it was not named.
    pub place: Option<IpNet>,
    /// Whether the server said that the account does not exist.
    pub unknown: bool,
    /// When it failed.
    pub at: Timestamp,
    /// Number of failures; more than one only if `by_hand`.
    pub times: u32,
    /// Whether a person counted it, instead of the server reporting it.
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

    /// Adds a judged signal to the last failures. Returns the notices that are due: each at most once in
    /// [`NOTICE_PAUSE`].
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

    /// Ends the login in flight whose outcome `attempt` is.
    pub(super) fn came_out(&mut self, attempt: &Attempt, now: Timestamp) {
        if self.in_flight.is_empty() {
            return;
        }
        // A refused login was never in flight.
        if attempt.outcome != LoginOutcome::Refused
            && let (Some(account), Some(address)) = (&attempt.account, attempt.address)
        {
            let who = (account.clone(), address.to_canonical());
            self.in_flight.leave(&who);
        }
        self.in_flight.tidy(now);
    }
}

/// The failure to display; `None` for other outcomes and for failures by hand that were rejected.
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
