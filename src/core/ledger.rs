//! The state that follows from the log, and [`Ledger::fold`], the only function that changes it.
//!
//! Start reading at [`Ledger::fold`] (what an event changes) and [`Ledger::check`] (whether a login is refused). Each
//! part of the state is a folder beside this one, with its own fold and its own queries: [`Bans`], [`Exemptions`],
//! [`Subscriptions`], [`History`] and [`Undo`].

mod put_backs;
mod ruling;
mod snapshot;
mod subjects;
mod verdict;

use super::bans::{self, BanId, Bans};
use super::event::{Change, Event, EventId, HistoryChange, Seq, Version};
use super::exemptions::{self, Exemptions};
use super::history::{self, History};
use super::seen::SeenIds;
use super::subject::Subject;
use super::subscriptions::{self, Subscriptions};
use super::undo::{self, Before, Undo, UndoKind, UndoLog};

pub use super::bans::ActiveBans;
pub use put_backs::{PutBackMark, PutBacks};
pub(in crate::core) use ruling::Folded;
pub use ruling::{Effect, Ruling};
pub use snapshot::{BadSnapshot, Ending, Restored, Taking};
pub use subjects::{LEFT_OUT, Subjects};
pub use verdict::{By, Verdict};

/// The state that follows from the log. A pure fold: the same events give the same ledger on every instance.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    folded: Seq,
    put_backs: PutBacks,
    pub(in crate::core) subjects: Subjects,
    pub(in crate::core) bans: Bans,
    pub(in crate::core) exemptions: Exemptions,
    pub(in crate::core) subscriptions: Subscriptions,
    pub(in crate::core) undo: UndoLog,
    seen: SeenIds,
}

impl Ledger {
    /// Applies the event at position `seq` of the log. Returns the ruling on it, and the effects that must follow.
    /// Deterministic: reads no clock and uses no randomness.
    ///
    /// An event is stale and changes nothing if its subject has moved on from the version it was based on, or if it is
    /// a kick that was folded before.
    pub fn fold(&mut self, seq: Seq, event: &Event) -> (Ruling, Vec<Effect>) {
        self.folded = seq;
        if self.is_stale(event) {
            return (Ruling::Stale, Vec::new());
        }
        let subject = &event.subject;
        let before = undo::is_one(event).then(|| Before::of(self, subject));
        let folded = match &event.change {
            Change::Ban(change) => bans::fold(self, seq, event, change),
            Change::Exemption(change) => exemptions::fold(self, seq, event, change),
            Change::History(change) => history::fold(self, seq, event, change),
            Change::Subscribed { watch } => subscriptions::fold(self, subject, watch.as_ref()),
            Change::Undone => undo::fold(self, seq, event),
            Change::PutBack { next } => self.fold_put_back(seq, event.id, *next),
        };
        match folded {
            Ok((ruling, effects)) => {
                self.subjects.touch(subject, seq, event.at);
                if let (Some(before), Some(kind)) = (before, UndoKind::of(&event.change)) {
                    undo::keep(self, seq, event, subject, kind, before);
                }
                (ruling, effects)
            }
            Err(unchanged) => (*unchanged, Vec::new()),
        }
    }

    fn fold_put_back(&mut self, at: Seq, id: EventId, next: BanId) -> Folded {
        if !self.subjects.may_go_on_at(next) {
            return Err(Box::new(Ruling::Stale));
        }
        self.subjects.go_on_at(next);
        self.put_backs.add(PutBackMark { at, id, next });
        Ok((Ruling::PutBack { next }, Vec::new()))
    }

    fn is_stale(&mut self, event: &Event) -> bool {
        // A kick changes no version, so only its id tells that it is offered again. Other events are not compared by
        // id: a log that already holds the same import twice must fold to what it always did.
        let is_kick = matches!(event.change, Change::History(HistoryChange::Kicked { .. }));
        self.version(&event.subject) != event.based_on || (is_kick && !self.seen.is_new(event.id))
    }

    /// The position of the last event that was folded.
    pub fn folded(&self) -> Seq {
        self.folded
    }

    /// Where the log was found to have been put back to an older copy.
    pub fn put_backs(&self) -> &PutBacks {
        &self.put_backs
    }

    /// The version of a subject; `Seq(0)` for an unknown one.
    pub fn version(&self, subject: &Subject) -> Version {
        self.subjects.version(subject)
    }

    /// The history of a subject; an empty one for an unknown subject.
    pub fn history(&self, subject: &Subject) -> &History {
        self.subjects.history(subject)
    }

    /// All known subjects: their trails through the log, and the subjects of ban numbers.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// The active bans, and those that ended last.
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// The exemptions granted by `allow`.
    pub fn exemptions(&self) -> &Exemptions {
        &self.exemptions
    }

    /// Who chose which notifications.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// What can be undone.
    pub fn undo(&self) -> Undo<'_> {
        Undo(self)
    }
}
