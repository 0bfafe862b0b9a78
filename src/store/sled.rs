//! The store on a disk. It keeps its promises with sled 0.34 underneath (docs/adr/0001-sled.md).
//!
//! `codec` has the bytes, `engine` every call into sled that can go wrong, `writer` the one
//! thread that appends, `mark` the witness of how far the log went. `open` brings them together;
//! `log` and `outbox` are what the gate sees. Here: what they share, and how it fails.

mod codec;
mod engine;
mod log;
mod mark;
mod open;
mod outbox;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use self::engine::{Engine, Failure, guarded};
use self::mark::Mark;
use self::writer::{Append, State};
use super::{CounterFile, LedgerFile};
use crate::core::Seq;
use crate::core::event::Chain;
use crate::journal::LogFault;

pub use self::open::OpenFault;

/// The engine's folder inside the store's.
const ENGINE_FOLDER: &str = "sled";
/// A log and an outbox in a folder of the disk. Closed when it is dropped.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    queue: Mutex<Option<mpsc::Sender<Append>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    id: [u8; 16],
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: RwLock<State>,
    head: watch::Sender<Seq>,
    mark: Mark,
    counters: CounterFile,
    ledger: LedgerFile,
    /// Held, not read: the lock ends with it.
    _lock: File,
}

impl Store {
    /// The name this store got when it was made: tells two instances apart.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Writes what waits, makes it durable and closes the files. Blocks until that is done.
    /// Later calls find a closed store.
    pub fn close(&self) {
        drop(take(&self.queue));
        let Some(thread) = take(&self.writer) else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!("the store's writer had panicked");
        }
        let state = std::mem::replace(&mut *self.shared.state_mut(), State::Closed);
        if let State::Running(engine) = state {
            let synced = guarded(|| engine.sync()).and_then(|()| Ok(self.shared.mark.sync()?));
            if let Err(why) = synced {
                tracing::error!(%why, "cannot close the store cleanly");
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Shared {
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self) -> Result<Arc<Engine>, LogFault> {
        match &*self.state() {
            State::Running(engine) => Ok(Arc::clone(engine)),
            other => Err(other.fault()),
        }
    }

    /// The engine, opened again when the disk had been full; the log must then end where it was
    /// acknowledged, and what failed is dropped.
    fn engine_for_writing(&self, end: (Seq, Chain)) -> Result<Arc<Engine>, LogFault> {
        match &*self.state() {
            State::Full(_) => {}
            State::Running(engine) => return Ok(Arc::clone(engine)),
            other => return Err(other.fault()),
        }
        let opened = guarded(|| {
            let (engine, seq, chain) = Engine::open(&self.path.join(ENGINE_FOLDER), Some(end.0))?;
            if (seq, chain) == end {
                return Ok(Arc::new(engine));
            }
            Err(Failure::Damaged(format!(
                "after a full disk the log ends with entry {}, not {}",
                seq.0, end.0.0
            )))
        });
        match opened {
            Ok(engine) => {
                tracing::info!("the store works again");
                *self.state_mut() = State::Running(Arc::clone(&engine));
                Ok(engine)
            }
            Err(why) => Err(self.failed(&why)),
        }
    }

    /// Takes the engine away after a failed write: what it holds in memory is not what is on
    /// the disk.
    fn failed(&self, why: &Failure) -> LogFault {
        let state = State::after(why);
        let fault = state.fault();
        tracing::error!(%why, path = %self.path.display(), "the store failed");
        let old = std::mem::replace(&mut *self.state_mut(), state);
        if matches!(why, Failure::Panicked(_)) {
            // Its threads may be gone, and closing waits for them.
            std::mem::forget(old);
        }
        fault
    }

    /// A call that is not the writer's. Its failure is its caller's; the writer finds out for
    /// itself.
    fn call<R>(&self, call: impl FnOnce(&Engine) -> Result<R, Failure>) -> Result<R, LogFault> {
        let engine = self.engine()?;
        guarded(|| call(&engine)).map_err(|why| LogFault::Broken(why.to_string()))
    }
}
