//! Undo: which entries the ledger keeps, and how one is applied.

use std::sync::Arc;

use super::{Ledger, Ruling, UndoRuling};
use crate::core::bans::ban::Ban;
use crate::core::bans::feed::EndedBan;
use crate::core::event::{CommandId, Event, Seq};
use crate::core::history::histories::SubjectHistory;
use crate::core::history::undo::{Before, UndoEntry, UndoKind};
use crate::core::policy::Refusal;
use crate::core::propose::FORGOTTEN_AT_ONCE;
use crate::core::subject::Subject;

impl Ledger {
    /// The undo entry of a subject's last change; `None` if that change cannot be undone.
    pub fn undoable(&self, subject: &Subject) -> Option<&UndoEntry> {
        let dossier = self.dossiers.get(subject)?;
        let deed = dossier.deed.as_deref()?;
        (deed.seq == dossier.version).then_some(deed)
    }

    /// The undo entries up to a place in the log, newest first: one per subject, even if the subject was changed
    /// since.
    pub fn deeds_up_to(&self, upto: Seq) -> impl Iterator<Item = &UndoEntry> {
        self.deeds.up_to(upto, &self.dossiers)
    }

    /// Whether some changes of a command can no longer be undone, because their undo entries were dropped.
    pub fn is_partly_dropped(&self, command: CommandId) -> bool {
        self.deeds.is_cut(command)
    }

    /// The other subjects that an undo of `subject` restores too: those whose histories were forgotten by the same
    /// order, or whose bans its exemption lifted.
    pub fn undone_with<'a>(&'a self, subject: &Subject) -> impl Iterator<Item = &'a Subject> {
        let first = self.undoable(subject).filter(|deed| self.is_wide(deed));
        first.into_iter().flat_map(move |first| {
            let same = move |other: &&UndoEntry| {
                first.subject.holds(&other.subject)
                    && other.subject != first.subject
                    && (other.command, other.at) == (first.command, first.at)
                    && other.by.bare_name() == first.by.bare_name()
                    && match first.did {
                        UndoKind::Allowed => other.seq == first.seq,
                        UndoKind::Forgot => other.did == UndoKind::Forgot,
                        // Subjects that were undone together are restored together again.
                        UndoKind::Undid => other.did == UndoKind::Undid,
                        _ => false,
                    }
                    && self.undoable(&other.subject).is_some()
            };
            // The events of one order are next to each other in the log; the one of its own subject is the last.
            let earliest = first.seq.0.saturating_sub(FORGOTTEN_AT_ONCE as u64);
            let near = self.deeds.up_to(first.seq, &self.dossiers);
            let near = near.take_while(move |other| other.seq.0 >= earliest);
            let with = near.filter(same).take(FORGOTTEN_AT_ONCE);
            with.map(|deed| &deed.subject)
        })
    }

    /// Whether undoing the last change of a subject affects no other subject: none is restored with it, and no
    /// exemption is granted or revoked.
    pub fn is_undone_alone(&self, subject: &Subject) -> bool {
        self.undoable(subject)
            .is_none_or(|deed| !self.is_wide(deed))
    }

    fn is_wide(&self, deed: &UndoEntry) -> bool {
        match deed.did {
            UndoKind::Allowed | UndoKind::Unallowed | UndoKind::Forgot => true,
            UndoKind::Undid => {
                deed.exemption_before() != self.exemptions.of(&deed.subject)
                    || deed.before.forgotten() != self.forgotten(&deed.subject)
            }
            UndoKind::Banned | UndoKind::Changed | UndoKind::Lifted | UndoKind::Annotated => false,
        }
    }

    /// The current state of a subject, to be restored by an undo.
    pub(super) fn before(&self, subject: &Subject) -> Before {
        let dossier = self.dossiers.get(subject);
        let ban = dossier.and_then(|dossier| self.bans.get(&dossier.current?));
        Before {
            dossier: dossier.map(|dossier| Box::new(dossier.to_restore())),
            ban: ban.cloned(),
            exemption: self.exemptions.of(subject).cloned().map(Box::new),
        }
    }

    /// Adds the undo entry for a change that a person made.
    pub(super) fn did(
        &mut self,
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
            && let Some(dossier) = &mut before.dossier
        {
            // The expired ban was closed by this same event, so the state to restore has no active ban.
            dossier.current = None;
            dossier.last = self.last(subject).cloned();
        }
        let now = self.current(subject).map(|ban| ban.id);
        let last = before.ban.as_ref().map(|ban| ban.id);
        let deed = UndoEntry {
            seq,
            at: event.at,
            by: Arc::new(event.actor.clone()),
            command: event.command,
            subject: subject.clone(),
            did,
            number: now.or(last),
            before,
        };
        self.deeds.keep(deed, &mut self.dossiers);
    }

    /// Undoes the change that the event is based on: history, ban and exemption become what they were before.
    pub(super) fn undo(&mut self, seq: Seq, event: &Event) -> Ruling {
        let subject = &event.subject;
        let Some(deed) = self.undoable(subject).cloned() else {
            return Ruling::Undo(UndoRuling::ChangedSince(subject.clone()));
        };
        let Before {
            dossier,
            ban,
            exemption,
        } = deed.before.clone();
        if let Some(ban) = &ban {
            if let Some(end) = ban.until.filter(|end| *end <= event.at) {
                return Ruling::Refused(Refusal::OverByNow(ban.id, end));
            }
            // Refused if an exemption granted since covers the subject, unless this undo removes that exemption.
            let stands = self.exemptions.covering(subject, event.at);
            let since = stands.filter(|one| one.since != deed.at || one.by != *deed.by);
            if let Some(other) = since.filter(|_| self.current(subject).is_none()) {
                let by = other.to_string();
                return Ruling::Refused(Refusal::Allowed(subject.clone(), by));
            }
        }
        match exemption {
            Some(exemption) => self.exemptions.insert(*exemption),
            None => {
                self.exemptions.remove(subject);
            }
        }
        let stood = self.take(subject);
        if let Some(stood) = stood.as_ref().filter(|_| ban.is_none()) {
            self.recent.end(EndedBan::of(stood.clone(), seq, event));
        }
        let trail = self.trail(subject).to_vec();
        let dossier = SubjectHistory {
            trail,
            ..dossier.map(|dossier| *dossier).unwrap_or_default()
        };
        *self.dossiers.of(subject) = dossier;
        let ban = ban.map(|ban| Ban {
            version: seq,
            ..Arc::unwrap_or_clone(ban)
        });
        if let Some(ban) = &ban {
            self.recent.stands_again(ban.id, deed.seq);
            self.enter(ban.clone());
        }
        Ruling::Undo(UndoRuling::Undone {
            deed: Box::new(deed),
            stood,
            ban,
        })
    }
}
