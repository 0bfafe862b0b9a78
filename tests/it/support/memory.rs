//! A store in memory. It keeps the same contract as the one on disk, and can be made slow, made to fail,
//! or made to lose an answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use portcullis::admission::CounterStore;
use portcullis::core::event::Chain;
use portcullis::core::{Event, Seq, Subject};
use portcullis::delivery::ports::{Outbox, Task};
use portcullis::journal::{Entry, Journal, LogFault, Replica, Snapshots, Tail, local_tail};
use portcullis::store::{APPENDS_WAITING, Parts, bounded, parts};

/// Everything in memory.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    head: watch::Sender<Seq>,
    trouble: watch::Sender<Option<LogFault>>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    cursor: Seq,
    tasks: BTreeMap<Subject, Task>,
    counters: Vec<Vec<u8>>,
    ledger: Vec<Vec<u8>>,
    /// Number of writes until one fails; 0: none fails.
    fails_in: usize,
    /// Whether every write fails.
    is_full: bool,
    delay: Option<Duration>,
    /// What becomes of the next appends with an unknown outcome, in order.
    unknown: VecDeque<UnknownAppend>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub(crate) fn new() -> Self {
        MemoryStore {
            kept: Arc::default(),
            head: watch::Sender::new(Seq(0)),
            trouble: watch::Sender::new(None),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Makes the `nth` write from now fail once: 1 is the next one, 0 cancels. Appends and saves both count.
    pub(crate) fn fail_on(&self, nth: usize) {
        self.kept().fails_in = nth;
    }

    /// With `true` every write fails from now on, as on a full disk; with `false` none, which is noticed at once.
    pub(crate) fn fill(&self, is_full: bool) {
        self.kept().is_full = is_full;
        if !is_full {
            self.trouble.send_replace(None);
        }
    }

    /// Makes appends take this long from now on, on tokio's clock; `None`: no delay.
    pub(crate) fn delay_appends(&self, by: Option<Duration>) {
        self.kept().delay = by;
    }

    /// Makes one more append answer "unknown": the first call applies to the next append, the second to the one after
    /// it.
    pub(crate) fn lose_answer(&self, delivery: UnknownAppend) {
        self.kept().unknown.push_back(delivery);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

/// What becomes of an append whose outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownAppend {
    /// It is stored at once.
    Stored,
    /// It is stored after this delay on tokio's clock, even if another append stored it meanwhile.
    Late(Duration),
    /// It is not stored.
    Lost,
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn write(&mut self, new: Vec<Parts>, head: &watch::Sender<Seq>) -> Result<Seq, LogFault> {
        let kept = self;
        kept.count_a_write()?;
        let mut seq = Seq(kept.entries.len() as u64);
        let mut chain = kept.entries.last().map_or(Chain::default(), |e| e.chain);
        let mut entries = Vec::with_capacity(new.len());
        for Parts { bytes, personal } in new {
            seq = seq.next();
            chain = chain.extend(seq, &bytes);
            let event = Event::from_bytes(&bytes, personal)
                .map_err(|why| LogFault::Broken(why.to_string()))?;
            entries.push(Entry { seq, event, chain });
        }
        kept.entries.extend(entries);
        // Under the lock, so that the head never goes back.
        head.send_replace(seq);
        Ok(seq)
    }

    fn read(&self, from: Seq, most: usize) -> Vec<Entry> {
        let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).take(most).cloned().collect()
    }

    fn count_a_write(&mut self) -> Result<(), LogFault> {
        if self.is_full {
            return Err(LogFault::Full(String::from("told to be full")));
        }
        self.fails_in = match self.fails_in {
            0 => return Ok(()),
            1 => {
                self.fails_in = 0;
                return Err(LogFault::Broken(String::from("told to fail")));
            }
            more => more - 1,
        };
        Ok(())
    }
}

/// Counts one waiting append while its future exists.
struct PendingAppend<'a>(&'a AtomicUsize);

impl Drop for PendingAppend<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Journal for MemoryStore {
    fn append<'a>(&'a self, batch: &'a [Event]) -> BoxFuture<'a, Result<Seq, LogFault>> {
        async move {
            let new = parts(batch)?;
            if new.is_empty() {
                return Ok(*self.head.borrow());
            }
            let before = self.waiting.fetch_add(1, Ordering::Relaxed);
            let _waiting = PendingAppend(&self.waiting);
            if before >= APPENDS_WAITING {
                return Err(LogFault::Busy);
            }
            let (delay, unknown) = {
                let mut kept = self.kept();
                (kept.delay, kept.unknown.pop_front())
            };
            if let Some(delay) = delay {
                tokio::time::sleep(delay).await;
            }
            let Some(delivery) = unknown else {
                let written = self.kept().write(new, &self.head);
                self.trouble.send_replace(written.as_ref().err().cloned());
                return written;
            };
            match delivery {
                UnknownAppend::Lost => {}
                UnknownAppend::Stored => {
                    self.kept().write(new, &self.head)?;
                }
                UnknownAppend::Late(by) => {
                    let (kept, head) = (Arc::clone(&self.kept), self.head.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(by).await;
                        // If this write is made to fail, the append is lost after all.
                        let _ = lock(&kept).write(new, &head);
                    });
                }
            }
            Err(LogFault::Unknown(String::from("told to lose the answer")))
        }
        .boxed()
    }

    fn tail(&self, after: Seq) -> Tail {
        let kept = Arc::clone(&self.kept);
        local_tail(self.head(), after, move |from, most| {
            Ok(lock(&kept).read(from, most))
        })
    }

    fn trouble(&self) -> watch::Receiver<Option<LogFault>> {
        self.trouble.subscribe()
    }
}

impl Replica for MemoryStore {
    fn read(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        Ok(self.kept().read(from, most))
    }

    fn trail(&self, places: &[Seq]) -> Result<Vec<Entry>, LogFault> {
        let kept = self.kept();
        let entries = places.iter().flat_map(|place| kept.read(*place, 1));
        Ok(entries.collect())
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }
}

impl Outbox for MemoryStore {
    fn load(&self) -> Result<(Seq, Vec<Task>), LogFault> {
        let kept = self.kept();
        Ok((kept.cursor, kept.tasks.values().cloned().collect()))
    }

    fn save(&self, cursor: Seq, put: &[Task], remove: &[Subject]) -> Result<(), LogFault> {
        let mut kept = self.kept();
        kept.count_a_write()?;
        kept.cursor = cursor;
        // Removals come first: a subject in both lists has new work.
        for subject in remove {
            kept.tasks.remove(subject);
        }
        for task in put {
            kept.tasks.insert(task.subject.clone(), bounded(task));
        }
        Ok(())
    }
}

impl CounterStore for MemoryStore {
    fn save_counters(&self, part: u32, bytes: &[u8]) -> Result<(), LogFault> {
        let mut kept = self.kept();
        kept.count_a_write()?;
        kept.counters.truncate(part as usize);
        if kept.counters.len() < part as usize {
            return Err(LogFault::Broken(format!("part {part} has none before it")));
        }
        kept.counters.push(bytes.to_vec());
        Ok(())
    }

    fn load_counters(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        Ok(self.kept().counters.clone())
    }
}

impl Snapshots for MemoryStore {
    fn save_snapshot(
        &self,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
    ) -> Result<(), LogFault> {
        // Collected before locking, because making the last frame saves this store's outbox.
        let frames = frames.collect::<Result<_, _>>()?;
        let mut kept = self.kept();
        kept.count_a_write()?;
        kept.ledger = frames;
        Ok(())
    }

    fn load_snapshot(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        Ok(self.kept().ledger.clone())
    }
}
