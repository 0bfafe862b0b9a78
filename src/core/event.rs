//! Events: the changes that can happen, and their order. Their authors are in [`actor`](super::actor).
//!
//! Decisions are events in one ordered log, and the rest of the state is a fold of it
//! ([`Ledger::fold`](super::Ledger::fold)). An event carries the version of its subject that it was based on. The
//! fold drops the event if that version has changed since. Every instance drops the same events, so any ordered log
//! will do (docs/adr/0003). The stored form of an event is in `stored.rs`.

mod stored;
mod written;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::bans::BanId;
use super::policy::NOTE_MAX;
use super::subject::Subject;
use super::subscriptions::Watch;
use super::time::Timestamp;
use super::words;

pub use super::bans::BanChange;
pub use super::exemptions::ExemptionChange;
pub use super::history::HistoryChange;
pub use stored::{BadEvent, Chain};
use written::Written;

/// The longest name of an author, a room's occupant or a rule, in characters. A full JID has at most 3071 bytes (RFC
/// 7622, 3.1).
pub const NAME_MAX: usize = 3_071;

/// A position in the log, from 1. `Seq(0)` is before the first event.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The next position.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

/// The version of a subject: the position of the last event that changed it.
pub type Version = Seq;

/// 128 random bits that identify an event permanently, on every instance.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventId(pub [u8; 16]);

/// 64 random bits that identify a command. All its events carry the id, so that they can be undone together.
/// Displayed as commands accept it: `command:4f2a91c7d0e1b2a3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u64);

impl CommandId {
    const PREFIX: &str = "command:";

    /// Parses the displayed form; `None` for anything else.
    pub fn parse(text: &str) -> Option<CommandId> {
        Self::from_hex(text.strip_prefix(Self::PREFIX)?)
    }

    /// Parses the 16 hexadecimal digits alone; `None` for anything else.
    pub fn from_hex(digits: &str) -> Option<CommandId> {
        let is_whole = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(digits, 16).ok();
        bits.filter(|_| is_whole).map(CommandId)
    }

    /// The 16 hexadecimal digits.
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
        f.write_str(&hex::encode(self.0))
    }
}

/// The origin of a ban.
///
/// [`Origin::Automatic`] bans apply only to accounts that never logged in from the source; all others apply to
/// everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A person imposed it.
    Manual,
    /// A rule imposed it.
    Automatic {
        /// The name of the rule.
        rule: String,
    },
    /// It was imported from a list.
    Imported,
    /// The server had it before portcullis did.
    Server,
}

impl Origin {
    /// The name of the rule; `None` if no rule imposed the ban.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Origin::Automatic { rule } => Some(rule),
            Origin::Manual | Origin::Imported | Origin::Server => None,
        }
    }

    /// One word for the origin, for filters and exports.
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

/// What an event changes, with one variant per part of the state.
///
/// Stored as [`Written`], whose variants are numbered by position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Change {
    /// The ban of the subject.
    Ban(BanChange),
    /// The exemption of the subject.
    Exemption(ExemptionChange),
    /// The history of the subject.
    History(HistoryChange),
    /// The subject, a person or a room, subscribes to other notifications.
    Subscribed {
        /// The new subscription; `None`: the default one.
        watch: Option<Watch>,
    },
    /// The previous change, which the event is based on, is undone: the subject is as it was before.
    Undone,
    /// The log was put back to an older copy. Decisions after that copy are unknown, and so are the numbers of their
    /// bans: the numbers below this one are not given any more.
    PutBack {
        /// The number of the next ban.
        next: BanId,
    },
}

/// Data that can be deleted later without changing any ban. It is stored apart from the event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    /// Reserved for the id of a storage key; 0 means none, and no other id is assigned yet.
    pub key: u32,
    /// Private note, for admins only.
    pub note: Option<String>,
    /// Evidence that led to the decision: addresses and counts.
    pub evidence: Option<String>,
}

/// An event: one decision about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its permanent id.
    pub id: EventId,
    /// When the event was decided.
    pub at: Timestamp,
    /// The author.
    pub actor: Actor,
    /// The command it was part of; `None` for decisions by rules, the clock or the server, and for events from before
    /// commands had ids.
    pub command: Option<CommandId>,
    /// The origin of the ban that it changes.
    pub origin: Origin,
    /// The subject it changes.
    pub subject: Subject,
    /// The version of the subject that it is based on.
    pub based_on: Version,
    /// The change.
    pub change: Change,
    /// Note and evidence, which can be deleted.
    pub personal: Personal,
}

impl Event {
    /// An event of a person ([`Origin::Manual`]) outside of a command, without note and evidence. `at` is when it was
    /// decided, `based_on` the version of `subject` it was decided on. The other methods change these defaults.
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

    /// Cuts every text to the limit that orders keep. Reason and comment are cut when a [`Change`] is read.
    #[must_use]
    pub fn cut(mut self) -> Event {
        let cut_one = |text: &mut Option<String>| {
            *text = text.take().map(|text| words::cut(text, NOTE_MAX));
        };
        self.actor.name = words::cut(self.actor.name, NAME_MAX);
        if let Some(name) = self.actor.occupant.take() {
            self.actor.occupant = Some(words::cut(name.into(), NAME_MAX).into());
        }
        if let Origin::Automatic { rule } = &mut self.origin {
            *rule = words::cut(std::mem::take(rule), NAME_MAX);
        }
        cut_one(&mut self.personal.note);
        cut_one(&mut self.personal.evidence);
        self
    }

    /// Makes the event part of this command; `None`: of no command.
    #[must_use]
    pub fn by_command(mut self, command: impl Into<Option<CommandId>>) -> Event {
        self.command = command.into();
        self
    }

    /// Sets the origin.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Event {
        self.origin = origin;
        self
    }

    /// Adds a note or evidence.
    #[must_use]
    pub fn with_personal(mut self, personal: Personal) -> Event {
        self.personal = personal;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_id_reads_back_as_it_is_shown_and_nothing_else_does() {
        let id = CommandId(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_hex(), "00abcdef01234567");
        assert_eq!(CommandId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(CommandId::parse(&id.to_string()), Some(id));
        for wrong in ["abcdef01234567", "+0abcdef01234567", "00abcdef0123456x", ""] {
            assert_eq!(CommandId::from_hex(wrong), None, "{wrong}");
        }
    }
}
