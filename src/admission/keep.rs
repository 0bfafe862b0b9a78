//! Persistence of the counters of failed logins.
//!
//! Every [`SAVE_EVERY`] the changes since the last save are written as a part behind the last full save. When the
//! parts have become large, and at stop, all counters are saved in full. A crash loses at most the failures of the
//! last [`SAVE_EVERY`]; bans are in the log and never lost.
//!
//! The lock that logins wait for is held while a part, or a piece of a full save, is encoded; never for a whole full
//! save and never during disk work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::SharedLogins;
use crate::core::tracker::UnsavedOutcomes;
use crate::core::{Policy, Timestamp, Tracker};
use crate::engine::LogPause;
use crate::journal::LogFault;

/// How often the counters are saved.
pub const SAVE_EVERY: Duration = Duration::from_secs(5);
/// A new full save is due after this many parts or bytes of parts.
const PARTS: u32 = 240;
const PARTS_BYTES: usize = 8 << 20;
/// Number of counter rows that a full save encodes under one lock.
const ROWS_AT_ONCE: usize = 1_024;

/// Stores the counters of failed logins.
pub trait CounterStore: Send + Sync + 'static {
    /// Stores one part. Part 0 is a full save (many megabytes if there are many counters) and atomically replaces all
    /// earlier parts: after a crash either the old parts or the new full save are there. Part n follows part n - 1.
    /// Need not be durable on return: a crash may lose the last parts, but never one in the middle.
    ///
    /// # Errors
    /// [`LogFault`] if the disk fails.
    fn save_counters(&self, part: u32, bytes: &[u8]) -> Result<(), LogFault>;

    /// The last full save and the parts behind it, in order; empty if none was ever stored.
    ///
    /// # Errors
    /// [`LogFault`] if the disk fails. Damaged bytes are returned as they are, because the counters have their own
    /// checksum.
    fn load_counters(&self) -> Result<Vec<Vec<u8>>, LogFault>;
}

/// Saves and restores the counters.
pub(super) struct Keeper {
    store: Arc<dyn CounterStore>,
    kept: Mutex<PartsKept>,
    /// Saving fails.
    failing: LogPause,
}

/// What has been saved so far.
#[derive(Default, Clone, Copy)]
struct PartsKept {
    /// Number of the next part; 0 if there is no full save yet.
    next: u32,
    bytes: usize,
}

impl Keeper {
    /// Restores the counters, or starts with empty ones if there are none or they are damaged.
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
                    tracing::error!(%why, "the saved counters of failed logins cannot be used; counting starts from zero");
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
        let keeper = Keeper {
            store,
            kept: Mutex::default(),
            failing: LogPause::default(),
        };
        Ok((keeper, tracker))
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
                self.failing.end();
                return;
            }
            Ok(Err(why)) => why.to_string(),
            Err(why) => why.to_string(),
        };
        if self.failing.is_due() {
            tracing::error!(why = %failed, "cannot save the counters of failed logins; trying again");
        }
        shared.lock().tracker.not_saved();
    }
}

/// Encodes all counters, in pieces between which logins can take the lock.
fn whole(shared: &SharedLogins) -> Vec<u8> {
    let mut whole = shared.lock().tracker.begin_whole();
    loop {
        let piece = shared.lock().tracker.next_piece(&mut whole, ROWS_AT_ONCE);
        match piece {
            Some(rows) => whole.add(&rows),
            None => return whole.finish(),
        }
        // A mutex is not handed over when it is released, so waiting logins need a chance to take it.
        std::thread::yield_now();
    }
}
