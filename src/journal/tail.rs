//! The tail of a log that has a copy on this machine.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{StreamExt, unfold};
use tokio::sync::watch;

use super::{Entry, LogFault, Tail};
use crate::core::Seq;

/// Maximum number of entries in one batch.
const AT_ONCE: usize = 512;
/// The pause before entries are read again after the disk was full: the store is opened anew meanwhile.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// The tail after `after`, of a log whose last position is `head`. `read` gives entries as
/// [`Replica::read`](super::Replica::read) does; it is called on a thread that may block.
pub fn local(
    head: watch::Receiver<Seq>,
    after: Seq,
    read: impl Fn(Seq, usize) -> Result<Vec<Entry>, LogFault> + Send + Sync + 'static,
) -> Tail {
    let read = Arc::new(read);
    unfold(Some((head, after)), move |state| {
        let read = Arc::clone(&read);
        async move {
            let (mut head, after) = state?;
            while *head.borrow_and_update() <= after {
                // An error means that the log is closed: no more entries will come.
                head.changed().await.ok()?;
            }
            loop {
                let read = Arc::clone(&read);
                let piece = tokio::task::spawn_blocking(move || read(after.next(), AT_ONCE)).await;
                let piece = piece.unwrap_or_else(|why| Err(LogFault::Broken(why.to_string())));
                if matches!(piece, Err(LogFault::Full(_))) {
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
                return Some(match piece {
                    Ok(entries) => {
                        let after = entries.last().map_or(after, |last| last.seq);
                        (Ok(entries), Some((head, after)))
                    }
                    Err(why) => (Err(why), None),
                });
            }
        }
    })
    .boxed()
}
