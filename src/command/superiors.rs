//! Who stands above a caller: admins of hosts where the caller is none, and the accounts that the configuration exempts.
//!
//! This is the only place that compares the rights of two people. The rules refuse what reaches up
//! ([`Order::above`](crate::core::Order::above)).

use std::collections::HashMap;
use std::sync::Arc;

use super::call::Caller;
use super::context::Context;
use crate::admission::Admission;
use crate::core::{Above, Account, Order, Policy, Rights, Role, Subject};

/// Those above a caller, as of now.
pub(crate) struct Superiors<'a> {
    /// The caller's.
    rights: &'a Rights,
    own: Option<Account>,
    /// The other admins, by configuration or by a room that they are in; whether each is one where the caller is none.
    admins: HashMap<Account, bool>,
    policy: Arc<Policy>,
    admission: &'a Admission,
}

impl<'a> Superiors<'a> {
    pub(crate) fn of(caller: &'a Caller, context: &'a Context) -> Superiors<'a> {
        let (rights, own) = (&caller.rights, caller.account());
        let mut admins = HashMap::new();
        if rights.over_account(None) < Role::Admin {
            let mut take = |account: &Account, theirs: &Rights| {
                if own.as_ref() != Some(account) && theirs.highest() >= Role::Admin {
                    let exceeds = theirs.exceed(rights, Role::Admin);
                    *admins.entry(account.clone()).or_default() |= exceeds;
                }
            };
            let roles = context.roles.load();
            roles
                .all()
                .for_each(|(account, theirs)| take(account, theirs));
            let by_room = Rights::everywhere(Role::Admin);
            for room in context.front.rooms().iter() {
                room.admins
                    .iter()
                    .for_each(|account| take(account, &by_room));
            }
        }
        Superiors {
            rights,
            own,
            admins,
            policy: context.engine.policy(),
            admission: &context.admission,
        }
    }

    /// The order, with whom above the caller it reaches.
    pub(crate) fn inform(&self, order: Order) -> Order {
        let above = self.reached(&order.subject);
        order.above(above)
    }

    /// Whom above the caller something done to this subject reaches; `None`: nobody.
    pub(crate) fn reached(&self, subject: &Subject) -> Option<Above> {
        if self.rights.over_account(None) >= Role::Admin {
            return None;
        }
        let is_above = |exceeds: bool| exceeds || self.rights.over(subject) < Role::Admin;
        if let Subject::Address(address) = subject {
            let admins = self
                .admins
                .iter()
                .filter(|(_, exceeds)| is_above(**exceeds));
            let mut admins = admins.map(|(account, _)| account);
            return self
                .admission
                .knows_any(&mut admins, *address)
                .then_some(Above::Admin);
        }
        let account = subject
            .whose()
            .filter(|account| self.own.as_ref() != Some(account))?;
        match self.admins.get(account) {
            Some(exceeds) => is_above(*exceeds).then_some(Above::Admin),
            None => self
                .policy
                .exempt_accounts
                .contains(account)
                .then_some(Above::Exempt),
        }
    }
}
