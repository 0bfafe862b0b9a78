//! Appending when the log may not know what became of a batch.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{EventId, Journal, LogFault};
use crate::core::{Event, Ruling};

/// How long after an unknown outcome the same batch is offered again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How long an outcome may stay unknown before the caller is told so.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// Who waits for the ruling on which event. Whoever folds the log calls [`Rulings::ruled`].
#[derive(Debug, Default)]
pub struct Rulings(Mutex<HashMap<EventId, oneshot::Sender<Ruling>>>);

impl Rulings {
    /// Tells whoever waits for this event, if anybody does.
    pub fn ruled(&self, id: EventId, ruling: Ruling) {
        let waiting = self.table().remove(&id);
        if let Some(waiting) = waiting {
            // Whoever waited may have gone away; the ruling stands all the same.
            let _ = waiting.send(ruling);
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
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<EventId, oneshot::Sender<Ruling>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for some rulings, and stops when it is dropped.
struct PendingRulings<'a> {
    home: &'a Rulings,
    ids: Vec<EventId>,
    rulings: Vec<oneshot::Receiver<Ruling>>,
}

impl PendingRulings<'_> {
    /// All rulings, in the order of the ids. Can be awaited again after it was given up half-way.
    async fn all(&mut self, done: &mut Vec<Ruling>) -> Result<(), LogFault> {
        while let Some(next) = self.rulings.get_mut(done.len()) {
            done.push(next.await.map_err(|_| {
                LogFault::Broken(String::from("the log is no longer followed; see the log"))
            })?);
        }
        Ok(())
    }
}

impl Drop for PendingRulings<'_> {
    fn drop(&mut self) {
        let mut table = self.home.table();
        for id in &self.ids {
            table.remove(id);
        }
    }
}

/// Appends a batch and waits until it has been folded: the rulings on the events that are `asked` about, in that order.
///
/// While the log answers "unknown" the same batch is offered again, and its own events are looked for in the tail: what
/// is folded is done, whatever the log had answered.
///
/// # Errors
/// [`LogFault::Unknown`] when nobody could tell for ten seconds; the batch may still be applied, now or later. Any
/// other fault: nothing was stored.
pub async fn append(
    journal: &dyn Journal,
    rulings: &Rulings,
    batch: &[Event],
    asked: Vec<EventId>,
) -> Result<Vec<Ruling>, LogFault> {
    let Some(last) = batch.last() else {
        return Ok(Vec::new());
    };
    // Without anything to wait for an unknown outcome could not be resolved.
    let asked = if asked.is_empty() {
        vec![last.id]
    } else {
        asked
    };
    let mut waiting = rulings.wait_for(asked);
    let mut done = Vec::with_capacity(waiting.rulings.len());
    let mut unknown: Option<(tokio::time::Instant, String)> = None;
    loop {
        let answer = tokio::select! {
            biased;
            answer = journal.append(batch) => answer,
            // What is folded is stored, even if the answer to it is still on its way.
            folded = waiting.all(&mut done) => {
                folded?;
                return Ok(done);
            }
        };
        match answer {
            Ok(_) => {
                waiting.all(&mut done).await?;
                return Ok(done);
            }
            Err(LogFault::Unknown(why)) => {
                let since = unknown.map_or_else(tokio::time::Instant::now, |(since, _)| since);
                unknown = Some((since, why));
            }
            // What this call did not store an earlier one may have.
            Err(why) => match &mut unknown {
                None => return Err(why),
                Some((_, last)) => *last = why.to_string(),
            },
        }
        if let Ok(all) = tokio::time::timeout(AGAIN_AFTER, waiting.all(&mut done)).await {
            all?;
            return Ok(done);
        }
        if let Some((since, why)) = &unknown
            && since.elapsed() >= UNKNOWN_FOR
        {
            return Err(LogFault::Unknown(why.clone()));
        }
    }
}
