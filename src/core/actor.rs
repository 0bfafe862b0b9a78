//! Who acts, what they may do, and which way they came in.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// events that have one: see [`Event::to_bytes`](super::Event::to_bytes).
    #[serde(skip)]
    pub occupant: Option<Box<str>>,
}

impl Actor {
    /// A person, or another server, by their full name, with what they may do and how they came in.
    pub fn person(name: impl Into<String>, role: Role, door: Door) -> Self {
        Actor {
            name: name.into(),
            role,
            door,
            occupant: None,
        }
    }

    /// The same who spoke in a room as `occupant` (`room@service/nick`); `None`: not in a room.
    #[must_use]
    pub fn speaking_as(mut self, occupant: Option<Box<str>>) -> Self {
        self.occupant = occupant;
        self
    }

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

/// An actor with the occupant too, as snapshots keep it: `#[serde(with = "whole")]`.
pub(super) mod whole {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Actor, Door, Role};

    pub(in crate::core) fn serialize<S: Serializer>(
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

    pub(in crate::core) fn deserialize<'de, D: Deserializer<'de>>(
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Roles are stored by position and compared by rank.
    #[test]
    fn the_numbers_of_roles_stay_as_they_are_and_their_order_is_another() {
        let bytes = Role::ALL.map(|role| postcard::to_stdvec(&role).unwrap());
        assert_eq!(bytes, [[0], [3], [1], [2]]);
        assert!(Role::ALL.is_sorted());
        assert!(Role::Viewer < Role::Moderator && Role::Viewer > Role::Stranger);
    }
}
