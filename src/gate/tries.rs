//! Logins that were let in to the password and whose outcome is not reported yet.
//!
//! A server checks many passwords at once, and each verdict only knows what came of those before.
//! So a try under way counts toward the limits of the rules as if it would fail, and who would
//! pass them waits until enough outcomes are there: a moment, and only where the limit is near.
//! Nobody is banned by this, and nothing of it is kept (docs/adr/0011-tries-under-way.md).
//!
//! Start reading at [`Gate::admit_within`].

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Gate, lock};
use crate::core::ledger::By;
use crate::core::{Account, Attempt, BanId, Outcome, Subject, Timestamp, Verdict, room};

/// An outcome that is not reported for so long never will be: a node died, a client left.
const LASTS: Duration = Duration::from_secs(5);
/// Tries under way that are remembered; beyond it the oldest is taken for over.
const MOST: usize = 32_768;
/// What is told to whoever comes when as many tries are under way as may fail, and is not served in time.
const AT_ONCE: &str = "too many logins at the same moment, try again in a few seconds";

/// Tries under way.
#[derive(Debug, Default)]
pub(super) struct Tries {
    table: Mutex<Table>,
}

/// Whose try.
type Who = (Account, IpAddr);

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<Subject, Slot>,
    open: HashMap<Who, VecDeque<Try>>,
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
struct Try {
    until: Timestamp,
    subjects: Vec<Subject>,
}

/// The answer at the password.
#[derive(Debug)]
pub enum Admission {
    /// This. If it lets in, the try is under way until its outcome is counted.
    Now(Verdict),
    /// Others first: ask [`Gate::admit_within`].
    Later,
}

enum Knock {
    Now(Verdict),
    Full(Arc<Notify>),
}

impl Gate {
    /// [`Gate::check`] for a login whose password is looked at next: counts tries under way as
    /// well.
    pub fn admit(&self, account: &Account, address: IpAddr) -> Admission {
        match self.knock(account, address) {
            Knock::Now(verdict) => Admission::Now(verdict),
            Knock::Full(..) => Admission::Later,
        }
    }

    /// The same; waits at most `hold` for the outcomes of others, and is refused if they do not come:
    /// whoever can make a server slow must not get more guesses by it.
    pub async fn admit_within(
        &self,
        account: &Account,
        address: IpAddr,
        hold: Duration,
    ) -> Verdict {
        let end = Instant::now() + hold;
        let mut called: Option<Arc<Notify>> = None;
        let mut is_over = false;
        loop {
            let knock = self.knock(account, address);
            let next = match &knock {
                Knock::Full(turn) if !is_over => Some(turn),
                _ => None,
            };
            if let Some(before) = called.take()
                && !next.is_some_and(|turn| Arc::ptr_eq(turn, &before))
            {
                before.notify_one();
            }
            match knock {
                Knock::Now(verdict) => return verdict,
                Knock::Full(_) if is_over => return self.crowded(),
                Knock::Full(turn) => match timeout_at(end, turn.notified()).await {
                    Ok(()) => called = Some(turn),
                    Err(_) => is_over = true,
                },
            }
        }
    }

    /// The answer to one of too many.
    pub fn crowded(&self) -> Verdict {
        Verdict::Refuse {
            ban: BanId(0),
            by: By::Pair,
            reason: AT_ONCE.to_owned(),
            until: Some(self.now().saturating_add(LASTS)),
        }
    }

    fn knock(&self, account: &Account, address: IpAddr) -> Knock {
        // First of all locks, and held to the end: an outcome that has left this table is counted.
        let mut table = lock(&self.tries.table);
        let verdict = self.check(Some(account), Some(address));
        if verdict != Verdict::LetIn {
            return Knock::Now(verdict);
        }
        let now = self.now();
        table.tidy(now);
        let policy = self.policy();
        let rooms = self.read(|ledger| {
            let mut tracker = self.counters.tracker();
            room(ledger, &mut tracker, &policy, account, address, now)
        });
        for (subject, room) in &rooms {
            if let Some(slot) = table.slots.get(subject)
                && slot.under_way >= *room
            {
                return Knock::Full(Arc::clone(&slot.turn));
            }
        }
        let subjects = rooms.into_iter().map(|(subject, _)| subject).collect();
        table.enter((account.clone(), address.to_canonical()), subjects, now);
        Knock::Now(verdict)
    }

    /// The outcomes of these are counted.
    pub(super) fn through(&self, attempts: &[Attempt]) {
        let now = self.now();
        let mut table = lock(&self.tries.table);
        if table.open.is_empty() {
            return;
        }
        for attempt in attempts {
            // What was refused was never under way.
            if attempt.outcome != Outcome::Refused
                && let (Some(account), Some(address)) = (&attempt.account, attempt.address)
            {
                table.leave(&(account.clone(), address.to_canonical()));
            }
        }
        table.tidy(now);
    }
}

impl Table {
    fn enter(&mut self, who: Who, subjects: Vec<Subject>, now: Timestamp) {
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
        tries.push_back(Try { until, subjects });
    }

    /// The oldest try of an account from an address is over.
    fn leave(&mut self, who: &Who) {
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
    fn tidy(&mut self, now: Timestamp) {
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

    fn enter(table: &mut Table, number: usize, now: Timestamp) -> Who {
        let account = Subject::parse(&format!("u{number}@example.org")).unwrap();
        let who = (
            account.account().unwrap().clone(),
            "203.0.113.7".parse().unwrap(),
        );
        let place = Subject::parse("203.0.113.7").unwrap();
        table.enter(who.clone(), vec![account, place], now);
        who
    }

    fn is_empty(table: &Table) -> bool {
        table.slots.is_empty() && table.open.is_empty()
    }

    #[test]
    fn what_is_over_leaves_nothing_behind() {
        let (mut table, now) = (Table::default(), Timestamp::from_millis(1_000_000));
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
        let mut table = Table::default();
        enter(&mut table, 1, Timestamp::from_millis(1_000_000));
        table.tidy(Timestamp::from_millis(0));
        assert!(is_empty(&table));
    }

    #[test]
    fn the_table_has_a_bound() {
        let mut table = Table::default();
        for number in 0..MOST + 10 {
            enter(&mut table, number, Timestamp::from_millis(0));
        }
        assert_eq!((table.ends.len(), table.open.len()), (MOST, MOST));
        assert_eq!(table.slots.len(), MOST + 1);
    }
}
