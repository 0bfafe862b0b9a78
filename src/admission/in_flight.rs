//! Logins in flight: allowed to try their password, outcome not reported yet.
//!
//! A server checks many passwords at once, and a verdict based on outcomes alone would allow all of them. A login in
//! flight therefore counts toward the limits of the rules as if it would fail. A login that would exceed a limit
//! waits until one of the others ends; only logins close to a limit ever wait. This bans nobody, and nothing of it is
//! stored (docs/adr/0011-tries-under-way.md).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::core::{Account, Subject, Timestamp};

/// After this time a login without an outcome leaves the table: its node died or its client disconnected.
pub(super) const LASTS: Duration = Duration::from_secs(5);
/// Maximum number of logins in flight. Beyond it the oldest leaves the table.
const MOST: usize = 32_768;

/// The account and the address of a login.
pub(super) type Who = (Account, IpAddr);

/// All logins in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: HashMap<Subject, Slot>,
    open: HashMap<Who, VecDeque<LoginInFlight>>,
    /// When logins leave the table without an outcome, oldest first. Entries of logins that ended earlier are still
    /// in it.
    ends: VecDeque<(Timestamp, Who)>,
}

/// Counts the logins in flight toward one limit.
#[derive(Debug, Default)]
struct Slot {
    under_way: u32,
    /// Wakes one waiting login at a time. A woken login that stops waiting must wake the next one.
    turn: Arc<Notify>,
}

#[derive(Debug)]
struct LoginInFlight {
    until: Timestamp,
    subjects: Vec<Subject>,
}

impl InFlight {
    /// The signal to wait for if one of these limits is reached by logins in flight; `None` if there is headroom at
    /// all of them. `headroom` gives for each counter how many more failures it allows.
    pub(super) fn full(&self, headroom: &[(Subject, u32)]) -> Option<Arc<Notify>> {
        let full = headroom.iter().find_map(|(subject, most)| {
            let slot = self.slots.get(subject)?;
            (slot.under_way >= *most).then_some(&slot.turn)
        });
        full.cloned()
    }

    /// Whether no login is in flight.
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

    /// Ends the oldest login in flight of this account from this address.
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

    /// Ends logins whose outcome is overdue, and those with an end that only a clock set back explains.
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
        // The end of the first login is still queued; it must not end a later login of the same account.
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
