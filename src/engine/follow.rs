//! Follows the tail of the log: folds its entries, answers waiting callers, and passes on the effects.

use std::sync::PoisonError;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::core::{BanRuling, Event, Ledger, Ruling, Timestamp};
use crate::journal::{Entry, LogFault};

pub(super) async fn run(engine: &Engine, stop: CancellationToken) -> Result<(), LogFault> {
    let head = engine.replica.head();
    let mut tail = engine.journal.tail(engine.read(Ledger::folded));
    loop {
        let is_caught_up = *head.borrow() <= engine.read(Ledger::folded);
        tokio::select! {
            // Fold what is already stored before stopping, because callers wait for it.
            () = stop.cancelled(), if is_caught_up => return Ok(()),
            entries = tail.next() => match entries {
                Some(entries) => fold(engine, entries?),
                None => return Err(LogFault::Broken(String::from("the log was closed"))),
            },
        }
    }
}

fn fold(engine: &Engine, entries: Vec<Entry>) {
    let mut rulings = Vec::with_capacity(entries.len());
    let mut changed = None;
    {
        let mut ledger = engine
            .ledger
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for Entry { seq, event, .. } in &entries {
            let (ruling, effects) = ledger.fold(*seq, event);
            if !effects.is_empty() || matches!(ruling, Ruling::PutBack { .. }) {
                changed = Some(*seq);
            }
            engine.effects.take_in(*seq, event.at, effects);
            rulings.push(ruling);
        }
    }
    if let Some(last) = entries.last()
        && let Err(why) = engine.effects.save(last.seq)
    {
        // Not lost: effects behind the stored cursor are added again at the next start.
        tracing::error!(%why, "cannot save unfinished work");
    }
    if let Some(seq) = changed {
        engine.changes.send_replace(seq);
    }
    for (entry, ruling) in entries.iter().zip(&rulings) {
        for listener in &engine.listeners {
            listener.ruled(&entry.event, ruling);
        }
        log_ruling(&entry.event, ruling);
    }
    let ids = entries.iter().map(|entry| entry.event.id);
    engine.rulings.ruled(ids.zip(rulings));
    engine.effects.wake();
    engine.folded.notify_one();
}

/// The result of an order is told to its author; the ban of a rule is logged here.
fn log_ruling(event: &Event, ruling: &Ruling) {
    if let Ruling::PutBack { next } = ruling {
        match &event.personal.note {
            None => tracing::warn!(
                %next,
                "the store was put back to an older copy, or is a new one in place of another; later decisions, or those of the other store, are unknown here"
            ),
            Some(why) => tracing::warn!(
                %next,
                %why,
                "ban numbers were left out, because the end of the log may be lost"
            ),
        }
    }
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
