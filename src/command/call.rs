//! Who wants what.

use xmpp_parsers::jid::{BareJid, Jid};

use super::catalogue::Command;
use super::values::Values;
use crate::core::{Account, Action, Actor, CommandId, EntryPoint, Order, Rights, Role, Subject};

/// A person who wants something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their full JID, as the server, or the room, vouches for it. Whoever comes in by [`EntryPoint::Terminal`] speaks as
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
    pub fn name(&self, door: EntryPoint) -> String {
        match (door, self.jid.resource()) {
            (EntryPoint::Terminal, Some(user)) => format!("unix:{user}"),
            _ => self.jid.to_string(),
        }
    }

    /// Their highest role: which commands they are offered.
    pub fn role(&self) -> Role {
        self.rights.highest()
    }

    /// As the log of decisions names them when they do something about a subject: with their role
    /// over it, which is what the rules go by.
    pub fn actor(&self, door: EntryPoint, subject: &Subject) -> Actor {
        Actor {
            role: self.rights.over(subject),
            ..self.actor_for_self(door)
        }
    }

    /// The same when it is about nobody but themselves: with their highest role.
    pub fn actor_for_self(&self, door: EntryPoint) -> Actor {
        Actor::person(self.name(door), self.role(), door)
            .speaking_as(self.occupant.as_ref().map(|one| one.jid.as_str().into()))
    }

    /// Their own account.
    pub fn account(&self) -> Option<Account> {
        Account::from_jid(&self.jid)
    }
}

/// One request for a command.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who.
    pub caller: Caller,
    /// The way they came in.
    pub door: EntryPoint,
    /// Which command.
    pub command: &'static Command,
    /// What they filled in.
    pub values: Values,
    /// Whether they were asked and said yes, to exactly this.
    pub confirmed: bool,
    /// What marks all that comes of it in the log; [`handle`](super::handle) gives a fresh one where there is none.
    pub id: Option<CommandId>,
}

impl Call {
    /// A request with nothing filled in and nothing confirmed. The other methods say what differs.
    pub fn new(caller: Caller, door: EntryPoint, command: &'static Command) -> Call {
        Call {
            caller,
            door,
            command,
            values: Values::new(),
            confirmed: false,
            id: None,
        }
    }

    /// With these fields filled in.
    #[must_use]
    pub fn with_values(mut self, values: Values) -> Call {
        self.values = values;
        self
    }

    /// Whether the caller was asked about exactly this and said yes.
    #[must_use]
    pub fn confirmed(mut self, confirmed: bool) -> Call {
        self.confirmed = confirmed;
        self
    }

    /// With the mark that its events carry in the log; `None`: a fresh one when it is carried out.
    #[must_use]
    pub fn by_command(mut self, id: Option<CommandId>) -> Call {
        self.id = id;
        self
    }

    /// The order that this caller gives about a subject, as part of this command.
    pub fn order(&self, subject: &Subject, what: Action) -> Order {
        Order::new(self.caller.actor(self.door, subject), subject.clone(), what)
            .own_account(self.caller.account())
            .by_command(self.id)
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
        let actor = caller.actor_for_self(EntryPoint::Terminal);
        assert_eq!(
            (actor.name.as_str(), actor.bare_name()),
            ("unix:root", "unix:root")
        );
        assert!(Jid::new(&actor.name).is_err());
        assert!(Subject::parse(&actor.name).is_err());
    }
}
