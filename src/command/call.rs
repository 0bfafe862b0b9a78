//! Who wants what, and what a command may reach for it.

use std::sync::Arc;

use xmpp_parsers::jid::Jid;

use super::spec::Values;
use crate::ban::{Account, Actor, Door, Rights, Role, Subject, Timestamp};
use crate::gate::Gate;

/// A person who wants something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their full JID, as the server vouches for it.
    pub jid: Jid,
    /// What they may do and where, looked up when the call came in.
    pub rights: Rights,
}

impl Caller {
    /// Their highest role: which commands they are offered.
    pub fn role(&self) -> Role {
        self.rights.highest()
    }

    /// As the log of decisions names them when they do something about a subject: with their role
    /// over it, which is what the rules go by.
    pub fn actor(&self, door: Door, subject: &Subject) -> Actor {
        Actor {
            name: self.jid.to_string(),
            role: self.rights.over(subject),
            door,
        }
    }

    /// The same when it is about nobody but themselves: with their highest role.
    pub fn actor_for_self(&self, door: Door) -> Actor {
        Actor {
            name: self.jid.to_string(),
            role: self.role(),
            door,
        }
    }

    /// Their own account.
    pub fn account(&self) -> Option<Account> {
        Account::from_jid(&self.jid)
    }
}

/// One request for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who.
    pub caller: Caller,
    /// The way they came in.
    pub door: Door,
    /// The name of the command.
    pub name: String,
    /// What they filled in.
    pub values: Values,
    /// Whether they were asked and said yes, to exactly this.
    pub confirmed: bool,
}

/// What commands work with.
#[derive(Clone)]
pub struct Context {
    /// All decisions go through it.
    pub gate: Arc<Gate>,
    /// Since when the program runs.
    pub started: Timestamp,
}
