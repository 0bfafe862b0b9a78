//! From an intent to the events to append, or to an answer when there is nothing to append.
//!
//! The intents stand in `intent.rs`. Whether an order changes anything, and what, is for
//! `decide.rs`; who may give it, for `permits.rs`; taking back is a matter of its own (`undo.rs`).
//! What is proposed changes nothing: the fold does.

mod decide;
mod intent;
mod permits;
#[cfg(test)]
mod tests;
mod undo;

use super::actor::Actor;
use super::event::{BanChange, Change, Event, EventId, HistoryChange, Origin, Personal};
use super::ledger::{BanRuling, Ledger, Ruling};
use super::policy::{Policy, Refusal};
use super::record::Ban;
use super::subject::Subject;
use super::time::Timestamp;
use decide::Case;

pub use intent::{Action, BanOrder, ExemptionOrder, HistoryOrder, Intent, Order};

/// What an intent or a signal leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
// One at a time, made and matched: a box would only cost an allocation for each order.
#[expect(clippy::large_enum_variant)]
pub enum Proposal {
    /// Append these; the fold will rule.
    Events(Vec<Event>),
    /// Nothing to append: this is the answer.
    Answer(Ruling),
}

/// How many ended bans one tick writes down at most; the next tick takes the rest.
pub const ENDED_AT_ONCE: usize = 1_000;

/// With how many others, at most, a subject is forgotten at once.
pub const FORGOTTEN_AT_ONCE: usize = 1_000;

/// From an intent to events. Pure: `now` and `fresh` (a source of new event ids) are arguments.
pub fn propose(
    ledger: &Ledger,
    policy: &Policy,
    intent: &Intent,
    now: Timestamp,
    fresh: &mut dyn FnMut() -> EventId,
) -> Proposal {
    match intent {
        Intent::Review => Proposal::Events(
            ledger
                .newest_first()
                .filter(|ban| ban.origin.rule().is_some())
                .filter(|ban| policy.exempts(&ban.subject).is_some())
                .take(ENDED_AT_ONCE)
                .map(|ban| Event {
                    change: Change::Ban(BanChange::Lifted {
                        reason: String::from("exempt by the configuration now"),
                    }),
                    ..expire(ledger, ban, now, fresh())
                })
                .collect(),
        ),
        Intent::Tick => Proposal::Events(
            ledger
                .ended(now, ENDED_AT_ONCE)
                .map(|ban| expire(ledger, ban, now, fresh()))
                .collect(),
        ),
        Intent::Recall(event) => recall(ledger, policy, event, now),
        Intent::Order(order) => {
            let case = Case::new(ledger, policy, order, now);
            match case.decide() {
                Ok((change, personal)) => Proposal::Events(ordered(&case, change, personal, fresh)),
                Err(ruling) => Proposal::Answer(*ruling),
            }
        }
    }
}

/// The events an order leads to, once it is known what it changes: one for each subject that
/// changes with its own.
fn ordered(
    case: &Case<'_>,
    change: Change,
    personal: Personal,
    fresh: &mut dyn FnMut() -> EventId,
) -> Vec<Event> {
    let Case {
        ledger, order, now, ..
    } = *case;
    let origin = match &order.what {
        Action::Ban(BanOrder::Import { origin, .. }) => origin.clone(),
        _ => Origin::Manual,
    };
    let mut event = |subject: &Subject, change, personal| {
        Event::decided(
            fresh(),
            now,
            order.actor.clone(),
            subject.clone(),
            ledger.version(subject),
            change,
        )
        .by_command(order.command)
        .with_origin(origin.clone())
        .with_personal(personal)
    };
    let with: Vec<&Subject> = match change {
        Change::History(HistoryChange::Forgotten) => {
            let with = ledger.forgotten_with(&order.subject);
            with.take(FORGOTTEN_AT_ONCE)
                .map(|(subject, _)| subject)
                .collect()
        }
        Change::Undone => ledger.undone_with(&order.subject).collect(),
        _ => Vec::new(),
    };
    let mut events: Vec<Event> = with
        .into_iter()
        .map(|subject| event(subject, change.clone(), Personal::default()))
        .collect();
    // Last: what is told of the order is what came of its own subject.
    events.push(event(&order.subject, change, personal));
    events
}

/// A decision made elsewhere. What it did there cannot be undone by a policy here; a ban that would
/// still stand must be one that may.
fn recall(ledger: &Ledger, policy: &Policy, event: &Event, now: Timestamp) -> Proposal {
    let subject = &event.subject;
    // The clock here may have written down the end of a ban before its own event came.
    if event.change == Change::Ban(BanChange::Expired) && ledger.current(subject).is_none() {
        let last = ledger.last(subject).cloned();
        return Proposal::Answer(Ruling::Ban(BanRuling::NotBanned(subject.clone(), last)));
    }
    if ledger.changed(subject).is_some_and(|last| event.at < last) {
        return Proposal::Answer(Ruling::Stale);
    }
    let stands_until = match &event.change {
        Change::Ban(BanChange::Imposed { until, .. })
        | Change::Ban(BanChange::Amended { until, .. }) => Some(*until),
        Change::Ban(BanChange::ImposedByRule { until, .. }) => Some(Some(*until)),
        _ => None,
    };
    if stands_until.is_some_and(|until| until.is_none_or(|end| now < end))
        && let Some(by) = policy.exempts(subject)
    {
        return Proposal::Answer(Ruling::Refused(Refusal::Exempt(subject.clone(), by)));
    }
    Proposal::Events(vec![Event {
        based_on: ledger.version(subject),
        ..event.clone()
    }])
}

/// The event that writes down that a ban's time is over.
fn expire(ledger: &Ledger, ban: &Ban, now: Timestamp, id: EventId) -> Event {
    Event::decided(
        id,
        now,
        Actor::clock(),
        ban.subject.clone(), // Not the ban's own: what left its terms as they are changed the subject, too.
        ledger.version(&ban.subject),
        Change::Ban(BanChange::Expired),
    )
    .with_origin(ban.origin.clone())
}
