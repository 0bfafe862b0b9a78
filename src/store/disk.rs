//! The store on disk, on a storage engine; docs/adr/0001-sled.md and docs/adr/0022-second-store.md describe how it keeps its
//! promises.
//!
//! `codec` defines the bytes, `layout` the tables and what is verified when they are opened, `writer` is the only
//! thread that appends, and `head_file` records the last acknowledged entry. `which` tells which engine a folder is on, and
//! `transfer` moves a store to another. `open` joins them; `log` and `outbox`
//! implement the ports. This file holds their shared state and the handling of failures.

mod codec;
mod guard;
mod head_file;
mod inspect;
mod layout;
mod log;
mod open;
mod outbox;
#[cfg(test)]
mod tests;
mod transfer;
mod which;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use tokio::sync::watch;

use self::head_file::HeadFile;
use self::writer::{Append, WriterState};
use super::engine::{
    Durable, EngineKind, Failure, RowChange, StorageEngine, StoreTable, closed, guarded,
};
use super::{CounterFile, LedgerFile, VALUE_LIMIT};
use crate::core::Seq;
use crate::core::event::Chain;
use crate::engine::LogPause;
use crate::journal::LogFault;

pub use self::inspect::{Damage, DamagedPart, Found, StoreInspection, inspect};
pub use self::open::OpenFault;
pub use self::transfer::{MoveFault, MovedStore, move_store};

/// The engine that the store in a folder is on, found without opening it; `None` if there is no store, or it is not
/// clear. `asked` is the configured one.
pub fn engine_of(path: &Path, asked: Option<EngineKind>) -> Option<EngineKind> {
    let there = which::to_read(path).ok().flatten();
    there.map(|(kind, _)| kind).or(asked)
}

/// Whether a program runs on the store in a folder, as far as this user can see.
pub fn is_in_use(path: &Path) -> bool {
    open::is_in_use(path)
}

/// Whether nothing was ever stored in a folder, found without changing it: it is empty or not there. One that cannot be
/// read is not new.
pub fn is_new(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Err(why) => why.kind() == std::io::ErrorKind::NotFound,
        Ok(mut files) => files.next().is_none(),
    }
}

/// A log, an outbox and their files in one folder. It is closed when dropped.
#[derive(Debug)]
pub struct Store {
    shared: Arc<SharedStore>,
    queue: Mutex<Option<mpsc::SyncSender<Append>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    id: [u8; 16],
    damaged_head: Option<String>,
}

#[derive(Debug)]
struct SharedStore {
    path: PathBuf,
    kind: EngineKind,
    state: RwLock<WriterState>,
    head: watch::Sender<Seq>,
    head_file: HeadFile,
    counters: CounterFile,
    ledger: LedgerFile,
    /// Why nothing can be written; `None` while it can.
    trouble: watch::Sender<Option<LogFault>>,
    /// Writing fails.
    failing: LogPause,
    /// Held only for its lock, which is released when it is dropped.
    _lock: File,
}

impl Store {
    /// The random id given to this store when it was created; it tells two stores apart.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// What was wrong with the file `head` when the store was opened; `None` if it was whole, or there was none. Without it
    /// nobody can tell whether the log lost its end.
    pub fn damaged_head(&self) -> Option<String> {
        self.damaged_head.clone()
    }

    /// The storage engine it is on.
    pub fn engine(&self) -> EngineKind {
        self.shared.kind
    }

    /// Writes pending appends, makes them durable and closes the files. Blocks until done; every later call fails.
    pub fn close(&self) {
        drop(take(&self.queue));
        let Some(thread) = take(&self.writer) else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!("the store's writer had panicked");
        }
        let state = std::mem::replace(&mut *self.shared.state_mut(), WriterState::Closed);
        if let WriterState::Running(engine) = state {
            let synced =
                guarded(|| engine.sync()).and_then(|()| Ok(self.shared.head_file.sync()?));
            if let Err(why) = synced {
                tracing::error!(%why, "cannot close the store cleanly");
            }
            // What it says then follows from that.
            let _ = closed(engine);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// Writes as much as the largest decision needs, and removes it again.
fn try_out(engine: &dyn StorageEngine) -> Result<(), Failure> {
    let key = layout::TRIAL_KEY;
    let trial = RowChange::put(StoreTable::Meta, key, vec![0; VALUE_LIMIT]);
    engine.write(&[trial], Durable::Now)?;
    engine.write(&[RowChange::remove(StoreTable::Meta, key)], Durable::Now)
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl SharedStore {
    fn state(&self) -> RwLockReadGuard<'_, WriterState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, WriterState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine_for_reading(&self) -> Result<Arc<dyn StorageEngine>, LogFault> {
        match &*self.state() {
            WriterState::Running(engine) | WriterState::Guarding(engine, _) => {
                Ok(Arc::clone(engine))
            }
            other => Err(other.fault()),
        }
    }

    /// The engine that writes to the disk.
    fn engine(&self) -> Result<Arc<dyn StorageEngine>, LogFault> {
        match &*self.state() {
            WriterState::Running(engine) => Ok(Arc::clone(engine)),
            other => Err(other.fault()),
        }
    }

    /// The engine, reopened if the disk had been full or read-only, or could not be read. Entries of failed writes are dropped; the log must then end
    /// with the last acknowledged one.
    fn engine_for_writing(&self, end: (Seq, Chain)) -> Result<Arc<dyn StorageEngine>, LogFault> {
        match &*self.state() {
            WriterState::Guarding(..) | WriterState::Full(_) | WriterState::Unread(_) => {}
            WriterState::Running(engine) => return Ok(Arc::clone(engine)),
            other => return Err(other.fault()),
        }
        let opened = guarded(|| {
            let folder = which::folder(&self.path, self.kind);
            let opened = layout::open(self.kind, &folder, Some(end.0))?;
            if opened.end == end {
                return Ok(opened.engine);
            }
            Err(Failure::Damaged(format!(
                "opened again, the log ends with entry {}, not {}",
                opened.end.0.0, end.0.0
            )))
        });
        match opened {
            Ok(engine) => {
                *self.state_mut() = WriterState::Running(Arc::clone(&engine));
                Ok(engine)
            }
            // Whatever else goes wrong while the disk is full or cannot be read, it may work later.
            Err(why) if !why.is_final() => Err(self.state().fault()),
            Err(why) => Err(self.give_up(&why)),
        }
    }

    /// Discards an engine after a failed write, because its memory no longer matches the disk.
    fn failed(&self, engine: Arc<dyn StorageEngine>, why: &Failure) -> LogFault {
        match &*self.state() {
            WriterState::Running(now) if Arc::ptr_eq(now, &engine) => {}
            // Another call failed before and the engine was replaced meanwhile.
            _ => return WriterState::after(why).fault(),
        }
        drop(engine);
        self.give_up(why)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "how often a fault is logged depends on no decision"
    )]
    fn give_up(&self, why: &Failure) -> LogFault {
        let state = WriterState::after(why);
        let fault = state.fault();
        self.refused(&fault);
        let is_over = matches!(state, WriterState::Broken(_));
        if self.failing.is_due() {
            tracing::error!(%why, path = %self.path.display(), "the store failed");
        }
        let old = std::mem::replace(&mut *self.state_mut(), state);
        if is_over || matches!(why, Failure::Panicked(_)) {
            // It is not opened again, and closing would wait for its threads, which may be gone, with whoever appends.
            std::mem::forget(old);
        } else if let WriterState::Running(engine) = old
            && let Err(why) = closed(engine)
        {
            // The writer goes on.
            tracing::warn!(%why, "the engine failed while it was closed");
        }
        fault
    }

    /// Something was written.
    fn wrote(&self) {
        self.trouble
            .send_if_modified(|trouble| trouble.take().is_some());
        if self.failing.end() {
            tracing::info!("the store works again");
        }
    }

    /// Something was not written.
    fn refused(&self, why: &LogFault) {
        self.trouble.send_replace(Some(why.clone()));
    }

    /// Called while nothing is appended: opens the engine again if that may help, and syncs what is due. If the last
    /// write failed and `tries`, it also writes something, for nobody may ask for another change.
    fn look_after(&self, end: (Seq, Chain), tries: bool) {
        // A failure is noted where it happens.
        let Ok(engine) = self.engine_for_writing(end) else {
            return;
        };
        let fails = self.trouble.borrow().is_some();
        let done = match fails && tries {
            true => guarded(|| try_out(&*engine)),
            false => guarded(|| engine.sync_what_is_due()),
        };
        match done {
            Ok(()) if fails && tries => self.wrote(),
            Ok(()) => {}
            Err(why) => {
                self.failed(engine, &why);
                // Reads need the engine too.
                let _ = self.engine_for_writing(end);
            }
        }
    }

    /// A call that reads. A failure is returned to the caller and leaves the engine in place, unless the engine says
    /// that it must be opened again.
    fn call<R>(
        &self,
        call: impl FnOnce(&dyn StorageEngine) -> Result<R, Failure>,
    ) -> Result<R, LogFault> {
        let engine = self.engine_for_reading()?;
        guarded(|| call(&*engine)).map_err(|why| match why {
            Failure::Unread(_) => self.failed(engine, &why),
            _ => LogFault::Broken(why.to_string()),
        })
    }

    /// A call that writes, outside of the writer. After a full disk the writer opens the engine again.
    fn call_to_write(
        &self,
        call: impl FnOnce(&dyn StorageEngine) -> Result<(), Failure>,
    ) -> Result<(), LogFault> {
        let engine = self.engine()?;
        guarded(|| call(&*engine)).map_err(|why| self.failed(engine, &why))
    }
}
