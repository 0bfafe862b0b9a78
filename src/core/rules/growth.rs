//! Escalation: how bans of one subject get longer, and how long earlier ones count.

use std::time::Duration;

/// A number with three decimal places, in thousandths. Integers give the same terms on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milli(pub u64);

impl Milli {
    /// 1.
    pub const ONE: Milli = Milli(1_000);

    /// From a number between 0 and a million; `None` for any other.
    pub fn from_f64(number: f64) -> Option<Milli> {
        let milli = (number * 1_000.0).round();
        // The range check makes the cast exact.
        (0.0..=1e9).contains(&milli).then_some(Milli(milli as u64))
    }
}

/// Escalation as in fail2ban (`bantime.increment` and its options), plus decay and a limit to how long bans count.
///
/// With T = [`Rule::ban`](super::Rule::ban) and c = the number of earlier bans that count, the first term is T, and
/// later ones are `max(T, T · 2^min(c,20) · factor)`. With multipliers they are `T · factor · m[c]`, with the last
/// one for all higher c. As in fail2ban, the first multiplier is never used.
///
/// Differences from fail2ban: no term exceeds `cap`, not even the first one or through `jitter`; and `jitter` never
/// makes a ban shorter than the last one, as long as the settings stay the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// fail2ban's `bantime.factor`.
    pub factor: Milli,
    /// fail2ban's `bantime.multipliers`, in ascending order; empty: doubling.
    pub multipliers: Vec<Milli>,
    /// The longest term: fail2ban's `bantime.maxtime`.
    pub cap: Duration,
    /// Upper bound of the random time added to the second and later terms: fail2ban's `bantime.rndtime`.
    pub jitter: Duration,
    /// Whether a failure of a subject with c earlier bans counts `min(2^(c-1) + 1, limit)`-fold, as in fail2ban: with
    /// a limit of 5, a ban takes 5, 3, 2, then 1 failures.
    pub known_bad_weight: bool,
    /// Time after the end of the last ban when all bans stop counting; `None`: never.
    pub memory: Option<Duration>,
    /// The number of bans that count halves each time this long has passed since the last one ended; `None`: never.
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

/// Default of [`Growth::cap`].
pub const CAP: Duration = Duration::from_secs(7 * 86_400);
/// fail2ban's highest exponent.
const DOUBLINGS: u32 = 20;

impl Growth {
    /// How many of `count` bans still count, `quiet` after the last one ended.
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
        // `chance` as a fraction of all 64-bit values.
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
    use crate::core::rules::{Counts, Rule, RuleKey};

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    fn rule(growth: Growth) -> Rule {
        Rule {
            name: "x".into(),
            key: RuleKey::Address,
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

    /// The expected terms were computed with fail2ban's `BanTimeIncr`.
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

    #[test]
    fn jitter_is_a_part_of_its_bound_and_without_decay_bans_count_for_ever() {
        let growth = Growth {
            jitter: Duration::from_secs(100),
            decay: Some(Duration::ZERO),
            ..Growth::default()
        };
        let term = |chance| {
            growth
                .term(Duration::from_secs(60), 1, None, chance)
                .as_secs()
        };
        assert_eq!((term(0), term(1 << 63), term(1 << 62)), (120, 170, 145));
        assert_eq!(growth.remembered(4, Duration::from_secs(1 << 40)), 4);
    }
}
