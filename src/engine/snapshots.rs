//! Saves snapshots of the ledger, so that a start need not fold the whole log;
//! [`journal::restore`](crate::journal::restore) reads them.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::core::{Ledger, Seq};
use crate::journal::LogFault;

/// Interval between two checks whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A snapshot is due after this many entries; folding them takes a fifth of a second.
const LONG: u64 = 50_000;
/// The same when the program stops.
const LONG_AT_THE_END: u64 = 5_000;
/// Number of subjects encoded under one lock, which logins may have to wait for.
const AT_ONCE: usize = 512;

/// Saves snapshots of an engine's ledger.
pub struct Snapshotter {
    engine: Arc<Engine>,
}

impl Snapshotter {
    /// A snapshotter of this engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        Snapshotter { engine }
    }

    /// Position in the log of the snapshot that the engine started from; 0: it folded the whole log.
    pub fn began_with(&self) -> Seq {
        self.engine.restored
    }

    /// Saves a snapshot whenever one is due, until told to stop, and once more then if it is worth it.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut last = self.began_with();
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let (folded, subjects) = self
                .engine
                .read(|ledger| (ledger.folded(), ledger.subjects().len()));
            let enough = match stopping {
                true => LONG_AT_THE_END,
                // The size of a snapshot grows with the ledger, so a larger one is saved less often.
                false => LONG.max(subjects as u64 / 16),
            };
            if folded.0.saturating_sub(last.0) >= enough {
                let snapshotter = Arc::clone(&self);
                match tokio::task::spawn_blocking(move || snapshotter.take()).await {
                    Ok(Ok(upto)) => last = upto,
                    Ok(Err(why)) => {
                        tracing::warn!(%why, "cannot save a snapshot of decisions; the next start will take longer");
                    }
                    Err(why) => {
                        tracing::error!(%why, "saving a snapshot of decisions panicked")
                    }
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// Saves a snapshot of the ledger; returns its position in the log. Blocks on the disk; logins wait for one piece
    /// of it at most.
    ///
    /// # Errors
    /// [`LogFault`] if it could not be saved; the earlier one is then still there.
    pub fn take(&self) -> Result<Seq, LogFault> {
        let mut taking = Some(self.change(|ledger| ledger.begin_snapshot(AT_ONCE)));
        let mut upto = Seq(0);
        let mut frames = std::iter::from_fn(|| {
            let mut under_way = taking.take()?;
            if let Some(piece) = self.engine.read(|ledger| ledger.next_piece(&mut under_way)) {
                taking = Some(under_way);
                return Some(Ok(piece));
            }
            let ending = self.change(|ledger| ledger.end_snapshot(under_way));
            upto = ending.folded();
            // A start from the snapshot does not see the effects of entries before it, so they must be saved first.
            let saved = self.engine.effects.save(upto);
            let there = saved.and_then(|()| self.engine.replica.read(upto, 1));
            Some(there.and_then(|there| match there.first() {
                Some(entry) => Ok(ending.seal(entry.chain)),
                None => Err(LogFault::Broken(String::from("there is nothing to keep"))),
            }))
        });
        let kept = self.engine.snapshots.save_snapshot(&mut frames);
        if let Some(given_up) = taking {
            drop(self.change(|ledger| ledger.end_snapshot(given_up)));
        }
        kept.map(|()| upto)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Ledger) -> R) -> R {
        change(
            &mut self
                .engine
                .ledger
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}
