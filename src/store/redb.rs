//! redb 4 as storage engine, and the only file that calls it; docs/adr/0022-second-store.md says what it is measured
//! against.

mod watched_file;

use std::fs::{self, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition,
    TableError, WriteTransaction,
};

use self::watched_file::{FirstError, WatchedFile};
use super::engine::{
    Direction, Durable, Failure, KeyRange, OnRow, RowChange, StorageEngine, StoreTable,
};

/// Name of its only file in the engine's folder.
const FILE: &str = "db";
/// Its name until it is whole for the first time.
const UNFINISHED: &str = "db.new";
/// The size of the page cache in bytes. It is small because the log is rarely read after the start.
const CACHE: usize = 32 * 1024 * 1024;

/// An open redb.
#[derive(Debug)]
pub(super) struct RedbEngine {
    db: Database,
    /// The first error of the system. redb answers every later call with "previous I/O error", until it is opened
    /// again.
    first_error: Arc<FirstError>,
    /// Whether something was committed that is not durable yet.
    is_ahead: AtomicBool,
}

impl RedbEngine {
    /// Opens or creates it in a folder. After a crash this reads the whole file and verifies its checksums.
    pub(super) fn open(folder: &Path) -> Result<RedbEngine, Failure> {
        let path = folder.join(FILE);
        if path.try_exists()? {
            return Self::open_file(&path);
        }
        // redb refuses a file whose first writes were cut off, so the name comes last. Nothing is in a file that has
        // not got it yet.
        let unfinished = folder.join(UNFINISHED);
        match fs::remove_file(&unfinished) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why.into()),
            _ => {}
        }
        let engine = Self::open_file(&unfinished)?;
        fs::rename(&unfinished, &path)?;
        fs::File::open(folder)?.sync_all()?;
        Ok(engine)
    }

    fn open_file(path: &Path) -> Result<RedbEngine, Failure> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let first_error = Arc::new(FirstError::default());
        let file = WatchedFile::new(file, Arc::clone(&first_error)).map_err(opening)?;
        let opened = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(file);
        let engine = RedbEngine {
            db: opened.map_err(|why| first_error.failure().unwrap_or_else(|| opening(why)))?,
            first_error,
            is_ahead: AtomicBool::new(false),
        };
        engine.make_tables()?;
        Ok(engine)
    }

    fn make_tables(&self) -> Result<(), Failure> {
        let names = self.db.begin_read().map_err(|why| self.failure(why))?;
        let missing = StoreTable::ALL.into_iter().filter(|table| {
            let found = names.open_table(definition(*table));
            matches!(found, Err(TableError::TableDoesNotExist(_)))
        });
        let missing: Vec<StoreTable> = missing.collect();
        drop(names);
        if missing.is_empty() {
            return Ok(());
        }
        let writing = self.begin(Durable::Now)?;
        for table in missing {
            let made = writing.open_table(definition(table));
            made.map_err(|why| self.failure(why))?;
        }
        writing.commit().map_err(|why| self.failure(why))
    }

    fn table(
        &self,
        table: StoreTable,
    ) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Failure> {
        let reading = self.db.begin_read().map_err(|why| self.failure(why))?;
        let table = reading.open_table(definition(table));
        table.map_err(|why| self.failure(why))
    }

    fn begin(&self, durable: Durable) -> Result<WriteTransaction, Failure> {
        let mut writing = self.db.begin_write().map_err(|why| self.failure(why))?;
        let durability = match durable {
            Durable::Now => Durability::Immediate,
            Durable::Soon => Durability::None,
        };
        let set = writing.set_durability(durability);
        set.map_err(|why| Failure::Engine(why.to_string()))?;
        Ok(writing)
    }

    /// What an error of redb means. The error of the system that came first decides, if there was one.
    fn failure(&self, why: impl Into<::redb::Error>) -> Failure {
        let why = why.into();
        self.first_error.failure().unwrap_or_else(|| told(why))
    }
}

impl StorageEngine for RedbEngine {
    fn get(&self, table: StoreTable, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        // The table keeps the transaction open, and the value does not, whatever the documentation of `get` says (redb 4.6):
        // a writer must not free the value's page while it is copied. A debug build of redb panics then.
        let table = self.table(table)?;
        let value = table.get(key).map_err(|why| self.failure(why))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn walk(
        &self,
        table: StoreTable,
        keys: KeyRange<'_>,
        direction: Direction,
        each: &mut OnRow<'_>,
    ) -> Result<(), Failure> {
        let table = self.table(table)?;
        let mut rows = table
            .range::<&[u8]>(keys)
            .map_err(|why| self.failure(why))?;
        let next = || match direction {
            Direction::Ascending => rows.next(),
            Direction::Descending => rows.next_back(),
        };
        for row in std::iter::from_fn(next) {
            let (key, value) = row.map_err(|why| self.failure(why))?;
            if let ControlFlow::Break(()) = each(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, changes: &[RowChange], durable: Durable) -> Result<(), Failure> {
        let writing = self.begin(durable)?;
        for table in StoreTable::ALL {
            let rows = changes.iter().filter(|change| change.table == table);
            let mut rows = rows.peekable();
            if rows.peek().is_none() {
                continue;
            }
            let opened = writing.open_table(definition(table));
            let mut opened = opened.map_err(|why| self.failure(why))?;
            for RowChange { key, value, .. } in rows {
                let done = match value {
                    Some(value) => opened.insert(key.as_slice(), value.as_slice()),
                    None => opened.remove(key.as_slice()),
                };
                done.map_err(|why| self.failure(why))?;
            }
        }
        // Still inside the transaction, so that the last commit sets it last.
        self.is_ahead
            .store(durable == Durable::Soon, Ordering::Release);
        writing.commit().map_err(|why| self.failure(why))
    }

    fn sync(&self) -> Result<(), Failure> {
        if self.is_ahead.load(Ordering::Acquire) {
            self.write(&[], Durable::Now)?;
        }
        Ok(())
    }

    fn sync_what_is_due(&self) -> Result<(), Failure> {
        self.sync()
    }
}

fn definition(table: StoreTable) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn opening(why: DatabaseError) -> Failure {
    match why {
        DatabaseError::DatabaseAlreadyOpen => Failure::InUse,
        other => told(other.into()),
    }
}

fn told(why: ::redb::Error) -> Failure {
    match why {
        // redb's words for a file that is not its own.
        ::redb::Error::Io(why) if why.kind() == io::ErrorKind::InvalidData => {
            Failure::Engine(why.to_string())
        }
        ::redb::Error::Io(why) => Failure::Io(why),
        other => Failure::Engine(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_is_read_while_its_page_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let engine = RedbEngine::open(folder.path()).unwrap();
        let table = StoreTable::ALL[0];
        let row = |value: u32| RowChange {
            table,
            key: vec![1],
            value: Some(value.to_be_bytes().repeat(200)),
        };
        engine.write(&[row(0)], Durable::Now).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                for _ in 0..20_000 {
                    let value = engine.get(table, &[1]).unwrap().unwrap();
                    assert!(value.chunks(4).all(|part| *part == value[..4]));
                }
            });
            let mut value = 0;
            while !reader.is_finished() {
                value += 1;
                engine.write(&[row(value)], Durable::Soon).unwrap();
            }
        });
    }
}
