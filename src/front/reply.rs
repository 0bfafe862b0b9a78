//! The stanzas sent in response to a stanza.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::BoxFuture;
use minidom::Element;
use tokio::sync::OwnedSemaphorePermit;
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::stanza_error::StanzaError;

use super::message::ChatLine;
use crate::command::Reference;
use crate::xmpp::stanza::Header;

/// The stanzas sent in response to a stanza.
#[derive(Default)]
pub struct Reply {
    /// Stanzas to send at once.
    pub now: Vec<Stanza>,
    /// Completes when a command has finished; spawn it, so that nothing else waits for it. At most
    /// [`AT_ONCE`](super::router::AT_ONCE) exist at a time.
    pub later: Option<BoxFuture<'static, Vec<Stanza>>>,
}

/// Answers a line at once.
pub(super) fn say(line: &ChatLine, text: String) -> Reply {
    let answers = line.answer(&text.into()).into_iter();
    Reply {
        now: answers.map(Stanza::Message).collect(),
        later: None,
    }
}

/// Work that ends in an answer, even if it panics.
pub(super) fn later(
    permit: Option<OwnedSemaphorePermit>,
    reference: Reference,
    failed: Vec<Stanza>,
    work: impl Future<Output = Vec<Stanza>> + Send + 'static,
) -> Reply {
    let work = async move {
        let _permit = permit;
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

/// An IQ that waits for its answer.
#[derive(Debug)]
pub(super) struct PendingIq {
    from: Jid,
    to: Jid,
    id: String,
}

impl PendingIq {
    pub(super) fn of(header: &Header) -> Self {
        PendingIq {
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
