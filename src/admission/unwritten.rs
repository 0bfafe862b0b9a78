//! Writes the bans that could not be written when rules decided them, because a full disk must not end the defence.
//!
//! Until then they are in force in memory ([`Pending`](super::pending::Pending)), and lost if the program stops.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::SharedLogins;
use crate::core::{Event, Timestamp};
use crate::engine::{Engine, LogPause};
use crate::journal::LogFault;

/// Pause between two attempts to write.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The most bans in one append.
const AT_ONCE: usize = 1_000;

/// That the log takes no decisions, and what is in force in memory only because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// When writing first failed.
    pub since: Timestamp,
    /// Number of bans by rules that are in force in memory only.
    pub bans: usize,
    /// The last error, for operators.
    pub why: String,
}

/// Appends the unwritten bans, each second while that fails, until told to stop. `tell` gets the present state of the log, also
/// if only people's orders failed.
pub(super) async fn write(
    engine: &Engine,
    shared: &SharedLogins,
    tell: &watch::Sender<Option<Unwritten>>,
    stop: CancellationToken,
) {
    let mut held = shared.unwritten.subscribe();
    let mut trouble = engine.trouble();
    let failing = LogPause::default();
    loop {
        let events = shared.unwritten(AT_ONCE, engine.now());
        let offered = offer(engine, shared, &events).await;
        let bans = shared.unwritten_len();
        let known = trouble.borrow_and_update().clone();
        match offered.err().or(known) {
            Some(why) => {
                if bans > 0 && failing.is_due() {
                    tracing::error!(%why, bans, "bans of rules hold in memory only: the log does not take them");
                }
                let before = tell.borrow().as_ref().map(|old| old.since);
                tell.send_replace(Some(Unwritten {
                    since: before.unwrap_or_else(|| engine.now()),
                    bans,
                    why: why.to_string(),
                }));
            }
            None if bans == 0 => {
                if failing.end() {
                    tracing::info!(
                        "the log takes bans again; all that were held in memory are written or over"
                    );
                }
                tell.send_if_modified(|told| told.take().is_some());
            }
            None => continue,
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN_AFTER), if bans > 0 => {}
            changed = held.changed(), if bans == 0 => if changed.is_err() { return },
            changed = trouble.changed(), if bans == 0 => if changed.is_err() { return },
        }
    }
}

async fn offer(engine: &Engine, shared: &SharedLogins, events: &[Event]) -> Result<(), LogFault> {
    engine.append(events, Vec::new()).await?;
    let mut state = shared.lock();
    state.pending.end(events);
    shared.settle(&state);
    Ok(())
}
