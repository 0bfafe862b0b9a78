//! Notices that the server may not have taken: they are sent again on the next connection.
//!
//! A component stream has no acknowledgements (XEP-0198 is not defined for it), and a dead connection takes bytes for more
//! than a minute until it is noticed. The link's announcements to itself prove that the server has taken everything that
//! was sent before them. A notice of the last seconds before a loss may therefore arrive twice, with the same id.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tokio_xmpp::Stanza;
use xmpp_parsers::message::Message;

use crate::xmpp::wire::{Unsent, Wire};

/// Maximum number of notices kept; the oldest make room.
const MOST: usize = 256;
/// After this long on a connection that lasts, a notice counts as taken even without proof: a dead connection would have
/// been left by now.
const CERTAIN: Duration = Duration::from_secs(120);

/// Sends notices, and keeps them until the server has taken them.
pub(super) struct Unconfirmed {
    wire: Wire,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    /// The connection on which it was sent; 0: on none.
    connection: u64,
    at: Instant,
    message: Message,
}

impl Unconfirmed {
    pub(super) fn new(wire: Wire) -> Self {
        Unconfirmed {
            wire,
            waiting: VecDeque::new(),
        }
    }

    /// Sends notices, after those that an earlier connection may have lost.
    pub(super) async fn send(&mut self, stanzas: Vec<Stanza>) {
        self.forget_taken();
        let connection = self.wire.connection();
        if connection != 0 {
            let lost = self.waiting.iter();
            let lost = lost.filter(|one| one.connection != connection).count();
            // Those of earlier connections are the oldest.
            for one in self.waiting.drain(..lost).collect::<Vec<_>>() {
                self.send_one(Stanza::Message(one.message)).await;
            }
        }
        for stanza in stanzas {
            self.send_one(stanza).await;
        }
    }

    async fn send_one(&mut self, stanza: Stanza) {
        let connection = self.wire.connection();
        let message = match &stanza {
            Stanza::Message(message) => message.clone(),
            // Notices are messages.
            Stanza::Iq(_) | Stanza::Presence(_) => return,
        };
        let connection = match self.wire.send(stanza).await {
            Ok(()) => connection,
            Err(Unsent::Down) => 0,
            Err(why) => {
                tracing::warn!(%why, "a notice was not sent");
                return;
            }
        };
        if self.waiting.len() >= MOST {
            self.waiting.pop_front();
            tracing::warn!("a notice that the server may not have taken is given up");
        }
        self.waiting.push_back(Waiting {
            connection,
            at: Instant::now(),
            message,
        });
    }

    fn forget_taken(&mut self) {
        let (connection, proven) = (self.wire.connection(), self.wire.proven());
        self.waiting.retain(|one| {
            let is_proven =
                proven.is_some_and(|(on, until)| one.connection == on && one.at < until);
            let is_old = one.connection == connection && one.at.elapsed() >= CERTAIN;
            !is_proven && (!is_old || connection == 0)
        });
    }
}
