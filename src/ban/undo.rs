//! What was done by people lately, each with the state before it, so that it can be taken back.
//!
//! Part of the fold: every instance keeps the same. Only the last change of a subject can be
//! taken back, and taking back is a change like any other, so it can be taken back too.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::actor::{Actor, Door};
use super::dossier::Dossier;
use super::event::{Change, Event, Seq};
use super::exempt::Exemption;
use super::record::{Ban, BanId};
use super::subject::Subject;
use super::time::Timestamp;

/// How many changes can be taken back; the oldest are dropped. One takes about half a kilobyte.
pub const DEEDS: usize = 10_000;
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
    #[serde(with = "super::actor::whole")]
    pub by: Actor,
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
        self.before.ban.as_ref()
    }

    /// The exemption there was before.
    pub fn exemption_before(&self) -> Option<&Exemption> {
        self.before.exemption.as_ref()
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
            Change::Imposed { .. }
            | Change::ImposedByRule { .. }
            | Change::ImposedOnExempt { .. } => Did::Banned,
            Change::Amended { .. } => Did::Changed,
            Change::Lifted { .. } => Did::Lifted,
            Change::Allowed { .. } => Did::Allowed,
            Change::Unallowed => Did::Unallowed,
            Change::Forgotten => Did::Forgot,
            Change::Annotated { .. } => Did::Annotated,
            Change::Undone => Did::Undid,
            Change::Expired | Change::Watched { .. } | Change::Kicked { .. } => return None,
        })
    }
}

/// A subject as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// Without its trail, which only grows.
    pub(super) dossier: Dossier,
    pub(super) ban: Option<Ban>,
    pub(super) exemption: Option<Exemption>,
}

/// The last deed about each subject, of the last [`DEEDS`] there were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deeds {
    last: BTreeMap<Subject, Deed>,
    order: VecDeque<(Seq, Subject)>,
}

impl Deeds {
    /// Whether an event is somebody's deed: what rules, the clock and the server do is not.
    pub(super) fn is_one(event: &Event) -> bool {
        matches!(
            event.actor.door,
            Door::AdHoc | Door::Chat | Door::Room | Door::Terminal
        ) && Did::of(&event.change).is_some()
    }

    pub(super) fn keep(&mut self, deed: Deed) {
        if self.order.len() >= DEEDS
            && let Some((seq, subject)) = self.order.pop_front()
            && self.last.get(&subject).is_some_and(|last| last.seq == seq)
        {
            self.last.remove(&subject);
        }
        self.order.push_back((deed.seq, deed.subject.clone()));
        self.last.insert(deed.subject.clone(), deed);
    }

    /// The last deed about a subject.
    pub(super) fn about(&self, subject: &Subject) -> Option<&Deed> {
        self.last.get(subject)
    }

    /// Newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Deed> {
        self.order.iter().rev().filter_map(|(seq, subject)| {
            let last = self.last.get(subject)?;
            (last.seq == *seq).then_some(last)
        })
    }
}
