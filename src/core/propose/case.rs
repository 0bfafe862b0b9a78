//! An order and everything that the decision about it depends on, and checks that all kinds of orders share.

use super::{Above, Action, Order};
use crate::core::actor::Role;
use crate::core::bans::{self, Ban};
use crate::core::event::{Change, Personal};
use crate::core::ledger::{Ledger, Ruling};
use crate::core::policy::Policy;
use crate::core::refusal::{Permission, Refusal};
use crate::core::time::Timestamp;
use crate::core::{exemptions, history, subscriptions, undo};

/// The change that an order leads to, or the answer if it changes nothing.
pub(in crate::core) type Decision = Result<(Change, Personal), Box<Ruling>>;

/// An order and everything that the decision about it depends on.
pub(in crate::core) struct Case<'a> {
    pub(in crate::core) ledger: &'a Ledger,
    pub(in crate::core) policy: &'a Policy,
    pub(in crate::core) order: &'a Order,
    /// The active ban of exactly this subject.
    pub(in crate::core) standing: Option<&'a Ban>,
    pub(in crate::core) now: Timestamp,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        ledger: &'a Ledger,
        policy: &'a Policy,
        order: &'a Order,
        now: Timestamp,
    ) -> Self {
        let standing = ledger.bans().of(&order.subject);
        Case {
            ledger,
            policy,
            order,
            standing: standing.filter(|ban| ban.is_in_force(now)),
            now,
        }
    }

    pub(super) fn decide(&self) -> Decision {
        self.permits_about()?;
        match &self.order.what {
            Action::Ban(order) => bans::decide(self, order),
            Action::Exemption(order) => exemptions::decide(self, order),
            Action::History(order) => history::decide(self, order),
            Action::Subscribe(watch) => subscriptions::decide(self, watch.as_ref()),
            Action::Undo { change } => undo::decide(self, *change),
        }
    }

    /// Whether the actor's role is enough for `what`.
    pub(in crate::core) fn needs(&self, role: Role, what: Permission) -> Result<(), Refusal> {
        match self.order.actor.role >= role {
            true => Ok(()),
            false => Err(Refusal::NeedsRole(role, what)),
        }
    }

    /// Nobody may ban their own account or an address they are connected from.
    pub(in crate::core) fn permits_own(&self) -> Result<(), Refusal> {
        self.permits_own_account()?;
        self.permits_own_address()
    }

    /// Nobody may decide anything about the account of an admin above them: neither who gets in as it, nor what is known
    /// or told of it.
    fn permits_about(&self) -> Result<(), Refusal> {
        let subject = &self.order.subject;
        match subject.whose().and(self.order.above) {
            Some(Above::Admin) => Err(Refusal::Above(subject.clone())),
            _ => Ok(()),
        }
    }

    /// Nobody may keep out or kick those above them, who can correct it: admins, also at the addresses that they log in
    /// from, and the accounts that the configuration exempts.
    pub(in crate::core) fn permits_upward(&self) -> Result<(), Refusal> {
        match self.order.above {
            Some(_) => Err(Refusal::Above(self.order.subject.clone())),
            None => Ok(()),
        }
    }

    pub(in crate::core) fn permits_own_account(&self) -> Result<(), Refusal> {
        if let Some(own) = &self.order.own_account
            && self.order.subject.whose() == Some(own)
        {
            return Err(Refusal::OwnAccount(own.clone()));
        }
        Ok(())
    }

    pub(in crate::core) fn permits_own_address(&self) -> Result<(), Refusal> {
        let addresses = self.order.own_addresses.iter();
        if let Some(net) = self.order.subject.net()
            && let Some(own) = addresses
                .map(|address| address.to_canonical())
                .find(|address| net.contains(address))
        {
            return Err(Refusal::OwnAddress(self.order.subject.clone(), own));
        }
        Ok(())
    }
}

pub(in crate::core) fn within(
    what: &'static str,
    text: Option<&str>,
    most: usize,
) -> Result<(), Refusal> {
    match text {
        Some(text) if text.chars().count() > most => Err(Refusal::TextTooLong(what, most)),
        _ => Ok(()),
    }
}

/// A change without private note or evidence.
pub(in crate::core) fn alone(change: Change) -> Decision {
    Ok((change, Personal::default()))
}

pub(in crate::core) fn noted(note: Option<&str>) -> Personal {
    Personal {
        note: note.map(str::to_owned),
        ..Personal::default()
    }
}
