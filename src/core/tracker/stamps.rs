//! The failures of one key, one 64-bit word each: the time, and a tag of the name it counts by.

use super::table::TableRow;

/// 40 bits of milliseconds, one bit for an account that does not exist, and 23 bits of a hash (of the account, the
/// address or the network). The time comes first, so stamps sort by it.
///
/// Two different names have the same tag with a probability of 1 in 8 million; then one failure too few is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FailureStamp(pub(super) u64);

/// The largest time of a stamp.
pub(super) const LAST: u64 = (1 << 40) - 1;
const TAG: u64 = (1 << 23) - 1;

impl FailureStamp {
    /// `at` is raised to at least 1, so no stamp is all zeros.
    pub(super) fn new(at: u64, unknown: bool, hash: u64) -> Self {
        FailureStamp(at.clamp(1, LAST) << 24 | u64::from(unknown) << 23 | (hash & TAG))
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

/// Number of stamps stored in the row itself.
pub(super) const INSIDE: usize = 4;

/// The newest stamps of a key, oldest first.
#[derive(Debug, Clone)]
pub(super) enum FailureStamps {
    /// Stored in the row; unused words are 0 and at the end.
    Few([u64; INSIDE]),
    /// Stored outside of the row.
    Many(Vec<u64>),
}

impl Default for FailureStamps {
    fn default() -> Self {
        FailureStamps::Few([0; INSIDE])
    }
}

impl From<FailureStamp> for FailureStamps {
    fn from(stamp: FailureStamp) -> Self {
        FailureStamps::Few([stamp.0, 0, 0, 0])
    }
}

impl FailureStamps {
    pub(super) fn all(&self) -> &[u64] {
        match self {
            FailureStamps::Few(few) => {
                let count = few.iter().filter(|stamp| **stamp != 0).count();
                &few[..count]
            }
            FailureStamps::Many(many) => many,
        }
    }

    /// The stamps from `start` on.
    pub(super) fn since(
        &self,
        start: u64,
    ) -> impl DoubleEndedIterator<Item = FailureStamp> + Clone {
        let all = self.all();
        let old = all.partition_point(|stamp| FailureStamp(*stamp).at() < start);
        all[old..].iter().map(|stamp| FailureStamp(*stamp))
    }

    pub(super) fn newest(&self) -> u64 {
        let newest = match self {
            FailureStamps::Few([a, b, c, d]) => *a.max(b).max(c.max(d)),
            FailureStamps::Many(many) => many.last().copied().unwrap_or(0),
        };
        FailureStamp(newest).at()
    }

    /// Inserts a stamp in order of time; of more than `cap` the oldest is dropped.
    pub(super) fn add(&mut self, stamp: FailureStamp, cap: usize) {
        let count = self.all().len();
        match self {
            FailureStamps::Few(few) if count < INSIDE => {
                few[count] = stamp.0;
                if count > 0 && few[count - 1] > stamp.0 {
                    few[..=count].sort_unstable();
                }
            }
            FailureStamps::Few(few) if cap <= INSIDE => {
                if stamp.0 > few[0] {
                    few[0] = stamp.0;
                    few.sort_unstable();
                }
            }
            FailureStamps::Few(few) => {
                let mut many = Vec::with_capacity(INSIDE * 2);
                many.extend_from_slice(few);
                many.push(stamp.0);
                many.sort_unstable();
                *self = FailureStamps::Many(many);
            }
            FailureStamps::Many(many) => {
                let at = many.partition_point(|other| *other < stamp.0);
                if many.len() >= cap {
                    if at > 0 {
                        many.copy_within(1..at, 0);
                        many[at - 1] = stamp.0;
                    }
                } else {
                    if many.len() == many.capacity() {
                        many.reserve_exact(INSIDE.min(cap - many.len()));
                    }
                    many.insert(at, stamp.0);
                }
            }
        }
    }

    /// Keeps the stamps for which `fits` is true.
    pub(super) fn keep(&mut self, fits: impl Fn(FailureStamp) -> bool) {
        match self {
            FailureStamps::Few(few) => {
                let mut kept = 0;
                for at in 0..INSIDE {
                    let stamp = few[at];
                    if stamp != 0 && fits(FailureStamp(stamp)) {
                        few[kept] = stamp;
                        kept += 1;
                    }
                }
                few[kept..].fill(0);
            }
            FailureStamps::Many(many) => {
                many.retain(|stamp| fits(FailureStamp(*stamp)));
                if many.len() <= INSIDE / 2 {
                    let mut few = [0; INSIDE];
                    few[..many.len()].copy_from_slice(many);
                    *self = FailureStamps::Few(few);
                }
            }
        }
    }

    /// Drops the stamps before `start`.
    pub(super) fn no_earlier_than(&mut self, start: u64) {
        let oldest = match self {
            FailureStamps::Few(few) => few[0],
            FailureStamps::Many(many) => many.first().copied().unwrap_or(0),
        };
        if FailureStamp(oldest).at() < start {
            self.keep(|stamp| stamp.at() >= start);
        }
    }

    /// Moves stamps in the future to `now`; the clock must have been wrong.
    pub(super) fn no_later_than(&mut self, now: u64) {
        if self.newest() <= now {
            return;
        }
        let all = match self {
            FailureStamps::Few(few) => &mut few[..],
            FailureStamps::Many(many) => &mut many[..],
        };
        for stamp in all
            .iter_mut()
            .filter(|stamp| FailureStamp(**stamp).at() > now)
        {
            let late = FailureStamp(*stamp);
            *stamp = FailureStamp::new(now, late.is_unknown(), late.tag()).0;
        }
        let end = all
            .iter()
            .position(|stamp| *stamp == 0)
            .unwrap_or(all.len());
        all[..end].sort_unstable();
    }
}

impl TableRow for FailureStamps {
    /// Ordered by the number of stamps, then by the newest one.
    fn danger(&self) -> u64 {
        (self.all().len() as u64) << 48 | self.newest()
    }

    fn is_least(&self) -> bool {
        matches!(self, FailureStamps::Few([_, 0, ..]))
    }

    fn outside(&self) -> usize {
        match self {
            FailureStamps::Few(_) => 0,
            FailureStamps::Many(many) => many.capacity(),
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
            // Fewer stamps than fit into the row are cut by the caller.
            let cap = cap.max(INSIDE);
            let mut stamps = FailureStamps::default();
            let mut plain: Vec<u64> = Vec::new();
            for at in times {
                let stamp = FailureStamp::new(at, at % 3 == 0, at * 7);
                stamps.add(stamp, cap);
                plain.push(stamp.0);
                plain.sort_unstable();
                if plain.len() > cap {
                    plain.remove(0);
                }
                prop_assert_eq!(stamps.all(), &plain[..]);
            }
            let kept = |stamp: &u64| FailureStamp(*stamp).at().is_multiple_of(2);
            stamps.keep(|stamp| kept(&stamp.0));
            plain.retain(kept);
            prop_assert_eq!(stamps.all(), &plain[..]);
        }
    }

    #[test]
    fn a_mark_keeps_its_parts() {
        let stamp = FailureStamp::new(LAST, true, 0x7f_ffff);
        assert_eq!(
            (stamp.at(), stamp.is_unknown(), stamp.tag()),
            (LAST, true, 0x7f_ffff)
        );
        assert_ne!(FailureStamp::new(0, false, 0).0, 0);
        assert_eq!(size_of::<(u64, FailureStamps)>(), 48);
    }

    fn stamps(times: impl IntoIterator<Item = u64>, cap: usize) -> FailureStamps {
        let mut stamps = FailureStamps::default();
        for at in times {
            stamps.add(FailureStamp::new(at, false, at), cap);
        }
        stamps
    }

    #[test]
    fn old_ones_are_dropped_and_those_from_the_future_are_put_in_order() {
        for count in [4, 9] {
            let mut some = stamps(1..=count, 500);
            some.no_earlier_than(1);
            assert_eq!(some.all().len() as u64, count);
            some.no_earlier_than(3);
            assert_eq!(some.all().len() as u64, count - 2);
            assert_eq!(some.since(0).map(FailureStamp::at).min(), Some(3));
        }
        let mut late = FailureStamps::default();
        late.add(FailureStamp::new(10, false, 2), 4);
        late.add(FailureStamp::new(20, false, 1), 4);
        late.no_later_than(5);
        let tags: Vec<(u64, u64)> = late.since(0).map(|one| (one.at(), one.tag())).collect();
        assert_eq!(tags, [(5, 1), (5, 2)]);
    }

    #[test]
    fn memory_is_taken_for_as_many_as_may_be_kept_and_given_back() {
        let mut many = stamps(1..=100, 9);
        assert_eq!((many.all().len(), many.outside()), (9, 9));
        assert_eq!(stamps(1..=100, 10).outside(), 10);
        many.keep(|stamp| stamp.at() > 98);
        assert_eq!((many.all().len(), many.outside()), (2, 0));
    }

    #[test]
    fn more_failures_are_more_dangerous_than_newer_ones() {
        let (one, two) = (stamps([LAST], 4), stamps([1, 2], 4));
        assert!(one.danger() < two.danger() && two.danger() < stamps([1, 3], 4).danger());
        assert!(one.is_least() && !two.is_least());
    }
}
