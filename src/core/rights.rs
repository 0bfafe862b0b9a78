//! The roles of a person, everywhere or on some virtual hosts.
//!
//! A role on a host applies to the accounts of the host, their lockdowns and their pairs. Addresses and networks
//! concern every host, so they need a role that applies everywhere.

use std::collections::BTreeMap;
use std::fmt;

use super::actor::Role;
use super::subject::{Account, Subject};

/// A role everywhere, and higher ones on some virtual hosts. [`Rights::join`] combines those from the configuration
/// and from rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    everywhere: Role,
    /// By normalised domain, as in [`Account::domain`].
    on: BTreeMap<Box<str>, Role>,
}

/// For example `moderator`, `admin on a.example, b.example`, or `viewer, admin on a.example`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.everywhere > Role::Stranger || self.on.is_empty() {
            parts.push(self.everywhere.to_string());
        }
        for role in [Role::Admin, Role::Moderator, Role::Viewer] {
            let hosts = self.on.iter().filter(|(_, here)| **here == role);
            let hosts: Vec<&str> = hosts.map(|(host, _)| &**host).collect();
            if !hosts.is_empty() {
                parts.push(format!("{role} on {}", hosts.join(", ")));
            }
        }
        f.write_str(&parts.join(", "))
    }
}

impl Rights {
    /// A role over every subject.
    pub fn everywhere(role: Role) -> Self {
        Rights {
            everywhere: role,
            on: BTreeMap::new(),
        }
    }

    /// A role over the accounts of these hosts, given as normalised domains ([`Account::domain`]).
    pub fn on(role: Role, hosts: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Rights {
            everywhere: Role::Stranger,
            on: hosts.into_iter().map(|host| (host.into(), role)).collect(),
        }
    }

    /// The union of both: the higher role on each host.
    #[must_use]
    pub fn join(mut self, other: Rights) -> Self {
        self.everywhere = self.everywhere.max(other.everywhere);
        for (host, role) in other.on {
            let here = self.on.entry(host).or_default();
            *here = role.max(*here);
        }
        let everywhere = self.everywhere;
        self.on.retain(|_, role| *role > everywhere);
        self
    }

    /// The role everywhere, if there is one (`None`), then the higher ones, each with its host.
    pub fn parts(&self) -> impl Iterator<Item = (Option<&str>, Role)> {
        let everywhere = (self.everywhere > Role::Stranger).then_some((None, self.everywhere));
        let on = self.on.iter().map(|(host, role)| (Some(&**host), *role));
        everywhere.into_iter().chain(on)
    }

    /// Whether they can see the subjects of this host.
    pub fn reach(&self, host: &str) -> bool {
        self.see_all() || self.on.get(host).is_some_and(|role| *role >= Role::Viewer)
    }

    /// The highest role on any host: it decides which commands are offered.
    pub fn highest(&self) -> Role {
        let on_hosts = self.on.values().copied();
        on_hosts.fold(self.everywhere, Role::max)
    }

    /// The role over a subject: it decides what they may do to it and whether they may see it.
    pub fn over(&self, subject: &Subject) -> Role {
        self.over_account(subject.whose())
    }

    /// The role over an account; `None`: over what concerns no account, such as an address.
    pub fn over_account(&self, account: Option<&Account>) -> Role {
        let here = account.and_then(|account| self.on.get(account.domain()));
        here.map_or(self.everywhere, |role| self.everywhere.max(*role))
    }

    /// Whether somebody with these rights has this role somewhere where the other has not.
    pub fn exceed(&self, other: &Rights, role: Role) -> bool {
        self.parts().any(|(host, here)| {
            let theirs = host.and_then(|host| other.on.get(host)).copied();
            here >= role && theirs.unwrap_or_default().max(other.everywhere) < role
        })
    }

    /// Whether they may see this subject.
    pub fn see(&self, subject: &Subject) -> bool {
        self.over(subject) >= Role::Viewer
    }

    /// Whether they may see every subject.
    pub fn see_all(&self) -> bool {
        self.everywhere >= Role::Viewer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn over(rights: &Rights, subject: &str) -> Role {
        rights.over(&Subject::parse(subject).unwrap())
    }

    #[test]
    fn a_role_on_hosts_is_one_over_their_accounts_and_nothing_else() {
        let rights = Rights::on(Role::Moderator, ["a.example"]);
        assert_eq!(rights.highest(), Role::Moderator);
        assert_eq!(over(&rights, "x@a.example"), Role::Moderator);
        assert_eq!(over(&rights, "guard of x@A.example"), Role::Moderator);
        assert_eq!(over(&rights, "x@a.example from 192.0.2.1"), Role::Moderator);
        for other in ["x@b.example", "x@sub.a.example", "192.0.2.1", "::/0"] {
            assert_eq!(over(&rights, other), Role::Stranger, "{other}");
        }
        assert!(!rights.see_all());
    }

    #[test]
    fn rights_exceed_others_where_the_other_has_none() {
        let all = Rights::everywhere(Role::Admin);
        let on = |role, hosts: &[&str]| Rights::on(role, hosts.iter().copied());
        let (a, ab) = (on(Role::Admin, &["a"]), on(Role::Admin, &["a", "b"]));
        let below = [
            on(Role::Moderator, &["a", "c"]),
            Rights::everywhere(Role::Moderator),
        ];
        for (one, other) in [
            (&all, &ab),
            (&all, &a),
            (&ab, &a),
            (&a, &on(Role::Admin, &["b"])),
        ] {
            assert!(one.exceed(other, Role::Admin), "{one} and {other}");
        }
        for (one, other) in [(&all, &all), (&ab, &all), (&a, &ab), (&a, &a)] {
            assert!(!one.exceed(other, Role::Admin), "{one} and {other}");
        }
        for one in &below {
            assert!(
                a.exceed(one, Role::Admin) && !one.exceed(&a, Role::Admin),
                "{one}"
            );
        }
        let more = a.clone().join(Rights::everywhere(Role::Moderator));
        assert!(!a.exceed(&more, Role::Admin) && all.exceed(&more, Role::Admin));
    }

    #[test]
    fn joined_rights_are_the_higher_ones_on_each_host_in_any_order() {
        let one = Rights::everywhere(Role::Viewer);
        let two = Rights::on(Role::Admin, ["a.example"]);
        let three = Rights::on(Role::Moderator, ["a.example", "b.example"]);
        let four = Rights::on(Role::Viewer, ["c.example"]);
        let all = one
            .clone()
            .join(two.clone())
            .join(three.clone())
            .join(four.clone());
        assert_eq!(all, four.join(three).join(two).join(one));
        assert_eq!(over(&all, "x@a.example"), Role::Admin);
        assert_eq!(over(&all, "x@b.example"), Role::Moderator);
        assert_eq!(over(&all, "192.0.2.1"), Role::Viewer);
        assert_eq!(
            all.to_string(),
            "viewer, admin on a.example, moderator on b.example"
        );
        assert_eq!(Rights::default().to_string(), "stranger");
    }
}
