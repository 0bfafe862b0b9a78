//! The fold: the function that changes the ledger, and what it does for each kind of change.

use std::sync::Arc;
use std::time::Duration;

use super::{BanRuling, Effect, ExemptionRuling, HistoryRuling, Ledger, Ruling, UndoRuling};
use crate::core::bans::active::ActiveBan;
use crate::core::bans::ban::{Ban, Past};
use crate::core::bans::feed::EndedBan;
use crate::core::event::{BanChange, Change, Event, ExemptionChange, HistoryChange, Seq};
use crate::core::exemptions::exemption::Exemption;
use crate::core::history::undo::{UndoKind, UndoLog, WIDEST};
use crate::core::policy::Refusal;
use crate::core::subject::Subject;
use crate::core::subscription::Watch;
use crate::core::time::Timestamp;

impl Ledger {
    /// Applies one event of the log. Deterministic: reads no clock and uses no randomness.
    ///
    /// An event is stale and changes nothing if its subject has moved on from the version it was based on, or if it is
    /// a kick that was folded before.
    pub fn fold(&mut self, seq: Seq, event: &Event) -> (Ruling, Vec<Effect>) {
        self.folded = seq;
        // A kick changes no version, so only its id tells that it is offered again. Other events are not compared by id:
        // a log that already holds the same import twice must fold to what it always did.
        let is_kick = matches!(event.change, Change::History(HistoryChange::Kicked { .. }));
        if self.version(&event.subject) != event.based_on
            || (is_kick && !self.seen.is_new(event.id))
        {
            return (Ruling::Stale, Vec::new());
        }
        let before = UndoLog::is_one(event).then(|| self.before(&event.subject));
        let ruling = self.apply(seq, event);
        let Some(effects) = effects_of(&ruling, &event.subject) else {
            return (ruling, Vec::new());
        };
        self.touch(&event.subject, seq, event.at);
        if let (Some(before), Some(did)) = (before, UndoKind::of(&event.change)) {
            self.did(seq, event, &event.subject, did, before);
        }
        (ruling, effects)
    }

    fn apply(&mut self, seq: Seq, event: &Event) -> Ruling {
        match &event.change {
            Change::Ban(BanChange::Imposed { reason, until })
            | Change::Ban(BanChange::Forced { reason, until }) => {
                self.impose(seq, event, reason, *until, None)
            }
            Change::Ban(BanChange::ImposedByRule {
                reason,
                until,
                ordinal,
            }) => self.impose(seq, event, reason, Some(*until), Some(*ordinal)),
            Change::Ban(BanChange::Amended { reason, until }) => {
                self.amend(seq, event, reason, *until)
            }
            Change::Ban(BanChange::Lifted { .. }) | Change::Ban(BanChange::Expired) => {
                self.lift(seq, event)
            }
            Change::Exemption(ExemptionChange::Granted { comment, until }) => {
                self.allow(seq, event, comment, *until)
            }
            Change::Exemption(ExemptionChange::Revoked) => {
                match self.exemptions.remove(&event.subject) {
                    Some(exemption) => Ruling::Exemption(ExemptionRuling::Revoked(exemption)),
                    None => Ruling::Exemption(ExemptionRuling::NotExempt(event.subject.clone())),
                }
            }
            Change::History(HistoryChange::Forgotten) => self.forget(event),
            Change::Subscribed { watch } => self.watch(event, watch.clone()),
            Change::History(HistoryChange::Annotated { .. }) => {
                Ruling::History(HistoryRuling::Annotated(event.subject.clone()))
            }
            Change::Undone => self.undo(seq, event),
            Change::History(HistoryChange::Kicked { .. }) => {
                // A kick is added to the history only; the version stays.
                self.dossiers.of(&event.subject).trail.push(seq);
                Ruling::History(HistoryRuling::Kicked(event.subject.clone()))
            }
        }
    }

    /// Records that an event changed a subject.
    fn touch(&mut self, subject: &Subject, seq: Seq, at: Timestamp) {
        let dossier = self.dossiers.of(subject);
        dossier.version = seq;
        dossier.changed = at;
        dossier.trail.push(seq);
    }

    fn impose(
        &mut self,
        seq: Seq,
        event: &Event,
        reason: &str,
        until: Option<Timestamp>,
        ordinal: Option<u32>,
    ) -> Ruling {
        // The subject may have been exempted after this ban was decided.
        let insists = matches!(event.change, Change::Ban(BanChange::Forced { .. }));
        if let Some(exemption) = self.exemptions.covering(&event.subject, event.at)
            && !insists
        {
            let by = exemption.to_string();
            return Ruling::Refused(Refusal::Allowed(event.subject.clone(), by));
        }
        if let Some(ban) = self.current(&event.subject) {
            if ban.is_in_force(event.at) {
                return match insists && !ban.insisted {
                    true => self.amend(seq, event, reason, until),
                    false => Ruling::Ban(BanRuling::Already(ban.clone())),
                };
            }
            // The earlier ban has expired, but its end is not in the log yet.
            self.lift(seq, event);
        }
        let id = self.dossiers.next_number(&event.subject);
        let dossier = self.dossiers.of(&event.subject);
        dossier.bans = dossier.bans.saturating_add(1);
        dossier.counted = ordinal.unwrap_or(dossier.counted.saturating_add(1));
        dossier.length = until.map(|end| end.since(event.at));
        dossier.clean = Some(event.at.saturating_add(Duration::from_millis(1)));
        let ban = Ban {
            id,
            subject: event.subject.clone(),
            reason: reason.to_owned(),
            by: event.actor.clone(),
            origin: event.origin.clone(),
            since: event.at,
            until,
            ordinal: dossier.counted,
            insisted: insists,
            version: seq,
        };
        dossier.current = Some(ban.id);
        self.enter(ban.clone());
        Ruling::Ban(BanRuling::Banned(ban))
    }

    fn amend(&mut self, seq: Seq, event: &Event, reason: &str, until: Option<Timestamp>) -> Ruling {
        let Some(mut ban) = self.take(&event.subject) else {
            return Ruling::Ban(BanRuling::NotBanned(
                event.subject.clone(),
                self.last(&event.subject).cloned(),
            ));
        };
        let before = ban.until;
        let before_reason = std::mem::replace(&mut ban.reason, reason.to_owned());
        ban.until = until;
        ban.by = event.actor.clone();
        ban.insisted |= matches!(event.change, Change::Ban(BanChange::Forced { .. }));
        ban.version = seq;
        if let Some(dossier) = self.dossiers.get_mut(&event.subject) {
            dossier.length = until.map(|end| end.since(ban.since));
        }
        self.enter(ban.clone());
        Ruling::Ban(BanRuling::Amended {
            ban,
            before,
            before_reason,
        })
    }

    fn lift(&mut self, seq: Seq, event: &Event) -> Ruling {
        let Some(ban) = self.take(&event.subject) else {
            return Ruling::Ban(BanRuling::NotBanned(
                event.subject.clone(),
                self.last(&event.subject).cloned(),
            ));
        };
        let by_hand = matches!(event.change, Change::Ban(BanChange::Lifted { .. }));
        self.close(&ban, seq, event, by_hand);
        Ruling::Ban(BanRuling::Lifted(ban))
    }

    fn close(&mut self, ban: &Ban, seq: Seq, event: &Event, by_hand: bool) {
        let at = event.at;
        self.recent.end(EndedBan::of(ban.clone(), seq, event));
        let dossier = self.dossiers.of(&ban.subject);
        dossier.current = None;
        dossier.last = Some(Past {
            id: ban.id,
            // A ban ends at the time it was set to, even if that is recorded later.
            ended: ban.until.map_or(at, |end| end.min(at)),
            seq,
        });
        if by_hand {
            dossier.clean = Some(at);
            dossier.pardoned = Some(at);
        }
    }

    fn allow(
        &mut self,
        seq: Seq,
        event: &Event,
        comment: &str,
        until: Option<Timestamp>,
    ) -> Ruling {
        let exemption = Exemption {
            subject: event.subject.clone(),
            comment: comment.to_owned(),
            by: event.actor.clone(),
            since: event.at,
            until,
        };
        let is_a_deed = UndoLog::is_one(event);
        self.exemptions.insert(exemption.clone());
        let covered: Vec<Subject> = self
            .bans
            .values()
            .filter(|ban| exemption.covers(&ban.subject))
            .map(|ban| ban.subject.clone())
            .collect();
        let mut lifted = Vec::with_capacity(covered.len());
        let may_come_back = is_a_deed && covered.len() <= WIDEST;
        for subject in covered {
            let before = may_come_back.then(|| self.before(&subject));
            if let Some(ban) = self.take(&subject) {
                self.close(&ban, seq, event, true);
                if subject != event.subject {
                    self.touch(&subject, seq, event.at);
                    if let Some(before) = before {
                        self.did(seq, event, &subject, UndoKind::Lifted, before);
                    }
                }
                lifted.push(ban);
            }
        }
        Ruling::Exemption(ExemptionRuling::Granted { exemption, lifted })
    }

    fn forget(&mut self, event: &Event) -> Ruling {
        let dossier = self.dossiers.of(&event.subject);
        let bans = std::mem::take(&mut dossier.counted);
        dossier.bans = 0;
        dossier.length = None;
        dossier.clean = Some(event.at);
        dossier.forgotten = Some(event.at);
        Ruling::History(HistoryRuling::Forgotten {
            subject: event.subject.clone(),
            bans,
        })
    }

    fn watch(&mut self, event: &Event, watch: Option<Watch>) -> Ruling {
        let subject = event.subject.clone();
        match watch.clone() {
            Some(watch) => self.watches.insert(subject.clone(), watch),
            None => self.watches.remove(&subject),
        };
        Ruling::Subscribed { subject, watch }
    }

    /// Adds a ban to every index.
    pub(super) fn enter(&mut self, ban: Ban) {
        self.recent.enter(&ban);
        let ban = Arc::new(ban);
        self.active.insert(ActiveBan::new(Arc::clone(&ban)));
        if let Some(end) = ban.until {
            self.due.insert((end, ban.id));
        }
        self.bans.insert(ban.id, ban);
    }

    /// Removes the ban of a subject from every index.
    pub(super) fn take(&mut self, subject: &Subject) -> Option<Ban> {
        let id = self.dossiers.get(subject)?.current?;
        let ban = self.bans.remove(&id)?;
        self.active.remove(subject);
        self.recent.leave(&ban);
        if let Some(end) = ban.until {
            self.due.remove(&(end, id));
        }
        Some(Arc::unwrap_or_clone(ban))
    }
}

/// The effects that a ruling requires; `None` when nothing was changed.
fn effects_of(ruling: &Ruling, subject: &Subject) -> Option<Vec<Effect>> {
    match ruling {
        Ruling::Ban(BanRuling::Banned(_))
        | Ruling::Ban(BanRuling::Amended { .. })
        | Ruling::Ban(BanRuling::Lifted(_))
        | Ruling::Undo(UndoRuling::Undone { .. }) => Some(vec![Effect::Settle(subject.clone())]),
        Ruling::Exemption(ExemptionRuling::Granted { lifted, .. }) => {
            let subjects = lifted.iter().map(|ban| ban.subject.clone());
            Some(subjects.map(Effect::Settle).collect())
        }
        Ruling::Exemption(ExemptionRuling::Revoked(_))
        | Ruling::History(HistoryRuling::Forgotten { .. })
        | Ruling::Subscribed { .. }
        | Ruling::History(HistoryRuling::Annotated(_)) => Some(Vec::new()),
        _ => None,
    }
}
