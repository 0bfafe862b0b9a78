//! Moves a store that nobody has open from one storage engine to another. Interrupted at any moment, even by a power
//! cut, it leaves the old engine's files as they are, or the new ones whole (`which` says what decides).

use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::codec::{self, LogValue};
use super::layout::{self, OpenEngine};
use super::open::{check_owner, lock, open_verified};
use super::{OpenFault, which};
use crate::core::Seq;
use crate::core::event::Chain;
use crate::store::engine::{
    Direction, Durable, EngineKind, Failure, RowChange, StorageEngine, StoreTable, closed, guarded,
    scan,
};

/// Number of rows that are copied or compared at a time.
const AT_ONCE: usize = 5_000;
/// The ending of the folder that a copy is being written to.
const COPYING: &str = "copying";

/// A move that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedStore {
    /// The engine the store was on.
    pub from: EngineKind,
    /// Number of entries in the log; all were read back and compared.
    pub entries: u64,
    /// Hash over the whole log, the same in both.
    pub chain: Chain,
    /// Number of rows of all kinds.
    pub rows: u64,
    /// Where the files of the old engine are now.
    pub aside: PathBuf,
}

/// Why a store was not moved, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum MoveFault {
    /// There is no store in the folder.
    #[error("there is no store in {}", .0.display())]
    NoStore(PathBuf),
    /// It is on that engine already.
    #[error("the store in {} is on {kind} already", .path.display())]
    Already {
        /// The store's folder.
        path: PathBuf,
        /// The engine.
        kind: EngineKind,
    },
    /// The store cannot be opened.
    #[error("{0}")]
    Open(#[from] OpenFault),
    /// It could not be copied.
    #[error("the store was not moved and is as it was, on {from}: {why}")]
    Copy {
        /// The engine it is on.
        from: EngineKind,
        /// What is wrong, for people.
        why: String,
    },
    /// The old engine's folder is renamed, but the new one is not in place, or not known to be.
    #[error("the move to {to} is decided but not finished: {why}; the next start finishes it")]
    Unfinished {
        /// The engine it will be on.
        to: EngineKind,
        /// What is wrong.
        why: io::Error,
    },
}

/// Moves the store in a folder to an engine. `progress` hears now and then how many rows were copied or compared. Blocks
/// until it is done.
///
/// # Errors
/// [`MoveFault`]; the store is as it was, except for [`MoveFault::Unfinished`].
pub fn move_store(
    store: &Path,
    to: EngineKind,
    progress: &mut dyn FnMut(u64),
) -> Result<MovedStore, MoveFault> {
    let path = || store.to_path_buf();
    // A folder that cannot be read is named by what follows.
    if super::is_new(store) {
        return Err(MoveFault::NoStore(path()));
    }
    check_owner(store)?;
    let _lock = lock(store)?;
    let from = which::to_open(store, None)?;
    if which::in_place(store)?.is_none() {
        return Err(MoveFault::NoStore(path()));
    }
    if from == to {
        return Err(MoveFault::Already {
            path: path(),
            kind: to,
        });
    }
    // Refuses a store that has lost something.
    let (old, _) = open_verified(store, from)?;
    let copy = StoreCopy {
        old: &old,
        folder: which::folder(store, to).with_extension(COPYING),
        to,
        done: 0,
        progress,
    };
    let moved = guarded(|| {
        let rows = copy.run(&which::copied(store, to))?;
        Ok((rows, old.end))
    });
    // Whatever the old engine says at its end: its files hold what was acknowledged.
    let shut = closed(old.engine);
    let moved = moved.and_then(|moved| shut.map(|()| moved));
    let (rows, end) = moved.map_err(|why| MoveFault::Copy {
        from,
        why: why.to_string(),
    })?;
    let aside = put_aside(store, from, to);
    let aside = aside.map_err(|why| MoveFault::Copy {
        from,
        why: why.to_string(),
    })?;
    // From here on the store is on the new engine: opening it does what is left.
    let in_place = sync_folder(store).and_then(|()| which::put_in_place(store, to));
    in_place.map_err(|why| MoveFault::Unfinished { to, why })?;
    Ok(MovedStore {
        from,
        entries: end.0.0,
        chain: end.1,
        rows,
        aside,
    })
}

/// Renames the old engine's folder, which decides the move.
fn put_aside(store: &Path, from: EngineKind, to: EngineKind) -> io::Result<PathBuf> {
    let name = |number: usize| match number {
        0 => store.join(format!("{from}.before-{to}")),
        _ => store.join(format!("{from}.before-{to}.{number}")),
    };
    let mut names = (0..).map(name);
    let aside = names.find(|path| !path.exists());
    let aside = aside.ok_or_else(|| io::Error::other("no name is free"))?;
    fs::rename(which::folder(store, from), &aside)?;
    Ok(aside)
}

fn sync_folder(store: &Path) -> io::Result<()> {
    File::open(store)?.sync_all()
}

struct StoreCopy<'a> {
    old: &'a OpenEngine,
    /// Where it is written.
    folder: PathBuf,
    to: EngineKind,
    done: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl StoreCopy<'_> {
    /// Copies and compares everything, durably, and renames the copy to `whole`. Returns the number of rows.
    fn run(mut self, whole: &Path) -> Result<u64, Failure> {
        // What an interrupted move left.
        for left in [&self.folder, whole] {
            remove_all(left)?;
        }
        DirBuilder::new().mode(0o700).create(&self.folder)?;
        let copied = guarded(|| self.write_all().and_then(|()| self.compare()));
        if copied.is_err() {
            // Frees the space, in case the disk is full.
            let _ = remove_all(&self.folder);
        }
        let rows = copied?;
        fs::rename(&self.folder, whole)?;
        if let Some(store) = whole.parent() {
            File::open(store)?.sync_all()?;
        }
        Ok(rows)
    }

    fn write_all(&mut self) -> Result<(), Failure> {
        let new = layout::open_patiently(self.to, &self.folder)?;
        for table in StoreTable::ALL {
            let mut after = None;
            loop {
                let rows = rows(&*self.old.engine, table, after.as_deref())?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                let put = |(key, value)| RowChange::put(table, key, value);
                let count = rows.len() as u64;
                let rows: Vec<_> = rows.into_iter().map(put).collect();
                new.write(&rows, Durable::Now)?;
                self.tell(count);
            }
        }
        new.sync()
    }

    /// Opens the copy as a start does, and compares every row and the hash of every entry.
    fn compare(&mut self) -> Result<u64, Failure> {
        let new = layout::open(self.to, &self.folder, None)?;
        if (new.id, new.end) != (self.old.id, self.old.end) {
            return Err(differs("the end of the log"));
        }
        let mut total = 0;
        for table in StoreTable::ALL {
            let mut after = None;
            loop {
                let written = rows(&*new.engine, table, after.as_deref())?;
                if written != rows(&*self.old.engine, table, after.as_deref())? {
                    return Err(differs(table.name()));
                }
                let Some((last, _)) = written.last() else {
                    break;
                };
                after = Some(last.clone());
                total += written.len() as u64;
                self.tell(written.len() as u64);
            }
        }
        if chain_of(&*new.engine)? != self.old.end {
            return Err(differs("the hash over the log"));
        }
        Ok(total)
    }

    fn tell(&mut self, rows: u64) {
        self.done += rows;
        (self.progress)(self.done);
    }
}

fn differs(what: &str) -> Failure {
    Failure::Damaged(format!("the copy was read back and differs: {what}"))
}

fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Up to [`AT_ONCE`] rows after a key.
fn rows(
    engine: &dyn StorageEngine,
    table: StoreTable,
    after: Option<&[u8]>,
) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let keys = (from, Bound::Unbounded);
    engine.walk(table, keys, Direction::Ascending, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        match rows.len() {
            AT_ONCE => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })?;
    Ok(rows)
}

/// The end of the log, with the hash calculated over all entries.
fn chain_of(engine: &dyn StorageEngine) -> Result<(Seq, Chain), Failure> {
    let mut end = (Seq(0), Chain::default());
    let (log, up) = (StoreTable::Log, Direction::Ascending);
    let all = (Bound::Unbounded, Bound::Unbounded);
    scan(engine, log, all, up, |key, value| {
        let seq = end.0.next();
        if codec::seq_of(key) != Ok(seq) {
            return Err(Failure::entry(seq, "it is missing"));
        }
        let entry = LogValue::from_bytes(value).map_err(|why| Failure::entry(seq, why))?;
        end = (seq, end.1.extend(seq, entry.event));
        match end.1 == entry.chain {
            true => Ok(ControlFlow::Continue(())),
            false => Err(Failure::entry(
                seq,
                "it does not follow from the entry before it",
            )),
        }
    })?;
    Ok(end)
}
