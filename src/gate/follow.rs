//! The tail of the log: folds what it brings, answers who waits, and hands on what follows.

use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use super::ports::{Entry, LogFault};
use super::{Gate, lock};
use crate::core::{EventId, Ruling, Seq, Timestamp};

/// How many entries of the log are folded under one lock.
const FOLD_AT_ONCE: usize = 512;

impl Gate {
    /// Folds what the log brings, from wherever it comes, until told to stop.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read any more. The ledger then stands still, and the
    /// program must not go on as if nothing had happened.
    pub async fn follow(&self, stop: CancellationToken) -> Result<(), LogFault> {
        let mut head = self.log.head();
        loop {
            let from = self.read(|ledger| ledger.folded().next());
            if *head.borrow_and_update() >= from {
                self.fold_from(from).await?;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = head.changed() => {
                    changed.map_err(|_| LogFault::Broken(String::from("the log was closed")))?;
                }
            }
        }
    }

    async fn fold_from(&self, from: Seq) -> Result<(), LogFault> {
        let log = Arc::clone(&self.log);
        let entries = tokio::task::spawn_blocking(move || log.read(from, FOLD_AT_ONCE))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))??;
        let mut rulings = Vec::with_capacity(entries.len());
        let mut news = None;
        {
            let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
            for Entry { seq, event, .. } in &entries {
                let (ruling, effects) = ledger.fold(*seq, event);
                if !effects.is_empty() {
                    news = Some(*seq);
                }
                self.desk.take_in(*seq, event.at, effects);
                rulings.push((event.id, ruling));
            }
        }
        if let Some(last) = entries.last()
            && let Err(why) = self.desk.save(last.seq)
        {
            // Not lost: the effects behind the stored cursor are taken in again at start.
            tracing::error!(%why, "cannot save unfinished work");
        }
        if let Some(seq) = news {
            self.news.send_replace(seq);
        }
        for (entry, (_, ruling)) in entries.iter().zip(&rulings) {
            self.herald.ruled(&entry.event, ruling);
        }
        self.tell(rulings);
        self.desk.wake();
        self.folded.notify_one();
        Ok(())
    }

    /// Gives rulings to those who wait for them.
    fn tell(&self, rulings: Vec<(EventId, Ruling)>) {
        let mut waiting = lock(&self.waiting);
        for (id, ruling) in rulings {
            told_by_rule(&ruling);
            if let Some(tell) = waiting.remove(&id) {
                // Whoever waited may have gone away; the ruling stands all the same.
                let _ = tell.send(ruling);
            }
        }
    }
}

/// What a person orders is told to that person; what a rule decides is told here.
fn told_by_rule(ruling: &Ruling) {
    if let Ruling::Banned(ban) = ruling
        && let Some(rule) = ban.origin.rule()
    {
        tracing::info!(
            ban = %ban.id,
            subject = %ban.subject,
            until = ?ban.until.map(Timestamp::to_xmpp),
            ordinal = ban.ordinal,
            rule,
            "banned by a rule"
        );
    }
}
