//! Points in time and their text forms.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch, UTC.
///
/// Arithmetic saturates: a term of a billion years ends at [`Timestamp::LAST`] instead of wrapping around.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "i64")]
pub struct Timestamp(i64);

/// As [`Timestamp::from_millis`]: a stored or imported number may be anything.
impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Timestamp::from_millis(millis)
    }
}

/// By how much the clock of another instance may be ahead of ours, and ours may have been of itself.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);

impl Timestamp {
    /// 9999-01-01. Later times could have a year of five digits in some time zone, which XEP-0082 does not allow.
    pub const LAST: Timestamp = Timestamp(253_370_764_800_000);

    /// From milliseconds since the Unix epoch, clamped to 0001-01-01 and [`Timestamp::LAST`].
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.clamp(-62_135_596_800_000, Self::LAST.0))
    }

    /// Milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This time plus `span`, at most [`Timestamp::LAST`].
    pub fn saturating_add(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This time minus `span`, at least 0001-01-01.
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// The time from `earlier` to this; zero if this is not later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let millis = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_millis(millis.unsigned_abs())
    }

    /// XEP-0082 `DateTime` in UTC, in whole seconds: `2026-11-22T04:00:00Z`.
    pub fn to_xmpp(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    /// Like [`Timestamp::to_xmpp`], with milliseconds if they are not zero: `2026-11-22T04:00:00.250Z`.
    pub fn to_exact(self) -> String {
        match self.0.rem_euclid(1_000) {
            0 => self.to_xmpp(),
            millis => self.format(&format!("%Y-%m-%dT%H:%M:%S.{millis:03}Z")),
        }
    }

    /// Like [`Timestamp::to_xmpp`], always with milliseconds: `2026-11-22T04:00:00.250Z`. Cheap enough for every
    /// answer to a login.
    pub fn to_xmpp_millis(self) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map(|at| format!("{at:.3}"))
            .unwrap_or_else(|_| String::from("?"))
    }

    /// Parses a date (`2030-01-01`, which is its first moment in UTC), or a date and time as in XEP-0082 or RFC 3339
    /// (`2030-01-01T12:00Z`; UTC if there is no offset). `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Self::from_millis(at.as_millisecond()));
        }
        let civil = text
            .strip_suffix(['Z', 'z'])
            .unwrap_or(text)
            .parse::<jiff::civil::DateTime>()
            .ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self::from_millis(zoned.timestamp().as_millisecond()))
    }

    fn format(self, pattern: &str) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map(|at| at.strftime(pattern).to_string())
            .unwrap_or_else(|_| String::from("?"))
    }
}

/// `2030-01-01 12:00 UTC`, with seconds only if they are not zero: `2030-01-01 12:00:05 UTC`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = if self.0.rem_euclid(60_000) < 1000 {
            "%Y-%m-%d %H:%M UTC"
        } else {
            "%Y-%m-%d %H:%M:%S UTC"
        };
        f.write_str(&self.format(pattern))
    }
}

/// A duration in words, in at most two units: `3 days`, `1 day 12 hours`, `40 seconds`.
pub fn in_words(span: Duration) -> String {
    const UNITS: [(u64, &str); 5] = [
        (365 * 86_400, "year"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let seconds = span.as_secs() + u64::from(span.subsec_millis() >= 500);
    // Rounded to the second unit, so that a ban of 3 days is still "3 days" a moment later.
    let first = UNITS.iter().position(|(size, _)| seconds >= *size);
    let grain = first
        .and_then(|at| UNITS.get(at + 1))
        .map_or(1, |unit| unit.0);
    let mut left = seconds.saturating_add(grain / 2) / grain * grain;
    let mut words = Vec::new();
    for (size, name) in UNITS {
        let count = left / size;
        left %= size;
        if count > 0 {
            words.push(format!(
                "{count} {name}{}",
                if count == 1 { "" } else { "s" }
            ));
        }
    }
    if words.is_empty() {
        return String::from("less than a second");
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_dates_as_people_and_as_xmpp_write_them() {
        let noon = Timestamp::parse("2030-01-01T12:00:00Z").unwrap();
        assert_eq!(noon, Timestamp::parse("2030-01-01T12:00").unwrap());
        assert_eq!(noon, Timestamp::parse("2030-01-01 12:00").unwrap());
        assert_eq!(noon, Timestamp::parse("2030-01-01T13:00:00+01:00").unwrap());
        assert_eq!(noon.to_string(), "2030-01-01 12:00 UTC");
        assert_eq!(noon.to_xmpp(), "2030-01-01T12:00:00Z");
        assert_eq!(
            Timestamp::parse("2030-01-01").unwrap().to_string(),
            "2030-01-01 00:00 UTC"
        );
        assert_eq!(Timestamp::parse("tomorrow"), None);
        let second = Timestamp::from_millis(1_000);
        assert_eq!(second.to_string(), "1970-01-01 00:00:01 UTC");
    }

    #[test]
    fn exact_times_come_back_as_they_went() {
        for millis in [0, 1, 250, 1_795_320_000_999, -1, -62_135_596_799_001] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&at.to_exact()), Some(at));
        }
        let quarter = Timestamp::from_millis(250).to_exact();
        assert_eq!(quarter, "1970-01-01T00:00:00.250Z");
        let always = |millis| Timestamp::from_millis(millis).to_xmpp_millis();
        assert_eq!(always(250), "1970-01-01T00:00:00.250Z");
        assert_eq!(always(1_000), "1970-01-01T00:00:01.000Z");
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let last = Timestamp::from_millis(0).saturating_add(Duration::MAX);
        assert_eq!(last, Timestamp::LAST);
        assert!(last.to_xmpp().starts_with("9999-"), "{last}");
    }

    #[test]
    fn a_stored_number_outside_of_the_calendar_is_read_as_its_nearest_time() {
        for (millis, read) in [
            (i64::MAX, Timestamp::LAST),
            (i64::MIN, Timestamp::from_millis(i64::MIN)),
        ] {
            let bytes = postcard::to_stdvec(&millis).unwrap();
            assert_eq!(postcard::from_bytes::<Timestamp>(&bytes).unwrap(), read);
            let text = serde_json::to_string(&millis).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), read);
        }
    }

    #[test]
    fn lengths_are_told_in_two_units_at_most() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(3 * 86_400), "3 days");
        assert_eq!(words(36 * 3_600), "1 day 12 hours");
        assert_eq!(words(86_400 + 59), "1 day");
        assert_eq!(words(90), "1 minute 30 seconds");
        assert_eq!(words(7 * 86_400 - 10), "7 days");
        assert_eq!(words(86_399), "1 day");
        assert_eq!(in_words(Duration::from_millis(2_999)), "3 seconds");
        assert_eq!(words(0), "less than a second");
    }
}
