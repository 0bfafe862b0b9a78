//! What the store needs of a storage engine: a few ordered tables of bytes, atomic batches, and a sync. Everything
//! above it (`disk`) handles failures, full disks and damage once for all engines.
//!
//! An engine is one file beside this one, and one entry in [`EngineKind`].

use std::any::Any;
use std::fmt;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::redb::RedbEngine;
use super::sled::SledEngine;
use crate::core::Seq;

/// A kind of storage engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// sled 0.34 (docs/adr/0001-sled.md).
    Sled,
    /// redb 4 (docs/adr/0022-second-store.md).
    Redb,
}

impl EngineKind {
    /// All kinds.
    pub const ALL: [EngineKind; 2] = [EngineKind::Sled, EngineKind::Redb];

    /// What a new store is on if the configuration does not say (docs/adr/0022-second-store.md).
    pub const DEFAULT: EngineKind = EngineKind::Redb;

    /// The name of every kind in the configuration.
    pub const NAMES: [(&'static str, EngineKind); 2] =
        [("redb", EngineKind::Redb), ("sled", EngineKind::Sled)];

    /// The name in the configuration, and of the engine's folder in the store's.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Sled => "sled",
            EngineKind::Redb => "redb",
        }
    }

    /// Opens or creates the engine's files in its folder, which must exist.
    pub(super) fn open(self, folder: &Path) -> Result<Arc<dyn StorageEngine>, Failure> {
        Ok(match self {
            EngineKind::Sled => Arc::new(SledEngine::open(folder)?),
            EngineKind::Redb => Arc::new(RedbEngine::open(folder)?),
        })
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A table of an engine. The discriminants index [`StoreTable::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreTable {
    /// Entries of the log by position.
    Log,
    /// Personal parts of entries, by the same keys.
    Personal,
    /// Unfinished work.
    Outbox,
    /// Version and id of the store.
    Meta,
}

impl StoreTable {
    pub(super) const ALL: [StoreTable; 4] = [
        StoreTable::Log,
        StoreTable::Personal,
        StoreTable::Outbox,
        StoreTable::Meta,
    ];

    /// The name on the disk.
    pub(super) fn name(self) -> &'static str {
        match self {
            StoreTable::Log => "log",
            StoreTable::Personal => "personal",
            StoreTable::Outbox => "outbox",
            StoreTable::Meta => "meta",
        }
    }
}

/// One row to write, or to remove if it has no value.
#[derive(Debug)]
pub(super) struct RowChange {
    pub(super) table: StoreTable,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

impl RowChange {
    pub(super) fn put(table: StoreTable, key: impl Into<Vec<u8>>, value: Vec<u8>) -> Self {
        RowChange {
            table,
            key: key.into(),
            value: Some(value),
        }
    }

    pub(super) fn remove(table: StoreTable, key: impl Into<Vec<u8>>) -> Self {
        RowChange {
            table,
            key: key.into(),
            value: None,
        }
    }
}

/// When a batch must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// When the call returns.
    Now,
    /// About half a second later, or with the next batch that is durable at once.
    Soon,
}

/// The first and the last key of a walk.
pub(super) type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// All keys of a table.
pub(super) const ALL_KEYS: KeyRange<'static> = (Bound::Unbounded, Bound::Unbounded);

/// The order of keys in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

/// Called with the key and the value of each row of a walk.
pub(super) type OnRow<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An open storage engine. All methods block on the disk.
pub(super) trait StorageEngine: fmt::Debug + Send + Sync {
    /// The value of a key.
    fn get(&self, table: StoreTable, key: &[u8]) -> Result<Option<Vec<u8>>, Failure>;

    /// Calls `each` with the rows in a range until it breaks off.
    fn walk(
        &self,
        table: StoreTable,
        keys: KeyRange<'_>,
        direction: Direction,
        each: &mut OnRow<'_>,
    ) -> Result<(), Failure>;

    /// Makes all changes or none, in this order, also across a crash.
    fn write(&self, changes: &[RowChange], durable: Durable) -> Result<(), Failure>;

    /// Makes everything written so far durable, even against a power cut.
    fn sync(&self) -> Result<(), Failure>;

    /// Called about twice a second while nothing is appended: syncs what has to be durable soon, unless the engine does
    /// so by itself.
    fn sync_what_is_due(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A walk whose closure may fail.
pub(super) fn scan<E: From<Failure>>(
    engine: &dyn StorageEngine,
    table: StoreTable,
    keys: KeyRange<'_>,
    direction: Direction,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let mut failed = None;
    engine.walk(table, keys, direction, &mut |key, value| {
        each(key, value).unwrap_or_else(|why| {
            failed = Some(why);
            ControlFlow::Break(())
        })
    })?;
    failed.map_or(Ok(()), Err)
}

/// Why a call to the engine failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The engine gave up for a reason of its own.
    #[error("{0}")]
    Engine(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A read failed, and the engine must be opened again before it does anything else. What is written is whole.
    #[error("cannot read its file: {0}")]
    Unread(io::Error),
    #[error("it panicked: {0}")]
    Panicked(String),
    /// Somebody has the engine's file open.
    #[error("its file is open elsewhere")]
    InUse,
    /// The engine works, but its content is wrong.
    #[error("{0}")]
    Damaged(String),
    #[error("it has version {0}")]
    Newer(u64),
}

impl Failure {
    /// Whether reopening the engine may help while the program runs, which is so after a full disk. After any other
    /// failed write or sync the system may return bytes that never reached the disk; then a person must decide.
    pub(super) fn may_pass(&self) -> bool {
        let Failure::Io(io) = self else { return false };
        matches!(
            io.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }

    /// Whether the disk or the system refused, and not the content of a file.
    pub(super) fn is_of_the_system(&self) -> bool {
        matches!(self, Failure::Io(_) | Failure::Unread(_) | Failure::InUse)
    }

    /// Whether what is on the disk is wrong, so that opening it again cannot help.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Failure::Damaged(_) | Failure::Newer(_))
    }

    /// An entry of the log cannot be read.
    pub(super) fn entry(seq: Seq, why: impl fmt::Display) -> Failure {
        Failure::Damaged(format!("entry {} of the log: {why}", seq.0))
    }
}

/// Runs a call into an engine and turns a panic into an error: engines panic on some kinds of damage.
pub(super) fn guarded<R>(call: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(Failure::Panicked(words(&*panic))))
}

/// Closes an engine. sled panics if it cannot write then.
pub(super) fn closed(engine: Arc<dyn StorageEngine>) -> Result<(), Failure> {
    guarded(|| {
        drop(engine);
        Ok(())
    })
}

fn words(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| String::from("without a word"))
}
