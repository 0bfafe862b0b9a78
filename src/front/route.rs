//! Every stanza to its door, and exactly one answer to every request (RFC 6120, 8.2.3).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use minidom::Element;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::{BareJid, Jid, NodePart};
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza_error::StanzaError;

use super::adhoc::{Forms, Step};
use super::chat;
use super::disco::{self, Face, Question};
use super::message::{Line, Way};
use super::notices::Crier;
use super::presence;
use super::rooms::{self, Heard, Rooms, Taken};
use super::said::Said;
use super::talk::{Admitted, Talks};
use crate::command::{self, Caller, Context, Occupant, Reference, Roles, words};
use crate::core::{Rights, Role};
use crate::xmpp::fault::Fault;
use crate::xmpp::payload::command::{NS_COMMANDS, Request, Unreadable};
use crate::xmpp::stanza::{Header, Kind, Received};

/// How many commands run at the same time; more are told to come back.
pub const AT_ONCE: usize = 32;
/// The name of the contact people chat with.
pub const BOT: &str = "bot";

/// What is sent because of a stanza.
#[derive(Default)]
pub struct Reply {
    /// At once.
    pub now: Vec<Stanza>,
    /// When a command is through: to be spawned, so that nothing else waits for it. At most
    /// [`AT_ONCE`] exist at a time.
    pub later: Option<BoxFuture<'static, Vec<Stanza>>>,
}

/// All that speaks for the bot.
pub struct Desk {
    domain: BareJid,
    pub(super) bot: BareJid,
    pub(super) context: Context,
    pub(super) forms: Forms,

    pub(super) crier: Crier,
    pub(super) said: Said,
    talks: Talks,
    pub(super) rooms: Arc<Rooms>,
    room: Arc<Semaphore>,
}

impl Desk {
    /// The desk of the component with this domain.
    pub fn new(domain: BareJid, context: Context, roles: Roles) -> Arc<Desk> {
        let bot = NodePart::new(BOT).expect("the name is a literal without anything forbidden");
        let bot = BareJid::from_parts(Some(&bot), domain.domain());
        let rooms = Rooms::new(&bot, context.clone());
        context.roles.store(Arc::new(roles));
        Arc::new(Desk {
            domain,
            bot,
            context,
            forms: Forms::default(),

            crier: Crier::default(),
            said: Said::default(),
            talks: Talks::default(),
            rooms,
            room: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Puts other roles in force, also for forms that are open.
    pub fn set_roles(&self, roles: Roles) {
        self.context.roles.store(Arc::new(roles));
    }

    /// The rooms we are in.
    pub fn rooms(&self) -> &Arc<Rooms> {
        &self.rooms
    }

    /// Takes in a stanza. Never waits; results and errors of IQs are not for here.
    pub fn receive(self: &Arc<Self>, received: &Received) -> Reply {
        match self.rooms.take(received) {
            Taken::NotMine => {}
            Taken::Kept => return Reply::default(),
            Taken::Heard(heard) => return self.in_a_room(*heard),
        }
        let face = self.face(&received.header.to);
        if !matches!(received.type_(), "error" | "unavailable") {
            self.crier.seen(&received.header.from);
        }
        match received.kind {
            Kind::Iq if received.is_request() => self.request(received, face),
            Kind::Iq => Reply::default(),
            Kind::Message => self.message(received, face),
            Kind::Presence => self.presence(received, face),
        }
    }

    /// The same, to the end: for tests and for callers that may wait.
    pub async fn answer(self: &Arc<Self>, received: &Received) -> Vec<Stanza> {
        let mut reply = self.receive(received);
        if let Some(later) = reply.later {
            reply.now.extend(later.await);
        }
        reply.now
    }

    /// What to send when the link comes up: everybody with a role may see that we are there.
    pub fn greeting(&self) -> Vec<Stanza> {
        let roles = self.context.roles.load();
        let greet = |jid: BareJid| presence::available(Face::Bot, &self.bot, jid.into()).into();
        roles.everybody().map(greet).collect()
    }

    /// What to send before the link goes down for good.
    pub fn farewell(&self) -> Vec<Stanza> {
        let roles = self.context.roles.load();
        let part = |jid: BareJid| presence::plain(Type::Unavailable, &self.bot, jid.into()).into();
        let mut stanzas = self.rooms.farewell();
        stanzas.extend(roles.everybody().map(part));
        stanzas
    }

    fn face(&self, to: &Jid) -> Option<Face> {
        let bare = to.to_bare();
        if bare == self.domain {
            Some(Face::Domain)
        } else if bare == self.bot {
            Some(Face::Bot)
        } else {
            None
        }
    }

    fn caller(&self, header: &Header) -> Caller {
        Caller {
            jid: header.from.clone(),
            rights: self.context.roles.load().of(&header.from),
            occupant: None,
        }
    }

    fn request(self: &Arc<Self>, received: &Received, face: Option<Face>) -> Reply {
        let asked = Asked::of(&received.header);
        let (Some(face), Some(payload)) = (face, received.payload()) else {
            let fault = match face {
                None => Fault::Unavailable,
                Some(_) => Fault::Malformed,
            };
            return asked.now(Err(fault.stanza_error()));
        };
        let is_get = received.type_() == "get";
        if payload.is("command", NS_COMMANDS) && !is_get {
            return self.command(asked, received, payload);
        }
        if payload.is("ping", ns::PING) && is_get {
            return asked.now(Ok(None));
        }
        let question = Question {
            face,
            asked: &received.header.to,
            bot: &self.bot,
            role: self.caller(&received.header).role(),
            now: self.context.gate.now(),
            started: self.context.started,
        };
        let answer = if payload.has_ns(NS_COMMANDS) {
            Err(Fault::Malformed)
        } else if is_get {
            disco::answer(&question, payload).unwrap_or(Err(Fault::Unavailable))
        } else if disco::is_read_only(&payload.ns()) {
            Err(Fault::NotImplemented)
        } else {
            Err(Fault::Unavailable)
        };
        asked.now(answer.map(Some).map_err(Fault::stanza_error))
    }

    fn command(self: &Arc<Self>, asked: Asked, received: &Received, payload: &Element) -> Reply {
        let request = match Request::read(payload) {
            Ok(request) => request,
            Err(why) => {
                let fault = match why {
                    Unreadable::NoNode => Fault::Malformed,
                    Unreadable::Action => Fault::MalformedAction,
                    Unreadable::Form => Fault::BadPayload,
                };
                return asked.now(Err(fault.stanza_error()));
            }
        };
        // Before anything is taken in: who is told to come back finds everything as it was.
        let Some(place) = self.place() else {
            return asked.now(Err(Fault::Busy.stanza_error()));
        };
        let caller = self.caller(&received.header);
        let role = caller.role();
        // That there is such a command is no secret to those who work here.
        let needs = command::find(&request.node).map(|spec| spec.needs);
        let needs = needs.filter(|_| role > Role::Stranger);
        match self.forms.receive(request, caller, &self.context) {
            Err(Fault::Forbidden) if let Some(needs) = needs => {
                let text = words::forbidden(needs);
                asked.now(Err(Fault::Forbidden.with_text(text)))
            }
            Err(fault) => asked.now(Err(fault.stanza_error())),
            Ok(Step::Answer(answer)) => asked.now(Ok(Some((*answer).into()))),
            Ok(Step::Run(run)) => {
                let desk = Arc::clone(self);
                let reference = Reference::fresh();
                let failed = Fault::Internal.with_text(words::broken(&reference));
                let failed = vec![asked.stanza(Err(failed))];
                later(None, reference, failed, async move {
                    let wake = Arc::clone(&desk.crier.back);
                    let answer = desk.forms.run(*run, place, wake, &desk.context).await;
                    vec![asked.stanza(answer.map(|answer| Some(answer.into())))]
                })
            }
            Ok(Step::Look(session)) => {
                let desk = Arc::clone(self);
                let reference = Reference::fresh();
                let failed = Fault::Internal.with_text(words::broken(&reference));
                let failed = vec![asked.stanza(Err(failed))];
                later(Some(place), reference, failed, async move {
                    let answer = desk.forms.look(*session, role, &desk.context).await;
                    vec![asked.stanza(answer.map(|answer| Some(answer.into())))]
                })
            }
        }
    }

    fn message(self: &Arc<Self>, received: &Received, face: Option<Face>) -> Reply {
        if received.type_() == "error" {
            self.sent_back(&received.header);
            return Reply::default();
        }
        if let Some(room) = chat::invitation(received) {
            let from = &received.header.from;
            // Where we should be is configured; a stranger cannot make us try again and again.
            let may = self.caller(&received.header).role() > Role::Stranger;
            let named = |room: BareJid| self.rooms.invited(&room);
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
        let caller = self.caller(&received.header);
        if caller.role() == Role::Stranger {
            let now = self.context.gate.now();
            if !self.talks.admit_stranger(&caller.jid.to_bare(), now) {
                return Reply::default();
            }
            return say(&line, words::stranger());
        }
        self.talk(line, caller)
    }

    /// A message of ours came back. Whoever it was for reads it nowhere, and did not ask: `status` tells.
    fn sent_back(&self, header: &Header) {
        let whom = header.from.to_bare();
        let id = header.id.as_deref().unwrap_or_default();
        if self.said.knows(&whom, id) {
            tracing::warn!(%whom, "a message came back undelivered");
            let now = self.context.gate.now();
            self.context.undelivered.note(whom, now);
        }
    }

    /// What somebody says in a room, if it is said to us.
    fn in_a_room(self: &Arc<Self>, heard: Heard) -> Reply {
        let Heard {
            mut line,
            person,
            grant,
            ours,
        } = heard;
        let private = line.way == Way::Private;
        let to_us = match private {
            true => Some(line.text.clone()),
            false => {
                let named = rooms::to_us(&line.text, &ours).map(str::to_owned);
                let room = line.from.to_bare();
                let id = line.replies_to.as_deref();
                let to_ours = id.and_then(|id| self.rooms.ours(&room, id));
                // Who replies to us need not name us.
                named.or_else(|| to_ours.map(|_| line.text.clone()))
            }
        };
        let now = self.context.gate.now();
        let Some(person) = person else {
            // Whoever it is, it is a matter of the room: told there once in a while, not to each.
            let room = line.from.to_bare();
            let tells = to_us.is_some() && self.talks.admit_stranger(&room, now);
            return match tells {
                true => say(&line, words::faceless()),
                false => Reply::default(),
            };
        };
        let configured = self.context.roles.load().of(&person);
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
                    say(&line, words::stranger_in_room(needs))
                }
                false => Reply::default(),
            };
        }
        self.talk(line, caller)
    }

    /// Takes in a line of somebody with a role, through whichever door it came.
    fn talk(self: &Arc<Self>, line: Line, caller: Caller) -> Reply {
        let receipt = line.receipt().map(Stanza::Message);
        // Before the line gets its turn: one that cannot run must not let others pass.
        let place = self.place();
        let now = self.context.gate.now();
        let mut reply = match self.talks.admit(&line, &caller, now) {
            Admitted::Ignored => return Reply::default(),
            Admitted::Answer(text) => say(&line, text),
            Admitted::InTurn(turn) => match place {
                None => say(&line, words::busy()),
                Some(place) => {
                    let desk = Arc::clone(self);
                    let reference = Reference::fresh();
                    let failed = say(&line, words::broken(&reference)).now;
                    later(Some(place), reference, failed, async move {
                        let with = line.with(&caller);
                        let (id, quoted) = (line.replies_to.as_deref(), line.quoted.as_deref());
                        // A room gives messages an id of its own.
                        let given = id.and_then(|id| match line.way {
                            Way::Open(_) => desk.rooms.ours(&with, id),
                            Way::Chat(_) | Way::Private => None,
                        });
                        let id = given.as_deref().or(id);
                        let replied = desk.said.replied(&with, id, quoted);
                        let context = &desk.context;
                        let speech = desk.talks.run(&line, turn, caller, replied, context).await;
                        let answers = line.answer(&speech);
                        for answer in &answers {
                            desk.said.note_message(&with, answer, &speech.about);
                        }
                        answers.into_iter().map(Stanza::Message).collect()
                    })
                }
            },
        };
        reply.now.splice(0..0, receipt);
        reply
    }

    fn presence(&self, received: &Received, face: Option<Face>) -> Reply {
        let Some(face) = face else {
            return Reply::default();
        };
        let header = &received.header;
        let role = self.caller(header).role();
        let ours = header.to.to_bare();
        let answers = presence::answer(received.type_(), role, face, &ours, &header.from);
        Reply {
            now: answers.into_iter().map(Stanza::Presence).collect(),
            later: None,
        }
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }
}

/// Answers a line at once.
fn say(line: &Line, text: String) -> Reply {
    let answers = line.answer(&text.into()).into_iter();
    Reply {
        now: answers.map(Stanza::Message).collect(),
        later: None,
    }
}

/// Work that ends in an answer, whatever happens in it.
fn later(
    place: Option<OwnedSemaphorePermit>,
    reference: Reference,
    failed: Vec<Stanza>,
    work: impl Future<Output = Vec<Stanza>> + Send + 'static,
) -> Reply {
    let work = async move {
        let _place = place;
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(stanzas) => stanzas,
            Err(_) => {
                tracing::error!(
                    reference = reference.0,
                    "a command panicked; this is a bug of portcullis"
                );
                failed
            }
        }
    };
    Reply {
        now: Vec::new(),
        later: Some(work.boxed()),
    }
}

/// A person wrote to an address of ours that is nobody's.
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

/// An IQ that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    from: Jid,
    to: Jid,
    id: String,
}

impl Asked {
    pub(super) fn of(header: &Header) -> Self {
        Asked {
            from: header.from.clone(),
            to: header.to.clone(),
            id: header.id.clone().unwrap_or_default(),
        }
    }

    pub(super) fn stanza(&self, answer: Result<Option<Element>, StanzaError>) -> Stanza {
        let (from, to) = (Some(self.to.clone()), Some(self.from.clone()));
        let id = self.id.clone();
        Stanza::Iq(match answer {
            Ok(payload) => Iq::Result {
                from,
                to,
                id,
                payload,
            },
            Err(error) => Iq::Error {
                from,
                to,
                id,
                error,
                payload: None,
            },
        })
    }

    pub(super) fn now(&self, answer: Result<Option<Element>, StanzaError>) -> Reply {
        Reply {
            now: vec![self.stanza(answer)],
            later: None,
        }
    }
}
