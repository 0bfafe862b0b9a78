//! What may be decided on: what somebody wants done, what was decided elsewhere, and that time went on.

use std::net::IpAddr;

use crate::core::actor::Actor;
use crate::core::event::{CommandId, Event, Seq};
use crate::core::subject::{Account, Subject};
use crate::core::watch::Watch;

pub use crate::core::bans::BanOrder;
pub use crate::core::exemptions::ExemptionOrder;
pub use crate::core::history::HistoryOrder;

/// What [`propose`](super::propose) turns into events. Logins are [`Signal`](crate::core::Signal)s: they are counted first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Somebody wants something done.
    Order(Order),
    /// A decision made elsewhere, to stand in the history here as it was: with its own id, time,
    /// author and terms; what it was based on there means nothing here. History only goes on: one
    /// that is older than the last change of its subject here is [`Ruling::Stale`](crate::core::Ruling::Stale).
    Recall(Box<Event>),
    /// Time went on: bans whose end has come are written down as ended.
    Tick,
    /// The configuration changed: bans by rules that it exempts now end.
    Review,
}

impl From<Order> for Intent {
    fn from(order: Order) -> Intent {
        Intent::Order(order)
    }
}

/// What somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who.
    pub actor: Actor,
    /// The actor's own account, which may not be banned by them.
    pub own_account: Option<Account>,
    /// The addresses the actor is connected from, as far as the server tells.
    pub own_addresses: Vec<IpAddr>,
    /// The command it is part of, with others or alone; `None`: of none that a person gave.
    pub command: Option<CommandId>,
    /// The place in the log up to which the actor knew what was decided when they chose this subject. What another
    /// person decided about it since is not overruled. `None`: they named the subject just now.
    pub seen: Option<Seq>,
    /// Whom it is about.
    pub subject: Subject,
    /// What.
    pub what: Action,
}

impl Order {
    /// An order of somebody whose account and addresses are not known, and that is part of no command. The other methods
    /// say what differs.
    pub fn new(actor: Actor, subject: Subject, what: Action) -> Order {
        Order {
            actor,
            own_account: None,
            own_addresses: Vec::new(),
            command: None,
            seen: None,
            subject,
            what,
        }
    }

    /// Chosen from what had been decided up to this place in the log.
    #[must_use]
    pub fn chosen_at(mut self, seen: Seq) -> Order {
        self.seen = Some(seen);
        self
    }

    /// Given by the owner of this account, who may not ban it; `None`: they have none.
    #[must_use]
    pub fn own_account(mut self, account: Option<Account>) -> Order {
        self.own_account = account;
        self
    }

    /// Given by somebody connected from these addresses, who may not ban them.
    #[must_use]
    pub fn own_addresses(mut self, addresses: Vec<IpAddr>) -> Order {
        self.own_addresses = addresses;
        self
    }

    /// Part of this command; `None`: of no command.
    #[must_use]
    pub fn by_command(mut self, command: impl Into<Option<CommandId>>) -> Order {
        self.command = command.into();
        self
    }
}

/// What an order is about: one variant for each part of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The ban of the subject.
    Ban(BanOrder),
    /// The exemption of the subject.
    Exemption(ExemptionOrder),
    /// What is known of the subject besides.
    History(HistoryOrder),
    /// Let a person or a room receive these notifications; `None`: those of everybody who chose none.
    Subscribe(Option<Watch>),
    /// Take back the last change of the subject.
    Undo {
        /// Which one that was when it was asked for. Is it another by now, nothing is done.
        deed: Seq,
    },
}
