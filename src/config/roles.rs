//! `moderators`, `viewers` and `[[roles]]`: who may do what, and where.

use std::collections::BTreeSet;

use toml::Spanned;

use super::{
    Granted,
    keys::ROLES,
    raw,
    reader::{Reader, first},
    values::{account, host, one_of},
};
use crate::core::{Account, Rights, Role};

/// The roles there are to give.
const NAMES: [(&str, Role); 3] = [
    ("admin", Role::Admin),
    ("moderator", Role::Moderator),
    ("viewer", Role::Viewer),
];

impl Reader<'_, '_> {
    /// A plain list of accounts with a role; those in a list of a higher one are left out, and told.
    pub(super) fn lesser(
        &mut self,
        name: &'static str,
        typed: raw::Texts,
        higher: &[(&str, &[Account])],
    ) -> Vec<Account> {
        let mut accounts: Vec<Account> = Vec::new();
        for (account, place) in self.values("", name, typed, account) {
            let above = higher.iter().find(|(_, list)| list.contains(&account));
            if let Some((list, _)) = above {
                let article = if *list == "admins" { "an" } else { "a" };
                let odd = format!(
                    "{account} is in `{list}` too and stays {article} {}",
                    list.trim_end_matches('s')
                );
                self.found.odd(Some(place), odd);
            } else if !accounts.contains(&account) {
                accounts.push(account);
            }
        }
        accounts
    }

    pub(super) fn roles(&mut self, typed: Option<Vec<Spanned<raw::Role>>>) -> Vec<Granted> {
        let typed = typed.unwrap_or_default().into_iter();
        typed.filter_map(|one| self.granted(one)).collect()
    }

    fn granted(&mut self, typed: Spanned<raw::Role>) -> Option<Granted> {
        let place = typed.span();
        let raw::Role {
            role,
            accounts,
            hosts,
        } = typed.into_inner();
        if role.is_none() {
            self.left_out(ROLES, "role", "role", &place);
        }
        if accounts.is_none() {
            self.left_out(ROLES, "role", "accounts", &place);
        }
        let role = self.value(ROLES, "role", role, |text| one_of(text, &NAMES));
        let accounts = self.accounts(ROLES, "accounts", accounts);
        let rights = match (role.as_ref()?.0, hosts) {
            (role, None) => Rights::everywhere(role),
            (role, Some(typed)) => {
                if typed.is_empty() {
                    let said = "`hosts` in [[roles]] is empty, so the role holds nowhere; name hosts, or take `hosts` out for a role everywhere";
                    self.found.wrong(Some(place), said);
                }
                let hosts = self.values(ROLES, "hosts", Some(typed), virtual_host);
                let hosts: BTreeSet<Box<str>> = hosts.into_iter().map(first).collect();
                Rights::on(role, hosts)
            }
        };
        Some(Granted {
            accounts,
            role: first(role?),
            rights,
        })
    }
}

/// A domain as accounts there have it.
fn virtual_host(text: &str) -> Result<Box<str>, String> {
    let domain = host(text)?;
    account(&format!("someone@{domain}")).map(|account| account.domain().into())
}
