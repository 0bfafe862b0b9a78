//! Who wants what, and what a command may reach for it.

use std::sync::Arc;

use xmpp_parsers::jid::{BareJid, Jid};

use super::spec::Values;
use crate::ban::{Account, Actor, Door, Role, Timestamp};
use crate::gate::Gate;

/// A person who wants something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their full JID, as the server, or the room, vouches for it.
    pub jid: Jid,
    /// What they may do, looked up when the call came in.
    pub role: Role,
    /// Whom they speak as, when they are in a room.
    pub occupant: Option<Occupant>,
}

/// Somebody in a room, who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// `room@service/nick`
    pub jid: Jid,
    /// Whether only we can read it: a private message within the room.
    pub private: bool,
}

impl Occupant {
    /// The room.
    pub fn room(&self) -> BareJid {
        self.jid.to_bare()
    }
}

impl Caller {
    /// As the log of decisions names them.
    pub fn actor(&self, door: Door) -> Actor {
        Actor {
            name: self.jid.to_string(),
            role: self.role,
            door,
            occupant: self.occupant.as_ref().map(|one| one.jid.to_string()),
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

impl Context {
    /// What commands work with from now on.
    pub fn new(gate: Arc<Gate>, started: Timestamp) -> Self {
        Context { gate, started }
    }
}
