//! What lies in the tables of an engine: the version of the store, and where the log ends. Opening drops an append that
//! a crash tore, and verifies the last entries.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::codec::{self, BadBytes, LogValue};
use crate::core::Seq;
use crate::core::event::Chain;
use crate::engine::clock::fresh_id;
use crate::store::engine::{
    ALL_KEYS, Direction, Durable, EngineKind, Failure, RowChange, StorageEngine, StoreTable, scan,
};

/// The version of the store's layout (tables, keys, formats). A newer one is refused.
pub(super) const STORE_VERSION: u64 = 1;
pub(super) const VERSION_KEY: &[u8] = b"version";
pub(super) const ID_KEY: &[u8] = b"id";
/// Written and removed again to find out whether the disk takes writes.
pub(super) const TRIAL_KEY: &[u8] = b"trial";

/// How many times, and how far apart, opening is retried while an engine that was just closed releases its file. Our
/// own lock keeps other programs out.
const OPEN_TRIES: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(50);
/// The number of entries at the end of the log whose hashes are verified when it is opened.
const TAIL: usize = 1000;

/// An engine whose content was checked.
pub(super) struct OpenEngine {
    pub(super) engine: Arc<dyn StorageEngine>,
    pub(super) id: [u8; 16],
    /// Where the log ends.
    pub(super) end: (Seq, Chain),
    /// What is wrong with the file `head`, so that the end was not compared with it.
    pub(super) damaged_head: Option<BadBytes>,
}

/// Opens or creates the engine in its folder, which must exist, drops an append torn by a crash, and finds where the
/// log ends. Entries after `cut` are dropped too, because their callers were told that they failed.
pub(super) fn open(
    kind: EngineKind,
    folder: &Path,
    cut: Option<Seq>,
) -> Result<OpenEngine, Failure> {
    let engine = open_patiently(kind, folder)?;
    let id = check_version(&*engine)?;
    drop_tail(&*engine, cut)?;
    let end = check_tail(&*engine)?;
    engine.sync()?;
    sync_names(folder)?;
    Ok(OpenEngine {
        engine,
        id,
        end,
        damaged_head: None,
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "opening blocks anyway: it is done on a thread of its own, before anything is served"
)]
pub(super) fn open_patiently(
    kind: EngineKind,
    folder: &Path,
) -> Result<Arc<dyn StorageEngine>, Failure> {
    for _ in 0..OPEN_TRIES {
        match kind.open(folder) {
            Err(Failure::InUse) => thread::sleep(OPEN_PAUSE),
            other => return other,
        }
    }
    kind.open(folder)
}

/// The hash at a position: the default before the first entry, `None` behind the last.
pub(super) fn chain_at(engine: &dyn StorageEngine, seq: Seq) -> Result<Option<Chain>, Failure> {
    if seq == Seq(0) {
        return Ok(Some(Chain::default()));
    }
    let value = engine.get(StoreTable::Log, &codec::seq_key(seq))?;
    let entry = value.as_deref().map(LogValue::from_bytes).transpose();
    let entry = entry.map_err(|why| Failure::entry(seq, why))?;
    Ok(entry.map(|entry| entry.chain))
}

fn check_version(engine: &dyn StorageEngine) -> Result<[u8; 16], Failure> {
    let unreadable = |why: BadBytes| Failure::Damaged(format!("the version of the store: {why}"));
    if let Some(value) = engine.get(StoreTable::Meta, VERSION_KEY)? {
        let version = codec::number_from_bytes(&value).map_err(unreadable)?;
        if version > STORE_VERSION {
            return Err(Failure::Newer(version));
        }
        let id = engine.get(StoreTable::Meta, ID_KEY)?;
        return id
            .and_then(|id| id.as_slice().try_into().ok())
            .ok_or_else(|| Failure::Damaged(String::from("the store has no id")));
    }
    let mut is_empty = true;
    engine.walk(
        StoreTable::Log,
        ALL_KEYS,
        Direction::Ascending,
        &mut |_, _| {
            is_empty = false;
            ControlFlow::Break(())
        },
    )?;
    if !is_empty {
        return Err(Failure::Damaged(String::from(
            "there is a log but no version of the store",
        )));
    }
    let id = fresh_id().map_err(|why| Failure::Io(io::Error::other(why.to_string())))?;
    let version = codec::number_to_bytes(STORE_VERSION);
    let rows = [
        RowChange::put(StoreTable::Meta, VERSION_KEY, version),
        RowChange::put(StoreTable::Meta, ID_KEY, id.0.to_vec()),
    ];
    engine.write(&rows, Durable::Now)?;
    Ok(id.0)
}

fn drop_tail(engine: &dyn StorageEngine, cut: Option<Seq>) -> Result<(), Failure> {
    let mut gone = Vec::new();
    let (log, down) = (StoreTable::Log, Direction::Descending);
    scan(engine, log, ALL_KEYS, down, |key, value| {
        let seq = codec::seq_of(key).map_err(|why| Failure::entry(Seq(0), why))?;
        let entry = LogValue::from_bytes(value).map_err(|why| Failure::entry(seq, why))?;
        if entry.last && cut.is_none_or(|cut| seq <= cut) {
            return Ok(ControlFlow::Break(()));
        }
        gone.push(key.to_vec());
        Ok::<_, Failure>(ControlFlow::Continue(()))
    })?;
    if gone.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        entries = gone.len(),
        "dropping the end of the log, which was never acknowledged"
    );
    let tables = [StoreTable::Log, StoreTable::Personal];
    let rows: Vec<_> = gone
        .into_iter()
        .flat_map(|key| tables.map(|table| RowChange::remove(table, key.clone())))
        .collect();
    engine.write(&rows, Durable::Now)
}

fn check_tail(engine: &dyn StorageEngine) -> Result<(Seq, Chain), Failure> {
    /// The entry after the one that is looked at.
    struct Next {
        seq: Seq,
        chain: Chain,
        event: Vec<u8>,
    }
    let mut next: Option<Next> = None;
    let mut end = (Seq(0), Chain::default());
    let mut left = TAIL;
    let log = StoreTable::Log;
    scan(
        engine,
        log,
        ALL_KEYS,
        Direction::Descending,
        |key, value| {
            let seq = codec::seq_of(key).map_err(|why| Failure::entry(Seq(0), why))?;
            let entry = LogValue::from_bytes(value).map_err(|why| Failure::entry(seq, why))?;
            match &next {
                None => end = (seq, entry.chain),
                Some(next) if entry.chain.extend(seq.next(), &next.event) == next.chain => {}
                Some(next) => {
                    return Err(Failure::Damaged(format!(
                        "entry {} of the log does not follow from entry {}",
                        next.seq.0, seq.0
                    )));
                }
            }
            next = Some(Next {
                seq,
                chain: entry.chain,
                event: entry.event.to_vec(),
            });
            left -= 1;
            Ok(match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        },
    )?;
    scan(
        engine,
        log,
        ALL_KEYS,
        Direction::Ascending,
        |key, _| match codec::seq_of(key) {
            Ok(Seq(1)) => Ok(ControlFlow::Break(())),
            _ => Err(Failure::Damaged(String::from(
                "the log does not begin with entry 1",
            ))),
        },
    )?;
    Ok(end)
}

/// Syncs the entries of the engine's files in their folder, and of the folders above it that may be new.
fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    for above in folder.ancestors().skip(1).take(2) {
        // The program may lack the right to open a folder above the store's; then it created nothing there either.
        if let Ok(above) = File::open(above) {
            above.sync_all()?;
        }
    }
    Ok(())
}
