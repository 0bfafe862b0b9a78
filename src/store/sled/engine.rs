//! The only file that calls sled: it opens the database safely, owns its trees and makes writes durable.

use std::any::Any;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ::sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};
use ::sled::{Config, Db, Tree};

use super::codec::{self, BadBytes, LogValue};
use super::leftovers;
use crate::core::Seq;
use crate::core::event::Chain;
use crate::engine::clock::fresh_id;

/// The version of the store's layout (trees, keys, formats). A newer one is refused.
pub(super) const STORE_VERSION: u64 = 1;
const VERSION_KEY: &[u8] = b"version";
const ID_KEY: &[u8] = b"id";

/// The size of the page cache in bytes. It is small because the log is rarely read after the start.
const CACHE: u64 = 32 * 1024 * 1024;
/// The interval of sled's own flush in milliseconds. sled frees space only then, and the outbox relies on it to become
/// durable. Decisions do not wait for it.
const FLUSH_EVERY: u64 = 1000;
/// How many times, and how far apart, opening is retried while an engine that was just closed releases its file.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// The number of entries at the end of the log whose hashes are verified when it is opened.
const TAIL: usize = 1000;

/// Why a call to the engine failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Sled(#[from] ::sled::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it panicked: {0}")]
    Panicked(String),
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
        let io = match self {
            Failure::Io(io) | Failure::Sled(::sled::Error::Io(io)) => io,
            _ => return false,
        };
        matches!(
            io.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

impl Failure {
    /// Whether the disk or the system refused, and not the content of a file.
    pub(super) fn is_of_the_system(&self) -> bool {
        matches!(self, Failure::Io(_) | Failure::Sled(::sled::Error::Io(_)))
    }

    /// Whether what is on the disk is wrong, so that opening it again cannot help.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Failure::Damaged(_) | Failure::Newer(_))
    }
}

/// Runs a call into sled and turns a panic into an error: sled 0.34 panics on some kinds of damage.
pub(super) fn guarded<R>(call: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(Failure::Panicked(words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| String::from("without a word"))
}

/// An open engine.
#[derive(Debug)]
pub(super) struct SledEngine {
    pub(super) log: Tree,
    pub(super) personal: Tree,
    pub(super) outbox: Tree,
    db: Db,
    /// The engine's file, opened to sync it: sled's `flush` alone only starts the write on Linux.
    file: File,
    pub(super) id: [u8; 16],
}

/// One log entry to write.
pub(super) struct LogRow {
    pub(super) seq: Seq,
    pub(super) entry: Vec<u8>,
    pub(super) personal: Option<Vec<u8>>,
}

impl SledEngine {
    /// Opens or creates the engine, drops an append torn by a crash, and returns where the log ends. Entries after
    /// `cut` are dropped too, because their callers were told that they failed.
    pub(super) fn open(
        folder: &Path,
        cut: Option<Seq>,
    ) -> Result<(SledEngine, Seq, Chain), Failure> {
        let db = open_despite_leftovers(folder)?;
        let id = check_version(&db)?;
        let engine = SledEngine {
            log: db.open_tree("log")?,
            personal: db.open_tree("personal")?,
            outbox: db.open_tree("outbox")?,
            file: File::open(folder.join("db"))?,
            db,
            id,
        };
        engine.drop_tail(cut)?;
        let (seq, chain) = engine.check_tail()?;
        engine.sync()?;
        sync_names(folder)?;
        Ok((engine, seq, chain))
    }

    /// Writes all rows or none, durably.
    pub(super) fn write(&self, rows: &[LogRow]) -> Result<(), Failure> {
        (&self.log, &self.personal)
            .transaction(|(log, personal)| {
                for row in rows {
                    let key = codec::seq_key(row.seq);
                    log.insert(&key, row.entry.as_slice())?;
                    if let Some(value) = &row.personal {
                        personal.insert(&key, value.as_slice())?;
                    }
                }
                Ok::<(), ConflictableTransactionError<()>>(())
            })
            .map_err(storage)?;
        self.sync()
    }

    /// Makes everything written so far durable, even against a power cut.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(())
    }

    /// The hash at a position: the default before the first entry, `None` behind the last.
    pub(super) fn chain_at(&self, seq: Seq) -> Result<Option<Chain>, Failure> {
        if seq == Seq(0) {
            return Ok(Some(Chain::default()));
        }
        let value = self.log.get(codec::seq_key(seq))?;
        let entry = value.as_deref().map(LogValue::from_bytes).transpose();
        Ok(entry
            .map_err(|why| damaged(seq, why))?
            .map(|entry| entry.chain))
    }

    fn drop_tail(&self, cut: Option<Seq>) -> Result<(), Failure> {
        let mut gone = Vec::new();
        for item in self.log.iter().rev() {
            let (key, value) = item?;
            let seq = codec::seq_of(&key).map_err(|why| damaged(Seq(0), why))?;
            let entry = LogValue::from_bytes(&value).map_err(|why| damaged(seq, why))?;
            if entry.last && cut.is_none_or(|cut| seq <= cut) {
                break;
            }
            gone.push(key);
        }
        if gone.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            entries = gone.len(),
            "dropping the end of the log, which was never acknowledged"
        );
        (&self.log, &self.personal)
            .transaction(|(log, personal)| {
                for key in &gone {
                    log.remove(key)?;
                    personal.remove(key)?;
                }
                Ok::<(), ConflictableTransactionError<()>>(())
            })
            .map_err(storage)
    }

    fn check_tail(&self) -> Result<(Seq, Chain), Failure> {
        let mut after: Option<(Seq, ::sled::IVec)> = None;
        let mut end = (Seq(0), Chain::default());
        for item in self.log.iter().rev().take(TAIL) {
            let (key, value) = item?;
            let seq = codec::seq_of(&key).map_err(|why| damaged(Seq(0), why))?;
            let entry = LogValue::from_bytes(&value).map_err(|why| damaged(seq, why))?;
            match &after {
                None => end = (seq, entry.chain),
                Some((next, value)) => {
                    let next_entry =
                        LogValue::from_bytes(value).map_err(|why| damaged(*next, why))?;
                    if entry.chain.extend(seq.next(), next_entry.event) != next_entry.chain {
                        return Err(Failure::Damaged(format!(
                            "entry {} of the log does not follow from entry {}",
                            next.0, seq.0
                        )));
                    }
                }
            }
            after = Some((seq, value));
        }
        if let Some((key, _)) = self.log.first()?
            && codec::seq_of(&key) != Ok(Seq(1))
        {
            return Err(Failure::Damaged(String::from(
                "the log does not begin with entry 1",
            )));
        }
        Ok(end)
    }
}

fn storage(why: TransactionError<()>) -> Failure {
    match why {
        TransactionError::Storage(why) => Failure::Sled(why),
        TransactionError::Abort(()) => Failure::Damaged(String::from("a write was given up")),
    }
}

pub(super) fn damaged(seq: Seq, why: BadBytes) -> Failure {
    Failure::Damaged(format!("entry {} of the log: {why}", seq.0))
}

/// Opens the database without the files that it can do without, if one of them is why it does not open.
fn open_despite_leftovers(folder: &Path) -> Result<Db, Failure> {
    leftovers::unfinished(folder)?;
    match guarded(|| open_db(folder)) {
        Err(why) if !why.is_of_the_system() && leftovers::replaceable(folder)? > 0 => {
            tracing::warn!(%why, "opening the store again without its snapshot and settings");
            open_db(folder)
        }
        opened => opened,
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "opening blocks anyway: it is done on a thread of its own, before anything is served"
)]
pub(super) fn open_db(folder: &Path) -> Result<Db, Failure> {
    let config = Config::new()
        .path(folder)
        .cache_capacity(CACHE)
        .flush_every_ms(Some(FLUSH_EVERY));
    // Our own lock keeps other programs out. sled's lock can only be held by our own engine that was just closed and
    // whose threads are still ending.
    for _ in 0..LOCK_TRIES {
        match config.open() {
            Err(::sled::Error::Io(why)) if why.to_string().contains("could not acquire lock") => {
                thread::sleep(LOCK_PAUSE);
            }
            other => return Ok(other?),
        }
    }
    Ok(config.open()?)
}

fn check_version(db: &Db) -> Result<[u8; 16], Failure> {
    let meta = db.open_tree("meta")?;
    let unreadable = |why: BadBytes| Failure::Damaged(format!("the version of the store: {why}"));
    if let Some(value) = meta.get(VERSION_KEY)? {
        let version = codec::number_from_bytes(&value).map_err(unreadable)?;
        if version > STORE_VERSION {
            return Err(Failure::Newer(version));
        }
        let id = meta.get(ID_KEY)?;
        return id
            .and_then(|id| id.as_ref().try_into().ok())
            .ok_or_else(|| Failure::Damaged(String::from("the store has no id")));
    }
    if !db.open_tree("log")?.is_empty() {
        return Err(Failure::Damaged(String::from(
            "there is a log but no version of the store",
        )));
    }
    let id = fresh_id().map_err(|why| Failure::Io(io::Error::other(why.to_string())))?;
    let mut batch = ::sled::Batch::default();
    batch.insert(VERSION_KEY, codec::number_to_bytes(STORE_VERSION));
    batch.insert(ID_KEY, &id.0[..]);
    meta.apply_batch(batch)?;
    Ok(id.0)
}

/// Syncs the folder entries of the engine's files, and its settings file, which sled never syncs.
fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder.join("conf"))?.sync_all()?;
    File::open(folder)?.sync_all()?;
    for above in folder.ancestors().skip(1).take(2) {
        // The program may lack the right to open a folder above the store's; then it created nothing there either.
        if let Ok(above) = File::open(above) {
            above.sync_all()?;
        }
    }
    Ok(())
}
