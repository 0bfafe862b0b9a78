//! A message as a line of a person, whichever door it comes through, and the way back for what answers it.

use minidom::Element;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::message::{Id, Lang, Message, MessageType, Thread};
use xmpp_parsers::muc::MucUser;
use xmpp_parsers::ns;

use crate::command::words;
use crate::gate::clock::fresh_id;
use crate::xmpp::stanza::{NS_COMPONENT, Received};

/// So many lines of an answer are said in a room; longer ones go to the asker alone.
pub(super) const MOST_LINES: usize = 12;

/// The way a line came, and its answer goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// One to one, in a message of this type.
    Chat(MessageType),
    /// In a room, for the two of us only (XEP-0045, 7.5).
    Private,
    /// In a room for all to read, said by this nick.
    Open(String),
}

/// A message that may be a line of a person.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) way: Way,
    /// Who said it: a client, or an occupant of a room.
    pub(super) from: Jid,
    /// The address of ours that answers.
    pub(super) to: Jid,
    pub(super) id: Option<String>,
    thread: Option<Thread>,
    pub(super) text: String,
    /// The message it corrects (XEP-0308).
    pub(super) corrects: Option<String>,
    pub(super) encrypted: bool,
    wants_receipt: bool,
}

impl Line {
    /// What a message says that came this way and is answered from `to`; `None` when it says nothing, or is a copy of
    /// what was said.
    pub(super) fn read(received: &Received, way: Way, to: Jid) -> Option<Line> {
        let message = &received.element;
        let has = |name: &str, ns: &str| message.has_child(name, ns);
        let is_copy = has("delay", ns::DELAY)
            || has("x", "jabber:x:delay")
            || has("sent", ns::CARBONS)
            || has("received", ns::CARBONS)
            || has("forwarded", ns::FORWARD)
            || has("received", ns::RECEIPTS);
        if is_copy {
            return None;
        }
        let encrypted = has("encryption", ns::EME)
            || message.children().any(|child| child.name() == "encrypted");
        let text = body(message);
        if text.is_empty() && !encrypted {
            return None;
        }
        let thread = message
            .get_child("thread", NS_COMPONENT)
            .map(|thread| Thread {
                parent: thread.attr("parent").map(str::to_owned),
                id: thread.text(),
            });
        Some(Line {
            way,
            from: received.header.from.clone(),
            to,
            id: received.header.id.clone(),
            thread,
            text,
            corrects: message
                .get_child("replace", ns::MESSAGE_CORRECT)
                .and_then(|replace| replace.attr("id"))
                .map(str::to_owned),
            encrypted,
            wants_receipt: has("request", ns::RECEIPTS),
        })
    }

    /// The answer to it: one message, and one more for the asker alone when it is too long for a room.
    pub(super) fn answer(&self, text: String) -> Vec<Message> {
        let Way::Open(nick) = &self.way else {
            return vec![self.one(&self.way, text)];
        };
        let lines = text.lines().count();
        let here = |text: &str| self.one(&self.way, words::to_nick(nick, text));
        if lines <= MOST_LINES {
            return vec![here(&text)];
        }
        let short = words::rest_in_private(text.lines().next().unwrap_or_default(), lines);
        vec![here(&short), self.one(&Way::Private, text)]
    }

    fn one(&self, way: &Way, text: String) -> Message {
        let mut message = self.blank(way);
        message.thread.clone_from(&self.thread);
        message.bodies.insert(Lang::new(), text);
        message
    }

    /// The receipt it asks for (XEP-0184, 5.3: not in rooms).
    pub(super) fn receipt(&self) -> Option<Message> {
        let id = self.id.clone().filter(|_| self.wants_receipt)?;
        if !matches!(self.way, Way::Chat(_)) {
            return None;
        }
        let mut message = self.blank(&self.way);
        message.payloads = vec![xmpp_parsers::receipts::Received { id }.into()];
        Some(message)
    }

    fn blank(&self, way: &Way) -> Message {
        let (type_, to) = match way {
            Way::Chat(type_) => (type_.clone(), self.from.clone()),
            Way::Private => (MessageType::Chat, self.from.clone()),
            Way::Open(_) => (MessageType::Groupchat, self.from.to_bare().into()),
        };
        let mut message = Message::new_with_type(type_, to);
        message.from = Some(self.to.clone());
        if *way == Way::Private {
            message.payloads = vec![MucUser::new().into()];
        }
        if !matches!(way, Way::Chat(_)) {
            message.id = fresh_id().ok().map(|id| Id(format!("{id:?}")));
        }
        message
    }
}

/// The body without the lines it quotes (XEP-0428, 0461): a reply does not run what it answers.
fn body(message: &Element) -> String {
    let bodies = || {
        message
            .children()
            .filter(|child| child.is("body", NS_COMPONENT))
    };
    let plain = bodies().find(|body| body.attrs().is_empty());
    let Some(body) = plain.or_else(|| bodies().next()) else {
        return String::new();
    };
    let text = body.text();
    let lines = text.lines().skip_while(|line| line.starts_with('>'));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::xmpp::stanza::{Header, Kind};

    fn line(way: Way, inside: &str) -> Line {
        let text = format!("<message xmlns='{NS_COMPONENT}'>{inside}</message>");
        let received = Received {
            kind: Kind::Message,
            header: Header {
                from: Jid::new("ops@rooms.example.org/Al").unwrap(),
                to: Jid::new("bot@gate.example.org/portcullis").unwrap(),
                id: Some("m1".into()),
                type_: None,
                lang: None,
            },
            element: text.parse().unwrap(),
        };
        Line::read(&received, way, received.header.to.clone()).unwrap()
    }

    fn bodies(messages: &[Message]) -> Vec<&str> {
        let bodies = messages.iter().flat_map(|message| message.bodies.values());
        bodies.map(String::as_str).collect()
    }

    #[test]
    fn quoted_lines_are_not_run() {
        let quoted = line(Way::Private, "<body>&gt; ban a@b\n&gt; now\nshow #1</body>");
        assert_eq!(quoted.text, "show #1");
    }

    #[test]
    fn what_is_said_in_a_room_is_answered_there_by_nick() {
        let asked = line(
            Way::Open("Al".into()),
            "<body>list</body><request xmlns='urn:xmpp:receipts'/>",
        );
        let answers = asked.answer("No bans.".into());
        assert_eq!(bodies(&answers), ["Al: No bans."]);
        assert_eq!(answers[0].type_, MessageType::Groupchat);
        assert_eq!(
            answers[0].to,
            Some(Jid::new("ops@rooms.example.org").unwrap())
        );
        assert!(answers[0].id.is_some(), "others may reply to it");
        assert!(asked.receipt().is_none());
    }

    #[test]
    fn a_private_message_is_answered_in_private() {
        let answers = line(Way::Private, "<body>list</body>").answer("No bans.".into());
        assert_eq!(bodies(&answers), ["No bans."]);
        assert_eq!(answers[0].type_, MessageType::Chat);
        assert_eq!(
            answers[0].to,
            Some(Jid::new("ops@rooms.example.org/Al").unwrap())
        );
        assert!(Element::from(answers[0].clone()).has_child("x", ns::MUC_USER));
    }

    #[test]
    fn a_wall_goes_to_the_asker_alone() {
        let asked = line(Way::Open("Al".into()), "<body>help</body>");
        let long = |lines| vec!["x"; lines].join("\n");
        assert_eq!(asked.answer(long(MOST_LINES)).len(), 1);
        let answers = asked.answer(long(MOST_LINES + 1));
        assert_eq!(answers[0].type_, MessageType::Groupchat);
        assert_eq!(bodies(&answers)[0].lines().count(), 2);
        assert_eq!(answers[1].type_, MessageType::Chat);
        assert_eq!(bodies(&answers)[1], long(MOST_LINES + 1));
    }
}
