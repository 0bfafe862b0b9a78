//! The failures of one key: when, and whose, in one word each.

use super::table::Row;

/// 40 bits of milliseconds, one bit for an account that does not exist, 23 bits of a hash of what
/// is told apart (the account, the address, the network). As the time comes first, marks sort by it.
///
/// Two of one key's tags are alike once in 8 million: then one failure too few is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark(pub(super) u64);

/// The largest time of a mark.
pub(super) const LAST: u64 = (1 << 40) - 1;
const TAG: u64 = (1 << 23) - 1;

impl Mark {
    /// `at` is at least 1: no mark is all zeros.
    pub(super) fn new(at: u64, unknown: bool, hash: u64) -> Self {
        Mark(at.clamp(1, LAST) << 24 | u64::from(unknown) << 23 | (hash & TAG))
    }

    pub(super) fn at(self) -> u64 {
        self.0 >> 24
    }

    pub(super) fn is_unknown(self) -> bool {
        self.0 >> 23 & 1 == 1
    }

    pub(super) fn tag(self) -> u64 {
        self.0 & TAG
    }
}

/// How many marks lie in the row itself.
pub(super) const INSIDE: usize = 4;

/// The newest marks of a key, oldest first.
#[derive(Debug, Clone)]
pub(super) enum Marks {
    /// In the row; 0 is none, and all of those are at the end.
    Few([u64; INSIDE]),
    /// Outside.
    Many(Vec<u64>),
}

impl Default for Marks {
    fn default() -> Self {
        Marks::Few([0; INSIDE])
    }
}

impl From<Mark> for Marks {
    fn from(mark: Mark) -> Self {
        Marks::Few([mark.0, 0, 0, 0])
    }
}

impl Marks {
    pub(super) fn all(&self) -> &[u64] {
        match self {
            Marks::Few(few) => {
                let count = few.iter().filter(|mark| **mark != 0).count();
                &few[..count]
            }
            Marks::Many(many) => many,
        }
    }

    /// The marks from `start` on.
    pub(super) fn since(&self, start: u64) -> impl DoubleEndedIterator<Item = Mark> + Clone {
        let all = self.all();
        let old = all.partition_point(|mark| Mark(*mark).at() < start);
        all[old..].iter().map(|mark| Mark(*mark))
    }

    pub(super) fn newest(&self) -> u64 {
        let newest = match self {
            Marks::Few([a, b, c, d]) => *a.max(b).max(c.max(d)),
            Marks::Many(many) => many.last().copied().unwrap_or(0),
        };
        Mark(newest).at()
    }

    /// Adds a mark in its place; of more than `cap` the oldest goes.
    pub(super) fn add(&mut self, mark: Mark, cap: usize) {
        let count = self.all().len();
        match self {
            Marks::Few(few) if count < INSIDE => {
                few[count] = mark.0;
                if count > 0 && few[count - 1] > mark.0 {
                    few[..=count].sort_unstable();
                }
            }
            Marks::Few(few) if cap <= INSIDE => {
                if mark.0 > few[0] {
                    few[0] = mark.0;
                    few.sort_unstable();
                }
            }
            Marks::Few(few) => {
                let mut many = Vec::with_capacity(INSIDE * 2);
                many.extend_from_slice(few);
                many.push(mark.0);
                many.sort_unstable();
                *self = Marks::Many(many);
            }
            Marks::Many(many) => {
                let at = many.partition_point(|other| *other < mark.0);
                if many.len() >= cap {
                    if at > 0 {
                        many.copy_within(1..at, 0);
                        many[at - 1] = mark.0;
                    }
                } else {
                    if many.len() == many.capacity() {
                        many.reserve_exact(INSIDE.min(cap - many.len()));
                    }
                    many.insert(at, mark.0);
                }
            }
        }
    }

    /// Keeps the marks that fit.
    pub(super) fn keep(&mut self, fits: impl Fn(Mark) -> bool) {
        match self {
            Marks::Few(few) => {
                let mut kept = 0;
                for at in 0..INSIDE {
                    let mark = few[at];
                    if mark != 0 && fits(Mark(mark)) {
                        few[kept] = mark;
                        kept += 1;
                    }
                }
                few[kept..].fill(0);
            }
            Marks::Many(many) => {
                many.retain(|mark| fits(Mark(*mark)));
                if many.len() <= INSIDE / 2 {
                    let mut few = [0; INSIDE];
                    few[..many.len()].copy_from_slice(many);
                    *self = Marks::Few(few);
                }
            }
        }
    }

    /// Drops the marks before `start`.
    pub(super) fn no_earlier_than(&mut self, start: u64) {
        let oldest = match self {
            Marks::Few(few) => few[0],
            Marks::Many(many) => many.first().copied().unwrap_or(0),
        };
        if oldest != 0 && Mark(oldest).at() < start {
            self.keep(|mark| mark.at() >= start);
        }
    }

    /// Takes marks of the future for marks of now: a clock that was wrong for a while.
    pub(super) fn no_later_than(&mut self, now: u64) {
        if self.newest() <= now {
            return;
        }
        let all = match self {
            Marks::Few(few) => &mut few[..],
            Marks::Many(many) => &mut many[..],
        };
        for mark in all.iter_mut().filter(|mark| Mark(**mark).at() > now) {
            let late = Mark(*mark);
            *mark = Mark::new(now, late.is_unknown(), late.tag()).0;
        }
        let end = all.iter().position(|mark| *mark == 0).unwrap_or(all.len());
        all[..end].sort_unstable();
    }
}

impl Row for Marks {
    /// First how many, then how new.
    fn danger(&self) -> u64 {
        (self.all().len() as u64) << 48 | self.newest()
    }

    fn is_least(&self) -> bool {
        matches!(self, Marks::Few([_, 0, ..]))
    }

    fn outside(&self) -> usize {
        match self {
            Marks::Few(_) => 0,
            Marks::Many(many) => many.capacity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_the_newest_in_order(
            times in proptest::collection::vec(1..1_000u64, 0..60),
            cap in 1..30usize,
        ) {
            // A ring of fewer than fit inside is cut by whoever counts.
            let cap = cap.max(INSIDE);
            let mut marks = Marks::default();
            let mut plain: Vec<u64> = Vec::new();
            for at in times {
                let mark = Mark::new(at, at % 3 == 0, at * 7);
                marks.add(mark, cap);
                plain.push(mark.0);
                plain.sort_unstable();
                if plain.len() > cap {
                    plain.remove(0);
                }
                prop_assert_eq!(marks.all(), &plain[..]);
            }
            let kept = |mark: &u64| Mark(*mark).at().is_multiple_of(2);
            marks.keep(|mark| kept(&mark.0));
            plain.retain(kept);
            prop_assert_eq!(marks.all(), &plain[..]);
        }
    }

    #[test]
    fn a_mark_keeps_its_parts() {
        let mark = Mark::new(LAST, true, 0x7f_ffff);
        assert_eq!(
            (mark.at(), mark.is_unknown(), mark.tag()),
            (LAST, true, 0x7f_ffff)
        );
        assert_ne!(Mark::new(0, false, 0).0, 0);
        assert_eq!(size_of::<(u64, Marks)>(), 48);
    }
}
