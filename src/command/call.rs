//! Calls and callers.

use xmpp_parsers::jid::{BareJid, Jid};

use super::catalogue::Command;
use super::values::Values;
use crate::core::{
    Account, Action, Actor, Change, CommandId, EntryPoint, Event, Order, Rights, Role, Subject,
};

/// The person who gives a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their full JID, vouched for by the server or the room. A caller at [`EntryPoint::Terminal`] has our own
    /// address, with the name of the system user as the resource.
    pub jid: Jid,
    /// Their rights, looked up when the call arrived.
    pub rights: Rights,
    /// The occupant they speak as, if they are in a room.
    pub occupant: Option<Occupant>,
}

/// An occupant of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// `room@service/nick`
    pub jid: Jid,
    /// Whether the message is private within the room.
    pub private: bool,
}

impl Occupant {
    /// The bare JID of the room.
    pub fn room(&self) -> BareJid {
        self.jid.to_bare()
    }
}

impl Caller {
    /// Their name in the log of decisions and the audit log: their JID, or `unix:root`. No JID has the latter form,
    /// because a domain cannot contain a colon (RFC 7622, 3.2).
    pub fn name(&self, door: EntryPoint) -> String {
        match (door, self.jid.resource()) {
            (EntryPoint::Terminal, Some(user)) => format!("unix:{user}"),
            _ => self.jid.to_string(),
        }
    }

    /// Their highest role, which determines the commands they are offered.
    pub fn role(&self) -> Role {
        self.rights.highest()
    }

    /// The author of an order about a subject: with their role over this subject, which the rules check.
    pub fn actor(&self, door: EntryPoint, subject: &Subject) -> Actor {
        Actor {
            role: self.rights.over(subject),
            ..self.actor_for_self(door)
        }
    }

    /// The author of an order about themselves: with their highest role.
    pub fn actor_for_self(&self, door: EntryPoint) -> Actor {
        Actor::person(self.name(door), self.role(), door)
            .speaking_as(self.occupant.as_ref().map(|one| one.jid.as_str().into()))
    }

    /// Whether they may know which notices somebody gets, and when they get none: themselves, and admins over them.
    pub fn may_know_notices_of(&self, subject: &Subject) -> bool {
        let own = self.account().map(Subject::Account);
        own.as_ref() == Some(subject) || self.rights.over(subject) >= Role::Admin
    }

    /// Whether they may read this event in the history of a subject that they may see.
    pub fn may_read(&self, event: &Event) -> bool {
        !matches!(event.change, Change::Subscribed { .. })
            || self.may_know_notices_of(&event.subject)
    }

    /// Their own account; `None` if their address has no localpart.
    pub fn account(&self) -> Option<Account> {
        Account::from_jid(&self.jid)
    }
}

/// One call of a command.
#[derive(Debug, Clone)]
pub struct Call {
    /// The caller.
    pub caller: Caller,
    /// The entry point it came through.
    pub door: EntryPoint,
    /// The command.
    pub command: &'static Command,
    /// The values of its fields.
    pub values: Values,
    /// Whether the caller confirmed exactly this call.
    pub confirmed: bool,
    /// Identifies all its events in the log; [`handle`](super::handle) assigns a new id if there is none.
    pub id: Option<CommandId>,
}

impl Call {
    /// A call without values and confirmation. The other methods change that.
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

    /// Sets the values.
    #[must_use]
    pub fn with_values(mut self, values: Values) -> Call {
        self.values = values;
        self
    }

    /// Sets whether the caller confirmed exactly this call.
    #[must_use]
    pub fn confirmed(mut self, confirmed: bool) -> Call {
        self.confirmed = confirmed;
        self
    }

    /// Sets the id of its events in the log; `None`: a new one is assigned when it runs.
    #[must_use]
    pub fn by_command(mut self, id: Option<CommandId>) -> Call {
        self.id = id;
        self
    }

    /// The order of this caller about a subject, as part of this call.
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
