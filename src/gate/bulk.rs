//! Many orders at once: an import, an un-ban by filter.
//!
//! Each is proposed, folded and answered as one by itself; what they share is the lock, the append
//! and the sync of the disk.

use std::collections::{HashSet, VecDeque};

use super::Gate;
use super::clock::Ids;
use super::ports::LogFault;
use super::road::STALE_RETRIES;
use crate::core::{
    Change, Event, EventId, Ledger, Proposal, Report, Ruling, Subject, Timestamp, What, propose,
};

/// After so many events an append takes no more orders.
const APPENDED_AT_ONCE: usize = 4_096;
/// How many orders are looked at under one lock, which logins may have to wait for.
const PROPOSED_AT_ONCE: usize = 256;

/// What came of one report.
type Answer = Result<Ruling, LogFault>;

/// A list of reports being worked off.
struct Work {
    reports: Vec<Report>,
    answers: Vec<Option<Answer>>,
    /// Places of those that have no answer yet, and how often each may still be tried.
    left: VecDeque<(usize, u32)>,
}

/// Orders whose events go into one append.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    subjects: HashSet<Subject>,
    orders: Vec<Proposed>,
    /// It holds one that changes more than its own subject: nothing may follow.
    is_wide: bool,
}

/// An order of a batch.
struct Proposed {
    /// Its place in the list.
    at: usize,
    tries: u32,
    when: Timestamp,
    /// The event whose ruling is its answer.
    last: EventId,
}

impl Gate {
    /// Takes many orders down the road, each as [`Gate::submit`] does, in this order: a later one
    /// about the same subject knows what came of an earlier one. The answers stand in the order
    /// of the reports.
    ///
    /// An answer that is a [`LogFault`] means that this one could not be made durable and did not
    /// happen: of those appended together all or none happen. When the future is dropped half-way,
    /// what was appended stands and the rest is not made.
    ///
    /// Logins and attempts in the list are taken one by one; [`Gate::report`] is for many of them.
    pub async fn submit_all(&self, reports: Vec<Report>) -> Vec<Answer> {
        let mut work = Work::new(reports);
        while let Some((at, _)) = work.left.front().copied() {
            if is_counted(&work.reports[at]) {
                work.left.pop_front();
                let answer = self.submit(work.reports[at].clone()).await;
                work.answers[at] = Some(answer);
                continue;
            }
            let Batch { events, orders, .. } = self.propose_batch(&mut work);
            let asked = orders.iter().map(|order| order.last).collect();
            match self.append(events, asked).await {
                Ok(rulings) => self.answer(&mut work, orders, rulings),
                Err(why) => {
                    for order in orders {
                        work.answers[order.at] = Some(Err(why.clone()));
                    }
                }
            }
        }
        // Whatever left the queue has its answer.
        let answers = work.answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or(Ok(Ruling::Noted)))
            .collect()
    }

    /// Proposes what is next in the queue until the batch is full, or comes to a subject it has.
    fn propose_batch(&self, work: &mut Work) -> Batch {
        let policy = self.policy.load();
        let mut batch = Batch::default();
        let mut ids = Ids::default();
        let mut is_open = true;
        while is_open {
            let now = self.clock.now();
            self.read(|ledger| {
                for _ in 0..PROPOSED_AT_ONCE {
                    let next = work.left.front().copied();
                    let Some((at, tries)) =
                        next.filter(|(at, _)| batch.takes(&work.reports[*at], ledger))
                    else {
                        is_open = false;
                        return;
                    };
                    work.left.pop_front();
                    batch.is_wide = changes_only(&work.reports[at], ledger).is_none();
                    let mut fresh = || ids.fresh();
                    let proposal = propose(ledger, &policy, &work.reports[at], now, &mut fresh);
                    work.answers[at] = match (ids.fault(), proposal) {
                        (Some(why), _) => Some(Err(why)),
                        (None, Proposal::Answer(ruling)) => Some(Ok(ruling)),
                        (None, Proposal::Events(events)) => batch.add(events, at, tries, now),
                    };
                }
            });
        }
        batch
    }

    /// Gives each order of a batch its ruling; the stale ones are proposed again, before the rest.
    fn answer(&self, work: &mut Work, orders: Vec<Proposed>, rulings: Vec<Ruling>) {
        let mut again = Vec::new();
        for (order, ruling) in orders.into_iter().zip(rulings) {
            if ruling == Ruling::Stale && order.tries > 1 {
                again.push((order.at, order.tries - 1));
                continue;
            }
            self.teller
                .ordered(&work.reports[order.at], &ruling, order.when);
            work.answers[order.at] = Some(Ok(ruling));
        }
        for one in again.into_iter().rev() {
            work.left.push_front(one);
        }
    }
}

impl Work {
    fn new(reports: Vec<Report>) -> Self {
        let mut answers = Vec::new();
        answers.resize_with(reports.len(), || None);
        let left = (0..reports.len()).map(|at| (at, STALE_RETRIES));
        Work {
            left: left.collect(),
            reports,
            answers,
        }
    }
}

/// The only subject that a report may change; `None`: others too, which shows only when it is folded.
fn changes_only<'a>(report: &'a Report, ledger: &Ledger) -> Option<&'a Subject> {
    let (subject, is_alone) = match report {
        Report::Order(order) => {
            let is_alone = match order.what {
                What::Ban { .. } | What::Adopt { .. } | What::Lift { .. } => true,
                What::Undo { .. } => ledger.is_undone_alone(&order.subject),
                _ => false,
            };
            (&order.subject, is_alone)
        }
        Report::Recall(event) => {
            let is_alone = !matches!(event.change, Change::Allowed { .. });
            (&event.subject, is_alone)
        }
        _ => return None,
    };
    is_alone.then_some(subject)
}

/// Whether a report goes to the counters of failed logins.
fn is_counted(report: &Report) -> bool {
    matches!(report, Report::Login(_) | Report::Attempt { .. })
}

impl Batch {
    /// Whether what a report leads to does not depend on what the batch will change.
    fn takes(&self, report: &Report, ledger: &Ledger) -> bool {
        match changes_only(report, ledger) {
            _ if is_counted(report) => false,
            None => self.orders.is_empty(),
            Some(subject) => {
                !self.is_wide
                    && !self.subjects.contains(subject)
                    && self.events.len() < APPENDED_AT_ONCE
            }
        }
    }

    /// Takes in the events of an order; the answer, if there are none.
    fn add(
        &mut self,
        events: Vec<Event>,
        at: usize,
        tries: u32,
        when: Timestamp,
    ) -> Option<Answer> {
        let Some(last) = events.last().map(|event| event.id) else {
            return Some(Ok(Ruling::Noted));
        };
        self.subjects
            .extend(events.iter().map(|event| event.subject.clone()));
        self.events.extend(events);
        self.orders.push(Proposed {
            at,
            tries,
            when,
            last,
        });
        None
    }
}
