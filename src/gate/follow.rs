//! The tail of the log: folds what it brings, answers who waits, and hands on what follows.

use std::sync::PoisonError;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::Gate;
use super::ports::LogFault;
use crate::core::{BanRuling, EventId, Ledger, Ruling, Timestamp};
use crate::journal::Entry;

impl Gate {
    /// Folds what the log brings, from wherever it comes, until told to stop.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read any more. The ledger then stands still, and the
    /// program must not go on as if nothing had happened.
    pub async fn follow(&self, stop: CancellationToken) -> Result<(), LogFault> {
        let head = self.replica.head();
        let mut tail = self.journal.tail(self.read(Ledger::folded));
        loop {
            let is_caught_up = *head.borrow() <= self.read(Ledger::folded);
            tokio::select! {
                // What is stored is folded first: somebody waits for it.
                () = stop.cancelled(), if is_caught_up => return Ok(()),
                entries = tail.next() => match entries {
                    Some(entries) => self.fold(entries?),
                    None => return Err(LogFault::Broken(String::from("the log was closed"))),
                },
            }
        }
    }

    fn fold(&self, entries: Vec<Entry>) {
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
    }

    /// Gives rulings to those who wait for them.
    fn tell(&self, rulings: Vec<(EventId, Ruling)>) {
        for (id, ruling) in rulings {
            told_by_rule(&ruling);
            self.rulings.ruled(id, ruling);
        }
    }
}

/// What a person orders is told to that person; what a rule decides is told here.
fn told_by_rule(ruling: &Ruling) {
    if let Ruling::Ban(BanRuling::Banned(ban)) = ruling
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
