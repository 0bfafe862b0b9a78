//! From an intent to the events to append, or to an answer when there is nothing to append.
//!
//! `intent.rs` has the intents. What an order changes and who may give it is in the `decide.rs` of each part of the
//! state; `case.rs` has what they share. Nothing here changes the ledger; only the fold does.

mod case;
mod intent;
mod recall;
#[cfg(test)]
mod tests;

use super::actor::Actor;
use super::bans::Ban;
use super::event::{BanChange, Change, Event, EventId, HistoryChange, Origin, Personal};
use super::ledger::{Ledger, Ruling};
use super::policy::Policy;
use super::subject::Subject;
use super::time::Timestamp;

pub(super) use case::{Case, Decision, alone, noted, within};
pub use intent::{Above, Action, BanOrder, ExemptionOrder, HistoryOrder, Intent, Order};

/// The result of an intent or a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
// Proposals are made and matched one at a time; a box would cost an allocation per order.
#[expect(clippy::large_enum_variant)]
pub enum Proposal {
    /// Append these events; the fold rules on them.
    Events(Vec<Event>),
    /// Append nothing; this is the answer.
    Answer(Ruling),
}

/// The most expired bans that one tick ends; the next tick ends the rest.
pub const ENDED_AT_ONCE: usize = 1_000;

/// The most other subjects that one order forgets together with its subject.
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
        Intent::Tick { upto } => {
            let now = now.min(*upto);
            let expired = ledger.bans().expired(now).take(ENDED_AT_ONCE);
            let events = expired.map(|ban| expire(ledger, ban, now, fresh()));
            Proposal::Events(events.collect())
        }
        Intent::Recall(event, role) => recall::recall(ledger, policy, event, *role, now),
        Intent::Order(order) => {
            let case = Case::new(ledger, policy, order, now);
            match case.decide() {
                Ok((change, personal)) => Proposal::Events(ordered(&case, change, personal, fresh)),
                Err(ruling) => Proposal::Answer(*ruling),
            }
        }
    }
}

/// The events of an order whose change is known: one for each subject that changes with its own, then one for its
/// own.
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
            let with = ledger.subjects().forgotten_with(&order.subject);
            with.take(FORGOTTEN_AT_ONCE)
                .map(|(subject, _)| subject)
                .collect()
        }
        Change::Undone => ledger.undo().restored_with(&order.subject).collect(),
        _ => Vec::new(),
    };
    let mut events: Vec<Event> = with
        .into_iter()
        .map(|subject| event(subject, change.clone(), Personal::default()))
        .collect();
    // The event of the order's own subject is the last one: its ruling answers the order.
    events.push(event(&order.subject, change, personal));
    events
}

/// The event that records that a ban's term is over.
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
