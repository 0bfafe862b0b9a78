//! Who holds which role, by configuration and through rooms.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::command::call::Caller;
use crate::command::context::Context;
use crate::command::front::{HOLDERS, RoomStatus};
use crate::command::parts::facts::fact;
use crate::core::Role;

/// Maximum number of entries, and of names in an entry. Beyond that, the configuration has the rest.
const MOST: usize = 50;

/// Who holds roles, as far as the caller may know: names are shown to admins only, and admins of some virtual hosts do
/// not see roles that hold on none of theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Holders {
    /// By configuration, for each role and host, the highest role first.
    pub(super) by_configuration: Vec<RoleHolders>,
    /// Number of roles on hosts that are left out.
    pub(super) left_out: usize,
    /// By the rooms that grant roles.
    pub(super) by_rooms: Vec<RoomGrants>,
}

/// The accounts that hold one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RoleHolders {
    /// The role.
    #[serde(serialize_with = "fact")]
    pub(super) role: Role,
    /// The virtual host that it holds on; `None`: everywhere.
    pub(super) host: Option<String>,
    /// The accounts.
    #[serde(flatten)]
    pub(super) accounts: NameList,
}

/// The beginning of a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct NameList {
    /// Number of all names.
    pub(super) number: usize,
    /// The first of them.
    pub(super) names: Vec<String>,
}

impl NameList {
    /// The first `most` names.
    pub(super) fn first<T: ToString>(all: &[T], most: usize) -> NameList {
        NameList {
            number: all.len(),
            names: all.iter().take(most).map(T::to_string).collect(),
        }
    }

    /// Number of names that are left out.
    pub(super) fn more(&self) -> usize {
        self.number - self.names.len()
    }
}

/// The roles that a room grants, and the occupants who have one now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RoomGrants {
    /// Position of the room in the configuration, from 1.
    pub(super) place: usize,
    /// Its address.
    pub(super) room: String,
    /// The roles of its owners, admins and members.
    #[serde(serialize_with = "fact")]
    pub(super) grants: [Role; 3],
    /// The occupants with a role.
    pub(super) there: Vec<RoomHolder>,
    /// Whether there may be more of them than are listed.
    pub(super) maybe_more: bool,
}

/// An occupant with a role granted by the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RoomHolder {
    /// The account.
    pub(super) account: String,
    /// The role.
    #[serde(serialize_with = "fact")]
    pub(super) role: Role,
}

impl Holders {
    /// The holders that the caller may know.
    pub(super) fn gather(caller: &Caller, context: &Context) -> Holders {
        if caller.role() < Role::Admin {
            return Holders::default();
        }
        let roles = context.roles.load();
        let mut held: BTreeMap<(Reverse<Role>, Option<&str>), Vec<String>> = BTreeMap::new();
        held.entry((Reverse(Role::Admin), None)).or_default();
        for (account, rights) in roles.all() {
            for (host, role) in rights.parts() {
                if host.is_none_or(|host| caller.rights.reach(host)) {
                    let who = held.entry((Reverse(role), host)).or_default();
                    who.push(account.to_string());
                }
            }
        }
        let left_out = held.len().saturating_sub(MOST);
        let held = held.into_iter().take(MOST);
        let held = held.map(|((Reverse(role), host), mut who)| {
            who.sort_unstable();
            RoleHolders {
                role,
                host: host.map(str::to_owned),
                accounts: NameList::first(&who, MOST),
            }
        });
        let rooms = context.front.rooms();
        let rooms = rooms.iter().zip(1..);
        let grants = |(room, _): &(&RoomStatus, usize)| {
            let mut roles = room.grants.iter();
            roles.any(|role| *role > Role::Stranger)
        };
        Holders {
            by_configuration: held.collect(),
            left_out,
            by_rooms: rooms.filter(grants).map(RoomGrants::of).collect(),
        }
    }
}

impl RoomGrants {
    fn of((room, place): (&RoomStatus, usize)) -> RoomGrants {
        let there = room.holders.iter().map(|(who, role)| RoomHolder {
            account: who.to_string(),
            role: *role,
        });
        RoomGrants {
            place,
            room: room.room.clone(),
            grants: room.grants,
            there: there.collect(),
            maybe_more: room.holders.len() >= HOLDERS,
        }
    }
}
