//! Routes every stanza to its receiver, and gives every request exactly one answer (RFC 6120, 8.2.3).
//!
//! ```text
//! link ─► answers to our requests ─► grants of the server ─► hook modules ─► rooms ─► the bot: requests, lines, presence
//! ```
//!
//! Nothing here waits: long work is in [`Reply::later`] and gets its own task.

mod lines;
mod requests;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_xmpp::Stanza;

use super::bot::Bot;
use super::disco::Addressed;
use super::hook::Hook;
use super::notices::Notices;
use super::presence;
use super::reply::Reply;
use super::rooms::Taken;
use super::talk::Talks;
use crate::enforce::XmppServer;
use crate::xmpp::iq::{Asker, Routed};
use crate::xmpp::link::Incoming;
use crate::xmpp::stanza::{Received, StanzaKind};
use crate::xmpp::wire::Wire;

/// Maximum number of commands running at the same time; more are told to come back.
pub const AT_ONCE: usize = 32;

/// The receivers of stanzas that the server sends on its own account; they come before the bot.
pub struct ServerSide {
    /// Takes answers to our requests.
    pub asker: Asker,
    /// Takes grants, and learns whether the link is up.
    pub server: Arc<XmppServer>,
    /// Answers the hook modules.
    pub hook: Arc<Hook>,
}

/// Routes stanzas to the bot and the rooms.
pub struct Router {
    pub(super) bot: Arc<Bot>,
    notices: Arc<Notices>,
    talks: Talks,
    permits: Arc<Semaphore>,
}

impl Router {
    /// A router to this bot; `notices` learns who is active.
    pub fn new(bot: Arc<Bot>, notices: Arc<Notices>) -> Arc<Router> {
        Arc::new(Router {
            bot,
            notices,
            talks: Talks::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Routes what the link brings until the link has ended. After `stop` no new work begins, but answers and grants
    /// are still taken, because a link that nobody reads stops.
    pub async fn run(
        self: Arc<Self>,
        mut incoming: mpsc::Receiver<Incoming>,
        side: ServerSide,
        wire: Wire,
        stop: CancellationToken,
    ) {
        while let Some(arrived) = incoming.recv().await {
            match arrived {
                Incoming::Up => {
                    side.server.link_up();
                    self.bot.rooms.link_up();
                    wire.send_all(self.bot.greeting()).await;
                }
                Incoming::Down { why } => {
                    side.server.link_down();
                    self.bot.rooms.link_down();
                    tracing::warn!(%why, "the link to the server is down");
                }
                Incoming::Unreadable { from, id } => side.asker.unreadable(&from, &id),
                Incoming::Stanza(received, _in_hand) => {
                    let reply = self.from_server(&side, received, &stop);
                    wire.send_all(reply.now).await;
                    if let Some(later) = reply.later {
                        let wire = wire.clone();
                        tokio::spawn(async move { wire.send_all(later.await).await });
                    }
                }
            }
        }
    }

    fn from_server(
        self: &Arc<Self>,
        side: &ServerSide,
        received: Received,
        stop: &CancellationToken,
    ) -> Reply {
        match side.asker.route(received) {
            Routed::NotMine(received) if !side.server.take(&received) => {
                match side.hook.receive(&received) {
                    Some(reply) => reply,
                    // Modules are answered until the link ends: logins go on, and their failures must be counted.
                    None if stop.is_cancelled() => Reply::default(),
                    None => self.receive(&received),
                }
            }
            _ => Reply::default(),
        }
    }

    /// Handles a stanza for the bot. Never waits. Results and errors of IQs do not come here.
    pub fn receive(self: &Arc<Self>, received: &Received) -> Reply {
        match self.bot.rooms.take(received) {
            Taken::NotMine => {}
            Taken::Kept => return Reply::default(),
            Taken::Heard(heard) => return self.in_a_room(*heard),
        }
        let face = self.bot.face(&received.header.to);
        if !matches!(received.type_(), "error" | "unavailable") {
            self.notices.seen(&received.header.from);
        }
        match received.kind {
            StanzaKind::Iq if received.is_request() => self.request(received, face),
            StanzaKind::Iq => Reply::default(),
            StanzaKind::Message => self.message(received, face),
            StanzaKind::Presence => self.presence(received, face),
        }
    }

    /// [`Router::receive`], then waits for the whole answer; for tests and for callers that may wait.
    pub async fn answer(self: &Arc<Self>, received: &Received) -> Vec<Stanza> {
        let mut reply = self.receive(received);
        if let Some(later) = reply.later {
            reply.now.extend(later.await);
        }
        reply.now
    }

    fn presence(&self, received: &Received, face: Option<Addressed>) -> Reply {
        let Some(face) = face else {
            return Reply::default();
        };
        let header = &received.header;
        let role = self.bot.caller(header).role();
        let ours = header.to.to_bare();
        let answers = presence::answer(received.type_(), role, face, &ours, &header.from);
        Reply {
            now: answers.into_iter().map(Stanza::Presence).collect(),
            later: None,
        }
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }
}
