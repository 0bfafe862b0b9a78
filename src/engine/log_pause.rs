//! Keeps lasting trouble from filling the log, which may be on the same full disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Pause between two log lines about the same trouble.
const PAUSE: Duration = Duration::from_secs(60);

/// One kind of trouble: when the log last named it, `None` while there is none.
#[derive(Debug, Default)]
pub struct LogPause(Mutex<Option<Instant>>);

impl LogPause {
    /// There is trouble. Whether the log should name it: the first time, and then once a minute.
    pub fn is_due(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = said.is_none_or(|at| at.elapsed() >= PAUSE);
        if is_due {
            *said = Some(Instant::now());
        }
        is_due
    }

    /// The trouble is over. Whether the log had named it.
    pub fn end(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_named_at_once_then_after_a_pause_and_anew_after_its_end() {
        let trouble = LogPause::default();
        assert!(!trouble.end());
        assert!(trouble.is_due() && !trouble.is_due());
        assert!(trouble.end() && trouble.is_due());
    }
}
