//! Requests of ours and their answers.
//!
//! An answer counts only if both its id and its sender match (an id alone may be guessed or replayed: CVE-2024-46957
//! in another library). Ids are random. Every request ends with an answer, at its time limit, or with the link.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minidom::Element;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::Jid;

use super::payload::one_line;
use super::stanza::{NS_COMPONENT, Received, StanzaKind};
use super::wire::{Unsent, Wire};

/// Maximum number of open requests. Further ones wait; the wait counts toward their time limit.
pub const IN_FLIGHT: usize = 256;

const NS_PRIVILEGE: &str = "urn:xmpp:privilege:2";
const NS_STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// The type of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `get`
    Get,
    /// `set`
    Set,
}

impl Verb {
    /// The value of the attribute `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Set => "set",
        }
    }
}

/// A request to send.
#[derive(Debug, Clone, PartialEq)]
pub struct IqRequest {
    /// The receiver. Only an answer from exactly this address counts.
    pub to: Jid,
    /// Our address: the domain or an address below it; `None` is the domain itself.
    pub from: Option<Jid>,
    /// The type of the IQ.
    pub verb: Verb,
    /// Its only child.
    pub payload: Element,
    /// Time limit for the answer, including the wait for one of the [`IN_FLIGHT`] permits.
    pub timeout: Duration,
}

impl IqRequest {
    /// A request from our domain.
    #[must_use]
    pub fn new(to: Jid, verb: Verb, payload: Element, timeout: Duration) -> Self {
        IqRequest {
            to,
            from: None,
            verb,
            payload,
            timeout,
        }
    }

    /// The same request from another address of ours.
    #[must_use]
    pub fn from(mut self, from: Jid) -> Self {
        self.from = Some(from);
        self
    }

    fn into_iq(self, id: String) -> Iq {
        let IqRequest {
            to,
            from,
            verb,
            payload,
            ..
        } = self;
        let to = Some(to);
        match verb {
            Verb::Get => Iq::Get {
                from,
                to,
                id,
                payload,
            },
            Verb::Set => Iq::Set {
                from,
                to,
                id,
                payload,
            },
        }
    }
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// The answer was an error.
    #[error("the server refused ({0})")]
    Refused(StanzaRefusal),
    /// No answer in time. The request may have been carried out nonetheless.
    #[error("the server did not answer")]
    Silent,
    /// The link is down, or went down before the answer. The request may have been carried out nonetheless.
    #[error("the link to the server is down")]
    LinkDown,
    /// The server sent our own privileged request back as a request (ejabberd up to 24.12, `mod_privilege`).
    #[error("the server sent our own request back")]
    Echoed,
    /// It answered, with a stanza that is over the limits of one or not well-formed.
    #[error("the answer could not be read")]
    Unreadable,
    /// It was not sent; with the reason in words.
    #[error("the request could not be sent: {0}")]
    Unsent(String),
}

impl Unanswered {
    fn busy() -> Self {
        Unanswered::Unsent(String::from("too many requests are waiting"))
    }
}

impl From<Unsent> for Unanswered {
    fn from(why: Unsent) -> Self {
        match why {
            Unsent::Down => Unanswered::LinkDown,
            why => Unanswered::Unsent(why.to_string()),
        }
    }
}

/// A stanza error (RFC 6120, 8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaRefusal {
    /// Name of the defined condition, e.g. `forbidden`; `undefined-condition` if there is none.
    pub condition: String,
    /// The text, if there is one.
    pub text: Option<String>,
    /// `true`: the error was inside a wrapped answer (XEP-0356), so the inner request was refused. `false`: the outer
    /// IQ was refused, so a wrapped request never ran.
    pub is_wrapped: bool,
}

impl StanzaRefusal {
    /// Reads the `<error/>` child of a stanza, in any namespace; `undefined-condition` if there is none.
    #[must_use]
    pub fn read(stanza: &Element) -> Self {
        let error = stanza.children().find(|child| child.name() == "error");
        let condition = error.and_then(|error| {
            error
                .children()
                .find(|child| child.has_ns(NS_STANZAS) && child.name() != "text")
        });
        let text = error.and_then(|error| error.get_child("text", NS_STANZAS));
        StanzaRefusal {
            condition: condition
                .map_or("undefined-condition", Element::name)
                .to_owned(),
            text: text.map(Element::text).filter(|text| !text.is_empty()),
            is_wrapped: false,
        }
    }
}

impl fmt::Display for StanzaRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.condition)?;
        match &self.text {
            Some(text) => write!(f, ": {}", one_line(text, 200)),
            None => Ok(()),
        }
    }
}

/// What [`Asker::route`] did with a stanza.
// It is matched where it is made and never stored, so a box would only cost an allocation per stanza.
#[expect(clippy::large_enum_variant)]
#[derive(Debug, PartialEq)]
pub enum Routed {
    /// An answer, delivered to the task that asked.
    Delivered,
    /// A result or error that nobody waits for: too late, or forged. It was dropped.
    Stray,
    /// Not an answer to us; the router handles it.
    NotMine(Received),
}

/// Sends requests and waits for their answers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Asker {
    wire: Wire,
    open: Arc<Mutex<HashMap<String, Open>>>,
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct Open {
    /// The address that was asked, and therefore must answer.
    peer: Jid,
    answer: oneshot::Sender<IqResult>,
}

type IqResult = Result<Element, Unanswered>;

impl Asker {
    /// An asker over this wire. Every stanza that arrives must pass [`Asker::route`].
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Asker {
            wire,
            open: Arc::default(),
            permits: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    /// Sends a request and waits for the answer until its time limit. Returns the IQ of type `result`, or of type
    /// `error` without its own `<error/>` (a wrapped privileged answer, whose reason is inside).
    ///
    /// # Errors
    /// [`Unanswered`] if no result came back.
    pub async fn ask(&self, question: IqRequest) -> Result<Element, Unanswered> {
        let mut sent = false;
        let limit = question.timeout;
        let asked = timeout(limit, self.ask_without_end(question, &mut sent)).await;
        asked.unwrap_or(Err(if sent {
            Unanswered::Silent
        } else {
            Unanswered::busy()
        }))
    }

    async fn ask_without_end(&self, question: IqRequest, sent: &mut bool) -> IqResult {
        let mut state = self.wire.state();
        let session = state.borrow_and_update().session;
        if session == 0 {
            return Err(Unanswered::LinkDown);
        }
        let lost = state.wait_for(move |state| state.session != session);
        tokio::pin!(lost);
        // The semaphore is never closed.
        let _permit = tokio::select! {
            permit = self.permits.acquire() => permit.map_err(|_| Unanswered::busy())?,
            _ = &mut lost => return Err(Unanswered::LinkDown),
        };
        let (id, to_hear) = self.enter(question.to.clone())?;
        let _forget = Forget {
            open: &self.open,
            id: &id,
        };
        self.wire.send(question.into_iq(id.clone()).into()).await?;
        *sent = true;
        tokio::select! {
            // An answer counts even if the link has gone down since.
            biased;
            answer = to_hear => answer.unwrap_or(Err(Unanswered::LinkDown)),
            _ = lost => Err(Unanswered::LinkDown),
        }
    }

    fn enter(&self, peer: Jid) -> Result<(String, oneshot::Receiver<IqResult>), Unanswered> {
        let mut random = [0; 16];
        // Without randomness the id could be guessed, so do not ask.
        getrandom::fill(&mut random).map_err(|_| Unanswered::busy())?;
        let id = hex::encode(random);
        let (answer, to_hear) = oneshot::channel();
        lock(&self.open).insert(id.clone(), Open { peer, answer });
        Ok((id, to_hear))
    }

    /// Delivers a stanza if it is an answer to an open request.
    pub fn route(&self, received: Received) -> Routed {
        if received.kind != StanzaKind::Iq {
            return Routed::NotMine(received);
        }
        let request = received.is_request();
        // An IQ always has an id.
        let id = received.header.id.as_deref().unwrap_or("");
        let question = {
            let mut open = lock(&self.open);
            let matches = open
                .get(id)
                .is_some_and(|question| question.peer == received.header.from);
            if matches && (!request || is_echo(&received.element)) {
                open.remove(id)
            } else {
                None
            }
        };
        let Some(question) = question else {
            if request {
                return Routed::NotMine(received);
            }
            tracing::debug!(from = %received.header.from, "an answer nobody waits for");
            return Routed::Stray;
        };
        let answer = if request {
            Err(Unanswered::Echoed)
        } else {
            answer(received.element)
        };
        // The task may have given up at this moment.
        let _ = question.answer.send(answer);
        Routed::Delivered
    }

    /// An answer arrived that could not be read; whoever asked that question learns of it.
    pub fn unreadable(&self, from: &Jid, id: &str) {
        let question = {
            let mut open = lock(&self.open);
            match open.get(id) {
                Some(question) if question.peer == *from => open.remove(id),
                _ => None,
            }
        };
        if let Some(question) = question {
            // Whoever asked may have given up in this very moment.
            let _ = question.answer.send(Err(Unanswered::Unreadable));
        }
    }

    /// Whether a request to this address is open.
    #[must_use]
    pub fn awaits(&self, peer: &Jid) -> bool {
        lock(&self.open)
            .values()
            .any(|question| question.peer == *peer)
    }

    /// Number of open requests.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.open).len()
    }
}

/// COMPAT: ejabberd 24.12 takes a privileged IQ whose inner `to` equals its outer one for the answer to itself, and
/// sends it back as a get or set with our id: wrapped like an answer (`<privilege/>`), or unchanged
/// (`<privileged_iq/>`).
fn is_echo(element: &Element) -> bool {
    element.children().any(|child| child.has_ns(NS_PRIVILEGE))
}

fn answer(element: Element) -> IqResult {
    if element.attr("type") == Some("error") && element.has_child("error", NS_COMPONENT) {
        return Err(Unanswered::Refused(StanzaRefusal::read(&element)));
    }
    Ok(element)
}

/// Removes a request when it ends in any way.
struct Forget<'a> {
    open: &'a Mutex<HashMap<String, Open>>,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(self.open).remove(self.id);
    }
}

/// A panic while the lock is held leaves the map intact, because each change is a single call.
fn lock(open: &Mutex<HashMap<String, Open>>) -> MutexGuard<'_, HashMap<String, Open>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
