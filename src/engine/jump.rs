//! Finds out that the wall clock was set, by comparing it with a clock that nobody sets.
//!
//! A wrong wall clock must not end bans for good: what is written down in the log stays so after the clock was put
//! right. Until a jump has lasted for [`BELIEVED_AFTER`], ends are written down as far as both clocks agree on them.

use std::time::Duration;

use crate::core::Timestamp;

/// A smaller difference is no jump: both clocks drift, and a busy machine reads them apart.
const TOLERATED: Duration = Duration::from_secs(60);
/// A jump that lasts as long as this is the new time.
const BELIEVED_AFTER: Duration = Duration::from_secs(3_600);

/// The wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockJump {
    /// When it was noticed, by the clock before the jump.
    pub at: Timestamp,
    /// How far it was set, in milliseconds; negative: back.
    pub by: i64,
    /// When it is believed, by the clock before the jump.
    pub believed: Timestamp,
}

/// What a look at the clocks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockLook {
    /// Ends up to this time may be written down.
    pub(super) sure: Timestamp,
    /// The jump that is not believed yet.
    pub(super) jump: Option<ClockJump>,
}

/// The difference between the two clocks, as it was believed last.
#[derive(Debug, Default)]
pub(super) struct JumpWatch {
    /// Wall clock minus steady clock, in milliseconds; `None` before the first look.
    offset: Option<i64>,
    /// A jump: the new difference, and the time of the steady clock when it was first seen.
    jumped: Option<(i64, i64)>,
}

impl JumpWatch {
    /// Compares the clocks. `steady` is the time since any fixed moment.
    pub(super) fn look(&mut self, wall: Timestamp, steady: Duration) -> ClockLook {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let steady = millis(steady);
        let now = wall.as_millis().saturating_sub(steady);
        let before = *self.offset.get_or_insert(now);
        let agree = |one: i64, other: i64| one.abs_diff(other) <= millis(TOLERATED).unsigned_abs();
        if agree(now, before) {
            // Follows the drift.
            (self.offset, self.jumped) = (Some(now), None);
            return ClockLook {
                sure: wall,
                jump: None,
            };
        }
        let (_, since) = match self.jumped {
            Some((offset, since)) if agree(now, offset) => (offset, since),
            _ => *self.jumped.insert((now, steady)),
        };
        let believed = since.saturating_add(millis(BELIEVED_AFTER));
        if steady >= believed {
            (self.offset, self.jumped) = (Some(now), None);
            return ClockLook {
                sure: wall,
                jump: None,
            };
        }
        let by_old = |steady: i64| Timestamp::from_millis(steady.saturating_add(before));
        ClockLook {
            sure: wall.min(by_old(steady)),
            jump: Some(ClockJump {
                at: by_old(since),
                by: now.saturating_sub(before),
                believed: by_old(believed),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    /// Looks at these seconds of the wall clock and of the steady one: how far the sure time is from the steady one, and the
    /// jump in seconds.
    fn looks(all: &[(i64, u64)]) -> Vec<(i64, Option<i64>)> {
        let mut watch = JumpWatch::default();
        let look = |(wall, steady): &(i64, u64)| {
            let (wall, steady) = (
                Timestamp::from_millis(wall * 1_000),
                Duration::from_secs(*steady),
            );
            let found = watch.look(wall, steady);
            (
                found.sure.as_millis() / 1_000,
                found.jump.map(|jump| jump.by / 1_000),
            )
        };
        all.iter().map(look).collect()
    }

    #[test]
    fn a_jump_is_believed_after_an_hour_and_forgotten_when_it_is_put_right() {
        let forward = [
            (0, 0),
            (10, 10),
            (DAY + 20, 20),
            (DAY + 3_600, 3_600),
            (DAY + 3_620, 3_620),
        ];
        let found = [
            (0, None),
            (10, None),
            (20, Some(DAY)),
            (3_600, Some(DAY)),
            (DAY + 3_620, None),
        ];
        assert_eq!(looks(&forward), found);
        let put_right = [(0, 0), (DAY + 20, 20), (30, 30), (3_700, 3_700)];
        let found = [(0, None), (20, Some(DAY)), (30, None), (3_700, None)];
        assert_eq!(looks(&put_right), found);
        // Put right later than an hour after: the new time was believed, and going back is a jump, too.
        let back = [
            (DAY, 0),
            (20, 20),
            (3_600, 3_600),
            (3_620, 3_620),
            (DAY + 3_630, 3_630),
        ];
        let found = [
            (DAY, None),
            (20, Some(-DAY)),
            (3_600, Some(-DAY)),
            (3_620, None),
            (3_630, Some(DAY)),
        ];
        assert_eq!(looks(&back), found);
    }

    #[test]
    fn drift_is_followed_and_a_second_jump_begins_anew() {
        let drift: Vec<(i64, u64)> = (0..100)
            .map(|hour| (hour * 3_630, hour as u64 * 3_600))
            .collect();
        assert!(looks(&drift).iter().all(|(_, jump)| jump.is_none()));
        let twice = [
            (0, 0),
            (DAY + 10, 10),
            (2 * DAY + 3_000, 3_000),
            (2 * DAY + 3_620, 3_620),
            (2 * DAY + 6_600, 6_600),
        ];
        let found = [
            (0, None),
            (10, Some(DAY)),
            (3_000, Some(2 * DAY)),
            (3_620, Some(2 * DAY)),
            (2 * DAY + 6_600, None),
        ];
        assert_eq!(looks(&twice), found);
    }
}
