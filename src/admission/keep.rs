//! How the counters of failed logins outlive the program.
//!
//! Every few seconds what came in since is written behind the last whole; when those parts have become large, and at the
//! end, the whole is written. A crash loses the failures of the last [`SAVE_EVERY`]; a ban is in the log and never lost.
//!
//! The lock that logins wait for is held for a part, or for a piece of a whole, never for a whole and never for the disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::SharedLogins;
use crate::core::tracker::UnsavedOutcomes;
use crate::core::{Policy, Timestamp, Tracker};
use crate::journal::LogFault;

/// How often counters are kept.
pub const SAVE_EVERY: Duration = Duration::from_secs(5);
/// Parts behind a whole, and their bytes, before a new whole is written.
const PARTS: u32 = 240;
const PARTS_BYTES: usize = 8 << 20;
/// How many rows of the counters are written under one lock, which logins wait for.
const ROWS_AT_ONCE: usize = 1_024;

/// Where the counters of failed logins outlive the program.
pub trait CounterStore: Send + Sync + 'static {
    /// Keeps what the counters of failed logins hold. Part 0 is a whole (many megabytes when much
    /// is counted) and replaces all parts there were, in one step: after a crash either all that
    /// was before or only the whole is there. Part n follows part n - 1. Need not be durable at
    /// once; after a crash the last parts may be missing, never one in the middle.
    ///
    /// # Errors
    /// [`LogFault`] when the disk fails.
    fn save_counters(&self, part: u32, bytes: &[u8]) -> Result<(), LogFault>;

    /// The whole and the parts behind it, in order; nothing when none was ever kept.
    ///
    /// # Errors
    /// [`LogFault`] when the disk fails. What is damaged is given as it is: the counters have a
    /// checksum of their own.
    fn load_counters(&self) -> Result<Vec<Vec<u8>>, LogFault>;
}

/// Keeps the counters.
pub(super) struct Keeper {
    store: Arc<dyn CounterStore>,
    kept: Mutex<PartsKept>,
}

/// Where the next part goes.
#[derive(Default, Clone, Copy)]
struct PartsKept {
    /// 0: no whole has been written yet.
    next: u32,
    bytes: usize,
}

impl Keeper {
    /// Brings the counters back, or begins with empty ones.
    pub(super) fn open(
        store: Arc<dyn CounterStore>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(Self, Tracker), LogFault> {
        let parts = store.load_counters()?;
        let rules = Arc::clone(&policy.rules);
        let bounds = rules.bounds;
        let restored = match parts.is_empty() {
            true => None,
            false => Tracker::restore(&parts, Arc::clone(&rules), bounds, now)
                .inspect_err(|why| {
                    tracing::error!(%why, "counting of failed logins starts anew");
                })
                .ok(),
        };
        let tracker = match restored {
            Some(tracker) => tracker,
            None => {
                let mut secret = [0; 16];
                getrandom::fill(&mut secret)
                    .map_err(|why| LogFault::Broken(format!("no randomness: {why}")))?;
                Tracker::new(rules, bounds, secret, now)
            }
        };
        let kept = Mutex::default();
        Ok((Keeper { store, kept }, tracker))
    }

    pub(super) async fn run(&self, shared: &Arc<SharedLogins>, stop: CancellationToken) {
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(SAVE_EVERY) => false,
            };
            self.save(shared, stopping).await;
            if stopping {
                return;
            }
        }
    }

    async fn save(&self, shared: &Arc<SharedLogins>, stopping: bool) {
        let kept = *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_large = kept.next > PARTS || kept.bytes > PARTS_BYTES;
        let part = match stopping || kept.next == 0 || is_large {
            true => None,
            false => match shared.lock().tracker.save_recent() {
                UnsavedOutcomes::Nothing => return,
                UnsavedOutcomes::Part(bytes) => Some(bytes),
                UnsavedOutcomes::TooMuch => None,
            },
        };
        let (store, home) = (Arc::clone(&self.store), Arc::clone(shared));
        let saved = tokio::task::spawn_blocking(move || {
            let (part, bytes) = match part {
                Some(bytes) => (kept.next, bytes),
                None => (0, whole(&home)),
            };
            let size = if part == 0 {
                0
            } else {
                kept.bytes + bytes.len()
            };
            store.save_counters(part, &bytes).map(|()| PartsKept {
                next: part + 1,
                bytes: size,
            })
        });
        let failed = match saved.await {
            Ok(Ok(kept)) => {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
                return;
            }
            Ok(Err(why)) => why.to_string(),
            Err(why) => why.to_string(),
        };
        tracing::error!(why = %failed, "cannot keep the counters of failed logins; trying again");
        shared.lock().tracker.not_saved();
    }
}

/// The counters as bytes, taken in pieces between which logins go on.
fn whole(shared: &SharedLogins) -> Vec<u8> {
    let mut whole = shared.lock().tracker.begin_whole();
    loop {
        let piece = shared.lock().tracker.next_piece(&mut whole, ROWS_AT_ONCE);
        match piece {
            Some(rows) => whole.add(&rows),
            None => return whole.finish(),
        }
        // A lock that is free is not handed over: whoever waits for it must get the chance.
        std::thread::yield_now();
    }
}
