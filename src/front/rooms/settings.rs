//! What is configured about a room: `[[rooms]]`.

use xmpp_parsers::jid::BareJid;

use crate::core::Role;
use crate::xmpp::payload::muc::Affiliation;
use crate::xmpp::secret::Secret;

/// Our nick where the configuration names none.
pub const NICK: &str = "portcullis";

/// A room to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address.
    pub room: BareJid,
    /// The nick we ask for.
    pub nick: String,
    /// Its password, if it has one.
    pub password: Option<Secret>,
    /// What it makes of its own people.
    pub grants: RoleGrants,
    /// Whether it is told what was done anywhere else.
    pub audit: bool,
}

/// The role that each affiliation of a room grants, to those whose real JID we see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleGrants {
    /// To owners.
    pub owner: Role,
    /// To admins of the room.
    pub admin: Role,
    /// To members.
    pub member: Role,
}

impl Default for RoleGrants {
    fn default() -> Self {
        RoleGrants {
            owner: Role::Stranger,
            admin: Role::Stranger,
            member: Role::Stranger,
        }
    }
}

impl RoleGrants {
    /// What owners, admins and members get.
    pub fn all(&self) -> [Role; 3] {
        [self.owner, self.admin, self.member]
    }

    /// The role somebody has by what they are to the room.
    pub fn to(&self, affiliation: Affiliation) -> Role {
        match affiliation {
            Affiliation::Owner => self.owner,
            Affiliation::Admin => self.admin,
            Affiliation::Member => self.member,
            Affiliation::None => Role::Stranger,
        }
    }
}
