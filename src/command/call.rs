//! Who wants what, and what a command may reach for it.

use std::fmt;
use std::sync::Arc;

use xmpp_parsers::jid::Jid;

use super::spec::Values;
use crate::ban::{Account, Actor, Door, Role, Timestamp};
use crate::gate::Gate;

/// A person who wants something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who they are, as the door they came through vouches for it.
    pub who: Who,
    /// What they may do, looked up when the call came in.
    pub role: Role,
}

impl Caller {
    /// As the log of decisions names them.
    pub fn actor(&self, door: Door) -> Actor {
        Actor {
            name: self.who.to_string(),
            role: self.role,
            door,
        }
    }

    /// Their own account; users of the machine have none.
    pub fn account(&self) -> Option<Account> {
        match &self.who {
            Who::Jid(jid) => Account::from_jid(jid),
            Who::Unix(_) => None,
        }
    }
}

/// A person, by the name that their door can vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The full JID a stanza came from.
    Jid(Jid),
    /// The user of this machine at the other end of the local socket.
    Unix(String),
}

/// As the log of decisions and the audit name them: a JID, or `unix:root`. A JID cannot have a
/// colon in front of its domain (RFC 7622, 3.3.1), nor in one (3.2), so no account can pass for a user of the
/// machine.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Jid(jid) => jid.fmt(f),
            Who::Unix(user) => write!(f, "unix:{user}"),
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ban::Subject;

    #[test]
    fn a_user_of_the_machine_cannot_be_taken_for_an_account() {
        for user in ["root", "alice@corp.example", "65534"] {
            let name = Who::Unix(user.into()).to_string();
            assert_eq!(name, format!("unix:{user}"));
            assert!(Jid::new(&name).is_err(), "{name}");
            assert!(Subject::parse(&name).is_err(), "{name}");
        }
    }
}
