//! Intents: orders by people, events decided elsewhere, and the passing of time.

use std::net::IpAddr;

use crate::core::actor::{Actor, Role};
use crate::core::event::{CommandId, Event, Seq};
use crate::core::subject::{Account, Subject};
use crate::core::subscriptions::Watch;
use crate::core::time::Timestamp;

pub use crate::core::bans::BanOrder;
pub use crate::core::exemptions::ExemptionOrder;
pub use crate::core::history::HistoryOrder;

/// The input of [`propose`](super::propose). Logins are [`Signal`](crate::core::Signal)s instead, because they are
/// counted first.
#[derive(Debug, Clone, PartialEq, Eq)]
// One at a time, made and matched: a box would only cost an allocation for each order.
#[expect(clippy::large_enum_variant)]
pub enum Intent {
    /// A person's order.
    Order(Order),
    /// An event decided elsewhere, to be added to the history with its own id, time, author and terms. The version it
    /// was based on there is ignored. An event that is older than the last change of its subject here is
    /// [`Ruling::Stale`](crate::core::Ruling::Stale). With the role of the person who imports it.
    Recall(Box<Event>, Role),
    /// Time has passed: expired bans are to be recorded as ended.
    Tick {
        /// No later than this: what the clock shows may be wrong.
        upto: Timestamp,
    },
}

impl From<Order> for Intent {
    fn from(order: Order) -> Intent {
        Intent::Order(order)
    }
}

/// Somebody above the actor of an order, so that the actor may not do everything to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Above {
    /// An admin of hosts where the actor is none: the order is about their account, or about an address from which they
    /// logged in lately enough to be at home there.
    Admin,
    /// An account that the configuration exempts, while the actor is no admin of all hosts.
    Exempt,
}

/// A person's order about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The person who gives the order.
    pub actor: Actor,
    /// The actor's own account, which the order may not ban; `None` if there is none or it is not known.
    pub own_account: Option<Account>,
    /// The addresses the actor is connected from, as far as the server reports them.
    pub own_addresses: Vec<IpAddr>,
    /// Whom above the actor the order reaches; `None`: nobody.
    pub above: Option<Above>,
    /// The command that the order is part of, alone or with others; `None` if a person gave no command.
    pub command: Option<CommandId>,
    /// The last position in the log that the actor had seen when they chose this subject. Changes by other people since
    /// then are not overruled. `None`: the actor named the subject just now.
    pub seen: Option<Seq>,
    /// The subject to change.
    pub subject: Subject,
    /// What to do.
    pub what: Action,
}

impl Order {
    /// An order outside of a command, by an actor whose account and addresses are not known. The other methods change
    /// these defaults.
    pub fn new(actor: Actor, subject: Subject, what: Action) -> Order {
        Order {
            actor,
            own_account: None,
            own_addresses: Vec::new(),
            above: None,
            command: None,
            seen: None,
            subject,
            what,
        }
    }

    /// Sets [`Order::seen`]: the subject was chosen from the state at this position in the log.
    #[must_use]
    pub fn chosen_at(mut self, seen: Seq) -> Order {
        self.seen = Some(seen);
        self
    }

    /// Sets the actor's own account, which the order may not ban; `None`: there is none.
    #[must_use]
    pub fn own_account(mut self, account: Option<Account>) -> Order {
        self.own_account = account;
        self
    }

    /// Sets the addresses the actor is connected from, which the order may not ban.
    #[must_use]
    pub fn own_addresses(mut self, addresses: Vec<IpAddr>) -> Order {
        self.own_addresses = addresses;
        self
    }

    /// Sets [`Order::above`].
    #[must_use]
    pub fn above(mut self, above: Option<Above>) -> Order {
        self.above = above;
        self
    }

    /// Makes the order part of this command; `None`: of no command.
    #[must_use]
    pub fn by_command(mut self, command: impl Into<Option<CommandId>>) -> Order {
        self.command = command.into();
        self
    }
}

/// What an order is about, with one variant per part of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The ban of the subject.
    Ban(BanOrder),
    /// The exemption of the subject.
    Exemption(ExemptionOrder),
    /// The history of the subject.
    History(HistoryOrder),
    /// Set the notifications that a person or a room receives; `None`: the default ones.
    Subscribe(Option<Watch>),
    /// Undo the last change of the subject.
    Undo {
        /// Position in the log of the change to undo. If another change came after it, nothing is done.
        change: Seq,
    },
}
