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
/// After so many looks a snapshot is due if anything is new. A start does not need it, but one damaged page can make the
/// whole log unreadable, and then the snapshot has the bans (docs/adr/0022-second-store.md).
const LOOKS: u64 = 60;
/// With every so many subjects more, that takes as long again.
const MANY: u64 = 100_000;
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

    /// Saves a snapshot whenever one is due, until told to stop, and once more then if anything is new.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut last = self.began_with();
        let mut looks = 0;
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let (folded, subjects) = self
                .engine
                .read(|ledger| (ledger.folded(), ledger.subjects().len()));
            looks += 1;
            // The size of a snapshot grows with the ledger, so a larger one is saved less often.
            let subjects = subjects as u64;
            let enough = match stopping || looks >= LOOKS * (1 + subjects / MANY) {
                true => 1,
                false => LONG.max(subjects / 16),
            };
            if folded.0.saturating_sub(last.0) >= enough {
                looks = 0;
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
