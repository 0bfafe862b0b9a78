//! The difference between a server's clock and ours, from the hellos of its hook module.

use std::fmt;
use std::time::Duration;

use crate::core::Timestamp;
use crate::core::time::in_words;

/// A smaller difference is ignored: a hello may have waited that long on a busy link.
const TOLERATED: Duration = Duration::from_secs(5);

/// A clock difference that admins should know about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockSkew {
    is_ahead: bool,
    by: Duration,
}

impl ClockSkew {
    /// The difference between the server's clock and ours, both read at the same moment; `None` if it is tolerated.
    pub(crate) fn between(theirs: Timestamp, ours: Timestamp) -> Option<Self> {
        let (is_ahead, by) = match theirs > ours {
            true => (true, theirs.since(ours)),
            false => (false, ours.since(theirs)),
        };
        (by > TOLERATED).then_some(ClockSkew { is_ahead, by })
    }
}

/// `15 minutes ahead of`
impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.is_ahead { "ahead of" } else { "behind" };
        write!(f, "{} {side}", in_words(self.by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_difference_are_named_with_their_direction() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let told =
            |theirs, ours| ClockSkew::between(at(theirs), at(ours)).map(|skew| skew.to_string());
        assert_eq!(told(1_000, 1_005), None);
        assert_eq!(told(1_005, 1_000), None);
        assert_eq!(told(1_000, 1_006).as_deref(), Some("6 seconds behind"));
        assert_eq!(told(1_900, 1_000).as_deref(), Some("15 minutes ahead of"));
    }
}
