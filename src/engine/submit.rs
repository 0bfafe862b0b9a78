//! The only way a decision is made: propose, append, fold, answer.
//!
//! Intents are proposed in batches under the ledger's lock and appended together outside of it. Each is answered by
//! the fold's ruling on its own event. One intent is a batch of one; there is no other implementation.

use std::collections::{HashSet, VecDeque};

use super::Engine;
use super::clock::Ids;
use crate::core::{
    Action, BanOrder, Change, Event, EventId, ExemptionChange, HistoryOrder, Intent, Ledger,
    Proposal, Ruling, Seq, Subject, Timestamp, UndoEntry, propose,
};
use crate::journal::LogFault;

/// How often an intent is proposed again after another decision changed its subject first.
const STALE_RETRIES: u32 = 5;
/// An append takes no further intents once it has this many events.
const APPENDED_AT_ONCE: usize = 4_096;
/// Number of intents proposed under one lock, which logins may have to wait for.
const PROPOSED_AT_ONCE: usize = 256;

/// The ruling on an intent. [`LogFault`]: it could not be made durable and did not happen, unless the fault is
/// [`LogFault::Unknown`].
pub type Ruled = Result<Ruling, LogFault>;

/// Processes a list of intents; the answers are in its order.
pub(super) async fn run(engine: &Engine, intents: Vec<Intent>) -> Vec<Ruled> {
    let mut work = IntentQueue::new(intents);
    while !work.left.is_empty() {
        let Batch { events, tries, .. } = work.propose_batch(engine);
        let asked = tries.iter().map(|one| one.last).collect();
        match engine.append(&events, asked).await {
            Ok(rulings) => work.answer(engine, tries, rulings),
            Err(why) => {
                for one in tries {
                    work.answers[one.left.at] = Some(Err(why.clone()));
                }
            }
        }
    }
    // Every intent that left the queue has its answer.
    let answers = work.answers.into_iter();
    answers
        .map(|answer| answer.unwrap_or(Ok(Ruling::Noted)))
        .collect()
}

/// A list of intents in progress.
struct IntentQueue {
    intents: Vec<Intent>,
    answers: Vec<Option<Ruled>>,
    left: VecDeque<QueuedIntent>,
}

/// An intent without an answer.
#[derive(Clone, Copy)]
struct QueuedIntent {
    /// Its index in the list.
    at: usize,
    /// Number of attempts left.
    times: u32,
    /// Decisions of other people after this position in the log must not be overruled.
    seen: Option<Seq>,
}

/// Intents whose events go into one append.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    subjects: HashSet<Subject>,
    tries: Vec<ProposedIntent>,
    /// Whether it contains an intent that changes more than its own subject; then no other may follow.
    is_wide: bool,
}

/// An intent in a batch.
struct ProposedIntent {
    left: QueuedIntent,
    when: Timestamp,
    /// The event whose ruling is its answer, and the version that the event was decided on.
    last: EventId,
    based_on: Seq,
}

impl IntentQueue {
    fn new(intents: Vec<Intent>) -> Self {
        let mut answers = Vec::new();
        answers.resize_with(intents.len(), || None);
        let left = intents.iter().enumerate().map(|(at, intent)| QueuedIntent {
            at,
            times: STALE_RETRIES,
            seen: match intent {
                Intent::Order(order) => order.seen,
                _ => None,
            },
        });
        IntentQueue {
            left: left.collect(),
            intents,
            answers,
        }
    }

    /// Proposes intents from the queue until the batch is full, or until a subject comes up again.
    fn propose_batch(&mut self, engine: &Engine) -> Batch {
        let policy = engine.policy();
        let mut batch = Batch::default();
        let mut ids = Ids::default();
        let mut is_open = true;
        while is_open {
            let now = engine.now();
            engine.read(|ledger| {
                for _ in 0..PROPOSED_AT_ONCE {
                    let next = self.left.front().copied();
                    let Some(left) =
                        next.filter(|left| batch.takes(&self.intents[left.at], ledger))
                    else {
                        is_open = false;
                        return;
                    };
                    self.left.pop_front();
                    let intent = &self.intents[left.at];
                    batch.is_wide = changes_only(intent, ledger).is_none();
                    let proposal = propose(ledger, &policy, intent, now, &mut || ids.fresh());
                    self.answers[left.at] = match (ids.fault(), proposal) {
                        (Some(why), _) => Some(Err(why)),
                        (None, Proposal::Answer(ruling)) => Some(Ok(ruling)),
                        (None, Proposal::Events(events)) => match left.rival(intent, ledger) {
                            Some(entry) => Some(Ok(Ruling::Overtaken(Box::new(entry)))),
                            None => batch.add(events, left, now),
                        },
                    };
                }
            });
        }
        batch
    }

    /// Answers the intents of a batch with their rulings; stale ones are proposed again before the rest.
    fn answer(&mut self, engine: &Engine, tries: Vec<ProposedIntent>, rulings: Vec<Ruling>) {
        let mut again = Vec::new();
        for (one, ruling) in tries.into_iter().zip(rulings) {
            if ruling == Ruling::Stale && one.left.times > 1 {
                again.push(QueuedIntent {
                    times: one.left.times - 1,
                    seen: Some(one.based_on),
                    ..one.left
                });
                continue;
            }
            if let Intent::Order(order) = &self.intents[one.left.at] {
                for listener in &engine.listeners {
                    listener.ordered(order, &ruling, one.when);
                }
            }
            self.answers[one.left.at] = Some(Ok(ruling));
        }
        for one in again.into_iter().rev() {
            self.left.push_front(one);
        }
    }
}

impl QueuedIntent {
    /// The change by another person that the author of an order could not know of; `None` if there is none.
    fn rival(&self, intent: &Intent, ledger: &Ledger) -> Option<UndoEntry> {
        let Intent::Order(order) = intent else {
            return None;
        };
        let (seen, entry) = (self.seen?, ledger.undo().of(&order.subject)?);
        let is_anothers = entry.by.bare_name() != order.actor.bare_name();
        (entry.seq > seen && is_anothers).then(|| entry.clone())
    }
}

/// The only subject that an intent may change; `None`: it may change others, too, which shows only in the fold.
fn changes_only<'a>(intent: &'a Intent, ledger: &Ledger) -> Option<&'a Subject> {
    let (subject, is_alone) = match intent {
        Intent::Order(order) => {
            let is_alone = match order.what {
                Action::Ban(BanOrder::Impose { .. })
                | Action::Ban(BanOrder::Import { .. })
                | Action::Ban(BanOrder::Lift { .. })
                | Action::Ban(BanOrder::Extend { .. })
                | Action::History(HistoryOrder::Kick { .. }) => true,
                Action::Undo { .. } => ledger.undo().is_alone(&order.subject),
                _ => false,
            };
            (&order.subject, is_alone)
        }
        Intent::Recall(event, _) => {
            // The number of subscriptions is limited.
            let is_alone = !matches!(
                event.change,
                Change::Exemption(ExemptionChange::Granted { .. }) | Change::Subscribed { .. }
            );
            (&event.subject, is_alone)
        }
        Intent::Tick { .. } => return None,
    };
    is_alone.then_some(subject)
}

impl Batch {
    /// Whether the result of an intent is independent of what the batch will change.
    fn takes(&self, intent: &Intent, ledger: &Ledger) -> bool {
        match changes_only(intent, ledger) {
            None => self.tries.is_empty(),
            Some(subject) => {
                !self.is_wide
                    && !self.subjects.contains(subject)
                    && self.events.len() < APPENDED_AT_ONCE
            }
        }
    }

    /// Adds the events of an intent; returns the answer if there are none.
    fn add(&mut self, events: Vec<Event>, left: QueuedIntent, when: Timestamp) -> Option<Ruled> {
        let Some(last) = events.last() else {
            return Some(Ok(Ruling::Noted));
        };
        self.tries.push(ProposedIntent {
            left,
            when,
            last: last.id,
            based_on: last.based_on,
        });
        let subjects = events.iter().map(|event| event.subject.clone());
        self.subjects.extend(subjects);
        self.events.extend(events);
        None
    }
}
