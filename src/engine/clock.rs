//! The only file that reads the clock or the system's randomness.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use crate::core::{CommandId, EventId, Timestamp};
use crate::journal::LogFault;

/// A source of the current time: the system's clock, or one that a test sets.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    steady: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Clock {
            wall: Arc::new(system_now),
            steady: Arc::new(steady_now),
        }
    }

    /// A clock that returns the result of `now`, and whose time passes as that says: it is never found to be set.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let wall = Arc::new(now);
        let now = Arc::clone(&wall);
        let steady = move || Duration::from_millis(u64::try_from(now().as_millis()).unwrap_or(0));
        Clock {
            wall,
            steady: Arc::new(steady),
        }
    }

    /// A clock that a test sets: `wall` is what it shows, `steady` the time that passed since a fixed moment.
    pub fn from_fns(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        steady: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Clock {
            wall: Arc::new(wall),
            steady: Arc::new(steady),
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// The time since a fixed moment, by a clock that nobody sets.
    pub(super) fn steady(&self) -> Duration {
        (self.steady)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A source of new event ids. A single order draws one; for many, a batch is drawn at once, because asking the system
/// costs more than most proposals.
#[derive(Default)]
pub(crate) struct Ids {
    drawn: Vec<u8>,
    used: usize,
    failed: Option<getrandom::Error>,
}

/// Maximum number of bytes drawn at once.
const DRAWN_AT_ONCE: usize = 4_096;

impl Ids {
    /// The next id. Check [`Ids::fault`] before using it.
    pub(crate) fn fresh(&mut self) -> EventId {
        if self.used >= self.drawn.len() {
            let more = (self.drawn.len() * 4).clamp(16, DRAWN_AT_ONCE);
            self.drawn.resize(more, 0);
            self.failed = getrandom::fill(&mut self.drawn).err();
            self.used = 0;
        }
        let mut id = [0; 16];
        id.copy_from_slice(&self.drawn[self.used..self.used + 16]);
        self.used += 16;
        EventId(id)
    }

    /// Set if the system gave no randomness; the ids handed out since then must not be used.
    pub(crate) fn fault(&self) -> Option<LogFault> {
        let why = self.failed.as_ref()?;
        Some(LogFault::Broken(format!("no randomness: {why}")))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn system_now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the steady clock; not tokio's, which tests pause"
)]
fn steady_now() -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    now.saturating_duration_since(*FIRST.get_or_init(|| now))
}

/// A new event id.
///
/// # Errors
/// If the system gives no randomness; that fails the request, not the program.
pub fn fresh_id() -> Result<EventId, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(EventId(bytes))
}

/// A new command id.
///
/// # Errors
/// As [`fresh_id`].
pub fn fresh_command() -> Result<CommandId, getrandom::Error> {
    getrandom::u64().map(CommandId)
}
