//! Who wants what, and what a command may reach for it.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use xmpp_parsers::jid::{BareJid, Jid};

use super::deed::Deeds;
use super::progress::Progress;
use super::roles::Roles;
use super::seat::Seats;
use super::spec::Values;
use super::undelivered::Undelivered;
use crate::core::{Account, Actor, CommandId, Door, Rights, Role, Subject, Timestamp};
use crate::gate::Gate;

/// A person who wants something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their full JID, as the server, or the room, vouches for it. Whoever comes in by [`Door::Terminal`] speaks as
    /// the program itself: our own address, with the user of the machine for a resource.
    pub jid: Jid,
    /// What they may do and where, looked up when the call came in.
    pub rights: Rights,
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
    /// Who they are, as the log of decisions and the audit say it: their JID, or `unix:root`. No JID looks like the
    /// latter: a colon is no letter of a domain (RFC 7622, 3.2).
    pub fn name(&self, door: Door) -> String {
        match (door, self.jid.resource()) {
            (Door::Terminal, Some(user)) => format!("unix:{user}"),
            _ => self.jid.to_string(),
        }
    }

    /// Their highest role: which commands they are offered.
    pub fn role(&self) -> Role {
        self.rights.highest()
    }

    /// As the log of decisions names them when they do something about a subject: with their role
    /// over it, which is what the rules go by.
    pub fn actor(&self, door: Door, subject: &Subject) -> Actor {
        Actor {
            role: self.rights.over(subject),
            ..self.actor_for_self(door)
        }
    }

    /// The same when it is about nobody but themselves: with their highest role.
    pub fn actor_for_self(&self, door: Door) -> Actor {
        Actor {
            name: self.name(door),
            role: self.role(),
            door,
            occupant: self.occupant.as_ref().map(|one| one.jid.as_str().into()),
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
    /// What marks all that comes of it in the log; [`handle`](super::handle) gives a fresh one where there is none.
    pub id: Option<CommandId>,
}

/// What commands work with.
#[derive(Clone)]
pub struct Context {
    /// All decisions go through it.
    pub gate: Arc<Gate>,
    /// Since when the program runs.
    pub started: Timestamp,
    /// Who has which role by configuration. One for all who hold a context, as read last.
    pub roles: Arc<ArcSwap<Roles>>,
    /// The rooms we should be in.
    pub seats: Seats,
    /// What of our messages came back.
    pub undelivered: Undelivered,
    /// Where it is told what people did.
    pub deeds: Deeds,
    /// Where what is weighed is recorded, if it is.
    pub recording: Option<Recorded>,
    /// Where long work says how far it is.
    pub progress: Progress,
}

/// A recording of what was weighed (`[record_attempts]`): `FILE`, and behind it `FILE.1` to
/// `FILE.keep`, older ones with higher numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The file that is written to.
    pub file: PathBuf,
    /// How many old ones are kept.
    pub keep: u32,
}

impl Context {
    /// What commands work with from now on.
    pub fn new(gate: Arc<Gate>, started: Timestamp) -> Self {
        Context {
            gate,
            started,
            roles: Arc::default(),
            seats: Seats::default(),
            undelivered: Undelivered::default(),
            deeds: Deeds::default(),
            recording: None,
            progress: Progress::default(),
        }
    }

    /// The same where what is weighed is recorded.
    #[must_use]
    pub fn recording(self, recording: Option<Recorded>) -> Self {
        Context { recording, ..self }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Subject;

    #[test]
    fn a_user_of_the_machine_is_no_account_and_cannot_be_taken_for_one() {
        let caller = Caller {
            jid: Jid::new("portcullis.example.org/root").unwrap(),
            rights: Rights::everywhere(Role::Admin),
            occupant: None,
        };
        assert_eq!(caller.account(), None);
        let actor = caller.actor_for_self(Door::Terminal);
        assert_eq!(
            (actor.name.as_str(), actor.bare_name()),
            ("unix:root", "unix:root")
        );
        assert!(Jid::new(&actor.name).is_err());
        assert!(Subject::parse(&actor.name).is_err());
    }
}
