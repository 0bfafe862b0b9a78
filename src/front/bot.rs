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
use crate::xmpp::stanza::Header;

/// The name of the contact people chat with.
pub const BOT: &str = "bot";

/// The bot of one component.
pub struct Bot {
    domain: BareJid,
    pub(super) jid: BareJid,
    pub(super) context: Context,
    pub(super) rooms: Arc<Rooms>,
    /// What `status` tells of us.
    pub(super) live: Arc<Live>,
    /// Forms that are open.
    pub(super) forms: Forms,
    /// The messages it sent, so that replies to them need to name nobody.
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

    /// Puts other roles in force, also for forms that are open.
    pub fn set_roles(&self, roles: Roles) {
        self.context.roles.store(Arc::new(roles));
    }

    /// What commands work with, this bot included.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The rooms we are in.
    pub fn rooms(&self) -> &Arc<Rooms> {
        &self.rooms
    }

    /// What to send when the link comes up: everybody with a role may see that we are there.
    pub fn greeting(&self) -> Vec<Stanza> {
        let roles = self.context.roles.load();
        let greet =
            |jid: BareJid| presence::available(Addressed::Bot, &self.jid, jid.into()).into();
        roles.everybody().map(greet).collect()
    }

    /// What to send before the link goes down for good.
    pub fn farewell(&self) -> Vec<Stanza> {
        let roles = self.context.roles.load();
        let part = |jid: BareJid| presence::plain(Type::Unavailable, &self.jid, jid.into()).into();
        let mut stanzas = self.rooms.farewell();
        stanzas.extend(roles.everybody().map(part));
        stanzas
    }

    /// Which of our two addresses a stanza is for; `None`: neither.
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

    /// Who sent a stanza, outside of rooms.
    pub(super) fn caller(&self, header: &Header) -> Caller {
        Caller {
            jid: header.from.clone(),
            rights: self.context.roles.load().of(&header.from),
            occupant: None,
        }
    }
}
