//! A message as a line of a person, from a chat or a room, and the way its answer goes.

use minidom::Element;
use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::message::{Id, Lang, Message, MessageType, Thread};
use xmpp_parsers::muc::MucUser;
use xmpp_parsers::ns;

use super::sent::{About, fresh_id};
use super::text;
use crate::command::{Caller, phrases};
use crate::xmpp::payload::hints;
use crate::xmpp::stanza::{NS_COMPONENT, Received};

/// Answers with more lines than this go to the asker in private instead of to the room.
pub(super) const MOST_LINES: usize = 12;

/// How a line arrived, and how its answer is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MessageKind {
    /// In a chat, in a message of this type.
    Chat(MessageType),
    /// In a private message within a room (XEP-0045, 7.5).
    Private,
    /// To the whole room, by the occupant of this nick.
    Open(String),
}

/// An answer to a line, and what goes with it.
#[derive(Debug, Clone)]
pub(super) struct Response {
    /// The text, complete in itself.
    pub(super) text: String,
    /// The subject of a reply to it.
    pub(super) about: About,
    /// Lines to offer as quick responses.
    pub(super) quick: Vec<String>,
}

impl From<String> for Response {
    fn from(text: String) -> Self {
        Response {
            text,
            about: About::Nobody,
            quick: Vec::new(),
        }
    }
}

/// A message that may be a line of a person.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChatLine {
    pub(super) way: MessageKind,
    /// The sender: a client, or an occupant of a room.
    pub(super) from: Jid,
    /// The address of ours that answers.
    pub(super) to: Jid,
    pub(super) id: Option<String>,
    thread: Option<Thread>,
    pub(super) text: String,
    /// Id of the message it corrects (XEP-0308).
    pub(super) corrects: Option<String>,
    /// Id of the message it replies to (XEP-0461).
    pub(super) replies_to: Option<String>,
    /// Text it quotes before its own.
    pub(super) quoted: Option<String>,
    pub(super) encrypted: bool,
    wants_receipt: bool,
}

impl ChatLine {
    /// Reads a message that arrived this way and is answered from `to`; `None` if it has no text, or is a copy.
    pub(super) fn read(received: &Received, way: MessageKind, to: Jid) -> Option<ChatLine> {
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
        let (quoted, text) = body(message);
        if text.is_empty() && !encrypted {
            return None;
        }
        let thread = message
            .get_child("thread", NS_COMPONENT)
            .map(|thread| Thread {
                parent: thread.attr("parent").map(str::to_owned),
                id: thread.text(),
            });
        Some(ChatLine {
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
            replies_to: message
                .get_child("reply", hints::NS_REPLY)
                .and_then(|reply| reply.attr("id"))
                .map(str::to_owned),
            quoted,
            encrypted,
            wants_receipt: has("request", ns::RECEIPTS),
        })
    }

    /// The messages of an answer: one, and in a room another one for the asker alone if it is too long.
    pub(super) fn answer(&self, speech: &Response) -> Vec<Message> {
        let text = &speech.text;
        let MessageKind::Open(nick) = &self.way else {
            return vec![self.one(&self.way, text, &speech.quick)];
        };
        let lines = text.lines().count();
        let here = |text: &str| self.one(&self.way, &text::to_nick(nick, text), &speech.quick);
        if lines <= MOST_LINES {
            return vec![here(text)];
        }
        let short = text::rest_in_private(text.lines().next().unwrap_or_default(), lines);
        let rest = self.one(&MessageKind::Private, text, &speech.quick);
        vec![here(&short), rest]
    }

    /// Until here commands in texts are marked ([`phrases::typed`]); only here it is known how they must be written.
    fn one(&self, way: &MessageKind, text: &str, quick: &[String]) -> Message {
        let written = match way {
            MessageKind::Open(_) => phrases::in_a_room,
            MessageKind::Chat(_) | MessageKind::Private => phrases::plain,
        };
        let text = written(text);
        let quick: Vec<String> = quick.iter().map(|line| written(line)).collect();
        let mut message = self.blank(way);
        message.id = Some(Id(fresh_id()));
        message.thread.clone_from(&self.thread);
        message.payloads.extend(hints::quick(&quick));
        message.payloads.extend(hints::unless_fenced(&text));
        message.bodies.insert(Lang::new(), text);
        message
    }

    /// The other party: a person, or all in a room.
    pub(super) fn with(&self, caller: &Caller) -> BareJid {
        match self.way {
            MessageKind::Open(_) => self.from.to_bare(),
            MessageKind::Chat(_) | MessageKind::Private => caller.jid.to_bare(),
        }
    }

    /// The receipt that was requested (XEP-0184, 5.3: not in rooms).
    pub(super) fn receipt(&self) -> Option<Message> {
        let id = self.id.clone().filter(|_| self.wants_receipt)?;
        if !matches!(self.way, MessageKind::Chat(_)) {
            return None;
        }
        let mut message = self.blank(&self.way);
        message.payloads = vec![xmpp_parsers::receipts::Received { id }.into()];
        Some(message)
    }

    fn blank(&self, way: &MessageKind) -> Message {
        let (type_, to) = match way {
            MessageKind::Chat(type_) => (type_.clone(), self.from.clone()),
            MessageKind::Private => (MessageType::Chat, self.from.clone()),
            MessageKind::Open(_) => (MessageType::Groupchat, self.from.to_bare().into()),
        };
        let mut message = Message::new_with_type(type_, to);
        message.from = Some(self.to.clone());
        if *way == MessageKind::Private {
            message.payloads = vec![MucUser::new().into()];
        }
        message
    }
}

/// Splits the body into quote and text (XEP-0428, 0461), so that a reply does not run the line it quotes.
fn body(message: &Element) -> (Option<String>, String) {
    let bodies = || {
        message
            .children()
            .filter(|child| child.is("body", NS_COMPONENT))
    };
    let plain = bodies().find(|body| body.attrs().is_empty());
    let Some(body) = plain.or_else(|| bodies().next()) else {
        return (None, String::new());
    };
    let text = body.text();
    let (quoted, said) = match fallback(message, &text) {
        Some((start, end)) => (&text[start..end], [&text[..start], &text[end..]].concat()),
        None => ("", text.clone()),
    };
    // For clients that mark nothing, or the wrong part.
    let (marks, rest): (Vec<&str>, Vec<&str>) = {
        let number = said
            .trim_start()
            .lines()
            .take_while(|line| line.starts_with('>'));
        let number = number.count();
        let lines = || said.trim_start().lines();
        (
            lines().take(number).collect(),
            lines().skip(number).collect(),
        )
    };
    let unquoted = |line: &str| {
        let line = line.strip_prefix('>').unwrap_or(line);
        line.strip_prefix(' ').unwrap_or(line).to_owned()
    };
    let quoted = quoted.lines().chain(marks).map(unquoted);
    let quoted = quoted.collect::<Vec<_>>().join("\n").trim().to_owned();
    let text = rest.join("\n").trim().to_owned();
    ((!quoted.is_empty()).then_some(quoted), text)
}

/// The byte range of the fallback text for clients without replies. XEP-0428 (3) counts characters as code points.
fn fallback(message: &Element, text: &str) -> Option<(usize, usize)> {
    let is_fallback = |one: &&Element| {
        one.name() == "fallback"
            && (one.has_ns(hints::NS_FALLBACK) || one.has_ns(hints::NS_FALLBACK_OLD))
            && one.attr("for") == Some(hints::NS_REPLY)
    };
    let fallback = message.children().find(is_fallback)?;
    let body = fallback.children().find(|one| one.name() == "body")?;
    let place = |name| -> Option<usize> {
        let number: usize = body.attr(name)?.parse().ok()?;
        let mut places = text.char_indices().map(|(place, _)| place);
        places
            .nth(number)
            .or((number >= text.chars().count()).then_some(text.len()))
    };
    let (start, end) = (place("start")?, place("end")?);
    (start <= end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::xmpp::stanza::{Header, StanzaKind};

    fn line(way: MessageKind, inside: &str) -> ChatLine {
        let text = format!("<message xmlns='{NS_COMPONENT}'>{inside}</message>");
        let received = Received {
            kind: StanzaKind::Message,
            header: Header {
                from: Jid::new("ops@rooms.example.org/Al").unwrap(),
                to: Jid::new("bot@gate.example.org/portcullis").unwrap(),
                id: Some("m1".into()),
                type_: None,
                lang: None,
            },
            element: text.parse().unwrap(),
        };
        ChatLine::read(&received, way, received.header.to.clone()).unwrap()
    }

    fn bodies(messages: &[Message]) -> Vec<&str> {
        let bodies = messages.iter().flat_map(|message| message.bodies.values());
        bodies.map(String::as_str).collect()
    }

    #[test]
    fn quoted_lines_are_not_run() {
        let quoted = line(
            MessageKind::Private,
            "<body>&gt; ban a@b\n&gt; now\nshow #1</body>",
        );
        assert_eq!(quoted.text, "show #1");
        assert_eq!(quoted.quoted.as_deref(), Some("ban a@b\nnow"));
        assert_eq!(quoted.replies_to, None);
    }

    #[test]
    fn what_a_reply_repeats_for_old_clients_is_taken_out_where_it_is_marked() {
        let reply = "<reply xmlns='urn:xmpp:reply:0' id='n1' to='bot@gate.example.org'/>";
        let marked = |ns: &str, body: &str, start: usize, end: usize| {
            let mark = format!(
                "<fallback xmlns='{ns}' for='urn:xmpp:reply:0'><body start='{start}' end='{end}'/></fallback>"
            );
            line(
                MessageKind::Private,
                &format!("<body>{body}</body>{reply}{mark}"),
            )
        };
        for ns in [hints::NS_FALLBACK, hints::NS_FALLBACK_OLD] {
            // 15 code points, more bytes.
            let one = marked(ns, "&gt; bön wrote: x\n#\nunban", 0, 15);
            assert_eq!(one.replies_to.as_deref(), Some("n1"));
            assert_eq!(one.text, "#\nunban");
            let all = marked(ns, "Banned #17\nunban", 0, 11);
            assert_eq!(
                (all.text.as_str(), all.quoted.as_deref()),
                ("unban", Some("Banned #17"))
            );
        }
        for (start, end) in [(9, 3), (100, 200), (2, 2)] {
            assert_eq!(
                marked(hints::NS_FALLBACK, "ünban", start, end).text,
                "ünban"
            );
        }
        // With a wrong mark the quote is still not run.
        let wrong = marked(hints::NS_FALLBACK, "&gt; ban a@b\nunban", 0, 0);
        assert_eq!(wrong.text, "unban");
    }

    #[test]
    fn what_is_said_in_a_room_is_answered_there_by_nick() {
        let asked = line(
            MessageKind::Open("Al".into()),
            "<body>list</body><request xmlns='urn:xmpp:receipts'/>",
        );
        let answers = asked.answer(&String::from("No bans.").into());
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
        let answers = line(MessageKind::Private, "<body>list</body>")
            .answer(&String::from("No bans.").into());
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
        let asked = line(MessageKind::Open("Al".into()), "<body>help</body>");
        let long = |lines| vec!["x"; lines].join("\n");
        assert_eq!(asked.answer(&long(MOST_LINES).into()).len(), 1);
        let answers = asked.answer(&long(MOST_LINES + 1).into());
        assert_eq!(answers[0].type_, MessageType::Groupchat);
        assert_eq!(bodies(&answers)[0].lines().count(), 2);
        assert_eq!(answers[1].type_, MessageType::Chat);
        assert_eq!(bodies(&answers)[1], long(MOST_LINES + 1));
    }
}
