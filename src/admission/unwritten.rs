//! Writes the bans that could not be written when rules decided them, because a full disk must not end the defence.
//!
//! Until then they are in force in memory ([`Pending`](super::pending::Pending)), and lost if the program stops.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::SharedLogins;
use crate::core::{Event, Timestamp};
use crate::engine::{Engine, LogPause};

/// Pause between two attempts to write.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The most bans in one append.
const AT_ONCE: usize = 1_000;

/// Bans by rules that are in force in memory only, because the log cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// When writing first failed.
    pub since: Timestamp,
    /// Number of bans.
    pub bans: usize,
    /// The last error, for operators.
    pub why: String,
}

/// Appends the unwritten bans, each second while that fails, until told to stop. `tell` gets the present state.
pub(super) async fn write(
    engine: &Engine,
    shared: &SharedLogins,
    tell: &watch::Sender<Option<Unwritten>>,
    stop: CancellationToken,
) {
    let mut held = shared.unwritten.subscribe();
    let failing = LogPause::default();
    loop {
        let events = shared.unwritten(AT_ONCE, engine.now());
        let Err(why) = offer(engine, shared, &events).await else {
            if shared.unwritten_len() == 0 {
                if tell.send_replace(None).is_some() {
                    tracing::info!(
                        "the log takes bans again; all that were held in memory are written or over"
                    );
                }
                failing.end();
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = held.changed() => if changed.is_err() { return },
                }
            }
            continue;
        };
        let bans = shared.unwritten_len();
        let since = tell
            .borrow()
            .as_ref()
            .map_or_else(|| engine.now(), |old| old.since);
        if failing.is_due() {
            tracing::error!(%why, bans, "bans of rules hold in memory only: the log does not take them");
        }
        tell.send_replace(Some(Unwritten {
            since,
            bans,
            why: why.to_string(),
        }));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN_AFTER) => {}
        }
    }
}

async fn offer(
    engine: &Engine,
    shared: &SharedLogins,
    events: &[Event],
) -> Result<(), crate::journal::LogFault> {
    engine.append(events, Vec::new()).await?;
    let mut state = shared.lock();
    state.pending.end(events);
    shared.settle(&state);
    Ok(())
}
