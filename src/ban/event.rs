//! What can happen, in which order, and who says so.
//!
//! Decisions are events in one ordered log; everything else is a fold of it
//! ([`Ledger::fold`](super::Ledger::fold)). An event carries the version of its subject that it
//! was decided on, and the *fold* drops it when that version has moved: every instance drops
//! the same events, so any ordered log will do (docs/adr/0003).

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::subject::Subject;
use super::time::Timestamp;
use super::watch::Watch;

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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventId(pub [u8; 16]);

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// What an actor may do. Greater ones may do all that lesser ones may.
///
/// Stored by position, so a new role comes last here, and [`Role::rank`] says where it belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Nothing.
    #[default]
    Stranger,
    /// Accounts and single addresses, up to a longest term.
    Moderator,
    /// Everything.
    Admin,
    /// Looks, and changes nothing.
    Viewer,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 4] = [Role::Stranger, Role::Viewer, Role::Moderator, Role::Admin];

    fn rank(self) -> u8 {
        match self {
            Role::Stranger => 0,
            Role::Viewer => 1,
            Role::Moderator => 2,
            Role::Admin => 3,
        }
    }
}

impl PartialOrd for Role {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Role {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Stranger => "stranger",
            Role::Viewer => "viewer",
            Role::Moderator => "moderator",
            Role::Admin => "admin",
        })
    }
}

/// The way a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Door {
    /// A form (XEP-0050).
    AdHoc,
    /// A chat line.
    Chat,
    /// The program's own clock.
    Clock,
    /// The server, by a record it wrote itself.
    Server,
    /// Logins the server reported.
    Hook,
    /// A line in a room (XEP-0045).
    Room,
    /// The program's own command line, through the local socket of the daemon.
    Terminal,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Door::AdHoc => "form",
            Door::Chat => "chat",
            Door::Clock => "clock",
            Door::Server => "server",
            Door::Hook => "logins",
            Door::Room => "room",
            Door::Terminal => "terminal",
        })
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The full JID of a person, or the name of a part of the program.
    pub name: String,
    /// What they may do, as decided where they came in.
    pub role: Role,
    /// The way they came in.
    pub door: Door,
    /// The occupant they spoke as (`room@service/nick`), when they came in by a room. Stored beside the actor, in
    /// events that have one: see [`Event::to_bytes`].
    #[serde(skip)]
    pub occupant: Option<Box<str>>,
}

impl Actor {
    /// The program's clock, which ends bans.
    pub fn clock() -> Self {
        Actor {
            name: String::from("portcullis"),
            role: Role::Admin,
            door: Door::Clock,
            occupant: None,
        }
    }

    /// The rules, which answer to reported logins.
    pub fn rules() -> Self {
        Actor {
            name: String::from("portcullis"),
            role: Role::Admin,
            door: Door::Hook,
            occupant: None,
        }
    }

    /// The name without a resource, as lists show it.
    pub fn bare_name(&self) -> &str {
        self.name
            .split_once('/')
            .map_or(&self.name, |parts| parts.0)
    }
}

/// An actor with the occupant too, as snapshots keep it: `#[serde(with = "whole_actor")]`.
pub(super) mod whole_actor {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Actor, Door, Role};

    pub(in crate::ban) fn serialize<S: Serializer>(
        actor: &Actor,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let Actor {
            name,
            role,
            door,
            occupant,
        } = actor;
        (name, role, door, occupant).serialize(to)
    }

    pub(in crate::ban) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Actor, D::Error> {
        let (name, role, door, occupant) =
            <(String, Role, Door, Option<Box<str>>)>::deserialize(from)?;
        Ok(Actor {
            name,
            role,
            door,
            occupant,
        })
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

/// What an event changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A ban begins.
    Imposed {
        /// Public reason.
        reason: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// The ban in force gets other terms.
    Amended {
        /// Public reason.
        reason: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// The ban in force ends because somebody says so.
    Lifted {
        /// Why, for the history.
        reason: String,
    },
    /// The ban in force ends because its time is over.
    Expired,
    /// A ban begins because a rule says so.
    ImposedByRule {
        /// Public reason.
        reason: String,
        /// Its end. Rules never ban for ever.
        until: Timestamp,
        /// The how-manieth ban of the subject it is, after memory and decay of the rule: what
        /// its term grew from.
        ordinal: u32,
    },
    /// The subject is exempt from bans from now on; those it covers end.
    Allowed {
        /// Why, for the list.
        comment: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// The exemption of the subject ends because somebody says so.
    Unallowed,
    /// The subject's bans count no more: growth starts anew. A ban in force goes on.
    Forgotten,
    /// The subject, a person or a room, hears other news from now on.
    Watched {
        /// Which; `None`: what everybody hears who expressed no wish.
        watch: Option<Watch>,
    },
    /// The change before this one, which it is based on, is taken back: the subject is as it was.
    Undone,
    /// There is a private note (in [`Personal`]) to add to those there are.
    Annotated {
        /// The notes before it count no more; without a note of its own, none is left.
        replaces: bool,
    },
    /// A ban of somebody exempt begins, because an admin insists.
    ImposedOnExempt {
        /// Public reason.
        reason: String,
        /// Its end; `None`: none.
        until: Option<Timestamp>,
    },
    /// The subject's sessions were ended, without a ban.
    Kicked {
        /// Public reason.
        reason: String,
    },
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

/// An event without its personal part, as the log stores and hashes it. New versions are new
/// variants: postcard numbers them by position, so they are only ever added at the end.
#[derive(Serialize, Deserialize)]
enum Stored {
    V1 {
        id: EventId,
        at: Timestamp,
        actor: Actor,
        origin: Origin,
        subject: Subject,
        based_on: Version,
        change: Change,
    },
    /// The same for an actor who spoke in a room.
    V2 {
        id: EventId,
        at: Timestamp,
        actor: Actor,
        origin: Origin,
        subject: Subject,
        based_on: Version,
        change: Change,
        occupant: Box<str>,
    },
}

/// Bytes that are no event of a version this program knows.
#[derive(Debug, thiserror::Error)]
#[error("the bytes of an event are damaged or from a newer portcullis: {0}")]
pub struct BadEvent(#[from] postcard::Error);

impl Event {
    /// The bytes the log keeps and hashes: everything but [`Personal`].
    ///
    /// # Errors
    /// None for events that fit in memory; the encoder's signature says otherwise.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BadEvent> {
        let Event {
            id,
            at,
            mut actor,
            origin,
            subject,
            based_on,
            change,
            personal: _,
        } = self.clone();
        Ok(postcard::to_stdvec(&match actor.occupant.take() {
            None => Stored::V1 {
                id,
                at,
                actor,
                origin,
                subject,
                based_on,
                change,
            },
            Some(occupant) => Stored::V2 {
                id,
                at,
                actor,
                origin,
                subject,
                based_on,
                change,
                occupant,
            },
        })?)
    }

    /// Reads [`Event::to_bytes`]; the personal part is added by whoever keeps it.
    ///
    /// # Errors
    /// [`BadEvent`] for bytes of another kind or a newer version.
    pub fn from_bytes(bytes: &[u8], personal: Personal) -> Result<Self, BadEvent> {
        Ok(match postcard::from_bytes(bytes)? {
            Stored::V1 {
                id,
                at,
                actor,
                origin,
                subject,
                based_on,
                change,
            } => Event {
                id,
                at,
                actor,
                origin,
                subject,
                based_on,
                change,
                personal,
            },
            Stored::V2 {
                id,
                at,
                actor,
                origin,
                subject,
                based_on,
                change,
                occupant,
            } => Event {
                id,
                at,
                actor: Actor {
                    occupant: Some(occupant),
                    ..actor
                },
                origin,
                subject,
                based_on,
                change,
                personal,
            },
        })
    }
}

/// The hash of the log up to a place: two instances that agree on it hold the same history.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// The hash one event further: SHA-256 over the hash before, the place and the bytes.
    #[must_use]
    pub fn extend(self, seq: Seq, bytes: &[u8]) -> Chain {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(seq.0.to_be_bytes());
        hasher.update(bytes);
        Chain(hasher.finalize().into())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ban::watch::Topic;

    fn sample() -> Event {
        Event {
            id: EventId([7; 16]),
            at: Timestamp::from_millis(1_795_320_000_000),
            actor: Actor {
                name: "admin@example.org/x".into(),
                role: Role::Admin,
                door: Door::Chat,
                occupant: None,
            },
            origin: Origin::Manual,
            subject: Subject::parse("spam@example.org").unwrap(),
            based_on: Seq(3),
            change: Change::Imposed {
                reason: "spam".into(),
                until: None,
            },
            personal: Personal {
                key: 0,
                note: Some("secret".into()),
                evidence: None,
            },
        }
    }

    /// The bytes on disk of version 1. If this fails, the format changed: add a version.
    #[test]
    fn the_stored_bytes_of_version_1_stay_as_they_are() {
        let bytes = sample().to_bytes().unwrap();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "0007070707070707070707070707070707\
             80b8c996c0681361646d696e406578616d706c652e6f72672f78\
             02010000107370616d406578616d706c652e6f7267030004\
             7370616d00"
        );
    }

    /// Roles are stored by position and compared by rank.
    #[test]
    fn the_numbers_of_roles_stay_as_they_are_and_their_order_is_another() {
        let bytes = Role::ALL.map(|role| postcard::to_stdvec(&role).unwrap());
        assert_eq!(bytes, [[0], [3], [1], [2]]);
        assert!(Role::ALL.is_sorted());
        assert!(Role::Viewer < Role::Moderator && Role::Viewer > Role::Stranger);
    }

    /// The bytes on disk of version 2: those of version 1 and, behind them, the occupant.
    #[test]
    fn who_spoke_in_a_room_is_stored_behind_the_rest() {
        let mut event = sample();
        let before = event.to_bytes().unwrap();
        event.actor.occupant = Some("ops@rooms.example.org/Al".into());
        let bytes = event.to_bytes().unwrap();
        assert_eq!(bytes[0], 1);
        assert_eq!(&bytes[1..before.len()], &before[1..]);
        assert_eq!(&bytes[before.len()..], b"\x18ops@rooms.example.org/Al");
        let back = Event::from_bytes(&bytes, event.personal.clone()).unwrap();
        assert_eq!(back, event);
    }

    /// Later variants come behind the first ones, and stay where they are.
    #[test]
    fn the_numbers_of_later_variants_stay_as_they_are() {
        let ends = |subject: &str, change: Change| {
            let event = Event {
                subject: Subject::parse(subject).unwrap(),
                change,
                ..sample()
            };
            let bytes = event.to_bytes().unwrap();
            let back = Event::from_bytes(&bytes, event.personal.clone()).unwrap();
            assert_eq!(back, event);
            let hex: String = bytes[45..].iter().map(|b| format!("{b:02x}")).collect();
            hex
        };
        let imposed = Change::ImposedByRule {
            reason: String::new(),
            until: Timestamp::from_millis(1),
            ordinal: 2,
        };
        assert_eq!(
            ends("a@b.c from 192.0.2.1", imposed),
            "0003056140622e6300c0000201200304000202"
        );
        let allowed = Change::Allowed {
            comment: "x".into(),
            until: None,
        };
        assert!(ends("guard of a@b.c", allowed).ends_with("04056140622e630305017800"));
        assert!(ends("a@b.c", Change::Unallowed).ends_with("0306"));
        assert!(ends("a@b.c", Change::Forgotten).ends_with("0307"));
        let watched = |watch| ends("a@b.c", Change::Watched { watch });
        assert!(watched(None).ends_with("030800"));
        assert!(ends("a@b.c", Change::Undone).ends_with("0309"));
        let annotated = Change::Annotated { replaces: true };
        assert!(ends("a@b.c", annotated).ends_with("030a01"));
        let despite = Change::ImposedOnExempt {
            reason: "x".into(),
            until: None,
        };
        assert!(ends("a@b.c", despite).ends_with("030b017800"));
        let kicked = Change::Kicked { reason: "x".into() };
        assert!(ends("a@b.c", kicked).ends_with("030c0178"));
        let watch = Watch::of([Topic::Guards, Topic::Bans]);
        assert!(watched(Some(watch)).ends_with("03080102000200"));
    }

    #[test]
    fn what_is_personal_is_not_in_the_stored_bytes() {
        let event = sample();
        let bytes = event.to_bytes().unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        let back = Event::from_bytes(&bytes, event.personal.clone()).unwrap();
        assert_eq!(back, event);
        assert!(Event::from_bytes(&bytes[..9], Personal::default()).is_err());
        assert!(Event::from_bytes(&[9, 9], Personal::default()).is_err());
    }

    #[test]
    fn the_chain_depends_on_every_byte_and_place() {
        let one = Chain::default().extend(Seq(1), b"a");
        assert_ne!(one, Chain::default().extend(Seq(2), b"a"));
        assert_ne!(one, Chain::default().extend(Seq(1), b"b"));
        assert_ne!(one.extend(Seq(2), b"c"), one);
    }
}
