//! The ids of the events folded last, so that an event offered twice is applied once.
//!
//! Most repeats are stale anyway, because the first one changed the version. This catches the others: events that
//! change no version (a kick), and events that were refused at first and would be allowed later.

use std::collections::{HashSet, VecDeque};

use foldhash::quality::RandomState;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::event::EventId;

/// How many ids are kept. A repeat that comes after more other events than that is applied again, if its version
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

impl Serialize for SeenIds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.order.serialize(to)
    }
}

impl<'de> Deserialize<'de> for SeenIds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let order = VecDeque::<EventId>::deserialize(from)?;
        let names = order.iter().copied().collect();
        Ok(SeenIds { order, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
