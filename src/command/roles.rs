//! Roles by configuration.

use std::collections::HashMap;

use xmpp_parsers::jid::{BareJid, Jid};

use crate::core::{Account, Rights};

/// The people with a role. Replaced as a whole at a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles(HashMap<Account, Rights>);

impl Roles {
    /// Collects rights; an account that is named several times gets all of them.
    pub fn new(granted: impl IntoIterator<Item = (Account, Rights)>) -> Self {
        let mut roles: HashMap<Account, Rights> = HashMap::new();
        for (account, rights) in granted {
            let has = roles.entry(account).or_default();
            *has = std::mem::take(has).join(rights);
        }
        Roles(roles)
    }

    /// The rights of the account of this JID; resources have none of their own.
    ///
    /// Rights granted by a room are added with [`Rights::join`].
    pub fn of(&self, jid: &Jid) -> Rights {
        let account = Account::from_jid(jid);
        let has = account.and_then(|account| self.0.get(&account));
        has.cloned().unwrap_or_default()
    }

    /// The accounts with a role.
    pub fn everybody(&self) -> impl Iterator<Item = BareJid> + '_ {
        self.0.keys().filter_map(Account::to_jid)
    }

    /// The accounts with a role and their rights, in no order.
    pub fn all(&self) -> impl Iterator<Item = (&Account, &Rights)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Role;

    #[test]
    fn a_role_belongs_to_the_account_however_it_is_spelled() {
        let jid = |text: &str| Jid::new(text).unwrap();
        let account = |text: &str| Account::from_jid(&jid(text)).unwrap();
        let roles = Roles::new([
            (
                account("Admin@xn--bcher-kva.example"),
                Rights::everywhere(Role::Admin),
            ),
            (account("mod@example.org"), Rights::everywhere(Role::Viewer)),
            (
                account("mod@example.org"),
                Rights::on(Role::Moderator, ["a.example"]),
            ),
        ]);
        let of = |text| roles.of(&jid(text));
        assert_eq!(
            of("admin@bücher.example/phone"),
            Rights::everywhere(Role::Admin)
        );
        assert_eq!(
            of("mod@example.org").to_string(),
            "viewer, moderator on a.example"
        );
        assert_eq!(of("example.org"), Rights::default());
        assert_eq!(
            of("admin@example.org/admin@bücher.example"),
            Rights::default()
        );
        assert_eq!(roles.everybody().count(), 2);
    }
}
