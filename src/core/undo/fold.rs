//! Keeps an undo entry for each change that a person makes, and applies one.

use std::sync::Arc;

use super::UndoRuling;
use super::entry::{Before, UndoEntry, UndoKind};
use crate::core::bans::{Ban, EndedBan};
use crate::core::event::{Event, Seq};
use crate::core::exemptions::Exemption;
use crate::core::ledger::{Effect, Folded, Ledger};
use crate::core::refusal::Refusal;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// Adds the undo entry for a change that a person made to a subject.
pub(in crate::core) fn keep(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    subject: &Subject,
    kind: UndoKind,
    mut before: Before,
) {
    if kind == UndoKind::Banned
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
        kind,
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
        if let Some(other) = exemption_since(ledger, &entry, event.at) {
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
        entry: Box::new(entry),
        stood,
        ban,
    };
    Ok((ruling.into(), vec![Effect::Settle(subject.clone())]))
}

/// The exemption that keeps the subject from being banned again by the undo of its last change: one that covers it and is
/// not removed with that change. `None` while the subject is banned.
pub(super) fn exemption_since<'a>(
    ledger: &'a Ledger,
    entry: &UndoEntry,
    now: Timestamp,
) -> Option<&'a Exemption> {
    let covering = ledger.exemptions.covering(&entry.subject, now);
    let since = covering.filter(|one| one.since != entry.at || one.by != *entry.by);
    since.filter(|_| ledger.bans.of(&entry.subject).is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::{Actor, BanChange, Change, EntryPoint, EventId, ExemptionChange, Role};

    #[test]
    fn what_an_undo_restores_is_not_listed_as_ended() {
        let mut ledger = Ledger::default();
        let mut seq = 0;
        let mut fold = |ledger: &mut Ledger, subject: &str, change| {
            seq += 1;
            let subject = Subject::parse(subject).unwrap();
            let admin = Actor::person("admin@example.org", Role::Admin, EntryPoint::Chat);
            let based_on = ledger.version(&subject);
            let at = Timestamp::from_millis(0);
            let event = Event::decided(EventId([0; 16]), at, admin, subject, based_on, change);
            ledger.fold(Seq(seq), &event);
        };
        let imposed = || {
            Change::Ban(BanChange::Imposed {
                reason: String::new(),
                until: None,
            })
        };
        let lifted = || {
            Change::Ban(BanChange::Lifted {
                reason: String::new(),
            })
        };
        for subject in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "a@example.org"] {
            fold(&mut ledger, subject, imposed());
        }
        let granted = Change::Exemption(ExemptionChange::Granted {
            comment: String::new(),
            until: None,
        });
        fold(&mut ledger, "192.0.2.0/24", granted);
        fold(&mut ledger, "a@example.org", lifted());
        assert_eq!(ledger.bans().last_ended().count(), 4);
        // The exemption first: while it is in force it forbids the bans.
        for (subject, left) in [
            ("192.0.2.0/24", 4),
            ("192.0.2.2", 3),
            ("a@example.org", 2),
            ("192.0.2.1", 1),
        ] {
            fold(&mut ledger, subject, Change::Undone);
            assert_eq!(ledger.bans().last_ended().count(), left, "{subject}");
        }
        let still = ledger.bans().last_ended().next().unwrap();
        assert_eq!(still.ban.subject.to_string(), "192.0.2.3");
    }
}
