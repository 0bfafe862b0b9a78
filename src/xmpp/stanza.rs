//! Parses one frame of the guard into one stanza.
//!
//! Own types instead of `xmpp_parsers::iq::Iq`: an answer to a privileged IQ (XEP-0356) may be of type `error`
//! without its own `<error/>`, which the strict type refuses; and one strange child must not cost more than its
//! stanza.

use minidom::Element;
use thiserror::Error;
use xmpp_parsers::jid::Jid;
use xso::exports::rxml;

use super::guard::{self, Excess, Head};
use crate::core::as_written;

/// Namespace of all stanzas on a component stream.
pub const NS_COMPONENT: &str = "jabber:component:accept";
/// Language of our texts for people, as in `xml:lang`.
pub const LANG: &str = "en";
const NS_STREAM: &str = "http://etherx.jabber.org/streams";
const NS_XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The three kinds of stanza (RFC 6120, 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StanzaKind {
    /// `<iq/>`
    Iq,
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
}

/// The addresses and the type of a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The sender, vouched for by the server, as the server wrote it; see [`as_written::exact`].
    pub from: Jid,
    /// The address of ours that it was sent to; normalised.
    pub to: Jid,
    /// The id; always present on an IQ.
    pub id: Option<String>,
    /// `get`, `set`, `result` or `error` on an IQ; any text on the others.
    pub type_: Option<String>,
    /// `xml:lang`, if present.
    pub lang: Option<String>,
}

/// A stanza that was parsed. An IQ get or set has exactly one child element.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Whether it is an IQ, a message or a presence.
    pub kind: StanzaKind,
    /// Sender, receiver, id and type.
    pub header: Header,
    /// The whole stanza, in `jabber:component:accept`.
    pub element: Element,
}

impl Received {
    /// The type; `""` if there is none.
    #[must_use]
    pub fn type_(&self) -> &str {
        self.header.type_.as_deref().unwrap_or("")
    }

    /// Whether it is an IQ that must be answered.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.kind == StanzaKind::Iq && matches!(self.type_(), "get" | "set")
    }

    /// The first child element; of an IQ this is the payload.
    #[must_use]
    pub fn payload(&self) -> Option<&Element> {
        self.element.children().next()
    }
}

/// A stanza that cannot be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What its root tag said.
    pub head: Head,
    /// What is wrong with it.
    pub why: Defect,
}

/// What is wrong with a stanza.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Defect {
    /// It exceeded a limit, and the guard skipped it.
    #[error("{0}")]
    Excess(#[from] Excess),
    /// The parser refused it.
    #[error("not well-formed: {0}")]
    Xml(String),
    /// No `from`, a malformed one, or one that would be taken for another sender ([`as_written::exact`]).
    #[error("the sender's address is missing or malformed")]
    From,
    /// No `to`, or a malformed one.
    #[error("the receiver's address is missing or malformed")]
    To,
    /// An IQ without id.
    #[error("an IQ without id")]
    NoId,
    /// An IQ of an unknown type.
    #[error("an IQ of an unknown type")]
    Type,
    /// An IQ get or set without exactly one child.
    #[error("an IQ request must have exactly one child")]
    Children,
}

/// A top-level element of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Top {
    /// A stanza to hand on.
    Stanza(Received),
    /// A stanza to refuse.
    Malformed(Malformed),
    /// `<stream:error/>`; the stream is over.
    StreamError(StreamError),
    /// `<handshake/>`: the server accepted us.
    Handshake,
    /// Another element; its name, cut and made printable.
    Unknown(String),
}

/// Why the server ends the stream (RFC 6120, 4.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// Name of the condition, e.g. `not-authorized`.
    pub condition: String,
    /// The server's text, if any.
    pub text: Option<String>,
}

/// Parses the content of [`guard::Frame::Whole`].
#[must_use]
pub fn parse(frame: &[u8]) -> Top {
    let options = rxml::Options {
        // The guard has measured every token. The lexer's own limit must not apply first, because it ends the whole
        // stream.
        max_token_length: frame.len(),
        ..rxml::Options::default()
    };
    match xso::from_bytes_with_options::<Element>(frame, options) {
        Ok(element) => sort(element),
        Err(error) => Top::Malformed(Malformed {
            head: guard::head_of(frame),
            why: Defect::Xml(error.to_string()),
        }),
    }
}

fn sort(element: Element) -> Top {
    if element.has_ns(NS_COMPONENT) {
        let kind = match element.name() {
            "iq" => StanzaKind::Iq,
            "message" => StanzaKind::Message,
            "presence" => StanzaKind::Presence,
            "handshake" => return Top::Handshake,
            other => return Top::Unknown(other.to_owned()),
        };
        return match header(kind, &element) {
            Ok(header) => Top::Stanza(Received {
                kind,
                header,
                element,
            }),
            Err(why) => Top::Malformed(Malformed {
                head: head(&element),
                why,
            }),
        };
    }
    if element.is("error", NS_STREAM) {
        return Top::StreamError(stream_error(&element));
    }
    Top::Unknown(element.name().to_owned())
}

fn header(kind: StanzaKind, element: &Element) -> Result<Header, Defect> {
    let (from, to) = (element.attr("from"), element.attr("to"));
    let header = Header {
        // Roles, open questions and room occupants are found by the sender.
        from: from.and_then(as_written::exact).ok_or(Defect::From)?,
        to: to.and_then(|to| Jid::new(to).ok()).ok_or(Defect::To)?,
        id: element.attr("id").map(str::to_owned),
        type_: element.attr("type").map(str::to_owned),
        lang: element.attr_ns(NS_XML, "lang").map(str::to_owned),
    };
    if kind == StanzaKind::Iq {
        if header.id.is_none() {
            return Err(Defect::NoId);
        }
        match header.type_.as_deref() {
            Some("get" | "set") if element.children().count() != 1 => return Err(Defect::Children),
            Some("get" | "set" | "result" | "error") => {}
            _ => return Err(Defect::Type),
        }
    }
    Ok(header)
}

fn head(element: &Element) -> Head {
    let attr = |name| element.attr(name).map(str::to_owned);
    Head {
        name: element.name().to_owned(),
        from: attr("from"),
        to: attr("to"),
        id: attr("id"),
        type_: attr("type"),
    }
}

fn stream_error(element: &Element) -> StreamError {
    const NS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
    let condition = element
        .children()
        .find(|child| child.has_ns(NS) && child.name() != "text");
    StreamError {
        condition: condition
            .map_or("undefined-condition", Element::name)
            .to_owned(),
        text: element
            .get_child("text", NS)
            .map(Element::text)
            .filter(|text| !text.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::xmpp::guard::{Frame, Guard, Limits};
    use proptest::prelude::*;

    const HEADER: &[u8] = b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>";

    /// What the first element after the stream header becomes, through guard and parser.
    fn top(text: &str) -> Top {
        let bytes = [HEADER, text.as_bytes()].concat();
        let mut rest = &bytes[..];
        let mut guard = Guard::new(Limits::default());
        guard.next(&mut rest).unwrap();
        match guard.next(&mut rest).unwrap().unwrap() {
            Frame::Whole(frame) => parse(frame),
            other => panic!("{other:?}"),
        }
    }

    fn received(text: &str) -> Received {
        match top(text) {
            Top::Stanza(received) => received,
            other => panic!("{other:?}"),
        }
    }

    fn wrong(text: &str) -> Defect {
        match top(text) {
            Top::Malformed(malformed) => malformed.why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stanza_brings_its_header() {
        let received = received(
            "<iq type='get' id='a' from='alice@EXAMPLE.org/Phone' to='bot.example' xml:lang='de'><ping xmlns='urn:xmpp:ping'/></iq>",
        );
        assert_eq!(received.kind, StanzaKind::Iq);
        assert_eq!(received.header.from.as_str(), "alice@example.org/Phone");
        assert_eq!(received.header.lang.as_deref(), Some("de"));
        assert!(received.is_request());
        assert!(received.payload().unwrap().is("ping", "urn:xmpp:ping"));
    }

    /// `ᵃ` is newer than Unicode 3.2: Prosody has both accounts, and the jid crate makes one of them.
    #[test]
    fn a_sender_that_looks_like_another_is_not_taken_for_that_one() {
        for from in [
            "ᵃdmin@example.org/Phone",
            "admin@exᵃmple.org",
            "ops@rooms.example.org/ᵃl",
            "example.org/ᵖortcullis",
            "evilC∕kg@example.org",
            "Admin@example.org",
        ] {
            assert!(Jid::new(from).is_ok());
            assert_eq!(
                wrong(&format!("<message from='{from}' to='c'/>")),
                Defect::From,
                "{from}"
            );
        }
    }

    #[test]
    fn an_error_answer_without_an_error_child_is_taken() {
        let received = received(
            "<iq type='error' id='a' from='alice@example.org' to='bot.example'><privilege xmlns='urn:xmpp:privilege:2'/></iq>",
        );
        assert_eq!(received.type_(), "error");
        assert!(!received.is_request());
    }

    #[test]
    fn text_around_the_child_of_a_request_does_not_count() {
        assert!(
            received("<iq type='set' id='a' from='a@b' to='c'> <x xmlns='u'/> </iq>").is_request()
        );
    }

    #[test]
    fn requests_without_exactly_one_child_and_other_faults_are_told_apart() {
        assert_eq!(
            wrong("<iq type='get' id='a' from='a@b' to='c'/>"),
            Defect::Children
        );
        assert_eq!(
            wrong("<iq type='get' id='a' from='a@b' to='c'><x/><y/></iq>"),
            Defect::Children
        );
        assert_eq!(
            wrong("<iq type='got' id='a' from='a@b' to='c'><x/></iq>"),
            Defect::Type
        );
        assert_eq!(
            wrong("<iq id='a' from='a@b' to='c'><x/></iq>"),
            Defect::Type
        );
        assert_eq!(
            wrong("<iq type='get' from='a@b' to='c'><x/></iq>"),
            Defect::NoId
        );
        assert_eq!(wrong("<message to='c'/>"), Defect::From);
        assert_eq!(wrong("<message from='@b' to='c'/>"), Defect::From);
        assert_eq!(wrong("<message from='a@b' to='c@'/>"), Defect::To);
    }

    #[test]
    fn ill_formed_xml_costs_one_stanza_and_keeps_its_header() {
        for inner in [
            "<x></y>",
            "&nbsp;",
            "<x a='1' a='2'/>",
            "\u{1}",
            "<p:x/>",
            "<x y='<'/>",
        ] {
            let Top::Malformed(malformed) = top(&format!(
                "<iq type='get' id='a&lt;' from='a@b' to='c'>{inner}</iq>"
            )) else {
                panic!("{inner:?} was taken");
            };
            assert!(matches!(malformed.why, Defect::Xml(_)), "{inner:?}");
            assert_eq!(malformed.head.id.as_deref(), Some("a<"));
        }
    }

    #[test]
    fn guard_and_parser_agree_about_the_header() {
        for id in [
            "a",
            "a&amp;&#65;",
            "a\nb\tc",
            "a\r\nb",
            "&#10;&#13;&#9;",
            " a  b ",
            "é&#x1F600;",
        ] {
            let text = format!(
                "<iq xmlns='jabber:component:accept' type='get' id='{id}' from='a@b' to='c'><x/></iq>"
            );
            let Top::Stanza(received) = parse(text.as_bytes()) else {
                panic!("{id:?} was refused");
            };
            assert_eq!(
                guard::head_of(text.as_bytes()).id,
                received.header.id,
                "{id:?}"
            );
        }
    }

    #[test]
    fn an_attribute_longer_than_the_lexers_own_limit_is_read() {
        let long = "z".repeat(16_000);
        let received = received(&format!(
            "<message from='a@b' to='c'><x y='{long}'/></message>"
        ));
        assert_eq!(received.payload().unwrap().attr("y"), Some(&*long));
    }

    #[test]
    fn a_stream_error_tells_condition_and_text() {
        let error = top(
            "<stream:error><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Replaced</text><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        );
        assert_eq!(
            error,
            Top::StreamError(StreamError {
                condition: "conflict".into(),
                text: Some("Replaced".into())
            })
        );
    }

    #[test]
    fn handshake_and_strangers_are_known_for_what_they_are() {
        assert_eq!(top("<handshake/>"), Top::Handshake);
        assert_eq!(
            top("<iq xmlns='jabber:client'/>"),
            Top::Unknown("iq".into())
        );
        assert_eq!(top("<stream:features/>"), Top::Unknown("features".into()));
    }

    /// Feeds hostile bytes through guard and parser. Nothing may panic, and every whole frame gets a [`Top`].
    fn swallow(bytes: &[u8]) {
        let mut rest = bytes;
        let mut guard = Guard::new(Limits::default());
        while let Ok(Some(frame)) = guard.next(&mut rest) {
            match frame {
                Frame::Whole(frame) => drop(parse(frame)),
                Frame::Close => break,
                Frame::Open(_) | Frame::Rejected { .. } => {}
            }
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            swallow(&bytes);
            swallow(&[HEADER, &bytes].concat());
            swallow(&[HEADER, b"<iq type='get' id='", &bytes, b"' from='a@b' to='c'>", &bytes, b"</iq>"].concat());
        }

        #[test]
        fn random_xml_never_panics(pieces in prop::collection::vec(prop::sample::select(vec![
            "<iq", "<message", "<a", ">", "/>", "</iq>", "</a>", " from='a@b'", " to='c'", " id='1'", " type='get'", " xmlns='u'",
            " xmlns:p='v'", "<p:x/>", "&lt;", "&#x1F600;", "<![CDATA[", "]]>", "text", "é", " xml:lang='en'", "'", "\"",
        ]), 0..40)) {
            swallow(&[HEADER, pieces.concat().as_bytes()].concat());
        }
    }
}
