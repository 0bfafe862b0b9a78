//! What was done by people lately, each with the state before it, so that it can be taken back.
//!
//! Part of the fold: every instance keeps the same. Only the last change of a subject can be
//! taken back, and taking back is a change like any other, so it can be taken back too.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::actor::{Actor, Door};
use super::dossier::{Dossier, Dossiers};
use super::event::{BanChange, Change, CommandId, Event, ExemptionChange, HistoryChange, Seq};
use super::exempt::Exemption;
use super::record::{Ban, BanId};
use super::subject::Subject;
use super::time::Timestamp;

/// How many changes can be taken back; the oldest are dropped. One takes some 200 bytes, and what it ended stays in
/// memory: an un-ban the ban.
pub const DEEDS: usize = 250_000;
/// The bans that one exemption lifted come back with its undoing, when they are no more than so
/// many.
pub const WIDEST: usize = 1_000;

/// What somebody did to a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// Its place in the log.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// Who.
    #[serde(with = "by")]
    pub by: Arc<Actor>,
    /// By which command; `None`: by one of its own, which nothing else belongs to.
    pub command: Option<CommandId>,
    /// To whom.
    pub subject: Subject,
    /// What.
    pub did: Did,
    /// The ban it was about.
    pub number: Option<BanId>,
    pub(super) before: Before,
}

impl Deed {
    /// The ban that stood before.
    pub fn ban_before(&self) -> Option<&Ban> {
        self.before.ban.as_deref()
    }

    /// The exemption there was before.
    pub fn exemption_before(&self) -> Option<&Exemption> {
        self.before.exemption.as_deref()
    }

    /// Whether taking it back brings a ban back that does not stand now, or not with these terms.
    pub fn restores_ban(&self) -> bool {
        self.before.ban.is_some()
    }
}

/// The kinds of deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Did {
    /// Banned.
    Banned,
    /// Gave the ban other terms.
    Changed,
    /// Un-banned, or exempted what covers it.
    Lifted,
    /// Exempted from bans.
    Allowed,
    /// Took an exemption back.
    Unallowed,
    /// Forgot its history.
    Forgot,
    /// Wrote or took away a note.
    Annotated,
    /// Took something back.
    Undid,
}

/// As it follows "the": `the ban`, `the un-ban`.
impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Did::Banned => "ban",
            Did::Changed => "change of the ban",
            Did::Lifted => "un-ban",
            Did::Allowed => "exemption",
            Did::Unallowed => "end of the exemption",
            Did::Forgot => "forgetting",
            Did::Annotated => "note",
            Did::Undid => "undo",
        })
    }
}

impl Did {
    /// What an event does; `None` for what nobody takes back.
    pub(super) fn of(change: &Change) -> Option<Did> {
        Some(match change {
            Change::Ban(BanChange::Imposed { .. })
            | Change::Ban(BanChange::ImposedByRule { .. })
            | Change::Ban(BanChange::Forced { .. }) => Did::Banned,
            Change::Ban(BanChange::Amended { .. }) => Did::Changed,
            Change::Ban(BanChange::Lifted { .. }) => Did::Lifted,
            Change::Exemption(ExemptionChange::Granted { .. }) => Did::Allowed,
            Change::Exemption(ExemptionChange::Revoked) => Did::Unallowed,
            Change::History(HistoryChange::Forgotten) => Did::Forgot,
            Change::History(HistoryChange::Annotated { .. }) => Did::Annotated,
            Change::Undone => Did::Undid,
            Change::Ban(BanChange::Expired)
            | Change::Subscribed { .. }
            | Change::History(HistoryChange::Kicked { .. }) => return None,
        })
    }
}

/// A subject as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// Without its trail, which only grows. `None`: nobody had heard of it.
    pub(super) dossier: Option<Box<Dossier>>,
    #[serde(with = "ban")]
    pub(super) ban: Option<Arc<Ban>>,
    pub(super) exemption: Option<Box<Exemption>>,
}

impl Before {
    /// When its history had been forgotten last.
    pub(super) fn forgotten(&self) -> Option<Timestamp> {
        self.dossier.as_ref()?.forgotten
    }
}

/// Where the last [`DEEDS`] deeds are. Each is kept with the subject it is about; only the last about a subject is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deeds {
    /// Place in the log and place of the subject, oldest first.
    order: VecDeque<(Seq, u32)>,
    /// The command of the last deed that was dropped: more of it may have gone before.
    cut: Option<CommandId>,
}

impl Deeds {
    /// Whether an event is somebody's deed: what rules, the clock and the server do is not.
    pub(super) fn is_one(event: &Event) -> bool {
        matches!(
            event.actor.door,
            Door::AdHoc | Door::Chat | Door::Room | Door::Terminal
        ) && Did::of(&event.change).is_some()
    }

    pub(super) fn keep(&mut self, mut deed: Deed, dossiers: &mut Dossiers) {
        if self.order.len() >= DEEDS
            && let Some((seq, place)) = self.order.pop_front()
            && let Some(dropped) = dossiers.drop_deed(place, seq)
        {
            self.cut = dropped.command.or(self.cut);
        }
        // All that one command does is done by one, and kept once.
        if let Some(last) = self.up_to(Seq(u64::MAX), dossiers).next()
            && last.by == deed.by
        {
            deed.by = Arc::clone(&last.by);
        }
        let seq = deed.seq;
        let place = dossiers.keep_deed(deed);
        self.order.push_back((seq, place));
    }

    /// Those up to a place in the log, newest first.
    pub(super) fn up_to<'a>(
        &'a self,
        upto: Seq,
        dossiers: &'a Dossiers,
    ) -> impl Iterator<Item = &'a Deed> {
        let end = self.order.partition_point(|(seq, _)| *seq <= upto);
        self.order.range(..end).rev().filter_map(|(seq, place)| {
            let (_, dossier) = dossiers.at(*place as usize)?;
            dossier.deed.as_deref().filter(|deed| deed.seq == *seq)
        })
    }

    /// Whether some of what a command did was dropped.
    pub(super) fn is_cut(&self, command: CommandId) -> bool {
        self.cut == Some(command)
    }
}

/// An actor with the occupant too.
mod by {
    use std::sync::Arc;

    use serde::{Deserializer, Serializer};

    use crate::core::actor::{Actor, whole};

    pub(super) fn serialize<S: Serializer>(by: &Arc<Actor>, to: S) -> Result<S::Ok, S::Error> {
        whole::serialize(by, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Actor>, D::Error> {
        whole::deserialize(from).map(Arc::new)
    }
}

/// A ban that is shared in memory.
mod ban {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::core::record::Ban;

    pub(super) fn serialize<S: Serializer>(
        ban: &Option<Arc<Ban>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        ban.as_deref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
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
                Actor::person("admin@example.org/x", Role::Admin, Door::Chat),
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
