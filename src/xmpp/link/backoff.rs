//! How long to wait before the next attempt. Pure: randomness is an argument.

use std::net::IpAddr;
use std::time::Duration;

/// The pace of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A lost socket or a server that restarts: 100 ms, doubling up to 10 s, or to half a second on this machine: while we
    /// are away, nobody counts guesses.
    Short,
    /// For a fault that fast attempts make worse (two instances replacing each other) or cannot fix (a refused
    /// secret): 30 s, doubling up to 10 min.
    Long,
}

/// How far away the server is; it decides the pace of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distance {
    /// On this machine, where an attempt costs next to nothing.
    Here,
    /// On another machine, or unknown.
    Far,
}

impl Distance {
    /// The distance of a server named `host:port`.
    pub(super) fn of(server: &str) -> Self {
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        if is_loopback {
            Distance::Here
        } else {
            Distance::Far
        }
    }
}

/// The delay before attempt `tries + 1`, with jitter from `chance`, so that many instances do not reconnect at the
/// same moment.
pub(super) fn delay(patience: Patience, distance: Distance, tries: u32, chance: u32) -> Duration {
    let longest = match distance {
        Distance::Here => Duration::from_millis(500),
        Distance::Far => Duration::from_secs(10),
    };
    let (first, most, least_part) = match patience {
        Patience::Short => (Duration::from_millis(100), longest, 0.5),
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
        let secs =
            |patience, tries, chance| delay(patience, Distance::Far, tries, chance).as_secs_f64();
        assert_eq!(secs(Patience::Short, 0, 0), 0.05);
        assert_eq!(secs(Patience::Short, 0, u32::MAX), 0.1);
        assert_eq!(secs(Patience::Short, 3, u32::MAX), 0.8);
        assert_eq!(secs(Patience::Short, u32::MAX, u32::MAX), 10.0);
        assert_eq!(secs(Patience::Long, 0, 0), 30.0);
        assert_eq!(secs(Patience::Long, 1, u32::MAX), 90.0);
        assert_eq!(secs(Patience::Long, 1_000, 0), 600.0);
    }

    #[test]
    fn a_server_on_this_machine_is_tried_at_least_every_half_second() {
        for (server, distance) in [
            ("127.0.0.1:5347", Distance::Here),
            ("[::1]:5347", Distance::Here),
            ("localhost:5347", Distance::Here),
            ("xmpp.example.org:5347", Distance::Far),
            ("203.0.113.7:5347", Distance::Far),
        ] {
            assert_eq!(Distance::of(server), distance, "{server}");
        }
        let here = |patience, tries| delay(patience, Distance::Here, tries, u32::MAX);
        assert_eq!(here(Patience::Short, 0), Duration::from_millis(100));
        assert_eq!(here(Patience::Short, u32::MAX), Duration::from_millis(500));
        assert_eq!(
            delay(Patience::Long, Distance::Here, 0, 0),
            Duration::from_secs(30),
            "a conflict stays one"
        );
    }
}
