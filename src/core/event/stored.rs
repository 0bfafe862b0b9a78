//! The stored form of an event: the bytes that the log keeps and hashes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Change, CommandId, Event, EventId, Origin, Personal, Seq, Version};
use crate::core::actor::Actor;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// A new version is a new variant at the end, because postcard numbers variants by position.
#[derive(Serialize, Deserialize)]
enum Stored {
    V1(Decided),
    /// Version 1 and the occupant, for an actor in a MUC room.
    V2(Decided, Box<str>),
    /// Version 1, the occupant if there is one, and the command.
    V3(Decided, Option<Box<str>>, CommandId),
}

/// An event without its personal part. A new field needs a new version.
#[derive(Serialize, Deserialize)]
struct Decided {
    id: EventId,
    at: Timestamp,
    actor: Actor,
    origin: Origin,
    subject: Subject,
    based_on: Version,
    change: Change,
}

/// The bytes are no event of a version that this program knows.
#[derive(Debug, thiserror::Error)]
#[error("the bytes of an event are damaged or from a newer portcullis: {0}")]
pub struct BadEvent(#[from] postcard::Error);

impl Event {
    /// The bytes that the log keeps and hashes: everything but [`Personal`].
    ///
    /// # Errors
    /// None for events that fit in memory; the encoder's signature requires the `Result`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BadEvent> {
        let Event {
            id,
            at,
            mut actor,
            command,
            origin,
            subject,
            based_on,
            change,
            personal: _,
        } = self.clone();
        let occupant = actor.occupant.take();
        let decided = Decided {
            id,
            at,
            actor,
            origin,
            subject,
            based_on,
            change,
        };
        Ok(postcard::to_stdvec(&match (command, occupant) {
            (None, None) => Stored::V1(decided),
            (None, Some(occupant)) => Stored::V2(decided, occupant),
            (Some(command), occupant) => Stored::V3(decided, occupant, command),
        })?)
    }

    /// Parses the bytes of [`Event::to_bytes`]; the caller adds the personal part.
    ///
    /// # Errors
    /// [`BadEvent`] for other bytes or a newer version.
    pub fn from_bytes(bytes: &[u8], personal: Personal) -> Result<Self, BadEvent> {
        let (decided, occupant, command) = match whole(bytes)? {
            Stored::V1(decided) => (decided, None, None),
            Stored::V2(decided, occupant) => (decided, Some(occupant), None),
            Stored::V3(decided, occupant, command) => (decided, occupant, Some(command)),
        };
        let Decided {
            id,
            at,
            actor,
            origin,
            subject,
            based_on,
            change,
        } = decided;
        let event = Event {
            id,
            at,
            actor: Actor { occupant, ..actor },
            command,
            origin,
            subject,
            based_on,
            change,
            personal,
        };
        Ok(event.cut())
    }
}

/// A value that ends where its bytes end: bytes behind it are a field that this version does not know.
fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// The hash of the log up to a position. Two instances with the same hash have the same history.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// The hash after one more event: SHA-256 over the previous hash, the position and the bytes.
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
        write!(f, "{}…", hex::encode(&self.0[..8]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::actor::{EntryPoint, Role};
    use crate::core::subscriptions::{Topic, Watch};
    use crate::core::{BanChange, ExemptionChange, HistoryChange};

    fn sample() -> Event {
        Event {
            id: EventId([7; 16]),
            at: Timestamp::from_millis(1_795_320_000_000),
            actor: Actor::person("admin@example.org/x", Role::Admin, EntryPoint::Chat),
            command: None,
            origin: Origin::Manual,
            subject: Subject::parse("spam@example.org").unwrap(),
            based_on: Seq(3),
            change: Change::Ban(BanChange::Imposed {
                reason: "spam".into(),
                until: None,
            }),
            personal: Personal {
                key: 0,
                note: Some("secret".into()),
                evidence: None,
            },
        }
    }

    /// Pins the stored bytes of version 1. If this fails, the format changed and needs a new version.
    #[test]
    fn the_stored_bytes_of_version_1_stay_as_they_are() {
        let bytes = sample().to_bytes().unwrap();
        assert_eq!(
            hex::encode(bytes),
            "0007070707070707070707070707070707\
             80b8c996c0681361646d696e406578616d706c652e6f72672f78\
             02010000107370616d406578616d706c652e6f7267030004\
             7370616d00"
        );
    }

    /// Pins the stored bytes of version 2: those of version 1, then the occupant.
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

    /// Pins the stored bytes of version 3: those of version 1, the occupant or none, and the command.
    #[test]
    fn the_command_is_stored_behind_the_occupant() {
        let mut event = sample();
        let before = event.to_bytes().unwrap();
        event.command = Some(CommandId(300));
        let bytes = event.to_bytes().unwrap();
        assert_eq!(bytes[0], 2);
        assert_eq!(&bytes[1..before.len()], &before[1..]);
        assert_eq!(&bytes[before.len()..], [0, 0xac, 2]);
        let back = Event::from_bytes(&bytes, event.personal.clone()).unwrap();
        assert_eq!(back, event);
        event.actor.occupant = Some("r@x/Al".into());
        let bytes = event.to_bytes().unwrap();
        assert_eq!(&bytes[before.len()..], b"\x01\x06r@x/Al\xac\x02");
        let back = Event::from_bytes(&bytes, event.personal.clone()).unwrap();
        assert_eq!(back, event);
    }

    /// Variants that were added later follow the first ones and keep their numbers.
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
            hex::encode(&bytes[45..])
        };
        let imposed = Change::Ban(BanChange::ImposedByRule {
            reason: String::new(),
            until: Timestamp::from_millis(1),
            ordinal: 2,
        });
        assert_eq!(
            ends("a@b.c from 192.0.2.1", imposed),
            "0003056140622e6300c0000201200304000202"
        );
        let allowed = Change::Exemption(ExemptionChange::Granted {
            comment: "x".into(),
            until: None,
        });
        assert!(ends("guard of a@b.c", allowed).ends_with("04056140622e630305017800"));
        assert!(ends("a@b.c", Change::Exemption(ExemptionChange::Revoked)).ends_with("0306"));
        assert!(ends("a@b.c", Change::History(HistoryChange::Forgotten)).ends_with("0307"));
        let watched = |watch| ends("a@b.c", Change::Subscribed { watch });
        assert!(watched(None).ends_with("030800"));
        assert!(ends("a@b.c", Change::Undone).ends_with("0309"));
        let annotated = Change::History(HistoryChange::Annotated { replaces: true });
        assert!(ends("a@b.c", annotated).ends_with("030a01"));
        let despite = Change::Ban(BanChange::Forced {
            reason: "x".into(),
            until: None,
        });
        assert!(ends("a@b.c", despite).ends_with("030b017800"));
        let kicked = Change::History(HistoryChange::Kicked { reason: "x".into() });
        assert!(ends("a@b.c", kicked).ends_with("030c0178"));
        let watch = Watch::of([Topic::Guards, Topic::Bans]);
        assert!(watched(Some(watch)).ends_with("03080102000200"));
    }

    /// Earlier versions took texts of any length from an imported history.
    #[test]
    fn a_stored_text_longer_than_any_order_may_make_it_is_cut_when_it_is_read() {
        let mut event = sample();
        event.actor.name = "n".repeat(30_000);
        event.personal.note = Some("o".repeat(30_000));
        event.change = Change::Ban(BanChange::Forced {
            reason: "r".repeat(30_000),
            until: None,
        });
        let bytes = event.to_bytes().unwrap();
        let read = Event::from_bytes(&bytes, event.personal).unwrap();
        let Change::Ban(BanChange::Forced { reason, .. }) = &read.change else {
            panic!("another change");
        };
        assert_eq!(reason.chars().count(), crate::core::policy::REASON_MAX);
        assert!(read.actor.name.len() < 4_000);
        assert!(read.personal.note.unwrap().len() < 5_000);
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
        let longer = [&bytes[..], &[0]].concat();
        assert!(Event::from_bytes(&longer, Personal::default()).is_err());
    }

    #[test]
    fn the_chain_depends_on_every_byte_and_place() {
        let one = Chain::default().extend(Seq(1), b"a");
        assert_ne!(one, Chain::default().extend(Seq(2), b"a"));
        assert_ne!(one, Chain::default().extend(Seq(1), b"b"));
        assert_ne!(one.extend(Seq(2), b"c"), one);
    }
}
