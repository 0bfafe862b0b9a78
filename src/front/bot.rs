//! The bot: the addresses the component speaks from, and what its parts share.

use std::sync::Arc;

use tokio_xmpp::Stanza;
use xmpp_parsers::jid::{BareJid, Jid, NodePart};
use xmpp_parsers::presence::Type;

use super::adhoc::Forms;
use super::disco::Addressed;
use super::live::Live;
use super::presence;
use super::rooms::Rooms;
use super::sent::SentMessages;
use crate::command::{Caller, Context, FrontState, Roles};
use crate::core::{Account, Rights, Subject};
use crate::xmpp::stanza::Header;

/// Localpart of the contact that people chat with.
pub const BOT: &str = "bot";

/// The bot of one component.
pub struct Bot {
    domain: BareJid,
    pub(super) jid: BareJid,
    pub(super) context: Context,
    pub(super) rooms: Arc<Rooms>,
    /// The state that `status` shows.
    pub(super) live: Arc<Live>,
    /// The open forms.
    pub(super) forms: Forms,
    /// Messages we sent, so that replies to them need not name their subject.
    pub(super) sent: SentMessages,
}

impl Bot {
    /// The bot of the component with this domain.
    pub fn new(domain: BareJid, context: Context, roles: Roles) -> Arc<Bot> {
        let name = NodePart::new(BOT).expect("the name is a literal without anything forbidden");
        let jid = BareJid::from_parts(Some(&name), domain.domain());
        let live = Arc::new(Live::default());
        let context = context.beside(Arc::clone(&live) as Arc<dyn FrontState>);
        let rooms = Rooms::new(&jid, context.clone(), Arc::clone(&live));
        context.roles.store(Arc::new(roles));
        Arc::new(Bot {
            domain,
            jid,
            context,
            rooms,
            live,
            forms: Forms::default(),
            sent: SentMessages::default(),
        })
    }

    /// The bot itself, as the subject of what concerns no other.
    pub fn subject(&self) -> Option<Subject> {
        Account::from_jid(&self.jid.clone().into()).map(Subject::Account)
    }

    /// Replaces the roles, also for open forms.
    pub fn set_roles(&self, roles: Roles) {
        self.context.roles.store(Arc::new(roles));
    }

    /// The context for commands, including this bot.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether somebody has a role by configuration.
    pub fn knows(&self, jid: &Jid) -> bool {
        self.context.roles.load().of(jid) != Rights::default()
    }

    /// The rooms of this bot.
    pub fn rooms(&self) -> &Arc<Rooms> {
        &self.rooms
    }

    /// Presences to send when the link comes up, to everybody with a role.
    pub fn greeting(&self) -> Vec<Stanza> {
        let roles = self.context.roles.load();
        let greet =
            |jid: BareJid| presence::available(Addressed::Bot, &self.jid, jid.into()).into();
        roles.everybody().map(greet).collect()
    }

    /// Presences to send before the link closes for good.
    pub fn farewell(&self) -> Vec<Stanza> {
        let roles = self.context.roles.load();
        let part = |jid: BareJid| presence::plain(Type::Unavailable, &self.jid, jid.into()).into();
        let mut stanzas = self.rooms.farewell();
        stanzas.extend(roles.everybody().map(part));
        stanzas
    }

    /// The address of ours that a stanza is for; `None` if it is neither of the two.
    pub(super) fn face(&self, to: &Jid) -> Option<Addressed> {
        let bare = to.to_bare();
        if bare == self.domain {
            Some(Addressed::Domain)
        } else if bare == self.jid {
            Some(Addressed::Bot)
        } else {
            None
        }
    }

    /// The sender of a stanza from outside of rooms.
    pub(super) fn caller(&self, header: &Header) -> Caller {
        Caller {
            jid: header.from.clone(),
            rights: self.context.roles.load().of(&header.from),
            occupant: None,
        }
    }
}
