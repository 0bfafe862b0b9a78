//! Actors: who gives an order, in which role, and through which channel.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The role of an actor. A higher role includes the rights of the lower ones.
///
/// Stored by position, so a new role must be added at the end; [`Role::rank`] gives its order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// No rights.
    #[default]
    Stranger,
    /// May ban accounts and single addresses, up to a longest term.
    Moderator,
    /// May do everything.
    Admin,
    /// May see everything but change nothing.
    Viewer,
}

impl Role {
    /// All roles, in ascending order.
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

/// The channel that an order came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryPoint {
    /// An ad-hoc command (XEP-0050).
    AdHoc,
    /// A one-to-one chat message.
    Chat,
    /// The program's own clock.
    Clock,
    /// A ban record that the server wrote itself.
    Server,
    /// Logins that the server reported.
    Hook,
    /// A message in a MUC room (XEP-0045).
    Room,
    /// The command line of the program, through the local socket of the daemon.
    Terminal,
}

impl fmt::Display for EntryPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryPoint::AdHoc => "form",
            EntryPoint::Chat => "chat",
            EntryPoint::Clock => "clock",
            EntryPoint::Server => "server",
            EntryPoint::Hook => "logins",
            EntryPoint::Room => "room",
            EntryPoint::Terminal => "terminal",
        })
    }
}

/// The author of an order or event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The full JID of a person, or the name of a part of the program.
    pub name: String,
    /// Their role, as determined when the order arrived.
    pub role: Role,
    /// The channel that they used.
    pub door: EntryPoint,
    /// The occupant JID (`room@service/nick`) if the order came from a MUC room. Stored beside the actor, and only in
    /// events that have one; see [`Event::to_bytes`](super::Event::to_bytes).
    #[serde(skip)]
    pub occupant: Option<Box<str>>,
}

impl Actor {
    /// A person or another server, with their full name, role and channel.
    pub fn person(name: impl Into<String>, role: Role, door: EntryPoint) -> Self {
        Actor {
            name: name.into(),
            role,
            door,
            occupant: None,
        }
    }

    /// Sets the occupant JID (`room@service/nick`); `None`: not in a MUC room.
    #[must_use]
    pub fn speaking_as(mut self, occupant: Option<Box<str>>) -> Self {
        self.occupant = occupant;
        self
    }

    /// The program's clock, which ends expired bans.
    pub fn clock() -> Self {
        Actor {
            name: String::from("portcullis"),
            role: Role::Admin,
            door: EntryPoint::Clock,
            occupant: None,
        }
    }

    /// The rules, which react to reported logins.
    pub fn rules() -> Self {
        Actor {
            name: String::from("portcullis"),
            role: Role::Admin,
            door: EntryPoint::Hook,
            occupant: None,
        }
    }

    /// The name without the resource, as shown in lists.
    pub fn bare_name(&self) -> &str {
        self.name
            .split_once('/')
            .map_or(&self.name, |parts| parts.0)
    }
}

/// Serialises an actor together with its occupant, for snapshots: `#[serde(with = "whole")]`.
pub(super) mod whole {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Actor, EntryPoint, Role};

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
            <(String, Role, EntryPoint, Option<Box<str>>)>::deserialize(from)?;
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
