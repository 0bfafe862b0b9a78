//! The ordered log of decisions, as a port.
//!
//! [`Journal`] is what a log must be able to do, whether it is on this disk or shared by several instances over a
//! network: append and follow, both asynchronously, with "unknown" as a possible answer to an append. [`Replica`] is
//! the copy of the log on this machine. All history is read from it, so neither a person nor a login ever waits for a
//! network. [`Snapshots`] stores the folded state, which shortens a start.
//!
//! This room decides nothing and folds nothing: every instance reads the same entries in the same order. Tests state
//! the contract that a store must keep (`tests/it/store.rs`); `store` implements these traits.
//!
//! Start reading at [`Journal`], then [`append`](mod@append) for how an unknown outcome is resolved.

mod append;
mod restore;
mod tail;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::core::event::Chain;
use crate::core::{Event, EventId, Seq};

pub use append::{Rulings, append};
pub use restore::restore;
pub use tail::local as local_tail;

/// An ordered, durable log of decisions.
pub trait Journal: Send + Sync + 'static {
    /// Appends a batch; its events are consecutive in the log, all or none. `Ok` gives the position of the last one
    /// and means that all are durable: no crash or power cut loses them.
    ///
    /// A batch may be offered again with the same ids: the fold applies an event once, however often it is in the log
    /// (docs/adr/0015-journal.md).
    ///
    /// # Errors
    /// [`LogFault::Unknown`] if the batch may or may not be in the log, now or later. Every other fault means that
    /// this call stored nothing and never will.
    fn append<'a>(&'a self, batch: &'a [Event]) -> BoxFuture<'a, Result<Seq, LogFault>>;

    /// All entries after a position, oldest first, without gaps, in non-empty batches. At the end of the log the
    /// stream waits for more. It ends after the first error, or when the log is closed.
    fn tail(&self, after: Seq) -> Tail;

    /// Why it takes no entries at present, as it changes; `None` while it takes them. A write that fails sets it, whoever asked
    /// for it, and the next one that succeeds clears it. While it is set, the log tries by itself whether it can write again.
    fn trouble(&self) -> watch::Receiver<Option<LogFault>>;
}

/// Entries as they arrive, in batches.
pub type Tail = BoxStream<'static, Result<Vec<Entry>, LogFault>>;

/// The copy of the log on this machine. Its methods block on the disk, never on a network: call them from a thread
/// that may block.
pub trait Replica: Send + Sync + 'static {
    /// Up to `most` entries from position `from`, oldest first; empty behind the last durable entry.
    ///
    /// # Errors
    /// [`LogFault`] if an entry is damaged or the disk fails.
    fn read(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault>;

    /// The entries at these positions, in this order. Positions behind the end are left out.
    ///
    /// # Errors
    /// [`LogFault`] if an entry is damaged or the disk fails.
    fn trail(&self, places: &[Seq]) -> Result<Vec<Entry>, LogFault>;

    /// The position of the last durable entry, as it changes.
    fn head(&self) -> watch::Receiver<Seq>;
}

/// Stores the folded state, so that a start need not fold the whole log.
pub trait Snapshots: Send + Sync + 'static {
    /// Atomically replaces the stored snapshot with these frames (hundreds of megabytes for a million bans): after a
    /// crash either the old or the new one is complete. Everything given to the same store before the last frame is
    /// durable before the snapshot is.
    ///
    /// # Errors
    /// [`LogFault`] if the disk fails, or the first error among the frames; the earlier snapshot stays.
    fn save_snapshot(
        &self,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
    ) -> Result<(), LogFault>;

    /// The frames of the stored snapshot; empty if there is none, or if it is damaged or of another format.
    ///
    /// # Errors
    /// [`LogFault`] if the disk fails.
    fn load_snapshot(&self) -> Result<Vec<Vec<u8>>, LogFault>;
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its position in the log, from 1.
    pub seq: Seq,
    /// The event.
    pub event: Event,
    /// Hash over the log up to and including this entry.
    pub chain: Chain,
}

/// Why an operation of the log failed, and whether it may have stored something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogFault {
    /// The disk or the engine failed; nothing was stored.
    #[error("the store failed: {0}")]
    Broken(String),
    /// The disk is full; nothing was stored. A later append may succeed.
    #[error("the store failed: {0}")]
    Full(String),
    /// The bytes do not match their checksum, their position or a known version.
    #[error("entry {} of the log is damaged: {why}", .seq.0)]
    Damaged {
        /// Position of the entry.
        seq: Seq,
        /// What is wrong, for the log.
        why: String,
    },
    /// Too much is waiting to be written; nothing was stored. Try again later.
    #[error("the store is overloaded; try again in a moment")]
    Busy,
    /// The log did not say whether it stored the batch, and may still store it.
    #[error("it is not known yet whether this is stored: {0}; it may still be stored later")]
    Unknown(String),
}
