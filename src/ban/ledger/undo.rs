//! What is kept of what people did, and how it is taken back.

use super::{Ledger, Ruling};
use crate::ban::dossier::Dossier;
use crate::ban::event::{Event, Seq};
use crate::ban::policy::Refusal;
use crate::ban::record::Ban;
use crate::ban::subject::Subject;
use crate::ban::undo::{Before, Deed, Did};

impl Ledger {
    /// The last change of a subject, if it is one that can be taken back.
    pub fn undoable(&self, subject: &Subject) -> Option<&Deed> {
        let deed = self.deeds.about(subject)?;
        (deed.seq == self.version(subject)).then_some(deed)
    }

    /// What people did, newest first: the last deed about each subject, changed since or not.
    pub fn deeds(&self) -> impl Iterator<Item = &Deed> {
        self.deeds.newest_first()
    }

    /// A subject as it is now.
    pub(super) fn before(&self, subject: &Subject) -> Before {
        let dossier = self.dossiers.get(subject).map(Dossier::without_trail);
        Before {
            dossier: dossier.unwrap_or_default(),
            ban: self.current(subject).cloned(),
            exemption: self.exemptions.of(subject).cloned(),
        }
    }

    /// Writes down that somebody did something, so that it can be taken back.
    pub(super) fn did(
        &mut self,
        seq: Seq,
        event: &Event,
        subject: &Subject,
        did: Did,
        mut before: Before,
    ) {
        let is_over = |ban: &Ban| !ban.is_in_force(event.at);
        if did == Did::Banned && before.ban.take_if(|ban| is_over(ban)).is_some() {
            // Its end was written down on the way.
            before.dossier.current = None;
            before.dossier.last = self.last(subject).cloned();
        }
        let now = self.current(subject).map(|ban| ban.id);
        let last = before.ban.as_ref().map(|ban| ban.id);
        self.deeds.keep(Deed {
            seq,
            at: event.at,
            by: event.actor.clone(),
            subject: subject.clone(),
            did,
            number: now.or(last),
            before,
        });
    }

    /// Takes back what the event is based on: dossier, ban and exemption are as they were before.
    pub(super) fn undo(&mut self, seq: Seq, event: &Event) -> Ruling {
        let subject = &event.subject;
        let Some(deed) = self.undoable(subject).cloned() else {
            return Ruling::ChangedSince(subject.clone());
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
            // Somebody may have exempted what covers it since. What this very deed exempted goes.
            let stands = self.exemptions.covering(subject, event.at);
            let since = stands.filter(|one| one.since != deed.at || one.by != deed.by);
            if let Some(other) = since.filter(|_| self.current(subject).is_none()) {
                let by = other.to_string();
                return Ruling::Refused(Refusal::Allowed(subject.clone(), by));
            }
        }
        match exemption {
            Some(exemption) => self.exemptions.insert(exemption),
            None => {
                self.exemptions.remove(subject);
            }
        }
        let stood = self.take(subject);
        if let Some(stood) = stood.as_ref().filter(|_| ban.is_none()) {
            self.recent.end(seq, stood);
        }
        let trail = self.trail(subject).to_vec();
        let dossier = Dossier { trail, ..dossier };
        *self.dossiers.of(subject) = dossier;
        let ban = ban.map(|ban| Ban {
            version: seq,
            ..ban
        });
        if let Some(ban) = &ban {
            self.recent.stands_again(ban.id);
            self.enter(ban.clone());
        }
        Ruling::Undone {
            deed: Box::new(deed),
            stood,
            ban,
        }
    }
}
