//! A table with a hard bound and small rows, keyed by hashes.
//!
//! The rows are contiguous, and an index of 32-bit places finds them. A key with up to four stamps takes 48 bytes and
//! its share of the index. When the table is full, the least dangerous of a few neighbouring rows is evicted.

use hashbrown::HashTable;

/// The value of a row.
pub(super) trait TableRow {
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
/// Rows to allocate for at once when the table grows.
const GROWS_BY: usize = 64;

/// Rows by key.
#[derive(Debug, Clone)]
pub(super) struct Table<R> {
    /// The places in `rows`, by [`hash`] of the key.
    index: HashTable<u32>,
    rows: Vec<(u64, R)>,
    most: usize,
    hand: usize,
    /// The place of the row that was touched last; it is usually asked for next.
    last: usize,
    outside: usize,
    /// Rows that were evicted before they expired.
    pub(super) evicted: u64,
}

impl<R: TableRow> Table<R> {
    pub(super) fn new(most: usize) -> Self {
        Table {
            index: HashTable::new(),
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
        self.index.allocation_size()
            + self.rows.capacity() * size_of::<(u64, R)>()
            + self.outside * 8
    }

    pub(super) fn get(&self, key: u64) -> Option<&R> {
        match self.rows.get(self.last) {
            Some((last, row)) if *last == key => Some(row),
            _ => self.find(key).map(|place| &self.rows[place].1),
        }
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut R> {
        self.last = self.find(key)?;
        Some(&mut self.rows[self.last].1)
    }

    /// Adds a row for a key that has none. `over` says whether a row has expired; each evicted row is passed to
    /// `gone` with its key.
    pub(super) fn add(
        &mut self,
        key: u64,
        row: R,
        over: impl Fn(&R) -> bool,
        mut gone: impl FnMut(u64, R),
    ) {
        if !self.is_full() {
            for _ in 0..SWEPT.min(self.rows.len()) {
                let hand = self.turn();
                if over(&self.rows[hand].1) {
                    let (key, row) = self.remove_at(hand);
                    gone(key, row);
                }
            }
        } else if let Some(place) = self.victim(|_| true, &over) {
            // The new row takes the victim's place.
            self.evicted += u64::from(!over(&self.rows[place].1));
            self.leave(place);
            let (old_key, old) = std::mem::replace(&mut self.rows[place], (key, row));
            self.outside = self.outside.saturating_sub(old.outside());
            self.enter(key, place);
            self.last = place;
            return gone(old_key, old);
        }
        if self.rows.len() == self.rows.capacity() {
            // Doubling, as `push` does, would waste up to half of the memory.
            let more = (self.rows.len() / 8).max(GROWS_BY);
            self.rows
                .reserve_exact(more.min(self.most - self.rows.len()).max(1));
        }
        self.last = self.rows.len();
        self.rows.push((key, row));
        self.enter(key, self.last);
    }

    /// Removes the row of a key.
    pub(super) fn remove(&mut self, key: u64) -> Option<R> {
        let place = self.find(key)?;
        Some(self.remove_at(place).1)
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.most
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
        if let Some(place) = self.find(key) {
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
        let is_it = |place: &u32| self.rows[*place as usize].0 == key;
        self.index
            .find(hash(key), is_it)
            .map(|place| *place as usize)
    }

    /// Enters the place of a row that is already stored.
    fn enter(&mut self, key: u64, place: usize) {
        let rows = &self.rows;
        let hash_of = |place: &u32| hash(rows[*place as usize].0);
        self.index.insert_unique(hash(key), place as u32, hash_of);
    }

    /// Removes the place of a row that is still stored.
    fn leave(&mut self, place: usize) {
        let is_it = |other: &u32| *other as usize == place;
        if let Ok(entry) = self.index.find_entry(hash(self.rows[place].0), is_it) {
            entry.remove();
        }
    }

    fn remove_at(&mut self, place: usize) -> (u64, R) {
        // The index is changed first, while every place in it still has its row.
        self.leave(place);
        let last = self.rows.len() - 1;
        if place != last {
            let is_it = |other: &u32| *other as usize == last;
            if let Some(moved) = self.index.find_mut(hash(self.rows[last].0), is_it) {
                *moved = place as u32;
            }
        }
        let (key, row) = self.rows.swap_remove(place);
        if self.hand >= self.rows.len() {
            self.hand = 0;
        }
        self.outside = self.outside.saturating_sub(row.outside());
        (key, row)
    }
}

/// A key is a keyed hash already, but its top bit is always set. hashbrown tells the rows of a group apart by the top
/// seven bits, so they are taken from the middle of the key: half as many rows are looked at in vain.
fn hash(key: u64) -> u64 {
    key.rotate_left(32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    impl TableRow for u64 {
        fn danger(&self) -> u64 {
            *self
        }
    }

    /// Few different hashes, so that keys collide in the index.
    fn key(n: u64) -> u64 {
        ((n % 13) << 57) | n
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
                        prop_assert_eq!(table.remove(key(n)), map.remove(&n));
                    }
                    _ => {
                        if table.get_mut(key(n)).is_none() {
                            table.add(key(n), n, |_| false, |_, _| {});
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
        table.add(key(1), 9, |_| false, |_, _| {});
        for n in 2..10_000 {
            table.add(key(n), 1, |_| false, |_, _| {});
        }
        assert_eq!(table.len(), 100);
        assert_eq!(table.evicted, 9_899);
        assert_eq!(table.get(key(1)), Some(&9));
    }

    #[test]
    fn what_is_over_makes_room_first_however_dangerous_it_was() {
        let mut table = Table::<u64>::new(100);
        for n in 0..100 {
            table.add(key(n), 1_000 + n, |_| false, |_, _| {});
        }
        for n in 100..200 {
            table.add(key(n), 1, |row| *row >= 1_000, |_, _| {});
        }
        assert!((100..200).all(|n| table.get(key(n)).is_some()));
        assert_eq!((table.len(), table.evicted), (100, 0));
    }

    #[test]
    fn what_is_over_goes_while_others_come() {
        let mut table = Table::<u64>::new(1_000);
        for n in 0..500 {
            table.add(key(n), 0, |_| false, |_, _| {});
        }
        for n in 500..1_000 {
            table.add(key(n), 1, |row| *row == 0, |_, _| {});
        }
        assert!(table.len() < 600, "{}", table.len());
        assert_eq!(table.evicted, 0);
    }

    /// A row with that many words outside of the table. The number is also its danger.
    #[derive(Debug, PartialEq)]
    struct Long(usize);

    impl TableRow for Long {
        fn danger(&self) -> u64 {
            self.0 as u64
        }

        fn outside(&self) -> usize {
            self.0
        }
    }

    fn long(most: usize, rows: &[usize]) -> Table<Long> {
        let mut table = Table::new(most);
        for (n, words) in rows.iter().enumerate() {
            table.add(key(n as u64), Long(*words), |_| false, |_, _| {});
            table.moved_outside(0, *words);
        }
        table
    }

    #[test]
    fn words_outside_are_bounded_on_average_and_rows_without_any_stay() {
        let fits = long(10, &[0, 0, 5, 5, 5, 5]);
        assert_eq!((fits.len(), fits.evicted, fits.outside), (6, 0, 20));
        let one_too_many = long(10, &[0, 0, 5, 5, 5, 5, 1]);
        assert_eq!((one_too_many.len(), one_too_many.outside), (6, 20));
        assert_eq!(one_too_many.get(key(0)), Some(&Long(0)));
        assert_eq!(one_too_many.get(key(6)), None, "the least dangerous");
        // No more than eight at once, so that one failure is never slow.
        let mut many = long(30, &[1; 20]);
        many.moved_outside(0, 1_000);
        assert_eq!((many.len(), many.evicted), (12, 8));
    }

    #[test]
    fn changes_and_removals_keep_count_of_the_words_outside() {
        let mut table = long(10, &[4, 3]);
        table.change(key(0), |row| row.0 = 2);
        assert_eq!(table.outside, 5);
        table.remove(key(1));
        assert_eq!(table.outside, 2);
    }

    #[test]
    fn memory_is_counted_and_grows_little_by_little_up_to_the_bound() {
        let table = long(1_000, &[100]);
        let rows = GROWS_BY * size_of::<(u64, Long)>() + 100 * 8;
        assert!(
            (rows + 1..rows + 300).contains(&table.bytes()),
            "{}",
            table.bytes()
        );
        let mut table = Table::<u64>::new(1_000);
        for n in 0..1_000 {
            table.add(key(n), 1, |_| false, |_, _| {});
            let most = (table.len() * 9 / 8 + GROWS_BY).min(1_000);
            assert!(table.rows.capacity() <= most, "{n}");
        }
    }

    #[test]
    fn the_least_dangerous_row_goes_wherever_it_is() {
        for dangers in [[5, 3, 4], [3, 4, 5], [5, 4, 3]] {
            let mut table = Table::<u64>::new(3);
            for danger in dangers {
                table.add(key(danger), danger, |_| false, |_, _| {});
            }
            table.add(key(9), 9, |_| false, |_, _| {});
            assert_eq!(table.get(key(3)), None, "{dangers:?}");
            assert_eq!((table.len(), table.evicted), (3, 1));
        }
    }
}
