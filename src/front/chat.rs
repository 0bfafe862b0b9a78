//! One-to-one chats with the bot or its domain: which messages are lines of a person.

use xmpp_parsers::message::MessageType;

use super::message::{ChatLine, MessageKind};
use crate::xmpp::stanza::Received;

/// Namespace of direct invitations to rooms.
const NS_INVITATION: &str = "jabber:x:conference";

/// The room that a message invites to (XEP-0249), as written in it; `None` if it is no invitation.
pub(super) fn invitation(received: &Received) -> Option<&str> {
    let invitation = received.element.get_child("x", NS_INVITATION)?;
    Some(invitation.attr("jid").unwrap_or_default())
}

/// The line in a message; `None` if it is not a line of a person or must not be answered.
pub(super) fn read(received: &Received) -> Option<ChatLine> {
    let type_ = match received.type_() {
        "chat" => MessageType::Chat,
        "" | "normal" => MessageType::Normal,
        _ => return None,
    };
    // Servers and components send announcements; only people have accounts.
    let header = &received.header;
    if header.from.node().is_none() || header.from.domain() == header.to.domain() {
        return None;
    }
    ChatLine::read(
        received,
        MessageKind::Chat(type_),
        header.to.to_bare().into(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::xmpp::stanza::{Header, NS_COMPONENT, StanzaKind};
    use minidom::Element;
    use xmpp_parsers::jid::Jid;
    use xmpp_parsers::ns;

    fn received(type_: &str, inside: &str) -> Received {
        let text = format!("<message xmlns='{NS_COMPONENT}'>{inside}</message>");
        Received {
            kind: StanzaKind::Message,
            header: Header {
                from: Jid::new("admin@example.org/phone").unwrap(),
                to: Jid::new("bot@gate.example.org").unwrap(),
                id: Some("m1".into()),
                type_: Some(type_.into()),
                lang: None,
            },
            element: text.parse().unwrap(),
        }
    }

    #[test]
    fn what_is_no_line_of_a_person_is_ignored() {
        let body = "<body>list</body>";
        assert!(read(&received("chat", body)).is_some());
        assert!(read(&received("normal", body)).is_some());
        for type_ in ["error", "groupchat", "headline"] {
            assert!(read(&received(type_, body)).is_none(), "{type_}");
        }
        for extra in [
            "<delay xmlns='urn:xmpp:delay' stamp='2026-11-22T04:00:00Z'/>",
            "<x xmlns='jabber:x:delay' stamp='20261122T04:00:00'/>",
            "<sent xmlns='urn:xmpp:carbons:2'/>",
            "<received xmlns='urn:xmpp:carbons:2'/>",
            "<forwarded xmlns='urn:xmpp:forward:0'/>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
        ] {
            assert!(
                read(&received("chat", &format!("{body}{extra}"))).is_none(),
                "{extra}"
            );
        }
        for empty in [
            "",
            "<body/>",
            "<body> </body>",
            "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        ] {
            assert!(read(&received("chat", empty)).is_none(), "{empty}");
        }
        let mut from_a_server = received("chat", body);
        from_a_server.header.from = Jid::new("example.org").unwrap();
        assert!(read(&from_a_server).is_none());
        let mut reflected = received("chat", body);
        reflected.header.from = Jid::new("bot@gate.example.org/x").unwrap();
        assert!(read(&reflected).is_none());
    }

    #[test]
    fn an_answer_goes_back_the_way_the_line_came() {
        let asked = received(
            "normal",
            "<body>list</body><thread>t1</thread><request xmlns='urn:xmpp:receipts'/>",
        );
        let line = read(&asked).unwrap();
        let answer = line.answer(&String::from("No bans.").into()).remove(0);
        assert_eq!(answer.type_, MessageType::Normal);
        assert_eq!(
            answer.to,
            Some(Jid::new("admin@example.org/phone").unwrap())
        );
        assert_eq!(answer.from, Some(Jid::new("bot@gate.example.org").unwrap()));
        assert_eq!(answer.thread.unwrap().id, "t1");
        let receipt = Element::from(line.receipt().unwrap());
        let received = receipt.get_child("received", ns::RECEIPTS).unwrap();
        assert_eq!(received.attr("id"), Some("m1"));
    }
}
