//! sled 0.34 as storage engine, and the only file that calls it; docs/adr/0001-sled.md describes how it keeps its
//! promises.

mod leftovers;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use ::sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};
use ::sled::{Batch, Config, Db, IVec, Tree};

use super::engine::{
    Direction, Durable, Failure, KeyRange, OnRow, RowChange, StorageEngine, StoreTable, guarded,
};

/// The size of the page cache in bytes. It is small because the log is rarely read after the start.
const CACHE: u64 = 32 * 1024 * 1024;
/// The interval of sled's own flush in milliseconds. sled frees space only then, and what is to be durable soon relies
/// on it. Decisions do not wait for it.
const FLUSH_EVERY: u64 = 1000;

/// An open sled.
#[derive(Debug)]
pub(super) struct SledEngine {
    trees: [Tree; 4],
    db: Db,
    /// sled's file, opened to sync it: sled's `flush` alone only starts the write on Linux.
    file: File,
}

impl SledEngine {
    /// Opens or creates it in a folder.
    pub(super) fn open(folder: &Path) -> Result<SledEngine, Failure> {
        let db = open_despite_leftovers(folder)?;
        let [log, personal, outbox, meta] = StoreTable::ALL.map(|table| db.open_tree(table.name()));
        let engine = SledEngine {
            trees: [log?, personal?, outbox?, meta?],
            file: File::open(folder.join("db"))?,
            db,
        };
        // Its settings, which sled never syncs.
        File::open(folder.join("conf"))?.sync_all()?;
        Ok(engine)
    }

    fn tree(&self, table: StoreTable) -> &Tree {
        let [log, personal, outbox, meta] = &self.trees;
        match table {
            StoreTable::Log => log,
            StoreTable::Personal => personal,
            StoreTable::Outbox => outbox,
            StoreTable::Meta => meta,
        }
    }
}

impl StorageEngine for SledEngine {
    fn get(&self, table: StoreTable, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.tree(table).get(key)?.map(|value| value.to_vec()))
    }

    fn walk(
        &self,
        table: StoreTable,
        keys: KeyRange<'_>,
        direction: Direction,
        each: &mut OnRow<'_>,
    ) -> Result<(), Failure> {
        let rows = self.tree(table).range::<&[u8], _>(keys);
        match direction {
            Direction::Ascending => visit(rows, each),
            Direction::Descending => visit(rows.rev(), each),
        }
    }

    fn write(&self, changes: &[RowChange], durable: Durable) -> Result<(), Failure> {
        match changes {
            [] => {}
            [first, rest @ ..] if rest.iter().all(|change| change.table == first.table) => {
                self.tree(first.table).apply_batch(batch(changes))?;
            }
            _ => self.write_to_several(changes)?,
        }
        match durable {
            Durable::Now => self.sync(),
            Durable::Soon => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), Failure> {
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(())
    }
}

impl SledEngine {
    fn write_to_several(&self, changes: &[RowChange]) -> Result<(), Failure> {
        self.trees
            .transaction(|trees| {
                for RowChange { table, key, value } in changes {
                    let tree = &trees[*table as usize];
                    match value {
                        Some(value) => tree.insert(key.as_slice(), value.as_slice())?,
                        None => tree.remove(key.as_slice())?,
                    };
                }
                Ok::<(), ConflictableTransactionError<()>>(())
            })
            .map_err(|why| match why {
                TransactionError::Storage(why) => Failure::from(why),
                TransactionError::Abort(()) => {
                    Failure::Engine(String::from("a write was given up"))
                }
            })
    }
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

fn open_db(folder: &Path) -> Result<Db, Failure> {
    let config = Config::new()
        .path(folder)
        .cache_capacity(CACHE)
        .flush_every_ms(Some(FLUSH_EVERY));
    Ok(config.open()?)
}

fn batch(changes: &[RowChange]) -> Batch {
    let mut batch = Batch::default();
    for RowChange { key, value, .. } in changes {
        match value {
            Some(value) => batch.insert(key.as_slice(), value.as_slice()),
            None => batch.remove(key.as_slice()),
        }
    }
    batch
}

fn visit(
    rows: impl Iterator<Item = Result<(IVec, IVec), ::sled::Error>>,
    each: &mut OnRow<'_>,
) -> Result<(), Failure> {
    for row in rows {
        let (key, value) = row?;
        if let ControlFlow::Break(()) = each(&key, &value) {
            break;
        }
    }
    Ok(())
}

impl From<::sled::Error> for Failure {
    fn from(why: ::sled::Error) -> Self {
        match why {
            // sled's words for its lock file being held.
            ::sled::Error::Io(why) if why.to_string().contains("could not acquire lock") => {
                Failure::InUse
            }
            ::sled::Error::Io(why) => Failure::Io(why),
            other => Failure::Engine(other.to_string()),
        }
    }
}
