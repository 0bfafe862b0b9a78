//! Settings of a room: `[[rooms]]`.

use xmpp_parsers::jid::BareJid;

use crate::core::Role;
use crate::xmpp::payload::muc::Affiliation;
use crate::xmpp::secret::Secret;

/// The default nick.
pub const NICK: &str = "portcullis";

/// The settings of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address.
    pub room: BareJid,
    /// The nick to ask for.
    pub nick: String,
    /// Its password, if it has one.
    pub password: Option<Secret>,
    /// The roles granted by affiliations.
    pub grants: RoleGrants,
    /// Whether changes made elsewhere are reported to it.
    pub audit: bool,
}

/// The role that each affiliation grants to occupants whose real JID we see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleGrants {
    /// Granted to owners.
    pub owner: Role,
    /// Granted to admins of the room.
    pub admin: Role,
    /// Granted to members.
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
    /// The roles of owners, admins and members, in this order.
    pub fn all(&self) -> [Role; 3] {
        [self.owner, self.admin, self.member]
    }

    /// The role granted to this affiliation.
    pub fn to(&self, affiliation: Affiliation) -> Role {
        match affiliation {
            Affiliation::Owner => self.owner,
            Affiliation::Admin => self.admin,
            Affiliation::Member => self.member,
            Affiliation::None => Role::Stranger,
        }
    }
}
