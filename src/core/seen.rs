//! The ids of the kicks folded last, so that a kick offered twice is applied once.
//!
//! Any other event that is offered again is stale, because the first one changed the version of its subject. A kick
//! changes no version.

use std::collections::{HashSet, VecDeque};

use foldhash::quality::RandomState;

use super::event::EventId;

/// How many ids are kept. A repeat that comes after more other kicks than that is applied again, if its version
/// still fits. Part of the fold: with different numbers, instances would disagree.
pub(super) const SEEN: usize = 65_536;

/// The last [`SEEN`] ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SeenIds {
    /// Oldest first.
    order: VecDeque<EventId>,
    names: HashSet<EventId, RandomState>,
}

impl SeenIds {
    /// The ids, oldest first: the part that a snapshot keeps.
    pub(super) fn ids(&self) -> &VecDeque<EventId> {
        &self.order
    }

    /// Adds an id; `false` if it is present already.
    ///
    /// The all-zero id is never recorded: tests and tools use it for events that are offered only once.
    pub(super) fn is_new(&mut self, id: EventId) -> bool {
        if id == EventId::default() {
            return true;
        }
        if !self.names.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        true
    }
}

impl From<VecDeque<EventId>> for SeenIds {
    fn from(order: VecDeque<EventId>) -> Self {
        let names = order.iter().copied().collect();
        SeenIds { order, names }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::{
        Actor, BanChange, BanRuling, Change, EntryPoint, Event, ExemptionChange, HistoryChange,
        Ledger, Role, Ruling, Seq, Subject, Timestamp,
    };

    fn event(name: usize, on: &str, ledger: &Ledger, change: impl Into<Change>) -> Event {
        let admin = Actor::person("admin@example.org", Role::Admin, EntryPoint::Chat);
        let subject = Subject::parse(on).unwrap();
        let version = ledger.version(&subject);
        Event::decided(
            id(name),
            Timestamp::from_millis(0),
            admin,
            subject,
            version,
            change.into(),
        )
    }

    /// Logs written by older versions hold this: the second import made the ban.
    #[test]
    fn an_event_that_was_refused_is_applied_when_it_is_imported_again() {
        let mut ledger = Ledger::default();
        let banned = || BanChange::Imposed {
            reason: String::new(),
            until: None,
        };
        let granted = ExemptionChange::Granted {
            comment: String::new(),
            until: None,
        };
        let allow = event(1, "192.0.2.0/24", &ledger, Change::Exemption(granted));
        ledger.fold(Seq(1), &allow);
        let refused = event(2, "192.0.2.7", &ledger, banned());
        assert!(matches!(
            ledger.fold(Seq(2), &refused).0,
            Ruling::Refused(_)
        ));
        let revoke = event(
            3,
            "192.0.2.0/24",
            &ledger,
            Change::Exemption(ExemptionChange::Revoked),
        );
        ledger.fold(Seq(3), &revoke);
        let again = event(2, "192.0.2.7", &ledger, banned());
        assert!(matches!(
            ledger.fold(Seq(4), &again).0,
            Ruling::Ban(BanRuling::Banned(_))
        ));
    }

    #[test]
    fn a_kick_offered_twice_stands_once_in_the_history() {
        let mut ledger = Ledger::default();
        let kicked = HistoryChange::Kicked {
            reason: String::new(),
        };
        let kick = event(1, "a@example.org", &ledger, Change::History(kicked));
        ledger.fold(Seq(1), &kick);
        assert_eq!(ledger.fold(Seq(2), &kick).0, Ruling::Stale);
        assert_eq!(ledger.subjects().trail(&kick.subject), [Seq(1)]);
    }

    fn id(number: usize) -> EventId {
        EventId((number as u128).to_be_bytes())
    }

    #[test]
    fn the_last_names_are_known_and_the_oldest_forgotten() {
        let mut seen = SeenIds::default();
        assert!((1..=SEEN + 1).all(|number| seen.is_new(id(number))));
        assert!(!seen.is_new(id(2)) && !seen.is_new(id(SEEN + 1)));
        assert!(seen.is_new(id(1)), "forgotten");
        assert!(seen.is_new(id(0)) && seen.is_new(id(0)), "no name");
        assert_eq!(seen.order.len(), SEEN);
    }
}
