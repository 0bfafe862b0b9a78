//! The way out: every stanza that leaves passes one check.
//!
//! One stanza with a foreign `from`, without `to`, too large, or with a character that XML forbids costs the whole
//! connection: the server closes the stream (ejabberd `invalid-from`, `improper-addressing`; Prosody
//! `not-well-formed` beyond 512 KiB). [`Wire::send`] therefore corrects such a stanza, or refuses only this one.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::{BareJid, Jid};

use super::fault::Fault;
use super::stanza::{LANG, NS_COMPONENT};

/// Maximum number of bytes that wait to be written; beyond it senders wait.
pub const WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that a waiting stanza costs beyond its own.
const OVERHEAD: usize = 256;

/// Why a stanza was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unsent {
    /// There is no connection to the server. Nothing is queued for the next one: send again after `Incoming::Up`.
    #[error("the link to the server is down")]
    Down,
    /// Larger than a stanza may be. Instead of an IQ answer, an error answer was sent.
    #[error("the stanza has {bytes} bytes, more than {most}")]
    TooLarge {
        /// Size in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        most: usize,
    },
    /// `from` is not our domain or below it.
    #[error("the stanza is from {0}, which is not ours")]
    ForeignFrom(Jid),
    /// It has no `to`.
    #[error("the stanza has no receiver")]
    NoTo,
    /// It contains characters that XML cannot carry. Instead of an IQ answer, an error answer was sent.
    #[error("the stanza cannot be written as XML: {0}")]
    NotXml(String),
}

/// Another program, or an old connection of ours, has our component name as well. What the server sends is split between
/// the connections, or they replace each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NameConflict {
    /// The other program in words, as it says itself: `process 4711 on host2`; `None`: unknown.
    pub other: Option<String>,
}

/// Counters of the link since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkTally {
    /// Stanzas handed on to the program.
    pub received: u64,
    /// Malformed or oversized requests that were answered with an error.
    pub refused: u64,
    /// Malformed or oversized stanzas that cannot or must not be answered.
    pub dropped: u64,
    /// Stanzas written.
    pub sent: u64,
    /// Connections that were established.
    pub sessions: u64,
}

#[derive(Debug, Default)]
pub(super) struct LinkCounters {
    pub(super) received: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) sessions: AtomicU64,
}

/// The state of the link. Sessions are numbered from 1; 0 means that there is none.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkState {
    pub(super) session: u64,
    pub(super) trouble: Option<Arc<str>>,
}

/// Sends stanzas. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wire {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    domain: BareJid,
    most: usize,
    queue: mpsc::UnboundedSender<Outgoing>,
    room: Arc<Semaphore>,
    state: watch::Sender<LinkState>,
    conflict: watch::Sender<Option<NameConflict>>,
    /// The server has taken everything that was sent on this connection before this time.
    proven: watch::Sender<Option<(u64, Instant)>>,
    counters: Arc<LinkCounters>,
    renewal: Notify,
}

/// A stanza waiting to be written, with its share of [`WAITING_BYTES`].
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) session: u64,
    pub(super) bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// A stanza that passed the check.
struct Checked {
    bytes: Vec<u8>,
    /// Set if the bytes are an error answer instead of the stanza.
    refused: Option<Unsent>,
}

impl Wire {
    pub(super) fn new(domain: BareJid, most: usize) -> (Wire, mpsc::UnboundedReceiver<Outgoing>) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let shared = Shared {
            domain,
            most,
            queue,
            room: Arc::new(Semaphore::new(WAITING_BYTES)),
            state: watch::Sender::default(),
            conflict: watch::Sender::default(),
            proven: watch::Sender::default(),
            counters: Arc::default(),
            renewal: Notify::new(),
        };
        (
            Wire {
                shared: Arc::new(shared),
            },
            waiting,
        )
    }

    /// Sends a stanza that is already encoded, with its addresses (an answer of the fast path).
    pub(super) async fn send_written(&self, bytes: Vec<u8>) -> Result<(), Unsent> {
        let session = self.session();
        let room = Arc::clone(&self.shared.room);
        let cost = cost(&bytes);
        let room = match Arc::clone(&room).try_acquire_many_owned(cost) {
            Ok(room) => room,
            // The semaphore is never closed.
            Err(_) => room
                .acquire_many_owned(cost)
                .await
                .map_err(|_| Unsent::Down)?,
        };
        let checked = Checked {
            bytes,
            refused: None,
        };
        self.enqueue(session, checked, room)
    }

    /// Replaces this connection by a new one: ejabberd gives lost grants back only to a new one.
    pub fn renew(&self) {
        self.shared.renewal.notify_waiters();
    }

    /// Resolves at the next call of [`Wire::renew`].
    pub(super) async fn renewal(&self) {
        self.shared.renewal.notified().await;
    }

    /// Our domain.
    #[must_use]
    pub fn domain(&self) -> &BareJid {
        &self.shared.domain
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.session() != 0
    }

    /// Why there is no connection, as a sentence; `None` while there is one, or before the first attempt has failed.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared
            .state
            .borrow()
            .trouble
            .as_deref()
            .map(str::to_owned)
    }

    /// Whether another connection has our name, as it changes.
    #[must_use]
    pub fn conflict(&self) -> watch::Receiver<Option<NameConflict>> {
        self.shared.conflict.subscribe()
    }

    pub(super) fn set_conflict(&self, now: Option<NameConflict>) {
        self.shared.conflict.send_if_modified(|conflict| {
            let differs = *conflict != now;
            *conflict = now;
            differs
        });
    }

    /// The counters so far.
    #[must_use]
    pub fn tally(&self) -> LinkTally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        LinkTally {
            received: read(&counters.received),
            refused: read(&counters.refused),
            dropped: read(&counters.dropped),
            sent: read(&counters.sent),
            sessions: read(&counters.sessions),
        }
    }

    /// Sends a stanza; waits while too much is waiting already. A missing `from` becomes our domain.
    ///
    /// `Ok` means that it is queued for this connection, not that it has arrived.
    ///
    /// # Errors
    /// [`Unsent`]; the connection is not affected.
    pub async fn send(&self, stanza: Stanza) -> Result<(), Unsent> {
        let mut state = self.shared.state.subscribe();
        let session = state.borrow_and_update().session;
        if session == 0 {
            return Err(Unsent::Down);
        }
        let checked = self.check(stanza)?;
        let room = self
            .shared
            .room
            .clone()
            .acquire_many_owned(cost(&checked.bytes));
        let room = tokio::select! {
            biased;
            // The semaphore is never closed.
            room = room => room.map_err(|_| Unsent::Down)?,
            _ = state.wait_for(|state| state.session != session) => return Err(Unsent::Down),
        };
        self.enqueue(session, checked, room)
    }

    /// Sends a stanza behind everything that was sent before; `false` if there is no room, or it cannot be sent.
    pub(super) fn try_send(&self, stanza: Stanza) -> bool {
        let (session, Ok(checked)) = (self.session(), self.check(stanza)) else {
            return false;
        };
        let room = Arc::clone(&self.shared.room);
        let room = room.try_acquire_many_owned(cost(&checked.bytes));
        session != 0 && room.is_ok_and(|room| self.enqueue(session, checked, room).is_ok())
    }

    /// Number of the current connection; 0: none.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.session()
    }

    /// A connection, and a time before which the server has taken everything that was sent on it; `None`: unknown.
    #[must_use]
    pub fn proven(&self) -> Option<(u64, Instant)> {
        *self.shared.proven.borrow()
    }

    pub(super) fn prove(&self, until: Instant) {
        let session = self.session();
        if session != 0 {
            self.shared.proven.send_replace(Some((session, until)));
        }
    }

    /// Sends stanzas without reporting failures to the caller; they are logged.
    pub async fn send_all(&self, stanzas: Vec<Stanza>) {
        for stanza in stanzas {
            if let Err(why) = self.send(stanza).await {
                tracing::warn!(%why, "a stanza was not sent");
            }
        }
    }

    fn enqueue(
        &self,
        session: u64,
        checked: Checked,
        room: OwnedSemaphorePermit,
    ) -> Result<(), Unsent> {
        if self.session() != session {
            return Err(Unsent::Down);
        }
        let out = Outgoing {
            session,
            bytes: checked.bytes,
            _room: room,
        };
        self.shared.queue.send(out).map_err(|_| Unsent::Down)?;
        checked.refused.map_or(Ok(()), Err)
    }

    /// Checks and corrects a stanza.
    fn check(&self, mut stanza: Stanza) -> Result<Checked, Unsent> {
        let (from, to) = addresses(&mut stanza);
        match from {
            None => *from = Some(self.shared.domain.clone().into()),
            Some(jid) if jid.domain() == self.shared.domain.domain() => {}
            Some(jid) => return Err(Unsent::ForeignFrom(jid.clone())),
        }
        if to.is_none() {
            return Err(Unsent::NoTo);
        }
        let (fault, refused) = match encode(&stanza) {
            Ok(bytes) if bytes.len() <= self.shared.most => {
                return Ok(Checked {
                    bytes,
                    refused: None,
                });
            }
            Ok(bytes) => (
                Fault::AnswerTooLarge,
                Unsent::TooLarge {
                    bytes: bytes.len(),
                    most: self.shared.most,
                },
            ),
            Err(error) => (Fault::Internal, Unsent::NotXml(error.to_string())),
        };
        // The peer waits for an answer, so it gets an error.
        let answer = match stanza {
            Stanza::Iq(
                Iq::Result {
                    from: Some(from),
                    to: Some(to),
                    id,
                    ..
                }
                | Iq::Error {
                    from: Some(from),
                    to: Some(to),
                    id,
                    ..
                },
            ) => fault.answer(from, to, id),
            _ => return Err(refused),
        };
        match encode(&answer) {
            Ok(bytes) if bytes.len() <= self.shared.most => Ok(Checked {
                bytes,
                refused: Some(refused),
            }),
            _ => Err(refused),
        }
    }

    pub(super) fn session(&self) -> u64 {
        self.shared.state.borrow().session
    }

    pub(super) fn state(&self) -> watch::Receiver<LinkState> {
        self.shared.state.subscribe()
    }

    pub(super) fn counters(&self) -> &LinkCounters {
        &self.shared.counters
    }

    /// Begins a session; returns its number.
    pub(super) fn open(&self) -> u64 {
        let session = self
            .shared
            .counters
            .sessions
            .fetch_add(1, Ordering::Relaxed)
            + 1;
        self.shared.state.send_replace(LinkState {
            session,
            trouble: None,
        });
        session
    }

    /// Ends the session, with the reason.
    pub(super) fn close(&self, trouble: Option<String>) {
        self.shared.state.send_replace(LinkState {
            session: 0,
            trouble: trouble.map(Arc::from),
        });
    }
}

fn cost(bytes: &[u8]) -> u32 {
    // A stanza that costs more than the maximum would wait forever, so its cost is limited to the maximum.
    u32::try_from((bytes.len() + OVERHEAD).min(WAITING_BYTES)).unwrap_or(u32::MAX)
}

fn addresses(stanza: &mut Stanza) -> (&mut Option<Jid>, &mut Option<Jid>) {
    match stanza {
        Stanza::Iq(
            Iq::Get { from, to, .. }
            | Iq::Set { from, to, .. }
            | Iq::Result { from, to, .. }
            | Iq::Error { from, to, .. },
        ) => (from, to),
        Stanza::Message(message) => (&mut message.from, &mut message.to),
        Stanza::Presence(presence) => (&mut presence.from, &mut presence.to),
    }
}

/// The bytes of a stanza in the stream.
pub(super) fn encode(stanza: &Stanza) -> Result<Vec<u8>, xso::error::Error> {
    let mut bytes = xso::to_vec(stanza)?;
    // The stream header declares this namespace, so stanzas need not repeat it.
    let declaration = format!(" xmlns='{NS_COMPONENT}'");
    let name = bytes
        .iter()
        .position(|byte| matches!(byte, b' ' | b'>' | b'/'))
        .unwrap_or(0);
    if bytes[name..].starts_with(declaration.as_bytes()) {
        bytes.drain(name..name + declaration.len());
    }
    if is_read(stanza) {
        let lang = format!(" xml:lang='{LANG}'");
        bytes.splice(name..name, lang.into_bytes());
    }
    Ok(bytes)
}

/// Whether the stanza has text for people that does not state its language (RFC 6120, 8.1.5). Texts of errors and
/// commands do.
fn is_read(stanza: &Stanza) -> bool {
    match stanza {
        Stanza::Message(message) => !message.bodies.is_empty(),
        Stanza::Presence(presence) => !presence.statuses.is_empty(),
        Stanza::Iq(_) => false,
    }
}
