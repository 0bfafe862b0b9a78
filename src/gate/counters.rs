//! The counters of failed logins: who asks them, what they told lately, and how they outlive the
//! program.
//!
//! Counting is memory only. Every few seconds what came in since is written behind the last whole
//! snapshot; when those parts have become large, and at the end, the whole is written. A crash
//! loses the failures of the last [`SAVE_EVERY`]; a ban is in the log and never lost.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::lock;
use super::ports::{CounterStore, LogFault};
use super::under_way::UnderWay;
use crate::core::tracker::Recent;
use crate::core::{
    Account, Notice, Outcome, Policy, Proposal, Ruling, Signal, Subject, Timestamp, Tracker,
};

/// How often counters are kept.
pub const SAVE_EVERY: Duration = Duration::from_secs(5);
/// How many failures are kept to be shown.
const SHOWN: usize = 1_000;
/// The same notice is given once in this time.
const NOTICE_PAUSE: Duration = Duration::from_secs(3_600);
/// How many notices are remembered as given.
const NOTICES: usize = 1_000;
/// Parts behind a whole, and their bytes, before a new whole is written.
const PARTS: u32 = 240;
const PARTS_BYTES: usize = 8 << 20;

/// The counters.
pub struct Counters {
    tracker: Mutex<Tracker>,
    store: Arc<dyn CounterStore>,
    under_way: Arc<UnderWay>,
    shown: Mutex<VecDeque<Failure>>,
    given: Mutex<HashMap<(String, Subject), Timestamp>>,
    kept: Mutex<Kept>,
}

/// A failed login, as it is shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
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

/// Where the next part goes.
#[derive(Default)]
struct Kept {
    /// 0: no whole has been written yet.
    next: u32,
    bytes: usize,
}

impl Counters {
    pub(super) fn open(
        store: Arc<dyn CounterStore>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, LogFault> {
        let parts = store.load_counters()?;
        let rules = Arc::clone(&policy.rules);
        let bounds = rules.bounds;
        let restored = match parts.is_empty() {
            true => None,
            false => Tracker::restore(&parts, Arc::clone(&rules), bounds, now)
                .inspect_err(|why| {
                    tracing::error!(%why, "counting of failed logins starts anew");
                })
                .ok(),
        };
        let tracker = match restored {
            Some(tracker) => tracker,
            None => {
                let mut secret = [0; 16];
                getrandom::fill(&mut secret)
                    .map_err(|why| LogFault::Broken(format!("no randomness: {why}")))?;
                Tracker::new(rules, bounds, secret, now)
            }
        };
        Ok(Counters {
            tracker: Mutex::new(tracker),
            store,
            under_way: Arc::default(),
            shown: Mutex::default(),
            given: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// The tracker. Hold it for a moment only: logins wait for it.
    pub fn tracker(&self) -> MutexGuard<'_, Tracker> {
        lock(&self.tracker)
    }

    /// The last failures, newest first.
    pub fn failures(&self) -> Vec<Failure> {
        lock(&self.shown).iter().rev().cloned().collect()
    }

    /// Takes note of what was weighed; gives back what admins should hear of although nothing was
    /// done, the same once an hour.
    pub(super) fn saw<'a>(
        &self,
        signal: &Signal,
        proposal: &Proposal,
        notices: &'a [Notice],
        now: Timestamp,
    ) -> Vec<&'a Notice> {
        if let Some(failure) = failure(signal, proposal, now) {
            let mut shown = lock(&self.shown);
            if shown.len() >= SHOWN {
                shown.pop_front();
            }
            shown.push_back(failure);
        }
        let new = notices.iter().filter(|notice| self.is_new(notice, now));
        let new: Vec<&Notice> = new.collect();
        for notice in &new {
            tracing::warn!(rule = notice.rule, subject = %notice.subject, "{notice}");
        }
        new
    }

    fn is_new(&self, notice: &Notice, now: Timestamp) -> bool {
        let mut given = lock(&self.given);
        let key = (notice.rule.clone(), notice.subject.clone());
        let before = given.get(&key);
        if before.is_some_and(|before| now.since(*before) < NOTICE_PAUSE && *before <= now) {
            return false;
        }
        if given.len() >= NOTICES {
            given.clear();
        }
        given.insert(key, now);
        true
    }

    /// Bans by rules between proposal and fold.
    pub(super) fn under_way(&self) -> &Arc<UnderWay> {
        &self.under_way
    }

    pub(super) async fn keep(&self, stop: CancellationToken) {
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(SAVE_EVERY) => false,
            };
            let Some((part, bytes)) = self.to_keep(stopping) else {
                continue;
            };
            let size = bytes.len();
            let store = Arc::clone(&self.store);
            let saved =
                tokio::task::spawn_blocking(move || store.save_counters(part, &bytes)).await;
            match saved {
                Ok(Ok(())) => {
                    let mut kept = lock(&self.kept);
                    kept.next = part + 1;
                    kept.bytes = if part == 0 { 0 } else { kept.bytes + size };
                }
                failed => {
                    let why = match failed {
                        Ok(Err(why)) => why.to_string(),
                        Err(why) => why.to_string(),
                        Ok(Ok(())) => String::new(),
                    };
                    tracing::error!(%why, "cannot keep the counters of failed logins; trying again");
                    self.tracker().not_saved();
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// The part to write now, and its bytes.
    fn to_keep(&self, stopping: bool) -> Option<(u32, Vec<u8>)> {
        let (next, is_large) = {
            let kept = lock(&self.kept);
            (kept.next, kept.next > PARTS || kept.bytes > PARTS_BYTES)
        };
        let mut tracker = self.tracker();
        if stopping || next == 0 || is_large {
            return Some((0, tracker.save()));
        }
        match tracker.save_recent() {
            Recent::Nothing => None,
            Recent::Part(bytes) => Some((next, bytes)),
            Recent::TooMuch => Some((0, tracker.save())),
        }
    }
}

/// The failed logins in a signal. Those by hand that were turned down are none.
fn failure(signal: &Signal, proposal: &Proposal, now: Timestamp) -> Option<Failure> {
    match signal {
        Signal::Login(attempt) if attempt.outcome == Outcome::Failure => Some(Failure {
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
            Some(Failure {
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
