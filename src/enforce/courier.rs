//! How a question reaches the server and its answer comes back; what is in between is somebody else's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use minidom::Element;
use thiserror::Error;
use xmpp_parsers::jid::Jid;

use super::privilege::Refused;
use crate::xmpp::iq::{Ask, AskFault, Asker};
use crate::xmpp::wire::Unsent;

pub use crate::xmpp::iq::Verb;

/// One IQ request from the component's own address.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Who shall answer.
    pub to: Jid,
    /// Its type.
    pub verb: Verb,
    /// Its one child.
    pub payload: Element,
    /// How long to wait.
    pub timeout: Duration,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// An error came back.
    #[error("the server refused ({0})")]
    Refused(Refused),
    /// Nothing came back. What was asked for may have been done nonetheless.
    #[error("the server did not answer")]
    Silent,
    /// The link is down, or went down meanwhile.
    #[error("the link to the server is down")]
    LinkDown,
    /// ejabberd up to 24.12 gave us our own privileged request back.
    #[error("the server sent our own request back")]
    Echoed,
    /// It never left.
    #[error("the request could not be sent: {0}")]
    Unsent(String),
}

/// Carries one question.
type Carry = dyn Fn(Question) -> BoxFuture<'static, Result<Element, Unanswered>> + Send + Sync;

/// Carries questions to the server and brings back the whole IQ of type `result`, or of type `error` when it has no
/// `<error/>` of its own (a wrapped answer). Cheap to clone.
#[derive(Clone)]
pub struct Courier(Arc<Carry>);

impl Courier {
    /// One that carries as `carry` does.
    pub fn from_fn(
        carry: impl Fn(Question) -> BoxFuture<'static, Result<Element, Unanswered>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Courier(Arc::new(carry))
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Unanswered`] when no result came back.
    pub async fn ask(&self, question: Question) -> Result<Element, Unanswered> {
        (self.0)(question).await
    }
}

/// Over the link.
impl From<Asker> for Courier {
    fn from(asker: Asker) -> Self {
        Courier::from_fn(move |question| {
            let asker = asker.clone();
            Box::pin(async move {
                let what = match question.verb {
                    Verb::Get => Ask::Get(question.payload),
                    Verb::Set => Ask::Set(question.payload),
                };
                let reply = asker.ask(question.to, None, what, question.timeout).await;
                reply.map(|reply| reply.element).map_err(Unanswered::from)
            })
        })
    }
}

impl From<AskFault> for Unanswered {
    fn from(fault: AskFault) -> Self {
        match fault {
            AskFault::Refused {
                condition, text, ..
            } => Unanswered::Refused(Refused {
                condition,
                text: text.unwrap_or_default(),
                outside: true,
            }),
            AskFault::Echoed => Unanswered::Echoed,
            AskFault::Timeout(_) => Unanswered::Silent,
            AskFault::Lost | AskFault::Unsent(Unsent::Down) => Unanswered::LinkDown,
            AskFault::Busy => Unanswered::Unsent(String::from("too many requests are waiting")),
            AskFault::Unsent(why) => Unanswered::Unsent(why.to_string()),
        }
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Courier")
    }
}
