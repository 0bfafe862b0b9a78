//! Logins that were let in to the password and whose outcome is not reported yet.
//!
//! A server checks many passwords at once, and each verdict only knows what came of those before. So a login in flight
//! counts toward the limits of the rules as if it would fail, and who would pass them waits until enough outcomes are
//! there: a moment, and only where the limit is near. Nobody is banned by this, and nothing of it is kept
//! (docs/adr/0011-tries-under-way.md).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::core::{Account, Subject, Timestamp};

/// An outcome that is not reported for so long never will be: a node died, a client left.
pub(super) const LASTS: Duration = Duration::from_secs(5);
/// Logins in flight that are remembered; beyond it the oldest is taken for over.
const MOST: usize = 32_768;

/// Whose try.
pub(super) type Who = (Account, IpAddr);

/// Logins in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: HashMap<Subject, Slot>,
    open: HashMap<Who, VecDeque<LoginInFlight>>,
    /// When tries are taken for over, oldest first; those that ended meanwhile are still there.
    ends: VecDeque<(Timestamp, Who)>,
}

/// What the tries toward one limit share.
#[derive(Debug, Default)]
struct Slot {
    under_way: u32,
    /// Wakes one who waits: whoever is woken and does not go on waiting wakes the next.
    turn: Arc<Notify>,
}

#[derive(Debug)]
struct LoginInFlight {
    until: Timestamp,
    subjects: Vec<Subject>,
}

impl InFlight {
    /// Where as many are in flight toward one of these limits as may fail: who waits there is woken when one ends.
    pub(super) fn full(&self, headroom: &[(Subject, u32)]) -> Option<Arc<Notify>> {
        let full = headroom.iter().find_map(|(subject, most)| {
            let slot = self.slots.get(subject)?;
            (slot.under_way >= *most).then_some(&slot.turn)
        });
        full.cloned()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn enter(&mut self, who: Who, subjects: Vec<Subject>, now: Timestamp) {
        if subjects.is_empty() {
            return;
        }
        while self.ends.len() >= MOST {
            self.end_oldest();
        }
        for subject in &subjects {
            self.slots.entry(subject.clone()).or_default().under_way += 1;
        }
        let until = now.saturating_add(LASTS);
        self.ends.push_back((until, who.clone()));
        let tries = self.open.entry(who).or_default();
        tries.push_back(LoginInFlight { until, subjects });
    }

    /// The oldest try of an account from an address is over.
    pub(super) fn leave(&mut self, who: &Who) {
        let Some(tries) = self.open.get_mut(who) else {
            return;
        };
        let over = tries.pop_front();
        if tries.is_empty() {
            self.open.remove(who);
        }
        for subject in over.into_iter().flat_map(|over| over.subjects) {
            if let Entry::Occupied(mut slot) = self.slots.entry(subject) {
                slot.get().turn.notify_one();
                slot.get_mut().under_way -= 1;
                if slot.get().under_way == 0 {
                    slot.remove();
                }
            }
        }
    }

    /// Tries that nobody will report any more; also those from a clock that was set back.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        let latest = now.saturating_add(LASTS);
        while self
            .ends
            .front()
            .is_some_and(|(until, _)| *until <= now || *until > latest)
        {
            self.end_oldest();
        }
    }

    fn end_oldest(&mut self) {
        let Some((until, who)) = self.ends.pop_front() else {
            return;
        };
        let oldest = self.open.get(&who).and_then(VecDeque::front);
        if oldest.is_some_and(|oldest| oldest.until <= until) {
            self.leave(&who);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn enter(table: &mut InFlight, number: usize, now: Timestamp) -> Who {
        let account = Subject::parse(&format!("u{number}@example.org")).unwrap();
        let who = (
            account.account().unwrap().clone(),
            "203.0.113.7".parse().unwrap(),
        );
        let place = Subject::parse("203.0.113.7").unwrap();
        table.enter(who.clone(), vec![account, place], now);
        who
    }

    fn is_empty(table: &InFlight) -> bool {
        table.slots.is_empty() && table.is_empty()
    }

    #[test]
    fn what_is_over_leaves_nothing_behind() {
        let (mut table, now) = (InFlight::default(), Timestamp::from_millis(1_000_000));
        let (one, two) = (enter(&mut table, 1, now), enter(&mut table, 2, now));
        assert_eq!(table.slots.len(), 3);
        table.leave(&one);
        table.leave(&one);
        table.leave(&two);
        assert!(is_empty(&table));
        // Its end was noted, and does not take a later try of the same away.
        enter(&mut table, 1, now.saturating_add(LASTS / 2));
        table.tidy(now.saturating_add(LASTS));
        assert_eq!(table.open.len(), 1);
        table.tidy(now.saturating_add(LASTS * 2));
        assert!(is_empty(&table) && table.ends.is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_frees_them_all() {
        let mut table = InFlight::default();
        enter(&mut table, 1, Timestamp::from_millis(1_000_000));
        table.tidy(Timestamp::from_millis(0));
        assert!(is_empty(&table));
    }

    #[test]
    fn the_table_has_a_bound() {
        let mut table = InFlight::default();
        for number in 0..MOST + 10 {
            enter(&mut table, number, Timestamp::from_millis(0));
        }
        assert_eq!((table.ends.len(), table.open.len()), (MOST, MOST));
        assert_eq!(table.slots.len(), MOST + 1);
    }
}
