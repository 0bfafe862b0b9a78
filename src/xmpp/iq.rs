//! Asks and awaits: requests of ours and their answers.
//!
//! An answer counts only if both its id and its sender match (an id alone may be guessed or replayed: CVE-2024-46957 in
//! another library). Ids are random. Every question ends: with an answer, at its time limit, or with the link.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minidom::Element;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::Jid;

use super::stanza::{Kind, NS_COMPONENT, Received};
use super::wire::{Unsent, Wire};

/// Questions that may be open at once; more wait, on their own time limit.
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
    /// As the attribute has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Set => "set",
        }
    }
}

/// What to ask.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// An IQ of type get.
    Get(Element),
    /// An IQ of type set.
    Set(Element),
}

/// An answer: type `result`, or type `error` without an `<error/>` of its own (a wrapped privileged answer).
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The whole IQ, in `jabber:component:accept`.
    pub element: Element,
}

impl Reply {
    /// The first child of the IQ.
    #[must_use]
    pub fn payload(&self) -> Option<&Element> {
        self.element.children().next()
    }

    /// The outer type was `error`: the reason is inside the payload.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.element.attr("type") == Some("error")
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskFault {
    /// The other side answered with a stanza error.
    #[error("refused: {condition}{}", .text.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Defined condition, e.g. `forbidden`; `undefined-condition` if there was none.
        condition: String,
        /// Error type, e.g. `auth`; may be empty.
        type_: String,
        /// Words of the other side.
        text: Option<String>,
    },
    /// Our own privileged request came back as a request (ejabberd 24.12, `mod_privilege`).
    #[error("the server sent our privileged request back instead of carrying it out")]
    Echoed,
    /// No answer in time. What was asked for may have been done nonetheless.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Too many questions are open; this one was not sent.
    #[error("too many requests are waiting for an answer")]
    Busy,
    /// The connection was lost meanwhile. What was asked for may have been done nonetheless.
    #[error("the link to the server was lost before the answer came")]
    Lost,
    /// It was not sent.
    #[error(transparent)]
    Unsent(#[from] Unsent),
}

/// Whose a stanza is.
// Matched where it is made and never stored: a box would only cost an allocation for each request.
#[expect(clippy::large_enum_variant)]
#[derive(Debug, PartialEq)]
pub enum Routed {
    /// An answer, and delivered to who asked.
    Delivered,
    /// A result or error nobody waits for: too late, or forged. Dropped.
    Stray,
    /// Not an answer to us: it is the router's.
    NotMine(Received),
}

/// Asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Asker {
    wire: Wire,
    open: Arc<Mutex<HashMap<String, Question>>>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Question {
    /// Whom we asked, and therefore who may answer.
    peer: Jid,
    answer: oneshot::Sender<Result<Reply, AskFault>>,
}

impl Asker {
    /// An asker over this wire. All stanzas that arrive must pass [`Asker::route`].
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Asker {
            wire,
            open: Arc::default(),
            room: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    /// Asks `to`, as `from` (an address below our domain; our domain if `None`), and waits for the answer, `limit` at most.
    ///
    /// The answer must come from exactly the address asked, so ask under the address that will answer.
    pub async fn ask(
        &self,
        to: Jid,
        from: Option<Jid>,
        what: Ask,
        limit: Duration,
    ) -> Result<Reply, AskFault> {
        let mut sent = false;
        let asked = timeout(limit, self.ask_without_end(to, from, what, &mut sent)).await;
        asked.unwrap_or(if sent {
            Err(AskFault::Timeout(limit))
        } else {
            Err(AskFault::Busy)
        })
    }

    async fn ask_without_end(
        &self,
        to: Jid,
        from: Option<Jid>,
        what: Ask,
        sent: &mut bool,
    ) -> Result<Reply, AskFault> {
        let mut state = self.wire.state();
        let session = state.borrow_and_update().session;
        if session == 0 {
            return Err(Unsent::Down.into());
        }
        let lost = state.wait_for(move |state| state.session != session);
        tokio::pin!(lost);
        // The semaphore is never closed.
        let _room = tokio::select! {
            room = self.room.acquire() => room.map_err(|_| AskFault::Busy)?,
            _ = &mut lost => return Err(Unsent::Down.into()),
        };
        let (id, to_hear) = self.enter(to.clone())?;
        let _forget = Forget {
            open: &self.open,
            id: &id,
        };
        let (to, id) = (Some(to), id.clone());
        let iq = match what {
            Ask::Get(payload) => Iq::Get {
                from,
                to,
                id,
                payload,
            },
            Ask::Set(payload) => Iq::Set {
                from,
                to,
                id,
                payload,
            },
        };
        self.wire.send(iq.into()).await?;
        *sent = true;
        tokio::select! {
            // An answer that came is an answer, even if the link went down since.
            biased;
            answer = to_hear => answer.unwrap_or(Err(AskFault::Lost)),
            _ = lost => Err(AskFault::Lost),
        }
    }

    fn enter(
        &self,
        peer: Jid,
    ) -> Result<(String, oneshot::Receiver<Result<Reply, AskFault>>), AskFault> {
        let mut random = [0; 16];
        // Without randomness ids could be guessed: better not to ask.
        getrandom::fill(&mut random).map_err(|_| AskFault::Busy)?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let (answer, to_hear) = oneshot::channel();
        lock(&self.open).insert(id.clone(), Question { peer, answer });
        Ok((id, to_hear))
    }

    /// Takes an answer to a question of ours out of what arrives.
    pub fn route(&self, received: Received) -> Routed {
        if received.kind != Kind::Iq {
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
            Err(AskFault::Echoed)
        } else {
            answer(received.element)
        };
        // Whoever asked may have given up in this very moment.
        let _ = question.answer.send(answer);
        Routed::Delivered
    }

    /// Open questions.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.open).len()
    }
}

/// COMPAT: ejabberd 24.12 takes a privileged IQ whose inner `to` is its outer one for the answer to itself, and sends it
/// back as a get or set with our id: wrapped like an answer (`<privilege/>`), or as it was (`<privileged_iq/>`).
fn is_echo(element: &Element) -> bool {
    element.children().any(|child| child.has_ns(NS_PRIVILEGE))
}

fn answer(element: Element) -> Result<Reply, AskFault> {
    if element.attr("type") == Some("error")
        && let Some(error) = element.get_child("error", NS_COMPONENT)
    {
        return Err(refusal(error));
    }
    Ok(Reply { element })
}

/// Reads a stanza error (`<error/>` in any namespace, e.g. one inside a wrapped answer).
#[must_use]
pub fn refusal(error: &Element) -> AskFault {
    let condition = error
        .children()
        .find(|child| child.has_ns(NS_STANZAS) && child.name() != "text");
    AskFault::Refused {
        condition: condition
            .map_or("undefined-condition", Element::name)
            .to_owned(),
        type_: error.attr("type").unwrap_or("").to_owned(),
        text: error
            .get_child("text", NS_STANZAS)
            .map(Element::text)
            .filter(|text| !text.is_empty()),
    }
}

/// Forgets a question when it is over, however it ended.
struct Forget<'a> {
    open: &'a Mutex<HashMap<String, Question>>,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(self.open).remove(self.id);
    }
}

/// A panic elsewhere leaves the map whole: each change is a single call.
fn lock(open: &Mutex<HashMap<String, Question>>) -> MutexGuard<'_, HashMap<String, Question>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::xmpp::stanza::{Top, parse};
    use crate::xmpp::wire::Out;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;
    use xmpp_parsers::jid::BareJid;

    struct Scene {
        asker: Asker,
        wire: Wire,
        waiting: mpsc::UnboundedReceiver<Out>,
    }

    fn scene() -> Scene {
        let (wire, waiting) = Wire::new(BareJid::new("bot.example").unwrap(), 10_000);
        wire.open();
        Scene {
            asker: Asker::new(wire.clone()),
            wire,
            waiting,
        }
    }

    fn received(text: &str) -> Received {
        let framed = text.replacen("<iq", "<iq xmlns='jabber:component:accept'", 1);
        match parse(framed.as_bytes()) {
            Top::Stanza(received) => received,
            other => panic!("{other:?}"),
        }
    }

    impl Scene {
        /// Asks `to`; gives the task and the id that went out.
        async fn ask(&mut self, to: &str) -> (JoinHandle<Result<Reply, AskFault>>, String) {
            let (asker, to) = (self.asker.clone(), Jid::new(to).unwrap());
            let ask = Ask::Get(Element::bare("q", "u"));
            let task =
                tokio::spawn(async move { asker.ask(to, None, ask, Duration::from_secs(5)).await });
            let out = self.waiting.recv().await.unwrap();
            let sent = received(std::str::from_utf8(&out.bytes).unwrap());
            (task, sent.header.id.unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_matched_by_id_and_sender() {
        let mut scene = scene();
        let (task, id) = scene.ask("Alice@Example.org").await;
        let answer = |from: &str, id: &str| {
            received(&format!(
                "<iq type='result' from='{from}' to='bot.example' id='{id}'><r xmlns='u'/></iq>"
            ))
        };
        assert_eq!(
            scene.asker.route(answer("eve@example.org", &id)),
            Routed::Stray
        );
        assert_eq!(
            scene.asker.route(answer("alice@example.org/phone", &id)),
            Routed::Stray
        );
        assert_eq!(
            scene.asker.route(answer("alice@example.org", "x")),
            Routed::Stray
        );
        assert_eq!(
            scene.asker.route(answer("alice@EXAMPLE.org", &id)),
            Routed::Delivered
        );
        assert!(task.await.unwrap().unwrap().payload().unwrap().is("r", "u"));
        assert_eq!(
            scene.asker.route(answer("alice@example.org", &id)),
            Routed::Stray,
            "answered twice"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stanza_error_is_told_with_condition_type_and_text() {
        let mut scene = scene();
        let (task, id) = scene.ask("a@b").await;
        let error = format!(
            "<iq type='error' from='a@b' to='bot.example' id='{id}'><q xmlns='u'/><error type='auth'>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        );
        scene.asker.route(received(&error));
        let fault = AskFault::Refused {
            condition: "forbidden".into(),
            type_: "auth".into(),
            text: Some("no".into()),
        };
        assert_eq!(fault.to_string(), "refused: forbidden (no)");
        assert_eq!(task.await.unwrap(), Err(fault));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_without_an_error_child_is_handed_over_raw() {
        let mut scene = scene();
        let (task, id) = scene.ask("a@b").await;
        scene.asker.route(received(&format!(
            "<iq type='error' from='a@b' to='bot.example' id='{id}'><privilege xmlns='urn:xmpp:privilege:2'/></iq>"
        )));
        let reply = task.await.unwrap().unwrap();
        assert!(reply.is_error() && reply.payload().unwrap().is("privilege", NS_PRIVILEGE));
    }

    #[tokio::test(start_paused = true)]
    async fn our_privileged_request_coming_back_is_an_echo_and_not_a_request() {
        // As ejabberd 24.12 sends it, and as it would be unwrapped.
        let wrapped = "<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'>\
            <iq xmlns='jabber:client' type='get' id='in7'/></forwarded></privilege>";
        for payload in [wrapped, "<privileged_iq xmlns='urn:xmpp:privilege:2'/>"] {
            let mut scene = scene();
            let (task, id) = scene.ask("a@b").await;
            let echo = |from: &str| {
                received(&format!(
                    "<iq type='get' from='{from}' to='bot.example' id='{id}'>{payload}</iq>"
                ))
            };
            assert!(matches!(
                scene.asker.route(echo("eve@b")),
                Routed::NotMine(_)
            ));
            assert_eq!(scene.asker.route(echo("a@b")), Routed::Delivered);
            assert_eq!(task.await.unwrap(), Err(AskFault::Echoed));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_messages_are_left_to_the_router() {
        let mut scene = scene();
        let (task, id) = scene.ask("a@b").await;
        let request = received(&format!(
            "<iq type='get' from='a@b' to='bot.example' id='{id}'><q xmlns='u'/></iq>"
        ));
        assert_eq!(scene.asker.route(request.clone()), Routed::NotMine(request));
        assert_eq!(
            scene.asker.waiting(),
            1,
            "a request must not consume the question"
        );
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_times_out_and_leaves_nothing_behind() {
        let mut scene = scene();
        let (task, _) = scene.ask("a@b").await;
        assert_eq!(
            task.await.unwrap(),
            Err(AskFault::Timeout(Duration::from_secs(5)))
        );
        assert_eq!(scene.asker.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_given_up_leaves_nothing_behind() {
        let mut scene = scene();
        let (task, _) = scene.ask("a@b").await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(scene.asker.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn link_loss_ends_all_questions_at_once() {
        let mut scene = scene();
        let (first, _) = scene.ask("a@b").await;
        let (second, _) = scene.ask("c@d").await;
        let before = tokio::time::Instant::now();
        scene.wire.close(None);
        assert_eq!(first.await.unwrap(), Err(AskFault::Lost));
        assert_eq!(second.await.unwrap(), Err(AskFault::Lost));
        assert_eq!(before.elapsed(), Duration::ZERO);
        let ask = scene.asker.ask(
            Jid::new("a@b").unwrap(),
            None,
            Ask::Get(Element::bare("q", "u")),
            Duration::from_secs(5),
        );
        assert_eq!(ask.await, Err(AskFault::Unsent(Unsent::Down)));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_in_flight_are_bounded() {
        let mut scene = scene();
        let mut tasks = Vec::new();
        for _ in 0..IN_FLIGHT {
            tasks.push(scene.ask("a@b").await);
        }
        let ask = |limit| {
            scene.asker.ask(
                Jid::new("a@b").unwrap(),
                None,
                Ask::Get(Element::bare("q", "u")),
                limit,
            )
        };
        assert_eq!(ask(Duration::from_secs(1)).await, Err(AskFault::Busy));
        assert_eq!(scene.asker.waiting(), IN_FLIGHT);
        let ids: std::collections::HashSet<_> = tasks.iter().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), IN_FLIGHT, "ids repeat");
    }
}
