//! The occupants of a room.

use std::collections::{BTreeMap, HashMap};

use xmpp_parsers::jid::{BareJid, Jid};

use super::settings::RoleGrants;
use crate::command::HOLDERS;
use crate::core::{Account, Role};
use crate::xmpp::payload::muc::{Affiliation, UserStatus};

/// Maximum number of occupants that are known; commands of others are ignored.
pub const OCCUPANTS: usize = 2_000;

/// Occupants by nick, without ourselves.
#[derive(Debug, Default)]
pub(super) struct Occupants(HashMap<String, RoomOccupant>);

/// An occupant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RoomOccupant {
    /// The real JID, if the room shows it to us.
    pub(super) jid: Option<Jid>,
    pub(super) affiliation: Affiliation,
}

impl Occupants {
    /// An occupant entered, or its affiliation changed.
    pub(super) fn put(&mut self, nick: &str, told: &UserStatus) {
        if self.0.len() < OCCUPANTS || self.0.contains_key(nick) {
            let occupant = RoomOccupant {
                jid: told.jid.clone(),
                affiliation: told.affiliation,
            };
            self.0.insert(nick.to_owned(), occupant);
        }
    }

    /// An occupant left, or changed its nick.
    pub(super) fn remove(&mut self, nick: &str) {
        self.0.remove(nick);
    }

    pub(super) fn find(&self, nick: &str) -> Option<&RoomOccupant> {
        self.0.get(nick)
    }

    pub(super) fn clear(&mut self) {
        self.0 = HashMap::new();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The real JIDs with a role granted by the room, each once with the highest role; the first [`HOLDERS`] in
    /// alphabetical order.
    pub(super) fn holders(&self, grants: RoleGrants) -> Vec<(BareJid, Role)> {
        let mut holders: BTreeMap<BareJid, Role> = BTreeMap::new();
        for occupant in self.0.values() {
            let role = grants.to(occupant.affiliation);
            if let Some(jid) = occupant.jid.as_ref().filter(|_| role > Role::Stranger) {
                let has = holders.entry(jid.to_bare()).or_default();
                *has = role.max(*has);
            }
        }
        holders.into_iter().take(HOLDERS).collect()
    }

    /// The accounts of all to whom the room grants the role admin.
    pub(super) fn admins(&self, grants: RoleGrants) -> Vec<Account> {
        let all = self.0.values();
        let admins = all.filter(|one| grants.to(one.affiliation) >= Role::Admin);
        let accounts = admins.filter_map(|one| Account::from_jid(one.jid.as_ref()?));
        accounts.collect()
    }

    /// Number of occupants whose real JID we do not see.
    pub(super) fn faceless(&self) -> usize {
        let hidden = |one: &&RoomOccupant| one.jid.is_none();
        self.0.values().filter(hidden).count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_room_is_known_up_to_a_bound_and_those_inside_may_change() {
        let mut occupants = Occupants::default();
        for n in 0..OCCUPANTS + 5 {
            occupants.put(&format!("n{n}"), &UserStatus::default());
        }
        assert_eq!(occupants.len(), OCCUPANTS);
        assert!(occupants.find(&format!("n{OCCUPANTS}")).is_none());
        let owner = UserStatus {
            affiliation: Affiliation::Owner,
            jid: Some(Jid::new("al@example.org/x").unwrap()),
            ..UserStatus::default()
        };
        occupants.put("n1", &owner);
        assert_eq!(
            occupants.find("n1").unwrap().affiliation,
            Affiliation::Owner
        );
        assert_eq!(occupants.faceless(), OCCUPANTS - 1);
        let grants = RoleGrants {
            owner: Role::Admin,
            ..RoleGrants::default()
        };
        let al = BareJid::new("al@example.org").unwrap();
        assert_eq!(occupants.holders(grants), [(al, Role::Admin)]);
        assert_eq!(occupants.holders(RoleGrants::default()), []);
        occupants.remove("n1");
        assert!(occupants.find("n1").is_none());
    }
}
