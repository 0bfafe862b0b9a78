//! Undo entries: what people changed lately, each with the state before the change.
//!
//! Part of the fold, so every instance keeps the same entries. Only the last change of a subject can be undone. An
//! undo is itself a change and can be undone too.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::actor::{Actor, EntryPoint};
use crate::core::bans::ban::{Ban, BanId};
use crate::core::event::{
    BanChange, Change, CommandId, Event, ExemptionChange, HistoryChange, Seq,
};
use crate::core::exemptions::exemption::Exemption;
use crate::core::history::histories::{Histories, SubjectHistory};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// How many undo entries are kept; the oldest are dropped first. An entry takes about 200 bytes, plus the ban that it
/// ended, which stays in memory with it.
pub const DEEDS: usize = 250_000;
/// Undoing an exemption restores the bans it lifted only if there were at most this many.
pub const WIDEST: usize = 1_000;

/// An undo entry: one change that a person made to a subject, and the state before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoEntry {
    /// Place of the change in the log.
    pub seq: Seq,
    /// When the change was decided.
    pub at: Timestamp,
    /// Who made the change.
    #[serde(with = "by")]
    pub by: Arc<Actor>,
    /// The command that the change was part of; `None` for a change that belongs to no command.
    pub command: Option<CommandId>,
    /// The subject that was changed.
    pub subject: Subject,
    /// The kind of change.
    pub did: UndoKind,
    /// The subject's ban after the change, or else the one before it; `None` if there was neither.
    pub number: Option<BanId>,
    pub(in crate::core) before: Before,
}

impl UndoEntry {
    /// The subject's ban before the change; `None` if it was not banned.
    pub fn ban_before(&self) -> Option<&Ban> {
        self.before.ban.as_deref()
    }

    /// The subject's exemption before the change; `None` if there was none.
    pub fn exemption_before(&self) -> Option<&Exemption> {
        self.before.exemption.as_deref()
    }

    /// Whether undoing the change restores a ban: one that has ended, or the earlier terms of the current one.
    pub fn restores_ban(&self) -> bool {
        self.before.ban.is_some()
    }
}

/// The kinds of change that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UndoKind {
    /// A ban was imposed.
    Banned,
    /// The terms of a ban were changed.
    Changed,
    /// A ban was lifted, by an un-ban or by an exemption that covers it.
    Lifted,
    /// An exemption was granted.
    Allowed,
    /// An exemption was revoked.
    Unallowed,
    /// The history was forgotten.
    Forgot,
    /// A private note was added or deleted.
    Annotated,
    /// An earlier change was undone.
    Undid,
}

/// The noun for the kind, to follow "the": `the ban`, `the un-ban`.
impl fmt::Display for UndoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UndoKind::Banned => "ban",
            UndoKind::Changed => "change of the ban",
            UndoKind::Lifted => "un-ban",
            UndoKind::Allowed => "exemption",
            UndoKind::Unallowed => "end of the exemption",
            UndoKind::Forgot => "forgetting",
            UndoKind::Annotated => "note",
            UndoKind::Undid => "undo",
        })
    }
}

impl UndoKind {
    /// The kind of a change; `None` for a change that cannot be undone.
    pub(in crate::core) fn of(change: &Change) -> Option<UndoKind> {
        Some(match change {
            Change::Ban(BanChange::Imposed { .. })
            | Change::Ban(BanChange::ImposedByRule { .. })
            | Change::Ban(BanChange::Forced { .. }) => UndoKind::Banned,
            Change::Ban(BanChange::Amended { .. }) => UndoKind::Changed,
            Change::Ban(BanChange::Lifted { .. }) => UndoKind::Lifted,
            Change::Exemption(ExemptionChange::Granted { .. }) => UndoKind::Allowed,
            Change::Exemption(ExemptionChange::Revoked) => UndoKind::Unallowed,
            Change::History(HistoryChange::Forgotten) => UndoKind::Forgot,
            Change::History(HistoryChange::Annotated { .. }) => UndoKind::Annotated,
            Change::Undone => UndoKind::Undid,
            Change::Ban(BanChange::Expired)
            | Change::Subscribed { .. }
            | Change::History(HistoryChange::Kicked { .. }) => return None,
        })
    }
}

/// The state of a subject before a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::core) struct Before {
    /// The subject's history without its trail, which only grows. `None`: the subject was not known yet.
    pub(in crate::core) dossier: Option<Box<SubjectHistory>>,
    #[serde(with = "ban")]
    pub(in crate::core) ban: Option<Arc<Ban>>,
    pub(in crate::core) exemption: Option<Box<Exemption>>,
}

impl Before {
    /// When the history was last forgotten before this change.
    pub(in crate::core) fn forgotten(&self) -> Option<Timestamp> {
        self.dossier.as_ref()?.forgotten
    }
}

/// The order of the last [`DEEDS`] undo entries. Each entry is stored with its subject, which keeps only its last
/// one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::core) struct UndoLog {
    /// Place of the change in the log and place of the subject among the subjects, oldest first.
    order: VecDeque<(Seq, u32)>,
    /// The command of the last entry that was dropped. Earlier entries of the same command may be gone too.
    cut: Option<CommandId>,
}

impl UndoLog {
    /// Whether an event needs an undo entry: only changes by people do, not those by rules, the clock or the server.
    pub(in crate::core) fn is_one(event: &Event) -> bool {
        matches!(
            event.actor.door,
            EntryPoint::AdHoc | EntryPoint::Chat | EntryPoint::Room | EntryPoint::Terminal
        ) && UndoKind::of(&event.change).is_some()
    }

    pub(in crate::core) fn keep(&mut self, mut deed: UndoEntry, dossiers: &mut Histories) {
        if self.order.len() >= DEEDS
            && let Some((seq, place)) = self.order.pop_front()
            && let Some(dropped) = dossiers.drop_deed(place, seq)
        {
            self.cut = dropped.command.or(self.cut);
        }
        // All entries of one command have the same actor, so they share one copy.
        if let Some(last) = self.up_to(Seq(u64::MAX), dossiers).next()
            && last.by == deed.by
        {
            deed.by = Arc::clone(&last.by);
        }
        let seq = deed.seq;
        let place = dossiers.keep_deed(deed);
        self.order.push_back((seq, place));
    }

    /// The entries up to a place in the log, newest first.
    pub(in crate::core) fn up_to<'a>(
        &'a self,
        upto: Seq,
        dossiers: &'a Histories,
    ) -> impl Iterator<Item = &'a UndoEntry> {
        let end = self.order.partition_point(|(seq, _)| *seq <= upto);
        self.order.range(..end).rev().filter_map(|(seq, place)| {
            let (_, dossier) = dossiers.at(*place as usize)?;
            dossier.deed.as_deref().filter(|deed| deed.seq == *seq)
        })
    }

    /// Whether some entries of a command were dropped.
    pub(in crate::core) fn is_cut(&self, command: CommandId) -> bool {
        self.cut == Some(command)
    }
}

/// Serialises a shared actor together with its occupant.
mod by {
    use std::sync::Arc;

    use serde::{Deserializer, Serializer};

    use crate::core::actor::{Actor, whole};

    pub(in crate::core) fn serialize<S: Serializer>(
        by: &Arc<Actor>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        whole::serialize(by, to)
    }

    pub(in crate::core) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<Actor>, D::Error> {
        whole::deserialize(from).map(Arc::new)
    }
}

/// Serialises a shared ban.
mod ban {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::core::bans::ban::Ban;

    pub(in crate::core) fn serialize<S: Serializer>(
        ban: &Option<Arc<Ban>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        ban.as_deref().serialize(to)
    }

    pub(in crate::core) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Arc<Ban>>, D::Error> {
        Ok(Option::<Ban>::deserialize(from)?.map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::{EventId, Ledger, Role};

    #[test]
    fn the_oldest_are_dropped_and_the_command_they_were_part_of_is_known() {
        let mut ledger = Ledger::default();
        let mut annotate = |subject: &Subject, command, seq| {
            let event = Event::decided(
                EventId([0; 16]),
                Timestamp::from_millis(0),
                Actor::person("admin@example.org/x", Role::Admin, EntryPoint::Chat),
                subject.clone(),
                ledger.version(subject),
                Change::History(HistoryChange::Annotated { replaces: false }),
            )
            .by_command(Some(CommandId(command)));
            ledger.fold(Seq(seq), &event);
        };
        let whom = |text| Subject::parse(text).unwrap();
        let (a, b, c) = (whom("a@x.org"), whom("b@x.org"), whom("c@x.org"));
        annotate(&a, 1, 1);
        annotate(&b, 1, 2);
        let upto = DEEDS as u64 + 1;
        (3..=upto).for_each(|seq| annotate(&c, seq, seq));
        assert!(ledger.undoable(&a).is_none() && ledger.undoable(&b).is_some());
        assert!(ledger.is_partly_dropped(CommandId(1)) && !ledger.is_partly_dropped(CommandId(3)));
        let kept: Vec<Seq> = ledger.deeds_up_to(Seq(upto)).map(|deed| deed.seq).collect();
        assert_eq!(kept, [Seq(upto), Seq(2)]);
    }
}
