//! Who may do what.

use std::collections::HashSet;

use xmpp_parsers::jid::{BareJid, Jid};

use crate::ban::{Account, Role};

/// The people with a role. Swapped as a whole when the configuration is read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    admins: HashSet<Account>,
    moderators: HashSet<Account>,
}

impl Roles {
    /// From accounts. An admin who is named among the moderators, too, is an admin.
    pub fn new(
        admins: impl IntoIterator<Item = Account>,
        moderators: impl IntoIterator<Item = Account>,
    ) -> Self {
        Roles {
            admins: admins.into_iter().collect(),
            moderators: moderators.into_iter().collect(),
        }
    }

    /// The role of whoever uses this JID. Resources have none of their own.
    pub fn of(&self, jid: &Jid) -> Role {
        match Account::from_jid(jid) {
            Some(account) if self.admins.contains(&account) => Role::Admin,
            Some(account) if self.moderators.contains(&account) => Role::Moderator,
            _ => Role::Stranger,
        }
    }

    /// Everybody with a role.
    pub fn everybody(&self) -> impl Iterator<Item = BareJid> + '_ {
        self.admins
            .union(&self.moderators)
            .filter_map(Account::to_jid)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_role_belongs_to_the_account_however_it_is_spelled() {
        let jid = |text: &str| Jid::new(text).unwrap();
        let account = |text: &str| Account::from_jid(&jid(text)).unwrap();
        let roles = Roles::new(
            [account("Admin@xn--bcher-kva.example")],
            [account("mod@example.org")],
        );
        assert_eq!(roles.of(&jid("admin@bücher.example/phone")), Role::Admin);
        assert_eq!(roles.of(&jid("mod@example.org")), Role::Moderator);
        assert_eq!(roles.of(&jid("example.org")), Role::Stranger);
        assert_eq!(
            roles.of(&jid("admin@example.org/admin@bücher.example")),
            Role::Stranger
        );
        assert_eq!(roles.everybody().count(), 2);
    }
}
