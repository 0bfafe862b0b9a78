//! Keeps an undo entry for each change that a person makes, and applies one.

use std::sync::Arc;

use super::UndoRuling;
use super::entry::{Before, UndoEntry, UndoKind};
use crate::core::bans::{Ban, EndedBan};
use crate::core::event::{Event, Seq};
use crate::core::ledger::{Effect, Folded, Ledger};
use crate::core::refusal::Refusal;
use crate::core::subject::Subject;

/// Adds the undo entry for a change that a person made to a subject.
pub(in crate::core) fn keep(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    subject: &Subject,
    did: UndoKind,
    mut before: Before,
) {
    if did == UndoKind::Banned
        && before
            .ban
            .take_if(|ban| !ban.is_in_force(event.at))
            .is_some()
    {
        // The expired ban was closed by this same event, so the state to restore has no active ban.
        before.history.last = ledger.history(subject).last;
    }
    let now = ledger.bans.of(subject).map(|ban| ban.id);
    let last = before.ban.as_ref().map(|ban| ban.id);
    let entry = UndoEntry {
        seq,
        at: event.at,
        by: Arc::new(event.actor.clone()),
        command: event.command,
        subject: subject.clone(),
        did,
        number: now.or(last),
        before,
    };
    ledger.undo.keep(entry, &mut ledger.subjects);
}

/// Undoes the change that the event is based on: history, ban and exemption become what they were before.
pub(in crate::core) fn fold(ledger: &mut Ledger, seq: Seq, event: &Event) -> Folded {
    let subject = &event.subject;
    let Some(entry) = ledger.undo().of(subject).cloned() else {
        return Err(Box::new(UndoRuling::ChangedSince(subject.clone()).into()));
    };
    let Before {
        history,
        ban,
        exemption,
    } = entry.before.clone();
    if let Some(ban) = &ban {
        if let Some(end) = ban.until.filter(|end| *end <= event.at) {
            return Err(Refusal::OverByNow(ban.id, end).into());
        }
        // Refused if an exemption granted since covers the subject, unless this undo removes that exemption.
        let covering = ledger.exemptions.covering(subject, event.at);
        let since = covering.filter(|one| one.since != entry.at || one.by != *entry.by);
        if let Some(other) = since.filter(|_| ledger.bans.of(subject).is_none()) {
            return Err(Refusal::Allowed(subject.clone(), other.to_string()).into());
        }
    }
    match exemption {
        Some(exemption) => ledger.exemptions.insert(*exemption),
        None => drop(ledger.exemptions.remove(subject)),
    }
    let stood = ledger.bans.remove(subject).map(Arc::unwrap_or_clone);
    if let Some(stood) = stood.as_ref().filter(|_| ban.is_none()) {
        ledger
            .bans
            .keep_ended(EndedBan::of(stood.clone(), seq, event));
    }
    *ledger.subjects.history_mut(subject) = history;
    let ban = ban.map(|ban| Ban {
        version: seq,
        ..Arc::unwrap_or_clone(ban)
    });
    if let Some(ban) = &ban {
        ledger.bans.stands_again(ban.id, entry.seq);
        ledger.bans.insert(Arc::new(ban.clone()));
    }
    let ruling = UndoRuling::Undone {
        deed: Box::new(entry),
        stood,
        ban,
    };
    Ok((ruling.into(), vec![Effect::Settle(subject.clone())]))
}
