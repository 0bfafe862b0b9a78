//! What an order about a subscription changes, and who may give it.

use super::{MOST_WATCHES, Watch};
use crate::core::actor::Role;
use crate::core::event::Change;
use crate::core::ledger::Ruling;
use crate::core::propose::{Case, Decision, alone};
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;

/// `watch`: the new subscription; `None`: the default one.
pub(in crate::core) fn decide(case: &Case<'_>, watch: Option<&Watch>) -> Decision {
    case.permits_watch()?;
    match case.ledger.subscriptions().of(&case.order.subject) == watch {
        true => Err(Box::new(Ruling::Noted)),
        false => alone(Change::Subscribed {
            watch: watch.cloned(),
        }),
    }
}

impl Case<'_> {
    /// Everybody with a role may choose their own notifications; for others and for rooms only an admin may.
    fn permits_watch(&self) -> Result<(), Refusal> {
        self.needs(Role::Moderator, Permission::Subscribe)?;
        let own = self.order.own_account.clone().map(Subject::Account);
        if own.as_ref() != Some(&self.order.subject) {
            self.needs(Role::Admin, Permission::SubscribeOthers)?;
        }
        let is_one_more = self
            .ledger
            .subscriptions()
            .of(&self.order.subject)
            .is_none();
        if is_one_more && self.ledger.subscriptions().all().len() >= MOST_WATCHES {
            return Err(Refusal::TooManyWatches(MOST_WATCHES));
        }
        Ok(())
    }
}
