//! How long to wait before the next try. Pure: chance enters as an argument.

use std::time::Duration;

/// How eager to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A lost socket or a server that restarts: 100 ms, doubling up to 10 s: bans must not wait long for a
    /// server that is back.
    Short,
    /// A fault that a quick retry makes worse (two daemons throwing each other out) or cannot mend (a refused secret):
    /// 30 s, doubling up to 10 min.
    Long,
}

/// The delay before try `tries + 1`, jittered by `chance` so that many instances do not come back as one.
pub(super) fn delay(patience: Patience, tries: u32, chance: u32) -> Duration {
    let (first, most, least_part) = match patience {
        Patience::Short => (Duration::from_millis(100), Duration::from_secs(10), 0.5),
        Patience::Long => (Duration::from_secs(30), Duration::from_secs(600), 1.0),
    };
    let full = first.saturating_mul(1 << tries.min(16)).min(most);
    full.mul_f64(least_part + 0.5 * f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_ceiling_and_never_below_their_floor() {
        let secs = |patience, tries, chance| delay(patience, tries, chance).as_secs_f64();
        assert_eq!(secs(Patience::Short, 0, 0), 0.05);
        assert_eq!(secs(Patience::Short, 0, u32::MAX), 0.1);
        assert_eq!(secs(Patience::Short, 3, u32::MAX), 0.8);
        assert_eq!(secs(Patience::Short, u32::MAX, u32::MAX), 10.0);
        assert_eq!(secs(Patience::Long, 0, 0), 30.0);
        assert_eq!(secs(Patience::Long, 1, u32::MAX), 90.0);
        assert_eq!(secs(Patience::Long, 1_000, 0), 600.0);
    }
}
