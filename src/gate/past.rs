//! The bans that ended lately, put together again from the log: the ledger keeps of them only that
//! they were.

use std::collections::HashMap;
use std::sync::Arc;

use super::Gate;
use super::ports::{Entry, EventLog, LogFault};
use crate::core::{Actor, Ban, BanId, Change, Ended, Event, Seq, Subject, Timestamp};

/// How many ends are looked through at most, newest first.
pub const ENDS: usize = 2_000;
/// How many events of one subject are read for that, its last ones.
const TRAIL: usize = 200;

/// A ban that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastBan {
    /// As it was at its end.
    pub ban: Ban,
    /// When it ended.
    pub ended: Timestamp,
    /// Who ended it; `None`: its time was over.
    pub by: Option<Actor>,
}

impl Gate {
    /// The bans that ended last, newest end first, at most [`ENDS`]; and whether there were more.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read.
    pub async fn past(&self) -> Result<(Vec<PastBan>, bool), LogFault> {
        let mut trails: HashMap<Subject, Vec<Seq>> = HashMap::new();
        let (ends, more) = self.read(|ledger| {
            let ends: Vec<Ended> = ledger.last_ended().take(ENDS).cloned().collect();
            for end in &ends {
                trails.entry(end.subject.clone()).or_insert_with(|| {
                    let trail = ledger.trail(&end.subject);
                    trail[trail.len().saturating_sub(TRAIL)..].to_vec()
                });
            }
            (ends, ledger.last_ended().nth(ENDS).is_some())
        });
        let log = Arc::clone(&self.log);
        let found = tokio::task::spawn_blocking(move || put_together(&*log, ends, &trails)).await;
        let found = found.map_err(|why| LogFault::Broken(why.to_string()))??;
        Ok((found, more))
    }
}

fn put_together(
    log: &dyn EventLog,
    ends: Vec<Ended>,
    trails: &HashMap<Subject, Vec<Seq>>,
) -> Result<Vec<PastBan>, LogFault> {
    let mut found: HashMap<(Subject, Seq), PastBan> = HashMap::new();
    for (subject, trail) in trails {
        let mut open: Option<Ban> = None;
        // As it was before the last event: an undo goes back there.
        let mut before: Option<Ban> = None;
        for seq in trail {
            let entries = log.read(*seq, 1)?;
            let Some(Entry { event, .. }) = entries.first() else {
                continue;
            };
            let here = open.clone();
            match event.change {
                Change::Undone => open = before.take(),
                Change::Kicked { .. } => continue,
                _ => {}
            }
            before = here;
            if event.change == Change::Undone {
                if let Some(ban) = before.clone().filter(|_| open.is_none()) {
                    let by = Some(event.actor.clone());
                    let ended = event.at;
                    found.insert((subject.clone(), *seq), PastBan { ban, ended, by });
                }
            } else if let Some(past) = play(&mut open, subject, *seq, event) {
                found.insert((subject.clone(), *seq), past);
            }
        }
    }
    let told = |end: Ended| {
        let mut past = found.remove(&(end.subject, end.seq))?;
        past.ban.id = end.id;
        Some(past)
    };
    Ok(ends.into_iter().filter_map(told).collect())
}

/// What one event of its trail makes of a subject's ban. The trail holds only events that changed
/// something.
fn play(open: &mut Option<Ban>, subject: &Subject, seq: Seq, event: &Event) -> Option<PastBan> {
    let (reason, until, count) = match &event.change {
        Change::Imposed { reason, until } | Change::ImposedOnExempt { reason, until } => {
            (reason, *until, None)
        }
        Change::ImposedByRule {
            reason,
            until,
            ordinal,
        } => (reason, Some(*until), Some(*ordinal)),
        Change::Amended { reason, until } => {
            let ban = open.as_mut()?;
            ban.reason.clone_from(reason);
            ban.until = *until;
            ban.by = event.actor.clone();
            return None;
        }
        Change::Lifted { .. } | Change::Expired | Change::Allowed { .. } => {
            let ban = open.take()?;
            let over = ban.until.filter(|end| *end <= event.at);
            return Some(PastBan {
                ended: over.unwrap_or(event.at),
                by: over.is_none().then(|| event.actor.clone()),
                ban,
            });
        }
        _ => return None,
    };
    *open = Some(Ban {
        // Known to whoever wrote down the end.
        id: BanId(0),
        subject: subject.clone(),
        reason: reason.clone(),
        by: event.actor.clone(),
        origin: event.origin.clone(),
        since: event.at,
        until,
        ordinal: count.unwrap_or(1),
        insisted: matches!(event.change, Change::ImposedOnExempt { .. }),
        version: seq,
    });
    None
}
