//! `admins`, `moderators`, `viewers` and `[[roles]]`: who may do what, and where.

use std::collections::BTreeSet;

use super::{
    key::ROLES,
    problem::ByteSpan,
    section::Section,
    values::{account, host},
};
use crate::core::{Account, Rights, Role};

/// The roles that can be given.
const NAMES: [(&str, Role); 3] = [
    ("admin", Role::Admin),
    ("moderator", Role::Moderator),
    ("viewer", Role::Viewer),
];

const ACCOUNTS: &str = "a list of accounts";

/// Everybody who has a role.
pub(super) struct People {
    /// Admins on all hosts.
    pub(super) admins: Vec<Account>,
    /// All admins, including those of single hosts.
    pub(super) every_admin: Vec<Account>,
    /// Each account with its rights; an account may occur several times.
    pub(super) granted: Vec<(Account, Rights)>,
}

/// One table of `[[roles]]`.
#[derive(Clone, PartialEq)]
struct Granted {
    accounts: Vec<Account>,
    role: Role,
    rights: Rights,
}

pub(super) fn people(top: &mut Section<'_, '_>) -> People {
    let read = top.texts("admins", ACCOUNTS, r#"["admin@example.org"]"#, account);
    let was_there = read.was_there;
    let typed = read.placed();
    if typed
        .as_ref()
        .map_or(!was_there, |(list, _)| list.is_empty())
    {
        top.odd(None, "there are no admins, so nobody can give commands; for example `admins = [\"admin@example.org\"]`");
    }
    let admins = plain(top, "admins", typed, &[]);
    let typed = top
        .texts("moderators", ACCOUNTS, r#"["mod@example.org"]"#, account)
        .placed();
    let moderators = plain(top, "moderators", typed, &[("admins", &admins)]);
    let typed = top
        .texts("viewers", ACCOUNTS, r#"["helpdesk@example.org"]"#, account)
        .placed();
    let higher = [("admins", &admins[..]), ("moderators", &moderators)];
    let viewers = plain(top, "viewers", typed, &higher);
    let example =
        r#"[{ role = "moderator", accounts = ["mod@a.example"], hosts = ["a.example"] }]"#;
    let listed = top.tables("roles", ROLES, example, granted).or(Vec::new());

    let lists = [
        (Role::Admin, &admins),
        (Role::Moderator, &moderators),
        (Role::Viewer, &viewers),
    ];
    let everywhere = lists.into_iter().flat_map(|(role, accounts)| {
        accounts
            .iter()
            .map(move |account| (account.clone(), Rights::everywhere(role)))
    });
    let mut granted: Vec<_> = everywhere.collect();
    let mut every_admin = admins.clone();
    for one in listed {
        if one.role == Role::Admin {
            every_admin.extend(one.accounts.iter().cloned());
        }
        granted.extend(
            one.accounts
                .into_iter()
                .map(|account| (account, one.rights.clone())),
        );
    }
    People {
        admins,
        every_admin,
        granted,
    }
}

/// Reads a plain list of accounts with a role. Accounts that have a higher role are skipped with a warning.
fn plain(
    top: &mut Section<'_, '_>,
    name: &'static str,
    typed: Option<(Vec<(Account, ByteSpan)>, ByteSpan)>,
    higher: &[(&str, &[Account])],
) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for (account, place) in typed.into_iter().flat_map(|(list, _)| list) {
        if let Some((list, _)) = higher.iter().find(|(_, list)| list.contains(&account)) {
            let article = if *list == "admins" { "an" } else { "a" };
            let role = list.trim_end_matches('s');
            top.odd(
                Some(place),
                format!("{account} is in `{list}` too and stays {article} {role}"),
            );
        } else if !accounts.contains(&account) {
            accounts.push(account);
        }
    }
    top.keep(name, &accounts);
    accounts
}

fn granted(t: &mut Section<'_, '_>) -> Option<Granted> {
    let role = t.word("role", &NAMES, "moderator").required().placed();
    let accounts = t.texts("accounts", ACCOUNTS, r#"["mod@a.example"]"#, account);
    let accounts = accounts.required().list();
    let takes = "a list of virtual hosts of the server";
    let hosts = t.texts("hosts", takes, r#"["a.example"]"#, virtual_host);
    let hosts = hosts.map(|_, hosts| match hosts.is_empty() {
        true => Err("it is empty, so the role holds nowhere; name hosts, or take `hosts` out for a role everywhere".to_owned()),
        false => Ok(hosts),
    });
    let (role, _) = role?;
    let rights = match hosts.placed() {
        None => Rights::everywhere(role),
        Some((hosts, _)) => {
            let hosts: BTreeSet<Box<str>> = hosts.into_iter().map(|(host, _)| host).collect();
            Rights::on(role, hosts)
        }
    };
    Some(Granted {
        accounts,
        role,
        rights,
    })
}

fn virtual_host(text: &str) -> Result<Box<str>, String> {
    host(text).map(Into::into)
}
