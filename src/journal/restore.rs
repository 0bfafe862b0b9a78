//! The ledger back from a snapshot, so that a start need not fold the whole log.
//!
//! The log stays the truth. A snapshot counts only when nothing of it is missing, this version of the program made it, and
//! the log holds the very entry it ends with; else the log is folded from its first entry on, which takes longer and
//! comes to the same.

use std::sync::{Arc, mpsc};
use std::thread;

use super::{LogFault, Replica, Snapshots};
use crate::core::event::Chain;
use crate::core::ledger::{ActiveBans, BadSnapshot, Restored};
use crate::core::{Ban, Ledger, Seq};

/// The ledger of the last snapshot, or an empty one: whoever asks folds what is behind its place. `cursor` is how far
/// effects have been taken in.
///
/// # Errors
/// [`LogFault`] when the log cannot be read.
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
                    // What they ask of the server would be lost with the entries between.
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
    tracing::info!(%why, "the snapshot of decisions is not used; reading all of them");
    Ok(Ledger::default())
}

/// Reads a snapshot on this thread, while another one builds the index that logins are looked up with: alone it would take
/// a third of the time.
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
            // The other end only goes when this one does.
            let _ = tell.send(bans.to_vec());
        });
        drop(tell);
        match active.join() {
            Ok(active) => Ok(restored?.finish(active)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
