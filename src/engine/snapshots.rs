//! Taking snapshots of the ledger, so that a start need not fold the whole log; [`journal::restore`](crate::journal::restore)
//! reads them.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::core::{Ledger, Seq};
use crate::journal::LogFault;

/// How often the log is looked at for being long enough behind the last snapshot.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Entries behind the last snapshot that are worth a new one; folding so many takes a fifth of a
/// second.
const LONG: u64 = 50_000;
/// The same at the end of the program.
const LONG_AT_THE_END: u64 = 5_000;
/// Subjects looked at under one lock, which logins may have to wait for.
const AT_ONCE: usize = 512;

/// Keeps snapshots of an engine's ledger.
pub struct Snapshotter {
    engine: Arc<Engine>,
}

impl Snapshotter {
    /// Of this engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        Snapshotter { engine }
    }

    /// The place in the log of the snapshot the engine began with; 0: it folded the whole log.
    pub fn began_with(&self) -> Seq {
        self.engine.restored
    }

    /// Takes a snapshot of the ledger whenever the log has become long behind the last one, until
    /// told to stop, and then once more if it is worth it.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut last = self.began_with();
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let (folded, subjects) = self
                .engine
                .read(|ledger| (ledger.folded(), ledger.subjects()));
            let enough = match stopping {
                true => LONG_AT_THE_END,
                // What is written grows with the ledger, so it is written less often.
                false => LONG.max(subjects as u64 / 16),
            };
            if folded.0.saturating_sub(last.0) >= enough {
                let snapshotter = Arc::clone(&self);
                match tokio::task::spawn_blocking(move || snapshotter.take()).await {
                    Ok(Ok(upto)) => last = upto,
                    Ok(Err(why)) => {
                        tracing::warn!(%why, "cannot keep a snapshot of decisions; a start will take longer");
                    }
                    Err(why) => {
                        tracing::error!(%why, "taking a snapshot of decisions failed inside")
                    }
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// Takes a snapshot of the ledger and keeps it; gives back the place in the log it belongs to.
    /// Blocks on the disk; nobody waits for it longer than for a piece.
    ///
    /// # Errors
    /// [`LogFault`] when it could not be kept; the one before is still there then.
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
            upto = ending.folded;
            // Behind the snapshot no effect is found again: those before it must be kept first.
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
