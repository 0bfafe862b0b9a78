//! The rooms we are in (XEP-0045): entering, staying, and lines addressed to us.
//!
//! The router gives every stanza from a room to [`Rooms::take`] and gets back the lines that may be addressed to us.
//! [`Rooms::run`] does the rest: it enters rooms, checks that we are still joined, and reports changes made elsewhere
//! to audit rooms.
//!
//! [`Rooms::say`] makes a message to a room, which is sent like any other stanza; it returns `None` for a room we are
//! not in. The message has an id. A reply to it (XEP-0461) names the id that the room assigned, and [`Rooms::ours`]
//! maps that back.
//!
//! ```text
//! settings ─► Room (state, occupants) ─ RoomStep ─► run ─► wire
//!                  ▲ presence, message           │ asks (disco, self-ping) ─► looked, pinged
//! ```
//!
//! This module never decides what somebody may do beyond the grants of a room (that is [`Roles`](super::Roles)), and never
//! carries out a command.

mod text;

mod address;
mod occupants;
mod room;
mod settings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use minidom::Element;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_xmpp::Stanza;
use xmpp_parsers::jid::{BareJid, FullJid, Jid, ResourcePart};
use xmpp_parsers::message::{Id, Lang, Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type};

use super::disco::Addressed;
use super::live::Live;
use super::presence;
use crate::command::{AuditEvent, Context, phrases};
use crate::core::Timestamp;
use crate::engine::clock::fresh_id;
use crate::news::News;
use crate::xmpp::iq::{Asker, IqRequest, Unanswered, Verb};
use crate::xmpp::payload::{muc, with};
use crate::xmpp::stanza::{Received, StanzaKind};
use crate::xmpp::wire::Wire;

pub(super) use address::to_us;
pub use occupants::OCCUPANTS;
pub(super) use room::Heard;
pub use room::SILENCE;
pub use settings::{NICK, RoleGrants, Settings};

use room::{Room, RoomStep, Tell};

/// Time limit for the answer about a room's features; without one we enter all the same.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// Time limit for the answer to a self-ping.
const PING_WITHIN: Duration = Duration::from_secs(30);
/// Maximum sleep, because the clock may be set meanwhile.
const NAP: Duration = Duration::from_secs(60);

/// What happened to a stanza.
pub(super) enum Taken {
    /// It is not from one of our rooms.
    NotMine,
    /// It was handled here.
    Kept,
    /// It is a line of an occupant.
    Heard(Box<Heard>),
}

/// All our rooms.
pub struct Rooms {
    /// Our address in the rooms.
    me: FullJid,
    context: Context,
    live: Arc<Live>,
    rooms: Mutex<Inner>,
    /// Notified when there is something to do.
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    rooms: Vec<Room>,
    linked: bool,
    /// Presences that leave rooms which were removed from the configuration.
    parting: Vec<Stanza>,
}

/// A request to a room, with the number under which its answer is expected.
type RoomQuestion = (BareJid, RoomQuery, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoomQuery {
    Look,
    Ping,
}

impl Rooms {
    /// No rooms yet. `bot` is the account we join with.
    pub(super) fn new(bot: &BareJid, context: Context, live: Arc<Live>) -> Arc<Rooms> {
        let resource = ResourcePart::new(NICK);
        let resource = resource.expect("the nick is a literal without anything forbidden");
        Arc::new(Rooms {
            me: bot.with_resource(&resource),
            context,
            live,
            rooms: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// Replaces the configured rooms. Rooms whose settings stay the same are not rejoined.
    pub fn configure(&self, settings: Vec<Settings>) {
        let now = self.context.engine.now();
        let mut inner = self.inner();
        let mut before = std::mem::take(&mut inner.rooms);
        for new in settings {
            let known = before
                .iter()
                .position(|room| room.settings.room == new.room);
            let room = match known.map(|place| before.swap_remove(place)) {
                Some(mut room) => {
                    let enters_anew =
                        room.settings.nick != new.nick || room.settings.password != new.password;
                    room.settings = new;
                    if enters_anew {
                        room.anew(now);
                        room.hurry(now);
                    }
                    room
                }
                None => {
                    let mut room = Room::new(new);
                    if inner.linked {
                        room.link_up(now);
                    }
                    room
                }
            };
            inner.rooms.push(room);
        }
        for mut gone in before {
            let nick = gone.leave();
            inner
                .parting
                .extend(nick.map(|nick| self.part(&gone.settings.room, &nick)));
        }
        self.changed(&inner);
    }

    /// To be called when the link comes up: enters all rooms.
    pub fn link_up(&self) {
        let now = self.context.engine.now();
        let mut inner = self.inner();
        inner.linked = true;
        for room in &mut inner.rooms {
            room.link_up(now);
        }
        self.changed(&inner);
    }

    /// To be called when the link goes down: we are in no room any more.
    pub fn link_down(&self) {
        let mut inner = self.inner();
        inner.linked = false;
        inner.parting.clear();
        for room in &mut inner.rooms {
            room.link_down();
        }
        self.changed(&inner);
    }

    /// Leaves all rooms for good; returns the presences to send before the link closes.
    pub(super) fn farewell(&self) -> Vec<Stanza> {
        let mut inner = self.inner();
        inner.linked = false;
        let mut stanzas = std::mem::take(&mut inner.parting);
        for room in &mut inner.rooms {
            let nick = room.leave();
            stanzas.extend(nick.map(|nick| self.part(&room.settings.room, &nick)));
        }
        stanzas
    }

    /// The rooms we are in.
    pub fn joined(&self) -> Vec<BareJid> {
        let inner = self.inner();
        let joined = inner.rooms.iter().filter(|room| room.nick().is_some());
        joined.map(|room| room.settings.room.clone()).collect()
    }

    /// A message to the whole room, with payloads beside its text; `None` if we are not in the room.
    pub fn say(&self, room: &BareJid, text: &str, payloads: Vec<Element>) -> Option<Message> {
        self.find(room, |room| room.nick().map(drop))??;
        let mut message = Message::new_with_type(MessageType::Groupchat, Jid::from(room.clone()));
        message.from = Some(self.me.clone().into());
        message.id = fresh_id().ok().map(|id| Id(format!("{id:?}")));
        message.bodies.insert(Lang::new(), phrases::in_a_room(text));
        message.payloads = payloads;
        Some(message)
    }

    /// Whether we are in a room.
    pub fn are_in(&self, room: &BareJid) -> bool {
        self.find(room, |room| room.nick().is_some())
            .unwrap_or_default()
    }

    /// The id of our own message, given the id that a reply names; `None` if it is not ours, or too old.
    pub fn ours(&self, room: &BareJid, id: &str) -> Option<String> {
        self.find(room, |room| room.ours(id).map(str::to_owned))?
    }

    /// Handles an invitation (XEP-0249): a configured room is entered at once. Returns whether it is configured.
    pub(super) fn invited(&self, room: &BareJid) -> bool {
        let now = self.context.engine.now();
        let mut inner = self.inner();
        let Some(room) = inner
            .rooms
            .iter_mut()
            .find(|one| one.settings.room == *room)
        else {
            return false;
        };
        room.hurry(now);
        self.changed(&inner);
        true
    }

    /// Handles a stanza from a room. Never waits.
    pub(super) fn take(&self, received: &Received) -> Taken {
        let (now, chance) = (self.context.engine.now(), chance());
        let mut inner = self.inner();
        let from = received.header.from.to_bare();
        let Some(room) = inner
            .rooms
            .iter_mut()
            .find(|room| room.settings.room == from)
        else {
            return Taken::NotMine;
        };
        let heard = match received.kind {
            // Requests of occupants are answered like anybody's, and answers find the task that asked.
            StanzaKind::Iq => return Taken::NotMine,
            StanzaKind::Presence => {
                room.presence(received, now, chance);
                self.changed(&inner);
                None
            }
            StanzaKind::Message => {
                let before = room.nick().is_some();
                let heard = room.message(received, now, chance);
                if heard.is_none() || room.nick().is_some() != before {
                    self.changed(&inner);
                }
                heard
            }
        };
        drop(inner);
        self.tell();
        match heard {
            Some(heard) => Taken::Heard(Box::new(heard)),
            None => Taken::Kept,
        }
    }

    /// Stays in all rooms until told to stop.
    pub async fn run(self: Arc<Self>, wire: Wire, asker: Asker, stop: CancellationToken) {
        let mut audited = self.context.audit.listen();
        let mut asked = FuturesUnordered::new();
        loop {
            let (stanzas, questions, until) = self.steps();
            self.tell();
            for stanza in stanzas {
                send(&wire, stanza).await;
            }
            for (to, question) in questions {
                asked.push(self.ask(&asker, to, question));
            }
            let nap = until.map_or(NAP, |until| until.since(self.context.engine.now()).min(NAP));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(nap) => {}
                Some((question, answer)) = asked.next(), if !asked.is_empty() => {
                    if let Some(stanza) = self.answered(&question, &answer) {
                        send(&wire, stanza).await;
                    }
                }
                event = audited.recv() => {
                    for message in self.audit(&event) {
                        send(&wire, message.into()).await;
                    }
                    if event == Err(RecvError::Closed) {
                        return;
                    }
                }
            }
        }
    }

    /// The stanzas to send and requests to make now, and when to ask again.
    fn steps(&self) -> (Vec<Stanza>, Vec<(Jid, RoomQuestion)>, Option<Timestamp>) {
        let now = self.context.engine.now();
        let mut inner = self.inner();
        let (mut stanzas, mut questions) = (std::mem::take(&mut inner.parting), Vec::new());
        let mut until: Option<Timestamp> = None;
        for room in &mut inner.rooms {
            let address = room.settings.room.clone();
            loop {
                match room.step(now, chance()) {
                    RoomStep::Wait(next) => {
                        until = [until, next].into_iter().flatten().min();
                        break;
                    }
                    RoomStep::Enter(nick) => stanzas.extend(self.entry(room, &nick)),
                    RoomStep::Leave(nick) => stanzas.push(self.part(&address, &nick)),
                    RoomStep::Look(round) => {
                        let question = (address.clone(), RoomQuery::Look, round);
                        questions.push((address.clone().into(), question));
                    }
                    RoomStep::Ping(nick, round) => {
                        let question = (address.clone(), RoomQuery::Ping, round);
                        questions.extend(occupant(&address, &nick).map(|jid| (jid, question)));
                    }
                }
            }
        }
        self.show(&inner);
        (stanzas, questions, until)
    }

    async fn ask(
        &self,
        asker: &Asker,
        to: Jid,
        question: RoomQuestion,
    ) -> (RoomQuestion, Result<Element, Unanswered>) {
        let (payload, within) = match question.1 {
            RoomQuery::Look => (with("query", ns::DISCO_INFO, &[]), LOOK_WITHIN),
            RoomQuery::Ping => (with("ping", ns::PING, &[]), PING_WITHIN),
        };
        let me = self.me.clone().into();
        let asked = IqRequest::new(to, Verb::Get, payload, within).from(me);
        let answer = asker.ask(asked).await;
        (question, answer)
    }

    fn answered(
        &self,
        (room, asked, round): &RoomQuestion,
        answer: &Result<Element, Unanswered>,
    ) -> Option<Stanza> {
        let (now, chance) = (self.context.engine.now(), chance());
        let nothing = Element::bare("query", ns::DISCO_INFO);
        let answer = answer.as_ref();
        let mut inner = self.inner();
        let room = inner
            .rooms
            .iter_mut()
            .find(|one| one.settings.room == *room)?;
        match asked {
            RoomQuery::Ping => {
                room.pinged(*round, answer.map(drop), now, chance);
                None
            }
            RoomQuery::Look => {
                let query = answer.map(|iq| iq.children().next().unwrap_or(&nothing));
                match room.looked(*round, query, now, chance)? {
                    RoomStep::Enter(nick) => self.entry(room, &nick),
                    _ => None,
                }
            }
        }
    }

    /// The reports of a change to audit rooms, except to the room where it was ordered.
    fn audit(&self, event: &Result<Arc<AuditEvent>, RecvError>) -> Vec<Message> {
        let (text, seen_in) = match event {
            Ok(event) => {
                let occupant = event.caller.occupant.as_ref();
                let seen = occupant.filter(|one| !one.private);
                (text::deed(event), seen.map(|one| one.room()))
            }
            Err(RecvError::Lagged(number)) => (text::deeds_missed(*number), None),
            Err(RecvError::Closed) => return Vec::new(),
        };
        let rooms: Vec<BareJid> = {
            let inner = self.inner();
            let rooms = inner.rooms.iter().filter(|room| room.settings.audit);
            rooms.map(|room| room.settings.room.clone()).collect()
        };
        let rooms = rooms.iter().filter(|room| seen_in.as_ref() != Some(*room));
        rooms
            .filter_map(|room| self.say(room, &text, Vec::new()))
            .collect()
    }

    fn entry(&self, room: &Room, nick: &str) -> Option<Stanza> {
        let to = occupant(&room.settings.room, nick)?;
        let mut presence = presence::available(Addressed::Bot, &self.me.to_bare(), to);
        presence.from = Some(self.me.clone().into());
        let status = phrases::in_a_room(&crate::front::text::presence());
        presence.statuses = [(Lang::new(), status)].into();
        let password = room.settings.password.as_ref();
        presence
            .payloads
            .push(muc::entry(password.map(|secret| secret.expose())));
        Some(presence.into())
    }

    fn part(&self, room: &BareJid, nick: &str) -> Stanza {
        let to = occupant(room, nick).unwrap_or_else(|| room.clone().into());
        let part = Presence::new(Type::Unavailable);
        part.with_from(self.me.clone()).with_to(to).into()
    }

    /// Reports changes of our rooms to the log and to subscribers.
    fn tell(&self) {
        let mut inner = self.inner();
        for room in &mut inner.rooms {
            let address = room.settings.room.clone();
            for tell in room.tell() {
                let why = match tell {
                    Tell::Entered { nick, after } => {
                        tracing::info!(room = %address, nick, "entered a room");
                        if !after {
                            continue;
                        }
                        None
                    }
                    Tell::Trouble(why) => {
                        let why = phrases::trouble(&why);
                        tracing::warn!(room = %address, "not in a room: {why}");
                        Some(why)
                    }
                    Tell::Public => {
                        let why = phrases::public_room();
                        tracing::warn!(room = %address, "{why}");
                        continue;
                    }
                };
                let news = News::Room {
                    room: address.to_string(),
                    why,
                };
                self.context.news.announce(news, self.context.engine.now());
            }
        }
    }

    fn find<R>(&self, room: &BareJid, look: impl FnOnce(&Room) -> R) -> Option<R> {
        let inner = self.inner();
        inner
            .rooms
            .iter()
            .find(|one| one.settings.room == *room)
            .map(look)
    }

    fn changed(&self, inner: &Inner) {
        self.show(inner);
        self.wake.notify_one();
    }

    fn show(&self, inner: &Inner) {
        self.live
            .set_rooms(inner.rooms.iter().map(Room::status).collect());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address of an occupant; `None` if the nick is invalid, which the configuration rules out.
fn occupant(room: &BareJid, nick: &str) -> Option<Jid> {
    Some(room.with_resource_str(nick).ok()?.into())
}

async fn send(wire: &Wire, stanza: Stanza) {
    if let Err(why) = wire.send(stanza).await {
        tracing::debug!(%why, "nothing was sent to a room");
    }
}

/// Jitter needs no secrecy; without randomness the middle is used.
fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
