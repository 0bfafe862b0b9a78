//! A store that forgets when it is dropped: for tests of everything else, with switches to make
//! it slow or failing. What it does is what every store does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{APPENDS_WAITING, Parts, bounded, parts};
use crate::core::event::Chain;
use crate::core::{Event, Seq, Subject};
use crate::gate::ports::{Entry, EventLog, LogFault, Outbox, Task};

/// A log and an outbox in memory.
#[derive(Debug)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
    head: watch::Sender<Seq>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    cursor: Seq,
    tasks: BTreeMap<Subject, Task>,
    counters: Vec<Vec<u8>>,
    ledger: Vec<Vec<u8>>,
    /// Writes until one fails; 0: none will.
    fails_in: usize,
    delay: Option<Duration>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        MemoryStore {
            kept: Mutex::default(),
            head: watch::Sender::new(Seq(0)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Makes the `nth` write from now fail, once: 1 is the next one, 0 takes it back. Appends
    /// and saves both count.
    pub fn fail_on(&self, nth: usize) {
        self.kept().fails_in = nth;
    }

    /// Makes appends take this long from now on, on tokio's clock; `None`: no time at all.
    pub fn delay_appends(&self, by: Option<Duration>) {
        self.kept().delay = by;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, new: Vec<Parts>) -> Result<Seq, LogFault> {
        let mut kept = self.kept();
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
        self.head.send_replace(seq);
        Ok(seq)
    }
}

impl Kept {
    fn count_a_write(&mut self) -> Result<(), LogFault> {
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

/// One append that waits; it stops waiting when its future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl EventLog for MemoryStore {
    fn append(&self, events: Vec<Event>) -> BoxFuture<'_, Result<Seq, LogFault>> {
        async move {
            let new = parts(events)?;
            if new.is_empty() {
                return Ok(*self.head.borrow());
            }
            let before = self.waiting.fetch_add(1, Ordering::Relaxed);
            let _waiting = Waiting(&self.waiting);
            if before >= APPENDS_WAITING {
                return Err(LogFault::Busy);
            }
            let delay = self.kept().delay;
            if let Some(delay) = delay {
                tokio::time::sleep(delay).await;
            }
            self.write(new)
        }
        .boxed()
    }

    fn read(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
        let kept = self.kept();
        Ok(kept.entries.iter().skip(skip).take(most).cloned().collect())
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
        // Removals first: a subject in both lists has work again.
        for subject in remove {
            kept.tasks.remove(subject);
        }
        for task in put {
            kept.tasks.insert(task.subject.clone(), bounded(task));
        }
        Ok(())
    }

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

    fn save_ledger(
        &self,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
    ) -> Result<(), LogFault> {
        // Not under the lock: who makes the last frame saves first.
        let frames = frames.collect::<Result<_, _>>()?;
        let mut kept = self.kept();
        kept.count_a_write()?;
        kept.ledger = frames;
        Ok(())
    }

    fn load_ledger(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        Ok(self.kept().ledger.clone())
    }
}
