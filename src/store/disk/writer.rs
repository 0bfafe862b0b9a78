//! The only thread that writes the log. It takes all waiting appends, writes them together, syncs once, and only then
//! answers them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::SharedStore;
use super::codec::{self, LogValue};
use crate::core::event::Chain;
use crate::core::{Personal, Seq};
use crate::journal::LogFault;
use crate::store::Parts;
use crate::store::engine::{Durable, Failure, RowChange, StorageEngine, StoreTable, guarded};

/// A write takes no further appends once it has this many events; a single append may be larger.
const EVENTS_AT_ONCE: usize = 1000;

/// How long the writer waits for an append before it looks after the engine, which is opened again after a full disk.
const IDLE: Duration = Duration::from_millis(500);
/// How many such waits pass between two trials of a disk that took no write: each may cost opening the engine again.
const TRIAL_EVERY: u32 = 10;

/// One waiting append.
pub(super) struct Append {
    /// The encoded events; never empty.
    pub(super) new: Vec<Parts>,
    pub(super) tell: oneshot::Sender<Result<Seq, LogFault>>,
}

pub(super) struct Writer {
    pub(super) shared: Arc<SharedStore>,
    pub(super) queue: Receiver<Append>,
    /// The end of the acknowledged log.
    pub(super) end: (Seq, Chain),
    /// Whether the head file says that nothing behind the end was acknowledged.
    pub(super) is_noted: bool,
    /// Number of times that it waited for an append in vain.
    pub(super) idle: u32,
}

impl Writer {
    /// Runs until the store is closed and every waiting append is written.
    pub(super) fn run(mut self) {
        while let Some(first) = self.next() {
            let mut events = first.new.len();
            let mut appends = vec![first];
            while events < EVENTS_AT_ONCE
                && let Ok(next) = self.queue.try_recv()
            {
                events += next.new.len();
                appends.push(next);
            }
            self.write(appends);
        }
    }

    /// The next append. While the disk is full the engine is opened again and again, for reads need it too.
    fn next(&mut self) -> Option<Append> {
        loop {
            match self.queue.recv_timeout(IDLE) {
                Ok(append) => return Some(append),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    self.idle = self.idle.wrapping_add(1);
                    let tries = self.idle.is_multiple_of(TRIAL_EVERY);
                    self.shared.look_after(self.end, tries);
                }
            }
        }
    }

    fn write(&mut self, appends: Vec<Append>) {
        let answer = self.try_write(&appends);
        if let Ok((_, end)) = &answer {
            self.end = *end;
            self.shared.wrote();
            if let Err(why) = self.shared.head_file.set(*end) {
                tracing::warn!(%why, "cannot write the position of the last entry");
            }
            // The head moves before the appends are answered, so that their callers can read what they appended.
            self.shared.head.send_replace(end.0);
        } else if let Err(why) = &answer {
            self.shared.refused(why);
            self.note_refused();
        }
        for (at, append) in appends.into_iter().enumerate() {
            let told = match &answer {
                Ok((places, _)) => Ok(places[at]),
                Err(why) => Err(why.clone()),
            };
            // The caller may have gone away; the entries stay written.
            let _ = append.tell.send(told);
        }
        if answer.is_err() {
            // Reads need the engine too, and the disk may have space again.
            let _ = self.shared.engine_for_writing(self.end);
        }
    }

    /// Notes, before the appends are answered, that nothing behind the end was acknowledged.
    fn note_refused(&mut self) {
        if self.is_noted {
            return;
        }
        // Set even if it fails: half of it may be on the disk.
        self.is_noted = true;
        if let Err(why) = self.shared.head_file.set_last(self.end) {
            tracing::warn!(%why, "cannot note that a write was refused; it may be there after a restart");
        }
    }

    /// The last position of each append, and the new end of the log.
    fn try_write(&mut self, appends: &[Append]) -> Result<(Vec<Seq>, (Seq, Chain)), LogFault> {
        let engine = self.shared.engine_for_writing(self.end)?;
        if self.is_noted {
            // Durably, and first: otherwise a power cut after this write could drop it.
            let cleared = self.shared.head_file.set_durably(self.end);
            cleared.map_err(|why| LogFault::Full(format!("the file head: {why}")))?;
            self.is_noted = false;
        }
        let (rows, places, end) =
            lay_out(self.end, appends).map_err(|why| LogFault::Broken(why.to_string()))?;
        let written = guarded(|| engine.write(&rows, Durable::Now));
        if let Err(why) = written {
            // Before the engine is given up, which may take this thread with it.
            self.note_refused();
            return Err(self.shared.failed(engine, &why));
        }
        Ok((places, end))
    }
}

type Layout = (Vec<RowChange>, Vec<Seq>, (Seq, Chain));

fn lay_out(end: (Seq, Chain), appends: &[Append]) -> Result<Layout, codec::BadBytes> {
    let (mut seq, mut chain) = end;
    let mut rows = Vec::with_capacity(appends.iter().map(|append| append.new.len()).sum());
    let mut places = Vec::with_capacity(appends.len());
    for append in appends {
        let last = append.new.len() - 1;
        for (at, Parts { bytes, personal }) in append.new.iter().enumerate() {
            seq = seq.next();
            chain = chain.extend(seq, bytes);
            let entry = LogValue {
                last: at == last,
                chain,
                event: bytes,
            };
            let key = codec::seq_key(seq);
            rows.push(RowChange::put(StoreTable::Log, key, entry.to_bytes()));
            if *personal != Personal::default() {
                let value = codec::personal_to_bytes(personal)?;
                rows.push(RowChange::put(StoreTable::Personal, key, value));
            }
        }
        places.push(seq);
    }
    Ok((rows, places, (seq, chain)))
}

/// The engine, or why there is none.
#[derive(Debug)]
pub(super) enum WriterState {
    Running(Arc<dyn StorageEngine>),
    /// The disk took no writes at the start: a copy of the engine in memory is read, and the engine is opened before the next
    /// append.
    Guarding(Arc<dyn StorageEngine>, String),
    /// The disk was full: the engine is reopened before the next append.
    Full(String),
    /// A read failed: the engine is reopened before the next append.
    Unread(String),
    /// Failed in a way that only a restart can repair.
    Broken(String),
    Closed,
}

impl WriterState {
    pub(super) fn after(why: &Failure) -> WriterState {
        if let Failure::Unread(_) = why {
            WriterState::Unread(format!("{why}; the next change opens it again"))
        } else if why.may_pass() {
            WriterState::Full(format!(
                "{why}; make room on the disk, the next change tries again"
            ))
        } else {
            WriterState::Broken(format!(
                "{why}; look at the disk and the system's log, then restart portcullis"
            ))
        }
    }

    pub(super) fn fault(&self) -> LogFault {
        match self {
            WriterState::Full(why) | WriterState::Guarding(_, why) => LogFault::Full(why.clone()),
            WriterState::Running(_) => LogFault::Broken(String::from("it is being opened again")),
            WriterState::Unread(why) | WriterState::Broken(why) => LogFault::Broken(why.clone()),
            WriterState::Closed => {
                LogFault::Broken(String::from("it was closed; portcullis is stopping"))
            }
        }
    }
}
