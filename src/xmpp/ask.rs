//! How a question reaches the server and its answer comes back; what is in between is somebody else's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use minidom::Element;
use thiserror::Error;
use xmpp_parsers::jid::Jid;

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

/// The whole IQ that came back, `result` or `error`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whether its type is `error`.
    pub is_error: bool,
    /// The `<iq/>`.
    pub iq: Element,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Silence {
    /// Nobody answered in time.
    #[error("the server did not answer in time")]
    Timeout,
    /// The link is down, or went down meanwhile.
    #[error("the link to the server is down")]
    LinkDown,
    /// ejabberd up to 24.12 gave us our own privileged request back.
    #[error("the server sent our own request back")]
    Echoed,
    /// Too many questions are waiting already, or this one is too large.
    #[error("the request could not be sent")]
    Unsent,
}

/// Asks one question.
type Asking = dyn Fn(Question) -> BoxFuture<'static, Result<Answer, Silence>> + Send + Sync;

/// A way to ask. Cheap to clone.
#[derive(Clone)]
pub struct Ask(Arc<Asking>);

impl Ask {
    /// Asks with `ask`.
    pub fn from_fn(
        ask: impl Fn(Question) -> BoxFuture<'static, Result<Answer, Silence>> + Send + Sync + 'static,
    ) -> Self {
        Ask(Arc::new(ask))
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Silence`] when nothing came back; an answer of type `error` is an answer.
    pub async fn ask(&self, question: Question) -> Result<Answer, Silence> {
        (self.0)(question).await
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask")
    }
}
