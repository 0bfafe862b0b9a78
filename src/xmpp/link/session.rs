//! One connection, from the handshake to its end. Reader and writer run concurrently and never wait for each other.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::{FullJid, Jid};
use xmpp_parsers::ping::Ping;

use super::fast_path::FastPath;
use super::inbound::{Arrived, Inbound};
use super::login::Established;
use super::name_watch::NameWatch;
use super::{Cause, Incoming, Settings};
use crate::core::as_written;
use crate::xmpp::fault::Fault;
use crate::xmpp::stanza::{Defect, Malformed, Received, Top};
use crate::xmpp::wire::{self, Outgoing, Wire};

/// Approximate maximum number of bytes per write.
const BATCH: usize = 64 * 1024;
/// Maximum number of waiting error answers and pings of the link itself. A flood of bad requests beyond it is not
/// answered.
const OWN: usize = 64;
/// Maximum number of answers of the fast path that wait to be written.
const ANSWERS: usize = 64;
/// Approximate memory of stanzas in bytes that are parsed before waiting answers are written.
const PARSED: usize = 16 * 1024;
/// Time for the program to answer what it has taken when we stop.
const ANSWERED: Duration = Duration::from_secs(1);
/// Time for our last bytes and the server's end tag when we stop.
const STOP: Duration = Duration::from_secs(1);

/// Where a session takes stanzas from and delivers them to.
pub(super) struct Outlets<'a> {
    pub(super) wire: &'a Wire,
    pub(super) queue: &'a mut mpsc::UnboundedReceiver<Outgoing>,
    pub(super) events: &'a mpsc::Sender<Incoming>,
    pub(super) fast_path: &'a FastPath,
    pub(super) name_watch: &'a mut NameWatch,
}

/// Runs a session to its end. `Ok`: it stopped because it was asked to.
///
/// A renewed session closes the old stream first: on ejabberd a second connection would lose its grants when the
/// first one ends.
pub(super) async fn run(
    line: Established,
    settings: &Settings,
    outlets: Outlets<'_>,
    shutdown: &CancellationToken,
) -> Result<(), Cause> {
    let Outlets {
        wire,
        queue,
        events,
        fast_path,
        name_watch,
    } = outlets;
    let session = wire.session();
    let (own, own_waiting) = mpsc::channel(OWN);
    let closing = CancellationToken::new();
    let mut writer = StreamWriter {
        io: line.writer,
        queue,
        own: own_waiting,
        session,
        wire,
        stuck: settings.timings.write,
    };
    let mut reader = StreamReader {
        inbound: line.inbound,
        settings,
        wire,
        own,
        events,
        fast_path,
        name_watch,
        nobody: nobody(wire)?,
        pinged: None,
        closing: &closing,
    };
    let write = writer.run(&closing);
    let read = reader.run();
    tokio::pin!(write, read);
    // The writer is polled first: each time the task wakes, all waiting answers leave together before reading
    // continues. The reader yields when its socket is empty or tokio's budget (128 stanzas) is used up; then the
    // writer flushes.
    let ended = tokio::select! {
        biased;
        ended = &mut write => return ended,
        cause = &mut read => return Err(cause),
        () = shutdown.cancelled() => Ok(()),
        () = wire.renewal() => Err(Cause::Renewed),
    };
    if ended.is_ok() {
        // Nothing more is read, and what was taken is answered: a hook module reports again what got no answer, and
        // the next program would count it twice.
        let answered = async {
            tokio::select! {
                biased;
                ended = &mut write => Some(ended),
                () = fast_path.idle() => None,
            }
        };
        if let Ok(Some(ended)) = timeout(ANSWERED, answered).await {
            return ended;
        }
    }
    closing.cancel();
    let last = async { tokio::join!(write, read) };
    // The reader ends at the server's end tag or at the time limit; either is a clean stop.
    let _ = timeout(STOP, last).await;
    ended
}

/// An unused address of ours, random per session, to which this session's pings go. A full JID: ejabberd 24.12 with
/// mod_privilege silently drops IQs to bare ones.
fn nobody(wire: &Wire) -> Result<FullJid, Cause> {
    let random =
        getrandom::u64().map_err(|error| Cause::Io(std::io::Error::other(error.to_string())))?;
    let jid = wire
        .domain()
        .with_resource_str(&format!("link-{random:016x}"));
    jid.map_err(|error| Cause::Io(std::io::Error::other(error)))
}

struct StreamWriter<'a, W> {
    io: W,
    queue: &'a mut mpsc::UnboundedReceiver<Outgoing>,
    own: mpsc::Receiver<Vec<u8>>,
    session: u64,
    wire: &'a Wire,
    stuck: Duration,
}

impl<W: AsyncWrite + Unpin> StreamWriter<'_, W> {
    async fn run(&mut self, closing: &CancellationToken) -> Result<(), Cause> {
        let mut batch = Vec::new();
        loop {
            let mut last = false;
            tokio::select! {
                biased;
                Some(bytes) = self.own.recv() => batch.extend_from_slice(&bytes),
                Some(out) = self.queue.recv() => self.take(out, &mut batch),
                () = closing.cancelled() => last = true,
            }
            self.gather(&mut batch);
            if last && batch.is_empty() {
                self.write(b"</stream:stream>").await?;
                // This ends TLS; the TCP connection stays readable for the server's end tag.
                let _ = timeout(self.stuck, self.io.shutdown()).await;
                return Ok(());
            }
            self.write(&batch).await?;
            batch.clear();
            batch.shrink_to(2 * BATCH);
        }
    }

    /// Adds everything that waits to the batch.
    fn gather(&mut self, batch: &mut Vec<u8>) {
        while batch.len() < BATCH {
            if let Ok(bytes) = self.own.try_recv() {
                batch.extend_from_slice(&bytes);
            } else if let Ok(out) = self.queue.try_recv() {
                self.take(out, batch);
            } else {
                return;
            }
        }
    }

    fn take(&self, out: Outgoing, batch: &mut Vec<u8>) {
        // Stanzas for an earlier connection answer requests that nobody waits for any more.
        if out.session == self.session {
            batch.extend_from_slice(&out.bytes);
            self.wire.counters().sent.fetch_add(1, Relaxed);
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Cause> {
        let stuck = |_| Cause::Stuck(self.stuck);
        while !bytes.is_empty() {
            let written = timeout(self.stuck, self.io.write(bytes))
                .await
                .map_err(stuck)??;
            if written == 0 {
                return Err(Cause::Closed);
            }
            bytes = &bytes[written..];
        }
        Ok(timeout(self.stuck, self.io.flush())
            .await
            .map_err(stuck)??)
    }
}

struct StreamReader<'a> {
    inbound: Inbound,
    settings: &'a Settings,
    wire: &'a Wire,
    own: mpsc::Sender<Vec<u8>>,
    events: &'a mpsc::Sender<Incoming>,
    fast_path: &'a FastPath,
    name_watch: &'a mut NameWatch,
    nobody: FullJid,
    /// When our ping was sent, if no bytes have arrived since.
    pinged: Option<Instant>,
    /// The stream is being closed: nothing is handed on any more.
    closing: &'a CancellationToken,
}

impl StreamReader<'_> {
    async fn run(&mut self) -> Cause {
        let mut answered = 0_usize;
        let mut parsed = 0_usize;
        loop {
            let timings = &self.settings.timings;
            let deadline = match self.pinged {
                Some(at) => at + timings.answer,
                None => self.inbound.last_read + timings.silence,
            };
            let announcing = self.name_watch.next();
            let fast_path = self.fast_path;
            let said = self.inbound.next_or(|frame| fast_path.answer(frame));
            let said = match timeout_at(deadline.min(announcing), said).await {
                Ok(said) => said,
                Err(_) if announcing <= Instant::now() => {
                    self.announce();
                    continue;
                }
                Err(_) => match self.silence() {
                    Ok(()) => continue,
                    Err(cause) => return cause,
                },
            };
            self.pinged = None;
            let top = match said {
                Ok(Arrived::Top(top)) => top,
                Ok(Arrived::Answered(answer)) => {
                    self.wire.counters().received.fetch_add(1, Relaxed);
                    if let Err(why) = self.wire.send_written(answer).await {
                        tracing::debug!(%why, "an answer was not sent");
                    }
                    answered += 1;
                    if answered.is_multiple_of(ANSWERS) {
                        // Without this yield a server that asks without pause would wait for its answers.
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                Ok(Arrived::Open(_)) => continue,
                Ok(Arrived::Close) => return Cause::Closed,
                Err(cause) => return cause,
            };
            let cost = self.inbound.cost();
            parsed += cost;
            if parsed >= PARSED {
                // An answer that is ready must not wait until later stanzas are parsed.
                tokio::task::yield_now().await;
                parsed = 0;
            }
            match top {
                Top::Stanza(_) if self.closing.is_cancelled() => {}
                Top::Stanza(received) => {
                    if self.is_own_ping(&received) {
                        continue;
                    }
                    if self.name_watch.take(&received) {
                        self.name_watch.publish(self.wire);
                        continue;
                    }
                    self.wire.counters().received.fetch_add(1, Relaxed);
                    let in_hand = self.fast_path.hand_on(cost).await;
                    let event = Incoming::Stanza(received, in_hand);
                    if self.events.send(event).await.is_err() {
                        return Cause::Deaf;
                    }
                }
                Top::Malformed(malformed) => match unreadable_answer(&malformed) {
                    Some(event) => {
                        self.wire.counters().dropped.fetch_add(1, Relaxed);
                        if self.events.send(event).await.is_err() {
                            return Cause::Deaf;
                        }
                    }
                    None => self.refuse(malformed),
                },
                Top::StreamError(error) => {
                    return Cause::of(error, self.settings.domain.as_str(), &self.settings.server);
                }
                Top::Handshake => {}
                Top::Unknown(name) => {
                    tracing::debug!(%name, "unknown element on the stream ignored")
                }
            }
        }
    }

    /// Tells other programs under our name that we are there.
    fn announce(&mut self) {
        for announcement in self.name_watch.burst() {
            // Behind all that waits, so that its return proves that the server has taken that.
            self.wire.try_send(announcement);
        }
        self.name_watch.publish(self.wire);
    }

    /// Called when the deadline passed without a frame. Bytes may have arrived nonetheless: white space, or part of a
    /// large stanza.
    fn silence(&mut self) -> Result<(), Cause> {
        let timings = &self.settings.timings;
        match self.pinged {
            Some(at) if self.inbound.last_read < at => return Err(Cause::Silent(timings.answer)),
            Some(_) => self.pinged = None,
            None if Instant::now() < self.inbound.last_read + timings.silence => {}
            None => {
                self.pinged = Some(Instant::now());
                let nobody = Jid::from(self.nobody.clone());
                let id = "ping".to_owned();
                let ping = Iq::Get {
                    from: Some(nobody.clone()),
                    to: Some(nobody),
                    id,
                    payload: Ping.into(),
                };
                self.send(ping.into());
            }
        }
        Ok(())
    }

    /// Whether this is our ping, or the error of a server that cannot route it. Either proves that the server is
    /// alive.
    fn is_own_ping(&self, received: &Received) -> bool {
        received.header.to == self.nobody
            && (received.header.from == self.nobody || !received.is_request())
    }

    /// Answers an IQ request that cannot be handed on; other malformed stanzas are dropped.
    fn refuse(&self, malformed: Malformed) {
        let counters = self.wire.counters();
        tracing::debug!(from = ?malformed.head.from, why = %malformed.why, "stanza refused");
        let sent = self
            .answer(malformed)
            .is_some_and(|answer| self.send(answer));
        let counter = if sent {
            &counters.refused
        } else {
            &counters.dropped
        };
        counter.fetch_add(1, Relaxed);
    }

    fn answer(&self, malformed: Malformed) -> Option<Stanza> {
        let Malformed { head, why } = malformed;
        // Answering an answer could go on forever.
        if head.name != "iq" || matches!(head.type_.as_deref(), Some("result" | "error")) {
            return None;
        }
        let fault = match why {
            Defect::Excess(excess) => Fault::Excess(excess),
            Defect::To => Fault::AddressMalformed,
            Defect::From | Defect::NoId => return None,
            Defect::Xml(_) | Defect::Type | Defect::Children => Fault::Malformed,
        };
        let asker = as_written::exact(&head.from?)?;
        let ours = |jid: &Jid| jid.domain() == self.wire.domain().domain();
        let asked = head.to.and_then(|to| Jid::new(&to).ok()).filter(ours);
        Some(fault.answer(
            asked.unwrap_or_else(|| self.wire.domain().clone().into()),
            asker,
            head.id?,
        ))
    }

    /// Never waits: if the writer is that far behind, the stanza is lost, or the write time-out ends the session.
    fn send(&self, stanza: Stanza) -> bool {
        wire::encode(&stanza).is_ok_and(|bytes| self.own.try_send(bytes).is_ok())
    }
}

/// For whoever asked, if this was meant to be an answer and tells to which question.
fn unreadable_answer(malformed: &Malformed) -> Option<Incoming> {
    let head = &malformed.head;
    if head.name != "iq" || !matches!(head.type_.as_deref(), Some("result" | "error")) {
        return None;
    }
    let (from, id) = (head.from.as_deref()?, head.id.clone()?);
    tracing::debug!(from, why = %malformed.why, "an answer could not be read");
    Some(Incoming::Unreadable {
        from: as_written::exact(from)?,
        id,
    })
}
