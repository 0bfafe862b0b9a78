//! The store on a disk. It keeps its promises with sled 0.34 underneath (docs/adr/0001-sled.md).
//!
//! `codec` has the bytes, `engine` every call into sled that can go wrong, `writer` the one
//! thread that appends, `mark` the witness of how far the log went.

mod codec;
mod engine;
mod mark;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use self::codec::LogValue;
use self::engine::{Engine, Failure, guarded};
use self::mark::Mark;
use self::writer::{Append, State, Writer};
use super::{APPENDS_WAITING, CounterFile, LedgerFile, bounded, parts};
use crate::ban::event::Chain;
use crate::ban::{Event, Personal, Seq, Subject};
use crate::gate::ports::{Entry, EventLog, LogFault, Outbox, Task};

/// The engine's folder inside the store's.
const ENGINE_FOLDER: &str = "sled";
/// The file that is locked while a program runs on the store.
const LOCK: &str = "lock";
/// How often the lock is tried, and the pause between: together a second.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

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

/// Why a store cannot be opened. Nothing is ever deleted to make it work.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The folder cannot be made, entered or written.
    #[error("cannot use {} for the store: {why}; check its owner and rights", .path.display())]
    Folder {
        /// The store's folder.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Another process has it open.
    #[error(
        "another portcullis runs on this store ({}); stop it first, or give this one a store of its own",
        .path.display()
    )]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// Written by a later portcullis.
    #[error(
        "the store in {} has format {found}, this portcullis knows formats up to {known}; \
         install the newer portcullis again",
        .path.display()
    )]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// The version on the disk.
        found: u64,
        /// The highest version this program reads.
        known: u64,
    },
    /// The content is not what was written.
    #[error(
        "the store in {0} is damaged: {why}. Keep a copy of the folder as it is \
         (cp -a {0} {0}.damaged), check the disk, then put a backup in its place; with no \
         backup, move the folder away and portcullis starts with no bans",
        .path.display()
    )]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What is wrong, as far as it can be told.
        why: String,
    },
}

impl Store {
    /// Opens the store in a folder, which is made (for its owner only) when it is not there.
    /// Blocks: about half a second for a million entries.
    ///
    /// # Errors
    /// [`OpenFault`] says what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Store, OpenFault> {
        let path = path.as_ref().to_path_buf();
        let folder = |why| OpenFault::Folder {
            path: path.clone(),
            why,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.join(ENGINE_FOLDER))
            .map_err(folder)?;
        let lock = lock(&path)?;
        let (mark, says) = Mark::open(&path).map_err(folder)?;
        let fault = |why: Failure| open_fault(&path, why);
        let (engine, seq, chain) =
            guarded(|| Engine::open(&path.join(ENGINE_FOLDER), None)).map_err(fault)?;
        if let Some((marked, hash)) = says {
            guarded(|| compare(&engine, marked, hash, seq, &path)).map_err(fault)?;
        }
        mark.set(seq, chain).map_err(folder)?;
        let id = engine.id;
        let shared = Arc::new(Shared {
            path: path.clone(),
            state: RwLock::new(State::Running(Arc::new(engine))),
            head: watch::Sender::new(seq),
            mark,
            counters: CounterFile::new(&path),
            ledger: LedgerFile::new(&path),
            _lock: lock,
        });
        let (sender, queue) = mpsc::channel(APPENDS_WAITING);
        let writer = Writer {
            shared: Arc::clone(&shared),
            queue,
            end: (seq, chain),
        };
        let thread = thread::Builder::new()
            .name(String::from("store"))
            .spawn(move || writer.run())
            .map_err(folder)?;
        Ok(Store {
            shared,
            queue: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(thread)),
            id,
        })
    }

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

fn lock(path: &Path) -> Result<File, OpenFault> {
    let folder = |why| OpenFault::Folder {
        path: path.to_path_buf(),
        why,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join(LOCK))
        .map_err(folder)?;
    // The one before may be ending at this moment; and a program started by this one holds every
    // open file between fork and exec, the lock of a store closed meanwhile among them.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => pause(),
            Err(TryLockError::Error(why)) => return Err(folder(why)),
        }
    }
    Err(OpenFault::Locked {
        path: path.to_path_buf(),
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "opening blocks anyway: it is done on a thread of its own, before anything is served"
)]
fn pause() {
    std::thread::sleep(LOCK_PAUSE);
}

fn open_fault(path: &Path, why: Failure) -> OpenFault {
    let path = path.to_path_buf();
    match why {
        Failure::Newer(found) => OpenFault::Newer {
            path,
            found,
            known: engine::STORE_VERSION,
        },
        Failure::Io(why) | Failure::Sled(::sled::Error::Io(why)) => OpenFault::Folder { path, why },
        other => OpenFault::Damaged {
            path,
            why: other.to_string(),
        },
    }
}

/// Compares the log with the mark: it must go at least that far, and be the same log there.
fn compare(
    engine: &Engine,
    marked: Seq,
    hash: Chain,
    end: Seq,
    path: &Path,
) -> Result<(), Failure> {
    if end < marked {
        return Err(Failure::Damaged(format!(
            "the log ends with entry {}, but entry {} had been acknowledged; to go on without \
             the entries between, delete {}",
            end.0,
            marked.0,
            path.join(mark::NAME).display()
        )));
    }
    if engine.chain_at(marked)? != Some(hash) {
        return Err(Failure::Damaged(format!(
            "entry {} of the log is not the one that was acknowledged",
            marked.0
        )));
    }
    Ok(())
}

impl Shared {
    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, State> {
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

impl EventLog for Store {
    fn append(&self, events: Vec<Event>) -> BoxFuture<'_, Result<Seq, LogFault>> {
        async move {
            let new = parts(events)?;
            if new.is_empty() {
                return Ok(*self.shared.head.borrow());
            }
            let (tell, told) = oneshot::channel();
            let append = Append { new, tell };
            {
                let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let sent = match &*queue {
                    Some(queue) => queue.try_send(append),
                    None => return Err(State::Closed.fault()),
                };
                sent.map_err(|why| match why {
                    mpsc::error::TrySendError::Full(_) => LogFault::Busy,
                    mpsc::error::TrySendError::Closed(_) => writer_gone(),
                })?;
            }
            told.await.unwrap_or_else(|_| Err(writer_gone()))
        }
        .boxed()
    }

    fn read(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        // Never beyond the head: what is not durable yet may still fail.
        let head = *self.shared.head.borrow();
        let from = from.max(Seq(1));
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let upto = Seq(head.0.min(from.0.saturating_add(most).saturating_sub(1)));
        if from > upto || most == 0 {
            return Ok(Vec::new());
        }
        self.shared.call(|engine| Ok(read(engine, from, upto)))?
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.shared.head.subscribe()
    }
}

fn writer_gone() -> LogFault {
    LogFault::Broken(String::from("its writer is gone; restart portcullis"))
}

/// The entries `from..=upto`, each link looked at.
fn read(engine: &Engine, from: Seq, upto: Seq) -> Result<Vec<Entry>, LogFault> {
    let broken = |why: ::sled::Error| LogFault::Broken(why.to_string());
    let damaged = |seq: Seq, why: &dyn std::fmt::Display| LogFault::Damaged {
        seq,
        why: why.to_string(),
    };
    let before = Seq(from.0 - 1);
    let mut chain = Chain::default();
    if before > Seq(0) {
        let value = engine.log.get(codec::seq_key(before)).map_err(broken)?;
        let value = value.ok_or_else(|| damaged(before, &"it is missing"))?;
        chain = LogValue::from_bytes(&value)
            .map_err(|why| damaged(before, &why))?
            .chain;
    }
    let keys = codec::seq_key(from)..=codec::seq_key(upto);
    let mut personals = engine.personal.range(keys.clone()).peekable();
    let mut entries = Vec::with_capacity(usize::try_from(upto.0 - before.0).unwrap_or(0));
    let mut seq = from;
    for item in engine.log.range(keys) {
        let (key, value) = item.map_err(broken)?;
        if codec::seq_of(&key) != Ok(seq) {
            return Err(damaged(seq, &"it is missing"));
        }
        let entry = LogValue::from_bytes(&value).map_err(|why| damaged(seq, &why))?;
        if chain.extend(seq, entry.event) != entry.chain {
            return Err(damaged(seq, &"it does not follow from the entry before it"));
        }
        chain = entry.chain;
        let mut personal = Personal::default();
        if let Some(item) =
            personals.next_if(|item| item.as_ref().map_or(true, |(at, _)| *at == key))
        {
            let (_, value) = item.map_err(broken)?;
            personal = codec::personal_from_bytes(&value)
                .map_err(|why| damaged(seq, &format!("its personal part: {why}")))?;
        }
        let event = Event::from_bytes(entry.event, personal).map_err(|why| damaged(seq, &why))?;
        entries.push(Entry { seq, event, chain });
        seq = seq.next();
    }
    if seq <= upto {
        return Err(damaged(seq, &"it is missing"));
    }
    Ok(entries)
}

impl Outbox for Store {
    fn load(&self) -> Result<(Seq, Vec<Task>), LogFault> {
        self.shared.call(|engine| {
            let mut cursor = Seq(0);
            let mut tasks = Vec::new();
            for item in &engine.outbox {
                let (key, value) = item?;
                let unreadable =
                    |why| Failure::Damaged(format!("unfinished work is damaged: {why}"));
                if *key == codec::CURSOR_KEY {
                    cursor = Seq(codec::number_from_bytes(&value).map_err(unreadable)?);
                } else {
                    tasks.push(codec::task_from_bytes(&value).map_err(unreadable)?);
                }
            }
            Ok((cursor, tasks))
        })
    }

    fn save(&self, cursor: Seq, put: &[Task], remove: &[Subject]) -> Result<(), LogFault> {
        self.shared.call(|engine| {
            let cannot =
                |why| Failure::Damaged(format!("cannot write down unfinished work: {why}"));
            let mut batch = ::sled::Batch::default();
            batch.insert(&codec::CURSOR_KEY, codec::number_to_bytes(cursor.0));
            // Removals first: a subject in both lists has work again.
            for subject in remove {
                batch.remove(codec::task_key(subject).map_err(cannot)?);
            }
            for task in put {
                let key = codec::task_key(&task.subject).map_err(cannot)?;
                batch.insert(key, codec::task_to_bytes(&bounded(task)).map_err(cannot)?);
            }
            Ok(engine.outbox.apply_batch(batch)?)
        })
    }

    fn save_counters(&self, part: u32, bytes: &[u8]) -> Result<(), LogFault> {
        self.shared.counters.save(part, bytes)
    }

    fn load_counters(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        self.shared.counters.load()
    }

    fn save_ledger(
        &self,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
    ) -> Result<(), LogFault> {
        let outbox_first = || self.shared.call(Engine::sync);
        self.shared.ledger.save(frames, outbox_first)
    }

    fn load_ledger(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        self.shared.ledger.load()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::executor::block_on;

    use super::*;
    use crate::ban::{Actor, Change, EventId, Origin, Timestamp};

    fn event(number: u8) -> Event {
        Event {
            id: EventId([number; 16]),
            at: Timestamp::from_millis(0),
            actor: Actor::clock(),
            origin: Origin::Manual,
            subject: Subject::parse("spam@example.org").unwrap(),
            based_on: Seq(0),
            change: Change::Expired,
            personal: Personal {
                key: 0,
                note: Some(format!("note {number}")),
                evidence: None,
            },
        }
    }

    /// A store with five entries, changed behind its back.
    fn spoilt(spoil: impl FnOnce(&Engine)) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for number in 1..=5 {
            block_on(store.append(vec![event(number)])).unwrap();
        }
        spoil(&store.shared.engine().unwrap());
        (folder, store)
    }

    fn damage(store: &Store, from: u64) -> (u64, String) {
        match store.read(Seq(from), 9) {
            Err(LogFault::Damaged { seq, why }) => (seq.0, why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_damaged_entry_is_named() {
        let (_folder, store) = spoilt(|engine| {
            let key = codec::seq_key(Seq(3));
            let mut value = engine.log.get(key).unwrap().unwrap().to_vec();
            *value.last_mut().unwrap() ^= 1;
            engine.log.insert(key, value).unwrap();
        });
        let why = String::from("its checksum does not match");
        assert_eq!(damage(&store, 1), (3, why.clone()));
        assert_eq!(damage(&store, 4), (3, why));
        assert_eq!(store.read(Seq(1), 2).unwrap().len(), 2);
        assert_eq!(store.read(Seq(5), 2).unwrap().len(), 1);
    }

    #[test]
    fn entries_in_another_order_are_noticed() {
        let (folder, store) = spoilt(|engine| {
            let keys = [Seq(3), Seq(4)].map(codec::seq_key);
            let values = keys.map(|key| engine.log.get(key).unwrap().unwrap());
            engine.log.insert(keys[0], &values[1]).unwrap();
            engine.log.insert(keys[1], &values[0]).unwrap();
        });
        let why = String::from("it does not follow from the entry before it");
        assert_eq!(damage(&store, 1), (3, why.clone()));
        assert_eq!(damage(&store, 4), (4, why));
        drop(store);
        let fault = Store::open(folder.path()).unwrap_err();
        assert!(matches!(fault, OpenFault::Damaged { .. }), "{fault}");
    }

    #[test]
    fn a_hole_and_a_damaged_note_are_noticed() {
        let (_folder, store) = spoilt(|engine| {
            engine.log.remove(codec::seq_key(Seq(2))).unwrap();
            engine
                .personal
                .insert(codec::seq_key(Seq(4)), b"?")
                .unwrap();
        });
        assert_eq!(damage(&store, 1), (2, "it is missing".into()));
        assert_eq!(damage(&store, 3), (2, "it is missing".into()));
        assert_eq!(
            damage(&store, 4),
            (4, "its personal part: it is cut off".into())
        );
    }

    #[test]
    fn a_forgotten_note_leaves_its_event_readable() {
        let (_folder, store) = spoilt(|engine| {
            engine.personal.remove(codec::seq_key(Seq(2))).unwrap();
        });
        let entries = store.read(Seq(1), 9).unwrap();
        assert_eq!(entries[1].event.personal, Personal::default());
        assert_eq!(entries[2].event.personal, event(3).personal);
    }

    #[test]
    fn an_append_that_a_crash_tore_is_dropped_when_it_opens() {
        let (folder, store) = spoilt(|engine| {
            let chain = engine.chain_at(Seq(5)).unwrap().unwrap();
            let bytes = event(6).to_bytes().unwrap();
            let torn = LogValue {
                last: false,
                chain: chain.extend(Seq(6), &bytes),
                event: &bytes,
            };
            engine
                .log
                .insert(codec::seq_key(Seq(6)), torn.to_bytes())
                .unwrap();
            engine
                .personal
                .insert(codec::seq_key(Seq(6)), b"stray")
                .unwrap();
        });
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(*store.head().borrow(), Seq(5));
        let mut plain = event(7);
        plain.personal = Personal::default();
        assert_eq!(block_on(store.append(vec![plain.clone()])).unwrap(), Seq(6));
        assert_eq!(store.read(Seq(6), 9).unwrap()[0].event, plain);
    }

    #[test]
    fn a_panic_of_the_engine_is_an_error_and_the_last_word() {
        let (_folder, store) = spoilt(|_| ());
        let fault = store
            .shared
            .call::<()>(|_| panic!("pid {}", 7))
            .unwrap_err();
        assert!(fault.to_string().contains("it panicked: pid 7"), "{fault}");
        assert!(store.read(Seq(1), 1).is_ok());
        store.shared.failed(&Failure::Panicked("in a write".into()));
        let fault = block_on(store.append(vec![event(6)])).unwrap_err();
        assert!(fault.to_string().contains("restart portcullis"), "{fault}");
    }

    #[test]
    fn a_store_of_a_newer_portcullis_is_refused() {
        let (folder, store) = spoilt(|_| ());
        drop(store);
        let db = engine::open_db(&folder.path().join(ENGINE_FOLDER)).unwrap();
        let meta = db.open_tree("meta").unwrap();
        meta.insert("version", codec::number_to_bytes(2)).unwrap();
        db.flush().unwrap();
        drop((meta, db));
        let fault = Store::open(folder.path()).unwrap_err();
        assert!(
            matches!(
                fault,
                OpenFault::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{fault}"
        );
    }
}
