//! What can happen, and in which order. Who says so is in [`actor`](super::actor).
//!
//! Decisions are events in one ordered log; everything else is a fold of it
//! ([`Ledger::fold`](super::Ledger::fold)). An event carries the version of its subject that it
//! was decided on, and the *fold* drops it when that version has moved: every instance drops
//! the same events, so any ordered log will do (docs/adr/0003). What the log keeps of an event is
//! in `stored.rs`.

mod stored;
mod written;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::subject::Subject;
use super::time::Timestamp;
use super::watch::Watch;

pub use super::bans::BanChange;
pub use super::exemptions::ExemptionChange;
pub use super::history::HistoryChange;
pub use stored::{BadEvent, Chain};
use written::Written;

/// A place in the log, from 1. `Seq(0)` is before the first event.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The place behind this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

/// The version of a subject: the place of the last event that changed it.
pub type Version = Seq;

/// 128 random bits that name an event for ever, on every instance.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventId(pub [u8; 16]);

/// 64 random bits that name what one person had done at once, by one command: its events all carry it, so that they
/// can be taken back together. Written as the command itself is asked for: `command:4f2a91c7d0e1b2a3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u64);

impl CommandId {
    const PREFIX: &str = "command:";

    /// Reads what [`CommandId`] displays; `None` for anything else.
    pub fn parse(text: &str) -> Option<CommandId> {
        Self::from_hex(text.strip_prefix(Self::PREFIX)?)
    }

    /// From its 16 hexadecimal digits alone.
    pub fn from_hex(digits: &str) -> Option<CommandId> {
        let is_whole = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(digits, 16).ok();
        bits.filter(|_| is_whole).map(CommandId)
    }

    /// Its 16 hexadecimal digits.
    pub fn to_hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", Self::PREFIX, self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Where a ban comes from.
///
/// Only [`Origin::Automatic`] ones are a judgement about strangers: they do not touch an account
/// at a place it logged in from before. All others hold for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A person decided it.
    Manual,
    /// A rule decided it.
    Automatic {
        /// The name of the rule.
        rule: String,
    },
    /// It was read from a list.
    Imported,
    /// The server had it before us.
    Server,
}

impl Origin {
    /// The rule that decided, if it was one.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Origin::Automatic { rule } => Some(rule),
            Origin::Manual | Origin::Imported | Origin::Server => None,
        }
    }

    /// Its kind in one word, as filters and exported lines have it.
    pub fn word(&self) -> &'static str {
        match self {
            Origin::Manual => "hand",
            Origin::Automatic { .. } => "rule",
            Origin::Imported => "import",
            Origin::Server => "server",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Manual => f.write_str("by hand"),
            Origin::Automatic { rule } => write!(f, "automatic ({rule})"),
            Origin::Imported => f.write_str("imported"),
            Origin::Server => f.write_str("made by the server"),
        }
    }
}

/// What an event changes: one variant for each part of the state.
///
/// Written as [`Written`], whose variants are numbered by position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Change {
    /// The ban of the subject.
    Ban(BanChange),
    /// The exemption of the subject.
    Exemption(ExemptionChange),
    /// What is known of the subject besides.
    History(HistoryChange),
    /// The subject, a person or a room, receives other notifications from now on.
    Subscribed {
        /// Which; `None`: those of everybody who chose none.
        watch: Option<Watch>,
    },
    /// The change before this one, which it is based on, is taken back: the subject is as it was.
    Undone,
}

/// What can be forgotten later without changing what is in force: kept apart from the event,
/// under a key of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    /// The key it is stored under; 0 is "none yet", stored as it is.
    pub key: u32,
    /// Private note, for admins only.
    pub note: Option<String>,
    /// What led to it: addresses, counts.
    pub evidence: Option<String>,
}

impl Personal {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.note.is_none() && self.evidence.is_none()
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name for ever.
    pub id: EventId,
    /// When it was decided.
    pub at: Timestamp,
    /// Who decided.
    pub actor: Actor,
    /// The command it was part of. What rules, the clock and the server decide has none, nor what was
    /// written before there were any: it is alone.
    pub command: Option<CommandId>,
    /// Where it comes from.
    pub origin: Origin,
    /// Whom it is about.
    pub subject: Subject,
    /// The version of the subject it was decided on.
    pub based_on: Version,
    /// What it changes.
    pub change: Change,
    /// What can be forgotten.
    pub personal: Personal,
}

impl Event {
    /// A decision of a person ([`Origin::Manual`]) that is part of no command and has no personal part. `at` is when it
    /// was decided, `based_on` the version of `subject` it was decided on. The other methods say what differs.
    pub fn decided(
        id: EventId,
        at: Timestamp,
        actor: Actor,
        subject: Subject,
        based_on: Version,
        change: Change,
    ) -> Event {
        Event {
            id,
            at,
            actor,
            command: None,
            origin: Origin::Manual,
            subject,
            based_on,
            change,
            personal: Personal::default(),
        }
    }

    /// Part of this command; `None`: of no command.
    #[must_use]
    pub fn by_command(mut self, command: impl Into<Option<CommandId>>) -> Event {
        self.command = command.into();
        self
    }

    /// Decided by somebody else than a person.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Event {
        self.origin = origin;
        self
    }

    /// With a private note or evidence.
    #[must_use]
    pub fn with_personal(mut self, personal: Personal) -> Event {
        self.personal = personal;
        self
    }
}
