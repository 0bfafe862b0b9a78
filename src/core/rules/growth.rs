//! How the bans of one subject grow from one to the next, and how long earlier ones count.

use std::time::Duration;

/// A number with three decimal places, counted in thousandths: terms must come out the same
/// everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milli(pub u64);

impl Milli {
    /// 1.
    pub const ONE: Milli = Milli(1_000);

    /// From a number that is not negative and at most a million.
    pub fn from_f64(number: f64) -> Option<Milli> {
        let milli = (number * 1_000.0).round();
        // The bound makes the cast exact.
        (0.0..=1e9).contains(&milli).then_some(Milli(milli as u64))
    }
}

/// How the bans of one subject grow: fail2ban's increment (`bantime.increment` and what belongs
/// to it), and what it lacks: memory with an end, and decay.
///
/// With T for [`Rule::ban`](super::Rule::ban) and c for the bans there were: T at first, then
/// `max(T, T · 2^min(c,20) · factor)`, or with multipliers `T · factor · m[c]` with the last one
/// for all further c (so the first of them is never used), as in fail2ban.
///
/// Different on purpose: nothing exceeds `cap`, neither the first ban nor by `jitter`; and
/// `jitter` never makes a ban shorter than the one before, as long as the settings stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// fail2ban's `bantime.factor`.
    pub factor: Milli,
    /// fail2ban's `bantime.multipliers`, never smaller than the one before; empty: doubling.
    pub multipliers: Vec<Milli>,
    /// The longest term: fail2ban's `bantime.maxtime`.
    pub cap: Duration,
    /// Up to so much is added by chance to the second and later terms: fail2ban's `rndtime`.
    pub jitter: Duration,
    /// Failures of a subject with c earlier bans count `min(2^(c-1) + 1, limit)`-fold, as in
    /// fail2ban: of 5 failures, 5, 3, 2, 1 are needed.
    pub known_bad_weight: bool,
    /// The bans are forgotten so long after the last of them ended; `None`: never.
    pub memory: Option<Duration>,
    /// The number of bans halves each time so much has passed since the last ended; `None`: never.
    pub decay: Option<Duration>,
}

impl Default for Growth {
    fn default() -> Self {
        Growth {
            factor: Milli::ONE,
            multipliers: Vec::new(),
            cap: CAP,
            jitter: Duration::ZERO,
            known_bad_weight: false,
            memory: None,
            decay: None,
        }
    }
}

/// The cap where none is set.
pub const CAP: Duration = Duration::from_secs(7 * 86_400);
/// fail2ban doubles no further than this.
const DOUBLINGS: u32 = 20;

impl Growth {
    /// How many of `count` bans still count when the last one ended `quiet` ago.
    pub fn remembered(&self, count: u32, quiet: Duration) -> u32 {
        if self.memory.is_some_and(|memory| quiet > memory) {
            return 0;
        }
        let halvings = match self.decay {
            Some(decay) if !decay.is_zero() => quiet.as_millis() / decay.as_millis().max(1),
            _ => 0,
        };
        count
            .checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    pub(super) fn term(
        &self,
        first: Duration,
        count: u32,
        before: Option<Duration>,
        chance: u64,
    ) -> Duration {
        let first = first.as_millis().min(self.cap.as_millis());
        if count == 0 {
            return millis(first);
        }
        let times = |milli: Milli| u128::from(milli.0);
        let at = usize::try_from(count).unwrap_or(usize::MAX);
        let grown = match self.multipliers.get(at).or(self.multipliers.last()) {
            Some(multiplier) => {
                first
                    .saturating_mul(times(self.factor))
                    .saturating_mul(times(*multiplier))
                    / 1_000_000
            }
            None => (first << count.min(DOUBLINGS)).saturating_mul(times(self.factor)) / 1_000,
        };
        let grown = match self.multipliers.is_empty() {
            true => grown.max(first),
            false => grown,
        };
        let jitter = self.jitter.as_millis();
        // 64 bits of chance are a fraction of all there are.
        let drawn = (jitter.saturating_mul(u128::from(chance))) >> 64;
        let floor = before.map_or(0, |before| {
            before.as_millis().min(grown.saturating_add(jitter))
        });
        millis(
            grown
                .saturating_add(drawn)
                .max(floor)
                .min(self.cap.as_millis()),
        )
    }
}

fn millis(millis: u128) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rules::{Counts, Key, Rule};

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    fn rule(growth: Growth) -> Rule {
        Rule {
            name: "x".into(),
            key: Key::Address,
            counts: Counts::Failures,
            limit: 5,
            window: MINUTE,
            ban: MINUTE,
            growth: Some(growth),
            dry_run: false,
        }
    }

    fn minutes(rule: &Rule, bans: u32) -> Vec<u64> {
        let term = |count| rule.term(count, None, 0).as_secs() / 60;
        (0..bans).map(term).collect()
    }

    /// The numbers of ban-engines 4.3, worked out with fail2ban's `BanTimeIncr`.
    #[test]
    fn terms_grow_as_in_fail2ban() {
        let plain = Growth {
            cap: DAY * 365,
            ..Growth::default()
        };
        assert_eq!(minutes(&rule(plain.clone()), 6), [1, 2, 4, 8, 16, 32]);
        let factor = |milli| Growth {
            factor: Milli(milli),
            ..plain.clone()
        };
        assert_eq!(minutes(&rule(factor(3_000)), 4), [1, 6, 12, 24]);
        assert_eq!(
            minutes(&rule(factor(250)), 5),
            [1, 1, 1, 2, 4],
            "never under T"
        );
        let steps = Growth {
            multipliers: [1, 5, 30, 60].map(|m| Milli(m * 1_000)).to_vec(),
            ..plain.clone()
        };
        assert_eq!(minutes(&rule(steps), 6), [1, 5, 30, 60, 60, 60]);
        let capped = Growth {
            cap: MINUTE * 5,
            ..plain.clone()
        };
        assert_eq!(minutes(&rule(capped), 5), [1, 2, 4, 5, 5]);
        let far = rule(Growth {
            cap: Duration::MAX,
            factor: Milli(1_000_000_000),
            ..plain
        });
        assert_eq!(
            far.term(20, None, 0),
            far.term(u32::MAX, None, 0),
            "20 doublings"
        );
        assert!(far.term(u32::MAX, None, u64::MAX) > DAY * 365);
    }

    #[test]
    fn failures_of_the_known_bad_weigh_as_in_fail2ban() {
        let needed = |limit: u32| {
            let rule = Rule {
                limit,
                ..rule(Growth {
                    known_bad_weight: true,
                    ..Growth::default()
                })
            };
            (0..7)
                .map(|c| limit.div_ceil(rule.weight(c)))
                .collect::<Vec<_>>()
        };
        assert_eq!(needed(5), [5, 3, 2, 1, 1, 1, 1]);
        assert_eq!(needed(10), [10, 5, 4, 2, 2, 1, 1]);
        assert_eq!(needed(20), [20, 10, 7, 4, 3, 2, 1]);
    }

    #[test]
    fn quiet_time_halves_the_count_and_memory_ends_it() {
        let growth = Growth {
            memory: Some(DAY * 90),
            decay: Some(DAY * 30),
            ..Growth::default()
        };
        let left = |days| growth.remembered(9, DAY * days);
        assert_eq!([0, 29, 30, 60, 90].map(left), [9, 9, 4, 2, 1]);
        assert_eq!(left(91), 0);
        assert_eq!(Growth::default().remembered(9, DAY * 10_000), 9);
    }
}
