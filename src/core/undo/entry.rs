//! Undo entries: one change that a person made, with the state before it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::actor::Actor;
use crate::core::bans::{Ban, BanId};
use crate::core::event::{BanChange, Change, CommandId, ExemptionChange, HistoryChange, Seq};
use crate::core::exemptions::Exemption;
use crate::core::history::History;
use crate::core::ledger::Ledger;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// An undo entry: one change that a person made to a subject, and the state before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoEntry {
    /// Position of the change in the log.
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
    pub kind: UndoKind,
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
    pub fn of(change: &Change) -> Option<UndoKind> {
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
            | Change::PutBack { .. }
            | Change::History(HistoryChange::Kicked { .. }) => return None,
        })
    }
}

/// The state of a subject before a change: the part of each aggregate that an undo restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::core) struct Before {
    pub(in crate::core) history: History,
    #[serde(with = "ban")]
    pub(in crate::core) ban: Option<Arc<Ban>>,
    pub(in crate::core) exemption: Option<Box<Exemption>>,
}

impl Before {
    /// The present state of a subject.
    pub(in crate::core) fn of(ledger: &Ledger, subject: &Subject) -> Before {
        Before {
            history: *ledger.history(subject),
            ban: ledger.bans.shared(subject).cloned(),
            exemption: ledger.exemptions.of(subject).cloned().map(Box::new),
        }
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

    use crate::core::bans::Ban;

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
