//! The ordered log of decisions, as a port.
//!
//! [`Journal`] is what a log must do, wherever it is kept: on this disk, or shared by several instances over a network. It
//! appends and is followed, both asynchronously, and it may answer "unknown". [`Replica`] is the copy of the log on this
//! machine; all reading of the past goes there, so no question of a person or a login ever waits for a network.
//! [`Snapshots`] keeps the folded state, which shortens a start.
//!
//! This room decides nothing and folds nothing: entries go in and come out in the same order on every instance. What a
//! store must keep to is written down as tests (`tests/it/store.rs`); `store` implements these traits.
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
    /// Appends a batch: its events follow each other in the log, all of them or none. `Ok` means that they are durable (no
    /// crash or power cut loses them) and is the place of the last one.
    ///
    /// Safe to repeat: an event is applied once however often it is offered, for the fold drops an [`EventId`] it has
    /// seen.
    ///
    /// # Errors
    /// [`LogFault::Unknown`] when the batch may or may not be in the log, now or later. Every other fault means that this
    /// call stored nothing and never will.
    fn append<'a>(&'a self, batch: &'a [Event]) -> BoxFuture<'a, Result<Seq, LogFault>>;

    /// All entries behind a place, oldest first and without a gap, in pieces that are never empty; at the end of the log it
    /// waits for more. The stream ends with the first error, or when the log is closed.
    fn tail(&self, after: Seq) -> Tail;
}

/// Entries as they come, in pieces.
pub type Tail = BoxStream<'static, Result<Vec<Entry>, LogFault>>;

/// The copy of the log on this machine. Its methods block on the disk and never on a network: call them where blocking is
/// allowed.
pub trait Replica: Send + Sync + 'static {
    /// Up to `most` entries from `from` on, oldest first; none behind the last durable one.
    ///
    /// # Errors
    /// [`LogFault`] when an entry is damaged or the disk fails.
    fn read(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault>;

    /// The entries at these places, in this order. Places behind the end are left out.
    ///
    /// # Errors
    /// [`LogFault`] when an entry is damaged or the disk fails.
    fn trail(&self, places: &[Seq]) -> Result<Vec<Entry>, LogFault>;

    /// Follows the place of the last durable entry.
    fn head(&self) -> watch::Receiver<Seq>;
}

/// Where the state folded so far is kept, so that a start need not fold the whole log.
pub trait Snapshots: Send + Sync + 'static {
    /// Keeps a snapshot, frame by frame (hundreds of megabytes for a million bans), in the place of the one before, in one
    /// step: after a crash the old one or the new one is there, whole. Everything the same store was given before the last
    /// frame came is durable before the snapshot is.
    ///
    /// # Errors
    /// [`LogFault`] when the disk fails, and the one a frame is; the snapshot before stays.
    fn save_snapshot(
        &self,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
    ) -> Result<(), LogFault>;

    /// The frames of the last snapshot; none when none was ever kept, or what is there is damaged or of another format.
    ///
    /// # Errors
    /// [`LogFault`] when the disk fails.
    fn load_snapshot(&self) -> Result<Vec<Vec<u8>>, LogFault>;
}

/// One event at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// The event.
    pub event: Event,
    /// The hash of the log up to and with it.
    pub chain: Chain,
}

/// Why the log could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogFault {
    /// The disk or the engine failed; nothing was stored.
    #[error("the store failed: {0}")]
    Broken(String),
    /// Bytes that do not match their checksum, their place or a known version.
    #[error("entry {} of the log is damaged: {why}", .seq.0)]
    Damaged {
        /// Which one.
        seq: Seq,
        /// What is wrong with it.
        why: String,
    },
    /// More is waiting to be written than the bound allows; nothing was stored, try again later.
    #[error("the store is overloaded; try again in a moment")]
    Busy,
    /// The log did not say whether it stored the batch. It may still do so.
    #[error("it is not known yet whether this is stored: {0}; it may still happen")]
    Unknown(String),
}
