//! Keeps a component connected (XEP-0114): dials, shakes hands, runs, and reconnects after a loss, reporting the
//! cause.
//!
//! A link never gives up, with one exception: if the first handshake fails for a reason that only a change of
//! settings can fix, [`Link::run`] ends with [`Fatal`], so that a wrong secret is noticed at once.

mod backoff;
mod cause;
mod connect;
mod fast_path;
mod inbound;
mod login;
mod name_watch;
mod session;
mod tls;

use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::{BareJid, Jid};

use super::guard::{Limits, Trust};
use super::secret::Secret;
use super::stanza::Received;
use super::wire::{Outgoing, Wire};
use backoff::{Distance, Patience, delay};
use fast_path::FastPath;
use name_watch::NameWatch;

pub use cause::Cause;
pub use connect::{Connection, Dial, Duplex};
pub use fast_path::InHand;
pub use tls::Tls;

/// Number of stanzas that may wait for the program before the link stops reading.
pub const INCOMING: usize = 256;
/// Approximate memory in bytes of all stanzas that the program has not dealt with. A single stanza may take all of
/// it.
pub const INCOMING_BYTES: usize = 8 * 1024 * 1024;
/// After a connection that lasted this long, the first reconnect is immediate.
const STEADY: Duration = Duration::from_secs(10);
/// The same trouble is logged again after this long.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Settings of the link.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The domain of our component.
    pub domain: BareJid,
    /// host:port of the component listener.
    pub server: String,
    /// The secret shared with the server.
    pub secret: Secret,
    /// Direct TLS; `None`: plain TCP.
    pub tls: Option<Tls>,
    /// Whether plain TCP to another machine is allowed.
    pub allow_plain_remote: bool,
    /// Limits of a stanza in either direction; [`Limits::stanza_bytes`] also limits what is sent.
    pub limits: Limits,
    /// Time limits.
    pub timings: Timings,
}

impl Settings {
    /// Plain TCP to this machine, everything else by default.
    #[must_use]
    pub fn new(domain: BareJid, server: String, secret: Secret) -> Self {
        Settings {
            domain,
            server,
            secret,
            tls: None,
            allow_plain_remote: false,
            limits: Limits::default(),
            timings: Timings::default(),
        }
    }
}

/// Time limits of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// From dialling to the end of the handshake.
    pub login: Duration,
    /// Without the server reading a byte.
    pub write: Duration,
    /// Without a byte from the server, before we send a ping.
    pub silence: Duration,
    /// From our ping to the next byte.
    pub answer: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            login: Duration::from_secs(20),
            write: Duration::from_secs(20),
            silence: Duration::from_secs(60),
            answer: Duration::from_secs(20),
        }
    }
}

/// Events of the link, for the program.
// Nearly all of them are stanzas, so a box would only cost an allocation each.
#[expect(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Incoming {
    /// The handshake succeeded. Grants, rooms and subscriptions must be set up again.
    Up,
    /// The connection of the last [`Incoming::Up`] has ended. The link reconnects by itself.
    Down {
        /// Why.
        why: Cause,
    },
    /// An IQ of type result or error that could not be read: over a limit, or not well-formed. Whoever asked should know,
    /// or what a user stores could silence every question about it.
    Unreadable {
        /// Who answered.
        from: Jid,
        /// The id of the question.
        id: String,
    },
    /// A stanza; it counts as in hand until [`InHand`] is dropped. The receiver must answer every IQ get or set.
    Stanza(Received, InHand),
}

/// Why the program cannot start: a setting must be changed.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Fatal(#[source] pub Cause);

/// The connection to the server. [`Link::run`] keeps it up.
pub struct Link {
    settings: Settings,
    dial: Dial,
    wire: Wire,
    queue: mpsc::UnboundedReceiver<Outgoing>,
    events: mpsc::Sender<Incoming>,
    fast_path: FastPath,
    trust: Option<Trust>,
    name_watch: NameWatch,
    /// The trouble that was logged last, and when.
    logged: Option<(String, Instant)>,
}

impl Link {
    /// A link to the server in the settings; also returns the wire to send with, and the incoming events.
    #[must_use]
    pub fn new(settings: Settings) -> (Link, Wire, mpsc::Receiver<Incoming>) {
        let dial = connect::dialer(&settings);
        Link::over(settings, dial)
    }

    /// A link over other connections than TCP, e.g. pipes in a test.
    #[must_use]
    pub fn over(mut settings: Settings, dial: Dial) -> (Link, Wire, mpsc::Receiver<Incoming>) {
        settings.domain = BareJid::from_parts(None, settings.domain.domain());
        let (events, incoming) = mpsc::channel(INCOMING);
        let (wire, queue) = Wire::new(settings.domain.clone(), settings.limits.stanza_bytes);
        let name_watch = NameWatch::new(settings.domain.clone());
        (
            Link {
                settings,
                dial,
                wire: wire.clone(),
                queue,
                events,
                fast_path: FastPath::default(),
                trust: None,
                name_watch,
                logged: None,
            },
            wire,
            incoming,
        )
    }

    /// Lets `answer` answer frames before they are parsed. It must read memory only and never wait, and returns the
    /// whole answer as bytes. It is called only while no earlier stanza is in hand.
    #[must_use]
    pub fn answering(
        mut self,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Link {
        self.fast_path = FastPath::new(answer);
        self
    }

    /// Refuses large stanzas from anybody else before they are parsed
    /// ([`STRANGER_BYTES`](super::guard::STRANGER_BYTES)).
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Link {
        self.trust = Some(trust);
        self
    }

    /// Connects, and reconnects until told to stop or until the program no longer listens.
    ///
    /// # Errors
    /// [`Fatal`] if the first login fails for a reason that only a change of settings can fix.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Fatal> {
        let ended = self.keep_up(&shutdown).await;
        self.wire.close(Some("portcullis is stopping".to_owned()));
        ended
    }

    async fn keep_up(&mut self, shutdown: &CancellationToken) -> Result<(), Fatal> {
        let mut ever_up = false;
        let mut tries = 0;
        let mut patience = Patience::Short;
        loop {
            // `held` is how long the connection lasted, if there was one.
            let (cause, held) = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                line = self.connect() => match line {
                    Err(cause) => (cause, None),
                    Ok(line) => {
                        ever_up = true;
                        let since = Instant::now();
                        match self.session(line, shutdown).await {
                            Ok(()) => return Ok(()),
                            Err(cause) => (cause, Some(since.elapsed())),
                        }
                    }
                },
            };
            if matches!(cause, Cause::Conflict { .. }) {
                self.name_watch.refused();
                self.name_watch.publish(&self.wire);
            }
            if matches!(cause, Cause::Deaf) {
                return Ok(());
            }
            if cause.is_setting() && !ever_up {
                return Err(Fatal(cause));
            }
            // A different kind of failure starts its own count.
            if held.is_some_and(|held| held >= STEADY) || cause.patience() != patience {
                tries = 0;
            }
            patience = cause.patience();
            let distance = Distance::of(&self.settings.server);
            let pause = delay(patience, distance, tries, chance());
            tries = tries.saturating_add(1);
            self.report(&cause, pause);
            let down = Incoming::Down { why: cause };
            if held.is_some() && !tell(&self.events, down, shutdown).await {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = sleep(pause) => {}
            }
        }
    }

    async fn connect(&mut self) -> Result<login::Established, Cause> {
        let limit = self.settings.timings.login;
        let line = (self.dial)();
        let login = async { login::login(line.await?, &self.settings).await };
        timeout(limit, login)
            .await
            .unwrap_or(Err(Cause::LoginTimeout(limit)))
    }

    /// Runs one connection. When it ends, the wire is closed before anybody is told, so that nothing is sent in
    /// between.
    async fn session(
        &mut self,
        mut line: login::Established,
        shutdown: &CancellationToken,
    ) -> Result<(), Cause> {
        line.inbound.trust(self.trust.clone());
        self.name_watch.begin();
        let session = self.wire.open();
        self.logged = None;
        tracing::info!(domain = %self.settings.domain, server = %self.settings.server, session, "connected to the XMPP server");
        let ended = if tell(&self.events, Incoming::Up, shutdown).await {
            let (wire, queue, events) = (&self.wire, &mut self.queue, &self.events);
            let outlets = session::Outlets {
                wire,
                queue,
                events,
                fast_path: &self.fast_path,
                name_watch: &mut self.name_watch,
            };
            session::run(line, &self.settings, outlets, shutdown).await
        } else {
            Err(Cause::Deaf)
        };
        self.wire.close(ended.as_ref().err().map(Cause::to_string));
        ended
    }

    fn report(&mut self, cause: &Cause, pause: Duration) {
        let server = &self.settings.server;
        let trouble = cause.to_string();
        self.wire.close(Some(trouble.clone()));
        // A server on this machine is tried twice a second; the same trouble is one line a minute.
        let is_known = self
            .logged
            .as_ref()
            .is_some_and(|(last, at)| *last == trouble && at.elapsed() < LOG_PAUSE);
        if is_known {
            tracing::debug!(%server, ?pause, "no link to the XMPP server: {cause}");
            return;
        }
        self.logged = Some((trouble, Instant::now()));
        if cause.is_setting() || matches!(cause, Cause::Conflict { .. }) {
            tracing::error!(%server, ?pause, "no link to the XMPP server: {cause}");
        } else {
            tracing::warn!(%server, ?pause, "no link to the XMPP server: {cause}");
        }
    }
}

/// Reports an event to the program; `false` if it no longer listens. A program that is stopping may be slow.
async fn tell(
    events: &mpsc::Sender<Incoming>,
    event: Incoming,
    shutdown: &CancellationToken,
) -> bool {
    tokio::select! {
        biased;
        told = events.send(event) => told.is_ok(),
        () = shutdown.cancelled() => false,
    }
}

/// Jitter needs no secrecy; without randomness the middle is used.
fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
