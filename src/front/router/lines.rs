//! Messages: chat lines, lines in rooms, invitations, and bounced messages.

use std::sync::Arc;

use tokio_xmpp::Stanza;
use xmpp_parsers::jid::BareJid;
use xmpp_parsers::message::{Message, MessageType};

use super::Router;
use crate::command::{self, Caller, Occupant, Reference, phrases};
use crate::core::{Rights, Role};
use crate::front::chat;
use crate::front::disco::Addressed;
use crate::front::message::{ChatLine, MessageKind};
use crate::front::reply::{Reply, later, say};
use crate::front::rooms::{self, Heard};
use crate::front::talk::Admitted;
use crate::front::text;
use crate::xmpp::fault::Fault;
use crate::xmpp::stanza::{Header, Received};

impl Router {
    pub(super) fn message(self: &Arc<Self>, received: &Received, face: Option<Addressed>) -> Reply {
        if received.type_() == "error" {
            self.sent_back(&received.header);
            return Reply::default();
        }
        if let Some(room) = chat::invitation(received) {
            let from = &received.header.from;
            // The rooms are configured; a stranger must not make us try again and again.
            let may = self.bot.caller(&received.header).role() > Role::Stranger;
            let named = |room: BareJid| self.bot.rooms.invited(&room);
            let taken = may && BareJid::new(room).is_ok_and(named);
            tracing::debug!(%from, %room, taken, "invited to a room");
            return Reply::default();
        }
        let Some(line) = chat::read(received) else {
            return Reply::default();
        };
        if face.is_none() {
            return nobody_here(received);
        }
        let caller = self.bot.caller(&received.header);
        if caller.role() == Role::Stranger {
            let now = self.bot.context.engine.now();
            if !self.talks.admit_stranger(&caller.jid.to_bare(), now) {
                return Reply::default();
            }
            return say(&line, text::stranger());
        }
        self.talk(line, caller)
    }

    /// A message of ours bounced. Its receiver does not read it and did not ask for it, so `status` shows it.
    fn sent_back(&self, header: &Header) {
        let whom = header.from.to_bare();
        let id = header.id.as_deref().unwrap_or_default();
        if self.bot.sent.knows(&whom, id) {
            tracing::warn!(%whom, "a message came back undelivered");
            let now = self.bot.context.engine.now();
            self.bot.live.came_back(whom, now);
        }
    }

    /// Handles a line in a room, if it is addressed to us.
    pub(super) fn in_a_room(self: &Arc<Self>, heard: Heard) -> Reply {
        let Heard {
            mut line,
            person,
            grant,
            ours,
        } = heard;
        let private = line.way == MessageKind::Private;
        let to_us = match private {
            true => Some(line.text.clone()),
            false => {
                let named = rooms::to_us(&line.text, &ours).map(str::to_owned);
                let room = line.from.to_bare();
                let id = line.replies_to.as_deref();
                let to_ours = id.and_then(|id| self.bot.rooms.ours(&room, id));
                // A reply to us need not name us.
                named.or_else(|| to_ours.map(|_| line.text.clone()))
            }
        };
        let now = self.bot.context.engine.now();
        let Some(person) = person else {
            // Strangers in a room are answered there once in a while, not one by one.
            let room = line.from.to_bare();
            let tells = to_us.is_some() && self.talks.admit_stranger(&room, now);
            return match tells {
                true => say(&line, text::faceless()),
                false => Reply::default(),
            };
        };
        let configured = self.bot.context.roles.load().of(&person);
        let caller = Caller {
            jid: person,
            rights: configured.join(Rights::everywhere(grant)),
            occupant: Some(Occupant {
                jid: line.from.clone(),
                private,
            }),
        };
        match to_us {
            Some(text) => line.text = text,
            None if self.talks.waits_for(&line.text, &caller, now) => {}
            None => return Reply::default(),
        }
        if caller.role() == Role::Stranger {
            return match self.talks.admit_stranger(&caller.jid.to_bare(), now) {
                true => {
                    let name = line.text.split_whitespace().next().unwrap_or_default();
                    let needs = command::find(&name.to_lowercase()).map(|spec| spec.needs);
                    say(&line, text::stranger_in_room(needs))
                }
                false => Reply::default(),
            };
        }
        self.talk(line, caller)
    }

    /// Handles a line of somebody with a role, from a chat or a room.
    fn talk(self: &Arc<Self>, line: ChatLine, caller: Caller) -> Reply {
        let receipt = line.receipt().map(Stanza::Message);
        // Taken before the line gets its turn: a line that cannot run must not let others overtake it.
        let permit = self.permit();
        let now = self.bot.context.engine.now();
        let mut reply = match self.talks.admit(&line, &caller, now) {
            Admitted::Ignored => return Reply::default(),
            Admitted::Answer(text) => say(&line, text),
            Admitted::InTurn(turn) => match permit {
                None => say(&line, String::from(phrases::BUSY)),
                Some(permit) => {
                    let router = Arc::clone(self);
                    let reference = Reference::fresh();
                    let failed = say(&line, phrases::broken(&reference)).now;
                    later(Some(permit), reference, failed, async move {
                        let with = line.with(&caller);
                        let (id, quoted) = (line.replies_to.as_deref(), line.quoted.as_deref());
                        // A room assigns its own id to messages.
                        let given = id.and_then(|id| match line.way {
                            MessageKind::Open(_) => router.bot.rooms.ours(&with, id),
                            MessageKind::Chat(_) | MessageKind::Private => None,
                        });
                        let id = given.as_deref().or(id);
                        let replied = router.bot.sent.replied(&with, id, quoted);
                        let context = &router.bot.context;
                        let speech = router
                            .talks
                            .run(&line, turn, caller, replied, context)
                            .await;
                        let answers = line.answer(&speech);
                        for answer in &answers {
                            router.bot.sent.note_message(&with, answer, &speech.about);
                        }
                        answers.into_iter().map(Stanza::Message).collect()
                    })
                }
            },
        };
        reply.now.splice(0..0, receipt);
        reply
    }
}

/// A person wrote to an address of ours that does not exist.
fn nobody_here(received: &Received) -> Reply {
    let header = &received.header;
    let mut error = Message::new_with_type(MessageType::Error, header.from.clone());
    error.from = Some(header.to.clone());
    error.id = header.id.clone().map(xmpp_parsers::message::Id);
    error.payloads = vec![Fault::Unavailable.stanza_error().into()];
    Reply {
        now: vec![Stanza::Message(error)],
        later: None,
    }
}
