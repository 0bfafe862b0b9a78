//! The store as the log of decisions and its replica: appends are queued for the writer, reads verify every hash.

use std::sync::{Arc, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::codec::{self, LogValue};
use super::engine::SledEngine;
use super::writer::{Append, WriterState};
use super::{SharedStore, Store};
use crate::core::event::Chain;
use crate::core::{Event, Personal, Seq};
use crate::journal::{Entry, Journal, LogFault, Replica, Tail, local_tail};
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
                    mpsc::error::TrySendError::Full(_) => LogFault::Busy,
                    mpsc::error::TrySendError::Closed(_) => writer_gone(),
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
        self.call(|engine| Ok(read(engine, from, upto)))?
    }
}

fn writer_gone() -> LogFault {
    LogFault::Broken(String::from("its writer is gone; restart portcullis"))
}

/// The entries `from..=upto`, with each hash verified.
fn read(engine: &SledEngine, from: Seq, upto: Seq) -> Result<Vec<Entry>, LogFault> {
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
