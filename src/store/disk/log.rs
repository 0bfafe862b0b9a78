//! The store as the log of decisions and its replica: appends are queued for the writer, reads verify every hash.

use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, PoisonError};
use std::vec;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use super::codec::{self, LogValue};
use super::writer::{Append, WriterState};
use super::{SharedStore, Store};
use crate::core::event::Chain;
use crate::core::{Event, Personal, Seq};
use crate::journal::{Entry, Journal, LogFault, Replica, Tail, local_tail};
use crate::store::engine::{Direction, Failure, KeyRange, StorageEngine, StoreTable, scan};
use crate::store::parts;

impl Journal for Store {
    fn append<'a>(&'a self, batch: &'a [Event]) -> BoxFuture<'a, Result<Seq, LogFault>> {
        async move {
            let new = parts(batch)?;
            if new.is_empty() {
                return Ok(*self.shared.head.borrow());
            }
            let (tell, told) = oneshot::channel();
            let append = Append { new, tell };
            {
                let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let sent = match &*queue {
                    Some(queue) => queue.try_send(append),
                    None => return Err(WriterState::Closed.fault()),
                };
                sent.map_err(|why| match why {
                    TrySendError::Full(_) => LogFault::Busy,
                    TrySendError::Disconnected(_) => writer_gone(),
                })?;
            }
            told.await.unwrap_or_else(|_| Err(writer_gone()))
        }
        .boxed()
    }

    fn tail(&self, after: Seq) -> Tail {
        let shared = Arc::clone(&self.shared);
        local_tail(self.head(), after, move |from, most| {
            shared.read(from, most)
        })
    }

    fn trouble(&self) -> watch::Receiver<Option<LogFault>> {
        self.shared.trouble.subscribe()
    }
}

impl Replica for Store {
    fn read(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        self.shared.read(from, most)
    }

    fn trail(&self, places: &[Seq]) -> Result<Vec<Entry>, LogFault> {
        let mut entries = Vec::with_capacity(places.len());
        for place in places {
            entries.extend(self.shared.read(*place, 1)?);
        }
        Ok(entries)
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.shared.head.subscribe()
    }
}

impl SharedStore {
    fn read(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        // Entries behind the head are not read: they are not durable yet and may still fail.
        let head = *self.head.borrow();
        let from = from.max(Seq(1));
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let upto = Seq(head.0.min(from.0.saturating_add(most).saturating_sub(1)));
        if from > upto || most == 0 {
            return Ok(Vec::new());
        }
        self.call(|engine| read(engine, from, upto))?
    }
}

fn writer_gone() -> LogFault {
    LogFault::Broken(String::from("its writer is gone; restart portcullis"))
}

/// Why entries cannot be read.
enum Unread {
    Engine(Failure),
    Entry(Seq, String),
}

impl From<Failure> for Unread {
    fn from(why: Failure) -> Self {
        Unread::Engine(why)
    }
}

/// The entries `from..=upto`, with each hash verified.
fn read(
    engine: &dyn StorageEngine,
    from: Seq,
    upto: Seq,
) -> Result<Result<Vec<Entry>, LogFault>, Failure> {
    match read_verified(engine, from, upto) {
        Ok(entries) => Ok(Ok(entries)),
        Err(Unread::Entry(seq, why)) => Ok(Err(LogFault::Damaged { seq, why })),
        Err(Unread::Engine(why)) => Err(why),
    }
}

fn read_verified(engine: &dyn StorageEngine, from: Seq, upto: Seq) -> Result<Vec<Entry>, Unread> {
    let damaged = |seq: Seq, why: &dyn std::fmt::Display| Unread::Entry(seq, why.to_string());
    let before = Seq(from.0 - 1);
    let mut chain = Chain::default();
    if before > Seq(0) {
        let value = engine.get(StoreTable::Log, &codec::seq_key(before))?;
        let value = value.ok_or_else(|| damaged(before, &"it is missing"))?;
        chain = LogValue::from_bytes(&value)
            .map_err(|why| damaged(before, &why))?
            .chain;
    }
    let (first, last) = (codec::seq_key(from), codec::seq_key(upto));
    let keys = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    let mut personals = personals(engine, keys)?;
    let mut entries = Vec::with_capacity(usize::try_from(upto.0 - before.0).unwrap_or(0));
    let mut seq = from;
    scan(
        engine,
        StoreTable::Log,
        keys,
        Direction::Ascending,
        |key, value| {
            if codec::seq_of(key) != Ok(seq) {
                return Err(damaged(seq, &"it is missing"));
            }
            let entry = LogValue::from_bytes(value).map_err(|why| damaged(seq, &why))?;
            if chain.extend(seq, entry.event) != entry.chain {
                return Err(damaged(seq, &"it does not follow from the entry before it"));
            }
            chain = entry.chain;
            let personal = match personals.next_if(|(at, _)| *at == key) {
                Some((_, value)) => codec::personal_from_bytes(&value)
                    .map_err(|why| damaged(seq, &format!("its personal part: {why}")))?,
                None => Personal::default(),
            };
            let event =
                Event::from_bytes(entry.event, personal).map_err(|why| damaged(seq, &why))?;
            entries.push(Entry { seq, event, chain });
            seq = seq.next();
            Ok(ControlFlow::Continue(()))
        },
    )?;
    if seq <= upto {
        return Err(damaged(seq, &"it is missing"));
    }
    Ok(entries)
}

/// Keys and values of personal parts, in the order of the log.
type PersonalRows = Peekable<vec::IntoIter<(Vec<u8>, Vec<u8>)>>;

/// The personal parts of these entries.
fn personals(engine: &dyn StorageEngine, keys: KeyRange<'_>) -> Result<PersonalRows, Failure> {
    let mut found = Vec::new();
    let (table, up) = (StoreTable::Personal, Direction::Ascending);
    engine.walk(table, keys, up, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(found.into_iter().peekable())
}
