//! The one road every decision takes: propose, append, fold, answer.
//!
//! Intents are proposed in batches under the ledger's lock, appended together outside of it, and each is answered by
//! the fold's ruling on its own event. One intent is a batch of one: there is no other implementation.

use std::collections::{HashSet, VecDeque};

use super::Engine;
use super::clock::Ids;
use crate::core::{
    Action, BanOrder, Change, Event, EventId, ExemptionChange, HistoryOrder, Intent, Ledger,
    Proposal, Ruling, Seq, Subject, Timestamp, UndoEntry, propose,
};
use crate::journal::LogFault;

/// How often an intent is proposed again when somebody else changed the subject first.
const STALE_RETRIES: u32 = 5;
/// After so many events an append takes no more intents.
const APPENDED_AT_ONCE: usize = 4_096;
/// How many intents are looked at under one lock, which logins may have to wait for.
const PROPOSED_AT_ONCE: usize = 256;

/// What came of one intent. A [`LogFault`]: it could not be made durable and did not happen.
pub type Ruled = Result<Ruling, LogFault>;

/// Works off a list of intents; the answers stand in its order.
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
    // Whatever left the queue has its answer.
    let answers = work.answers.into_iter();
    answers
        .map(|answer| answer.unwrap_or(Ok(Ruling::Noted)))
        .collect()
}

/// A list of intents being worked off.
struct IntentQueue {
    intents: Vec<Intent>,
    answers: Vec<Option<Ruled>>,
    left: VecDeque<QueuedIntent>,
}

/// An intent that has no answer yet.
#[derive(Clone, Copy)]
struct QueuedIntent {
    /// Its place in the list.
    at: usize,
    /// How often it may still be tried.
    times: u32,
    /// What another person did behind this place in the log must not be overruled.
    seen: Option<Seq>,
}

/// Intents whose events go into one append.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    subjects: HashSet<Subject>,
    tries: Vec<ProposedIntent>,
    /// It holds one that changes more than its own subject: nothing may follow.
    is_wide: bool,
}

/// An intent of a batch.
struct ProposedIntent {
    left: QueuedIntent,
    when: Timestamp,
    /// The event whose ruling is its answer, and the version that one was decided on.
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

    /// Proposes what is next in the queue until the batch is full, or comes to a subject it has.
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
                            Some(deed) => Some(Ok(Ruling::Overtaken(Box::new(deed)))),
                            None => batch.add(events, left, now),
                        },
                    };
                }
            });
        }
        batch
    }

    /// Gives each intent of a batch its ruling; the stale ones are proposed again, before the rest.
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
    /// What another person did to the subject of an order that its giver could not know of.
    fn rival(&self, intent: &Intent, ledger: &Ledger) -> Option<UndoEntry> {
        let Intent::Order(order) = intent else {
            return None;
        };
        let (seen, deed) = (self.seen?, ledger.undoable(&order.subject)?);
        let is_anothers = deed.by.bare_name() != order.actor.bare_name();
        (deed.seq > seen && is_anothers).then(|| deed.clone())
    }
}

/// The only subject that an intent may change; `None`: others too, which shows only when it is folded.
fn changes_only<'a>(intent: &'a Intent, ledger: &Ledger) -> Option<&'a Subject> {
    let (subject, is_alone) = match intent {
        Intent::Order(order) => {
            let is_alone = match order.what {
                Action::Ban(BanOrder::Impose { .. })
                | Action::Ban(BanOrder::Import { .. })
                | Action::Ban(BanOrder::Lift { .. })
                | Action::Ban(BanOrder::Extend { .. })
                | Action::History(HistoryOrder::Kick { .. }) => true,
                Action::Undo { .. } => ledger.is_undone_alone(&order.subject),
                _ => false,
            };
            (&order.subject, is_alone)
        }
        Intent::Recall(event) => {
            let is_alone = !matches!(
                event.change,
                Change::Exemption(ExemptionChange::Granted { .. })
            );
            (&event.subject, is_alone)
        }
        Intent::Tick | Intent::Review => return None,
    };
    is_alone.then_some(subject)
}

impl Batch {
    /// Whether what an intent leads to does not depend on what the batch will change.
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

    /// Takes in the events of an intent; the answer, if there are none.
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
