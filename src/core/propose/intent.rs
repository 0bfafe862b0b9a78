//! What may be decided on: what somebody wants done, what was decided elsewhere, and that time went on.

use std::net::IpAddr;

use crate::core::actor::Actor;
use crate::core::event::{CommandId, Event, Origin, Seq};
use crate::core::subject::{Account, Subject};
use crate::core::term::Term;
use crate::core::watch::Watch;

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
    pub what: What,
}

impl Order {
    /// An order of somebody whose account and addresses are not known, and that is part of no command. The other methods
    /// say what differs.
    pub fn new(actor: Actor, subject: Subject, what: What) -> Order {
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

/// The kinds of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Ban, or change the terms of the ban in force.
    Ban {
        /// For how long; `None`: the default, or as it is.
        term: Option<Term>,
        /// Public reason; `None`: none, or as it is.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Take over a ban made elsewhere. One that stands here is never shortened by it.
    Adopt {
        /// Public reason.
        reason: String,
        /// Private note.
        note: Option<String>,
        /// How long. A length counts from when it is taken over first: taken over again, it changes
        /// nothing.
        term: Term,
        /// Where it comes from.
        origin: Origin,
    },
    /// Un-ban.
    Lift {
        /// Why, for the history.
        reason: String,
    },
    /// Exempt from bans, or change comment and end of the exemption.
    Allow {
        /// For how long; `None`: until somebody takes it back.
        term: Option<Term>,
        /// Why.
        comment: String,
    },
    /// Take an exemption back.
    Unallow,
    /// Forget the history: growth starts anew and counters are cleared; of an account also those
    /// of its guard and pairs, of a network those of all in it.
    Forget,
    /// Ban somebody who is exempt, because an admin insists. Otherwise as [`What::Ban`].
    BanExempt {
        /// For how long; `None`: the default, or as it is.
        term: Option<Term>,
        /// Public reason; `None`: none, or as it is.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Make the ban in force longer: by a length, or to a later end. Never shorter.
    Extend {
        /// A length is added to the end it has.
        by: Term,
    },
    /// Add a private note, or let none or only this one be left.
    Annotate {
        /// The note.
        note: Option<String>,
        /// The notes there are count no more.
        replaces: bool,
    },
    /// Take back the last change of the subject.
    Undo {
        /// Which one that was when it was asked for. Is it another by now, nothing is done.
        deed: Seq,
    },
    /// End the sessions that are open, without a ban. What does it is the server.
    Kick {
        /// Public reason.
        reason: String,
    },
    /// Let a person or a room hear these news; `None`: what everybody hears who expressed no wish.
    Watch(Option<Watch>),
}
