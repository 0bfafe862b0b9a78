//! Appending to a log that may not know whether it stored a batch.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{EventId, Journal, LogFault};
use crate::core::{Event, Ruling};

/// Delay before a batch with an unknown outcome is offered again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How long an outcome may stay unknown before the caller gets [`LogFault::Unknown`].
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// Callers waiting for the ruling on an event. The task that folds the log calls [`Rulings::ruled`].
#[derive(Debug, Default)]
pub struct Rulings(Mutex<HashMap<EventId, oneshot::Sender<Ruling>>>);

impl Rulings {
    /// Delivers the rulings to the callers waiting for these events, if there are any.
    pub fn ruled(&self, rulings: impl Iterator<Item = (EventId, Ruling)>) {
        let mut table = self.table();
        for (id, ruling) in rulings {
            if let Some(waiting) = table.remove(&id) {
                // The caller may have gone away. The ruling is in force either way.
                let _ = waiting.send(ruling);
            }
        }
    }

    fn wait_for(&self, ids: Vec<EventId>) -> PendingRulings<'_> {
        let mut table = self.table();
        let rulings = ids.iter().map(|id| {
            let (tell, told) = oneshot::channel();
            table.insert(*id, tell);
            told
        });
        let rulings = rulings.collect();
        drop(table);
        PendingRulings {
            home: self,
            ids,
            rulings,
            done: Vec::new(),
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<EventId, oneshot::Sender<Ruling>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for rulings; stops waiting when dropped.
struct PendingRulings<'a> {
    home: &'a Rulings,
    ids: Vec<EventId>,
    rulings: Vec<oneshot::Receiver<Ruling>>,
    done: Vec<Ruling>,
}

impl PendingRulings<'_> {
    /// All rulings, in the order of the ids. Cancel-safe: rulings received before are kept in `done`.
    async fn all(&mut self) -> Result<Vec<Ruling>, LogFault> {
        while let Some(next) = self.rulings.get_mut(self.done.len()) {
            self.done.push(next.await.map_err(|_| {
                LogFault::Broken(String::from(
                    "the log of decisions is no longer followed; the program's log says why",
                ))
            })?);
        }
        self.ids.clear();
        Ok(std::mem::take(&mut self.done))
    }
}

impl Drop for PendingRulings<'_> {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let mut table = self.home.table();
        for id in &self.ids {
            table.remove(id);
        }
    }
}

/// Appends a batch, waits until it is folded, and returns the rulings on the events in `asked`, in that order.
///
/// While the log answers [`LogFault::Unknown`], the batch is offered again. An event that appears in the tail is
/// stored, whatever the log answered.
///
/// # Errors
/// [`LogFault::Unknown`] if the outcome was still unknown after ten seconds; the batch may be applied now or later.
/// Any other fault: nothing was stored.
pub async fn append(
    journal: &dyn Journal,
    rulings: &Rulings,
    batch: &[Event],
    asked: Vec<EventId>,
) -> Result<Vec<Ruling>, LogFault> {
    let Some(last) = batch.last() else {
        return Ok(Vec::new());
    };
    // An unknown outcome is resolved by a ruling, so wait for at least one.
    let asked = if asked.is_empty() {
        vec![last.id]
    } else {
        asked
    };
    let mut waiting = rulings.wait_for(asked);
    let mut unknown: Option<(tokio::time::Instant, String)> = None;
    loop {
        let answer = tokio::select! {
            biased;
            answer = journal.append(batch) => answer,
            // A folded event is stored, even if the answer to the append has not arrived.
            folded = waiting.all() => return folded,
        };
        match answer {
            Ok(_) => return waiting.all().await,
            Err(LogFault::Unknown(why)) => {
                let since = unknown.map_or_else(tokio::time::Instant::now, |(since, _)| since);
                unknown = Some((since, why));
            }
            // This call stored nothing, but an earlier one with an unknown outcome may have.
            Err(why) => match &mut unknown {
                None => return Err(why),
                Some((_, last)) => *last = why.to_string(),
            },
        }
        if let Ok(all) = tokio::time::timeout(AGAIN_AFTER, waiting.all()).await {
            return all;
        }
        if let Some((since, why)) = &unknown
            && since.elapsed() >= UNKNOWN_FOR
        {
            return Err(LogFault::Unknown(why.clone()));
        }
    }
}
