//! Notices another connection under our component name, and proves what the server has taken.
//!
//! XEP-0114 does not say what a second connection of one name means. Prosody refuses it, or closes the first one, with the
//! stream error `conflict`. ejabberd (24.12, 26.07) accepts it, tells nobody, and sends each stanza to a random one of the
//! connections; with `domain_balancing` it chooses by the bare address of sender or receiver.
//!
//! So every session sends announcements from and to random addresses of our own domain. The server sends them back, in
//! order. An announcement that does not come back although a later one did went to another connection; one that another
//! program sent proves that program. Nobody else can send from our domain, because the server checks that (`check_from`;
//! Prosody's mod_component).

use std::collections::VecDeque;
use std::time::Duration;

use minidom::Element;
use tokio::time::Instant;
use tokio_xmpp::Stanza;
use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::message::{Message, MessageType};

use crate::xmpp::payload::{one_line, with};
use crate::xmpp::stanza::{Received, StanzaKind};
use crate::xmpp::wire::{NameConflict, Wire};

const NS_INSTANCE: &str = "urn:portcullis:instance:1";
/// Number of announcements sent together. With a second connection, a minute passes without a sign of
/// it about once in 10,000 minutes.
const BURST: usize = 4;
/// Time between two bursts.
const EVERY: Duration = Duration::from_secs(15);
/// From the start of a session to its first burst.
const FIRST: Duration = Duration::from_secs(5);
/// So many signs within [`WINDOW`] are a conflict, if the first and the last are [`APART`]: stanzas of an earlier process may
/// still be on their way at our start, and `portcullis doctor` connects for a moment.
const SIGNS: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);
const APART: Duration = Duration::from_secs(10);
/// A conflict is over after a session without a sign of it for this long.
const CALM: Duration = Duration::from_secs(60);
/// Maximum number of own announcements that are awaited.
const OPEN: usize = 64;

/// Sends announcements and judges what comes back.
pub(super) struct NameWatch {
    domain: BareJid,
    /// Random for each process.
    instance: String,
    /// Who we are, for the other program.
    origin: String,
    number: u64,
    /// Announcements of this session that have not come back.
    open: VecDeque<(u64, Instant)>,
    /// When the last announcement that came back was sent.
    returned: Option<Instant>,
    /// Times of the last signs of another connection.
    signs: VecDeque<Instant>,
    /// The conflict, and the time of its last sign or of the start of the session.
    conflict: Option<(NameConflict, Instant)>,
    next: Instant,
}

impl NameWatch {
    pub(super) fn new(domain: BareJid) -> Self {
        NameWatch {
            domain,
            instance: random(),
            origin: origin(),
            number: 0,
            open: VecDeque::new(),
            returned: None,
            signs: VecDeque::new(),
            conflict: None,
            next: Instant::now(),
        }
    }

    /// A session begins.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.open.clear();
        self.returned = None;
        self.next = now + FIRST;
        if let Some((_, last)) = &mut self.conflict {
            *last = now;
        }
    }

    /// When the next burst is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// The burst that is due.
    pub(super) fn burst(&mut self) -> Vec<Stanza> {
        let now = Instant::now();
        self.next = now + EVERY;
        if self
            .conflict
            .as_ref()
            .is_some_and(|(_, last)| now.duration_since(*last) >= CALM)
        {
            self.conflict = None;
            self.signs.clear();
        }
        (0..BURST).filter_map(|_| self.announcement()).collect()
    }

    fn announcement(&mut self) -> Option<Stanza> {
        let address = |resource: &str| Jid::new(&format!("{}@{}{resource}", random(), self.domain));
        // A full JID: with mod_privilege ejabberd treats stanzas to bare ones in other ways.
        let to = address("/announce").ok()?;
        let mut message = Message::new_with_type(MessageType::Normal, Some(to));
        message.from = Some(address("").ok()?);
        self.number += 1;
        message.payloads = vec![with(
            "instance",
            NS_INSTANCE,
            &[
                ("id", &self.instance),
                ("number", &self.number.to_string()),
                ("origin", &self.origin),
            ],
        )];
        if self.open.len() >= OPEN {
            self.open.pop_front();
        }
        self.open.push_back((self.number, Instant::now()));
        Some(Stanza::Message(message))
    }

    /// Takes an announcement; returns whether it was one.
    pub(super) fn take(&mut self, received: &Received) -> bool {
        let is_own_domain = received.header.from.domain() == self.domain.domain();
        let payload = received
            .payload()
            .filter(|payload| payload.is("instance", NS_INSTANCE));
        let (StanzaKind::Message, true, Some(payload)) = (received.kind, is_own_domain, payload)
        else {
            return false;
        };
        match payload.attr("id") {
            // A server that returns an error for it sends it back, too.
            Some(id) if id == self.instance => self.came_back(payload),
            _ => {
                let origin = one_line(payload.attr("origin").unwrap_or_default(), 200);
                self.sign(Some(origin).filter(|origin| !origin.is_empty()));
            }
        }
        true
    }

    fn came_back(&mut self, payload: &Element) {
        let number = payload.attr("number").and_then(|text| text.parse().ok());
        let place = |number: u64| {
            self.open
                .binary_search_by_key(&number, |(number, _)| *number)
                .ok()
        };
        let Some(place) = number.and_then(place) else {
            return;
        };
        self.returned = self.open.get(place).map(|(_, sent)| *sent);
        self.open.drain(..=place);
        for _ in 0..place {
            self.sign(None);
        }
    }

    /// The server says that two connections have our name.
    pub(super) fn refused(&mut self) {
        let other = self
            .conflict
            .take()
            .and_then(|(conflict, _)| conflict.other);
        self.conflict = Some((NameConflict { other }, Instant::now()));
    }

    /// A sign of another connection, and who has it, if known.
    fn sign(&mut self, other: Option<String>) {
        let now = Instant::now();
        self.signs.retain(|sign| now.duration_since(*sign) < WINDOW);
        // The first one tells how long it has been going on.
        if self.signs.len() < SIGNS {
            self.signs.push_back(now);
        }
        let is_lasting = self.signs.len() >= SIGNS
            && self
                .signs
                .front()
                .is_some_and(|first| now.duration_since(*first) >= APART);
        match &mut self.conflict {
            Some((conflict, last)) => {
                *last = now;
                conflict.other = other.or(conflict.other.take());
            }
            None if is_lasting => self.conflict = Some((NameConflict { other }, now)),
            None => {}
        }
    }

    /// Publishes the state, and logs when it changes.
    pub(super) fn publish(&self, wire: &Wire) {
        let now = self.conflict.as_ref().map(|(conflict, _)| conflict.clone());
        let domain = &self.domain;
        match (wire.conflict().borrow().is_some(), &now) {
            (false, Some(conflict)) => {
                let other = conflict.other.as_deref().unwrap_or("unknown");
                tracing::error!(%domain, other, "another program is connected under the same component name: each gets a part of what the server sends, and each keeps bans of its own; stop one of them");
            }
            (true, None) => tracing::info!(%domain, "the component name is ours alone again"),
            _ => {}
        }
        wire.set_conflict(now);
        if let Some(sent) = self.returned {
            wire.prove(sent);
        }
    }
}

/// A random id. Without randomness all programs have the same one, and do not notice each other.
fn random() -> String {
    format!("{:016x}", getrandom::u64().unwrap_or_default())
}

fn origin() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let process = std::process::id();
    match name.trim() {
        "" => format!("process {process}"),
        name => format!("process {process} on {name}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::time::advance;

    use super::*;
    use crate::xmpp::fake_wire::received;
    use crate::xmpp::wire::encode;

    fn watch() -> NameWatch {
        let mut watch = NameWatch::new(BareJid::new("gate.example.org").unwrap());
        watch.begin();
        watch
    }

    /// A burst as it arrives.
    fn burst(watch: &mut NameWatch) -> Vec<Received> {
        let written = watch.burst().into_iter().map(|one| encode(&one).unwrap());
        written
            .map(|bytes| received(std::str::from_utf8(&bytes).unwrap()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn alone_everything_comes_back_or_nothing_does() {
        let mut watch = watch();
        for round in 0..100 {
            let own = burst(&mut watch);
            assert_eq!(own.len(), BURST);
            // A server that has fallen silent is not another program.
            for one in own.iter().filter(|_| round < 50) {
                assert!(watch.take(one));
            }
            advance(EVERY).await;
        }
        assert_eq!(watch.conflict, None);
        assert!(watch.open.len() <= OPEN && watch.signs.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn two_programs_notice_each_other_within_a_minute_and_the_end_of_it() {
        let (mut one, mut two) = (watch(), watch());
        two.origin = String::from("process 7 on other");
        let mut turn = 0;
        for _ in 0..4 {
            for sent in [burst(&mut one), burst(&mut two)].concat() {
                turn += 1;
                // Every third stanza to the other one, as by chance.
                match turn % 3 {
                    0 => assert!(two.take(&sent)),
                    _ => assert!(one.take(&sent)),
                }
            }
            advance(EVERY).await;
        }
        assert_eq!(
            one.conflict.as_ref().unwrap().0.other.as_deref(),
            Some("process 7 on other")
        );
        assert!(two.conflict.is_some());
        for _ in 0..=4 {
            for sent in burst(&mut one) {
                one.take(&sent);
            }
            advance(EVERY).await;
        }
        assert_eq!(one.conflict, None);
    }

    /// The other one may be of a version that announces nothing.
    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_back_between_others_went_to_another_program() {
        let mut one = watch();
        for _ in 0..4 {
            for sent in burst(&mut one).iter().skip(1).step_by(2) {
                assert!(one.take(sent));
            }
            advance(EVERY).await;
        }
        assert_eq!(one.conflict.as_ref().unwrap().0.other, None);
    }

    /// Doctor connects for a few seconds, and stanzas of an earlier process may arrive late.
    #[tokio::test(start_paused = true)]
    async fn a_moment_is_no_conflict() {
        let (mut one, mut other) = (watch(), watch());
        for sent in [burst(&mut other), burst(&mut other)].concat() {
            one.take(&sent);
        }
        for sent in burst(&mut one).into_iter().skip(3) {
            one.take(&sent);
        }
        advance(EVERY).await;
        for sent in burst(&mut one) {
            one.take(&sent);
        }
        assert_eq!(one.conflict, None);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_else_can_announce() {
        let (mut one, mut other) = (watch(), watch());
        for _ in 0..8 {
            for mut sent in burst(&mut other) {
                sent.header.from = Jid::new("mallory@example.org/x").unwrap();
                assert!(!one.take(&sent));
            }
            advance(EVERY).await;
        }
        assert_eq!(one.conflict, None);
        assert!(!one.take(&received(
            "<message from='x@gate.example.org' to='gate.example.org'><body>hi</body></message>"
        )));
    }
}
