//! Restores the ledger from a snapshot, so that a start need not fold the whole log.
//!
//! The log stays the truth. A snapshot is used only if it is complete, was made by this version of the program, and
//! ends with an entry that the log holds with the same hash. Otherwise the log is folded from its first entry, which
//! takes longer and leads to the same state.

use std::sync::{Arc, mpsc};
use std::thread;

use super::{LogFault, Replica, Snapshots};
use crate::core::event::Chain;
use crate::core::ledger::{ActiveBans, BadSnapshot, Restored};
use crate::core::{Ban, Ledger, Seq};

/// The ledger from the last snapshot, or an empty one; the caller folds the entries after [`Ledger::folded`].
/// `cursor` is the position up to which effects are in the outbox.
///
/// # Errors
/// [`LogFault`] if the log cannot be read.
pub fn restore(
    replica: &dyn Replica,
    snapshots: &dyn Snapshots,
    cursor: Seq,
) -> Result<Ledger, LogFault> {
    let why = match snapshots.load_snapshot() {
        Ok(frames) if frames.is_empty() => return Ok(Ledger::default()),
        Ok(frames) => match read(&frames) {
            Ok((ledger, chain)) => {
                let there = replica.read(ledger.folded(), 1)?;
                if ledger.folded() > cursor {
                    // The effects of the entries between `cursor` and the snapshot would be lost.
                    String::from("it is ahead of the unfinished work")
                } else if there.first().is_some_and(|entry| entry.chain == chain) {
                    return Ok(ledger);
                } else {
                    String::from("it belongs to another log")
                }
            }
            Err(why) => why.to_string(),
        },
        Err(why) => why.to_string(),
    };
    tracing::info!(%why, "the snapshot of decisions is not used; reading the whole log of decisions");
    Ok(Ledger::default())
}

/// Reads a snapshot while a second thread builds the index of active bans, which takes a third of the time.
fn read(frames: &[Vec<u8>]) -> Result<(Ledger, Chain), BadSnapshot> {
    thread::scope(|scope| {
        let (tell, read_so_far) = mpsc::channel::<Vec<Arc<Ban>>>();
        let index = move || {
            let mut active = ActiveBans::default();
            read_so_far.into_iter().for_each(|bans| active.extend(bans));
            active
        };
        let Ok(active) = thread::Builder::new().spawn_scoped(scope, index) else {
            return Ledger::restore(frames);
        };
        let restored = Restored::read(frames, |bans| {
            // Cannot fail: the receiver ends after this sender.
            let _ = tell.send(bans.to_vec());
        });
        drop(tell);
        match active.join() {
            Ok(active) => Ok(restored?.finish(active)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
