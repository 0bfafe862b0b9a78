//! A table with a hard bound and small rows, keyed by hashes.
//!
//! The index has half-words (32 bits of the key, 32 bits of the place), and the rows are contiguous. A key with up to
//! four stamps takes 48 bytes and its share of the index. When the table is full, the least dangerous of a few
//! neighbouring rows is evicted.

/// The value of a row.
pub(super) trait Row {
    /// The row with the lowest danger is evicted first.
    fn danger(&self) -> u64;
    /// Whether no row can be less dangerous, so that the search for a victim may stop here.
    fn is_least(&self) -> bool {
        false
    }
    /// Words of memory that it owns outside of the table.
    fn outside(&self) -> usize {
        0
    }
}

/// How many rows are examined to find the least dangerous one.
const LOOKED_AT: usize = 16;
/// How many rows are checked for expiry whenever a row is added.
const SWEPT: usize = 2;
/// The most words outside of the table per row, on average.
const OUTSIDE_PER_ROW: usize = 2;
const FIRST_INDEX: usize = 64;

/// Rows by key.
#[derive(Debug, Clone)]
pub(super) struct Table<R> {
    /// Open addressing, linear probing: upper half of the key, place + 1; 0 is empty.
    index: Vec<u64>,
    rows: Vec<(u64, R)>,
    most: usize,
    hand: usize,
    /// The place of the row that was touched last; it is usually asked for next.
    last: usize,
    outside: usize,
    /// Rows that were evicted before they expired.
    pub(super) evicted: u64,
}

impl<R: Row> Table<R> {
    pub(super) fn new(most: usize) -> Self {
        Table {
            index: vec![0; FIRST_INDEX],
            rows: Vec::new(),
            // A place has 32 bits.
            most: most.clamp(1, u32::MAX as usize / 2),
            hand: 0,
            last: 0,
            outside: 0,
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> &[(u64, R)] {
        &self.rows
    }

    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.index.capacity() * 8 + self.rows.capacity() * size_of::<(u64, R)>() + self.outside * 8
    }

    pub(super) fn get(&self, key: u64) -> Option<&R> {
        match self.rows.get(self.last) {
            Some((last, row)) if *last == key => Some(row),
            _ => self.find(key).map(|at| &self.rows[self.place(at)].1),
        }
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut R> {
        self.last = self.place(self.find(key)?);
        Some(&mut self.rows[self.last].1)
    }

    /// Adds a row for a key that has none. `over` says whether a row has expired; each evicted row is passed to
    /// `gone`.
    pub(super) fn add(
        &mut self,
        key: u64,
        row: R,
        over: impl Fn(&R) -> bool,
        mut gone: impl FnMut(R),
    ) {
        if self.rows.len() < self.most {
            for _ in 0..SWEPT.min(self.rows.len()) {
                let hand = self.turn();
                if over(&self.rows[hand].1) {
                    gone(self.remove_at(hand));
                }
            }
        } else if let Some(place) = self.victim(|_| true, &over) {
            // The new row takes the victim's place.
            self.evicted += u64::from(!over(&self.rows[place].1));
            if let Some(at) = self.find(self.rows[place].0) {
                self.close(at);
            }
            let (_, old) = std::mem::replace(&mut self.rows[place], (key, row));
            self.outside = self.outside.saturating_sub(old.outside());
            self.enter(key, place);
            self.last = place;
            return gone(old);
        }
        if (self.rows.len() + 1) * 10 > self.index.len() * 7 {
            self.grow();
        }
        if self.rows.len() == self.rows.capacity() {
            // Doubling, as `push` does, would waste up to half of the memory.
            let more = (self.rows.len() / 8).max(FIRST_INDEX);
            self.rows
                .reserve_exact(more.min(self.most - self.rows.len()).max(1));
        }
        self.last = self.rows.len();
        self.rows.push((key, row));
        self.enter(key, self.last);
    }

    /// Moves the clock hand to the next row; the table must not be empty.
    fn turn(&mut self) -> usize {
        self.hand += 1;
        if self.hand >= self.rows.len() {
            self.hand = 0;
        }
        self.hand
    }

    /// Records that a row's words outside changed, and evicts rows while their sum exceeds the bound.
    pub(super) fn moved_outside(&mut self, before: usize, now: usize) {
        self.outside = (self.outside + now).saturating_sub(before);
        let mut tries = 0;
        while self.outside > self.most * OUTSIDE_PER_ROW && tries < 8 {
            if let Some(place) = self.victim(|row| row.outside() > 0, |_| false) {
                self.evicted += 1;
                self.remove_at(place);
            }
            tries += 1;
        }
    }

    pub(super) fn change(&mut self, key: u64, change: impl FnOnce(&mut R)) {
        if let Some(at) = self.find(key) {
            let place = self.place(at);
            let row = &mut self.rows[place].1;
            let before = row.outside();
            change(row);
            let now = row.outside();
            self.outside = (self.outside + now).saturating_sub(before);
        }
    }

    /// The least dangerous of the next few rows. As the hand goes round, the oldest of equally harmless rows is evicted
    /// first.
    fn victim(&mut self, fits: impl Fn(&R) -> bool, over: impl Fn(&R) -> bool) -> Option<usize> {
        let mut victim = None;
        for _ in 0..LOOKED_AT.min(self.rows.len()) {
            let hand = self.turn();
            let row = &self.rows[hand].1;
            if !fits(row) {
                continue;
            }
            if row.is_least() || over(row) {
                return Some(hand);
            }
            let danger = row.danger();
            if victim.is_none_or(|(_, least)| danger < least) {
                victim = Some((hand, danger));
            }
        }
        victim.map(|(place, _)| place)
    }

    fn find(&self, key: u64) -> Option<usize> {
        let mask = self.index.len() - 1;
        let mut at = home(key) & mask;
        loop {
            let entry = self.index[at];
            if entry == 0 {
                return None;
            }
            if entry >> 32 == key >> 32 && self.rows[place_of(entry)].0 == key {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn place(&self, at: usize) -> usize {
        place_of(self.index[at])
    }

    fn enter(&mut self, key: u64, place: usize) {
        let mask = self.index.len() - 1;
        let mut at = home(key) & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = entry(key, place);
    }

    fn grow(&mut self) {
        let size = self.index.len() * 2;
        let mask = size - 1;
        let old = std::mem::replace(&mut self.index, vec![0; size]);
        for entry in old.into_iter().filter(|entry| *entry != 0) {
            let mut at = home(entry) & mask;
            while self.index[at] != 0 {
                at = (at + 1) & mask;
            }
            self.index[at] = entry;
        }
    }

    fn remove_at(&mut self, place: usize) -> R {
        // The index is changed first, while every entry still points at its row.
        if let Some(at) = self.find(self.rows[place].0) {
            self.close(at);
        }
        let last = self.rows.len() - 1;
        if place != last
            && let Some(at) = self.find(self.rows[last].0)
        {
            self.index[at] = entry(self.rows[last].0, place);
        }
        let (_, row) = self.rows.swap_remove(place);
        if self.hand >= self.rows.len() {
            self.hand = 0;
        }
        self.outside = self.outside.saturating_sub(row.outside());
        row
    }

    /// Empties a slot of the index and moves back the entries that it had displaced.
    fn close(&mut self, mut hole: usize) {
        let mask = self.index.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.index[at];
            if entry == 0 {
                break;
            }
            let home = home(entry) & mask;
            // The entry may move if its home slot lies outside of (hole, at], modulo the size.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.index[hole] = entry;
                hole = at;
            }
        }
        self.index[hole] = 0;
    }
}

fn entry(key: u64, place: usize) -> u64 {
    (key >> 32) << 32 | (place as u64 + 1)
}

/// The index slot at which the search for a key, or for the entry made from it, begins. It depends on the upper half
/// only, which both have, so that the index can be rebuilt without reading the rows.
fn home(key: u64) -> usize {
    (key >> 32) as usize
}

fn place_of(entry: u64) -> usize {
    (entry as u32 - 1) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    impl Row for u64 {
        fn danger(&self) -> u64 {
            *self
        }
    }

    /// Few distinct home slots, so that keys collide in the index.
    fn key(n: u64) -> u64 {
        ((n % 13) << 32) | n
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in proptest::collection::vec((0..200u64, 0..4u8), 1..400)) {
            let mut table = Table::<u64>::new(1_000);
            let mut map = HashMap::new();
            for (n, what) in steps {
                match what {
                    0 => {
                        table.change(key(n), |row| *row += 1);
                        map.entry(n).and_modify(|value| *value += 1);
                    }
                    1 => {
                        if let Some(at) = table.find(key(n)) {
                            table.remove_at(table.place(at));
                        }
                        map.remove(&n);
                    }
                    _ => {
                        if table.get_mut(key(n)).is_none() {
                            table.add(key(n), n, |_| false, drop);
                        }
                        map.entry(n).or_insert(n);
                    }
                }
                prop_assert_eq!(table.len(), map.len());
                prop_assert_eq!(table.get(key(n)), map.get(&n));
            }
            for n in 0..200 {
                prop_assert_eq!(table.get(key(n)), map.get(&n));
            }
        }
    }

    #[test]
    fn the_dangerous_stay_when_it_is_full() {
        let mut table = Table::<u64>::new(100);
        table.add(key(1), 9, |_| false, drop);
        for n in 2..10_000 {
            table.add(key(n), 1, |_| false, drop);
        }
        assert_eq!(table.len(), 100);
        assert_eq!(table.evicted, 9_899);
        assert_eq!(table.get(key(1)), Some(&9));
    }

    #[test]
    fn what_is_over_makes_room_first_however_dangerous_it_was() {
        let mut table = Table::<u64>::new(100);
        for n in 0..100 {
            table.add(key(n), 1_000 + n, |_| false, drop);
        }
        for n in 100..200 {
            table.add(key(n), 1, |row| *row >= 1_000, drop);
        }
        assert!((100..200).all(|n| table.get(key(n)).is_some()));
        assert_eq!((table.len(), table.evicted), (100, 0));
    }

    #[test]
    fn what_is_over_goes_while_others_come() {
        let mut table = Table::<u64>::new(1_000);
        for n in 0..500 {
            table.add(key(n), 0, |_| false, drop);
        }
        for n in 500..1_000 {
            table.add(key(n), 1, |row| *row == 0, drop);
        }
        assert!(table.len() < 600, "{}", table.len());
        assert_eq!(table.evicted, 0);
    }
}
