//! Reads and answers the question of every login without an XML tree.
//!
//! Modules write `<check/>` in one plain form, which is read here in one pass over its bytes. A frame in any other
//! form (an entity, a character beyond ASCII, another element, a name that may not be normalised) is left to the
//! parser, which reads the same from it. A property test below compares the two.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Check, NS_HOOK, address, denial_text, hold};
use crate::core::{Account, Seq, Timestamp, Verdict};
use crate::xmpp::stanza::NS_COMPONENT;

/// A check in its plain form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainCheck<'a> {
    /// Sender of the stanza.
    pub from: &'a str,
    /// The address of ours that was asked.
    pub to: &'a str,
    /// Id of the stanza.
    pub id: &'a str,
    /// The question.
    pub check: Check,
}

impl<'a> PlainCheck<'a> {
    /// Reads a frame of the guard; `None` if it is not a check, or not in the plain form.
    #[must_use]
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        if !frame.is_ascii() {
            return None;
        }
        let mut rest = std::str::from_utf8(frame).ok()?.strip_prefix("<iq")?;
        let [mut from, mut to, mut id, mut type_, mut xmlns, mut lang] = [None; 6];
        while let Some((name, value)) = attribute(&mut rest)? {
            once(
                match name {
                    "from" => &mut from,
                    "to" => &mut to,
                    "id" => &mut id,
                    "type" => &mut type_,
                    "xmlns" => &mut xmlns,
                    "xml:lang" => &mut lang,
                    _ => return None,
                },
                value,
            )?;
        }
        if (type_, xmlns) != (Some("get"), Some(NS_COMPONENT)) {
            return None;
        }
        let check = check(rest.strip_prefix('>')?.strip_prefix("<check")?)?;
        Some(PlainCheck {
            from: from?,
            to: to?,
            id: id?,
            check,
        })
    }
}

fn check(mut rest: &str) -> Option<Check> {
    let [mut account, mut from, mut mechanism, mut held, mut xmlns] = [None; 5];
    while let Some((name, value)) = attribute(&mut rest)? {
        once(
            match name {
                "account" => &mut account,
                "address" => &mut from,
                "mechanism" => &mut mechanism,
                "hold" => &mut held,
                "xmlns" => &mut xmlns,
                _ => return None,
            },
            value,
        )?;
    }
    let rest = match rest.strip_prefix("/>") {
        Some(rest) => rest,
        None => rest.strip_prefix("></check>")?,
    };
    if xmlns != Some(NS_HOOK) || rest != "</iq>" || (account, from) == (None, None) {
        return None;
    }
    // A value that the parser would read as absent is left to it, hence `?` inside the options.
    let account: Option<Account> = match account {
        Some(text) => Some(Account::from_plain(text)?),
        None => None,
    };
    let address: Option<IpAddr> = match from {
        Some(text) => Some(address(text)?),
        None => None,
    };
    Some(Check {
        account,
        address,
        hold: held.and_then(hold),
    })
}

/// Stores an attribute; `None` for a second one of the same name, which is ill-formed.
fn once<'a>(place: &mut Option<&'a str>, value: &'a str) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// The next attribute of a start tag. Outer `None`: not in the plain form; inner `None`: no more attributes.
#[expect(clippy::option_option, reason = "as said above")]
fn attribute<'a>(rest: &mut &'a str) -> Option<Option<(&'a str, &'a str)>> {
    let behind = rest.trim_start_matches(' ');
    if behind.starts_with(['/', '>']) {
        *rest = behind;
        return Some(None);
    }
    if behind.len() == rest.len() {
        return None;
    }
    let (name, behind) = behind.split_once('=')?;
    let quote = behind
        .bytes()
        .next()
        .filter(|quote| matches!(quote, b'"' | b'\''))?;
    let behind = &behind[1..];
    let end = memchr::memchr(quote, behind.as_bytes())?;
    let value = &behind[..end];
    let is_plain = |byte: u8| !matches!(byte, b'&' | b'<' | b'\'' | b'"' | 0..=0x1f | 0x7f);
    if !value.bytes().all(is_plain) {
        return None;
    }
    *rest = &behind[end + 1..];
    Some(Some((name, value)))
}

impl PlainCheck<'_> {
    /// The whole answer, as bytes of the stream; `now` is our time.
    #[must_use]
    pub fn answer(&self, verdict: &Verdict, seq: Seq, now: Timestamp) -> Vec<u8> {
        let PlainCheck { from, to, id, .. } = self;
        let mut text = String::with_capacity(256);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "<iq type='result' id='{id}' from='{to}' to='{from}'><verdict xmlns='{NS_HOOK}'"
        );
        let now = now.to_xmpp_millis();
        match verdict {
            Verdict::LetIn => {
                let _ = write!(text, " action='allow' seq='{}' now='{now}'/>", seq.0);
            }
            Verdict::Refuse {
                ban,
                by,
                reason,
                until,
            } => {
                let _ = write!(
                    text,
                    " action='refuse' by='{}' seq='{}' now='{now}'",
                    by.as_str(),
                    seq.0
                );
                if ban.0 != 0 {
                    let _ = write!(text, " ban='{}'", ban.0);
                }
                if let Some(until) = until {
                    let _ = write!(text, " until='{}'", until.to_xmpp());
                }
                text.push_str("><text>");
                push_escaped(&mut text, &denial_text(*by, reason, *until));
                text.push_str("</text></verdict>");
            }
        }
        text.push_str("</iq>");
        text.into_bytes()
    }
}

fn push_escaped(text: &mut String, plain: &str) {
    for c in plain.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::{BanId, By, Timestamp};
    use crate::xmpp::payload::hook::{HookRequest, verdict};
    use crate::xmpp::stanza::{Top, parse};
    use proptest::prelude::*;

    const PLAIN: &str = "<iq xmlns='jabber:component:accept' type='get' id='q1' from='example.org/portcullis' to='gate.example.org'>\
        <check xmlns='urn:portcullis:hook:1' account='alice@example.org' address='203.0.113.7' mechanism='PLAIN'/></iq>";

    #[test]
    fn the_plain_shape_is_read() {
        let read = PlainCheck::read(PLAIN.as_bytes()).unwrap();
        assert_eq!((read.id, read.to), ("q1", "gate.example.org"));
        assert_eq!(read.check.account, Account::from_plain("alice@example.org"));
        assert_eq!(read.check.address, "203.0.113.7".parse().ok());
        let other = PLAIN
            .replace('\'', "\"")
            .replace("/></iq>", " ></check></iq>")
            .replace("type=", " xml:lang=\"en\"  type=");
        assert_eq!(PlainCheck::read(other.as_bytes()).unwrap(), read);
    }

    #[test]
    fn anything_else_is_left_to_the_parser() {
        for (from, to) in [
            ("q1", "q&amp;1"),
            ("alice", "älice"),
            ("'get'", "'set'"),
            ("<check", "<chec"),
            ("hook:1", "hook:2"),
            ("/></iq>", "/> </iq>"),
            ("/></iq>", "><x/></check></iq>"),
            ("/></iq>", "/><x/></iq>"),
            (" id='q1'", ""),
            (" id='q1'", " id='q1' id='q1'"),
            (" id=", " p:id="),
            ("' id", "'id"),
            ("'q1'", "'q\t1'"),
            ("'q1'", "\"q'1\""),
            ("mechanism", "door"),
            ("alice@", "Alice@"),
            ("203.0.113.7", "203.0.113"),
            ("component:accept", "client"),
        ] {
            assert!(PLAIN.contains(from), "{from}");
            assert_eq!(
                PlainCheck::read(PLAIN.replacen(from, to, 1).as_bytes()),
                None,
                "{to}"
            );
        }
    }

    #[test]
    fn an_answer_says_what_the_parsed_one_says() {
        let read = PlainCheck::read(PLAIN.as_bytes()).unwrap();
        let refuse = |ban, reason: &str, until| Verdict::Refuse {
            ban: BanId(ban),
            by: By::Pair,
            reason: reason.into(),
            until,
        };
        let end = Timestamp::parse("2030-01-01");
        for one in [
            Verdict::LetIn,
            refuse(17, "a <b> & 'c' \"d\" ]]>", end),
            refuse(0, "", None),
        ] {
            let text =
                String::from_utf8(read.answer(&one, Seq(44), Timestamp::from_millis(7))).unwrap();
            let framed = text.replacen("<iq", "<iq xmlns='jabber:component:accept'", 1);
            let Top::Stanza(received) = parse(framed.as_bytes()) else {
                panic!("{text}");
            };
            let long = verdict(&one, Seq(44), Timestamp::from_millis(7));
            let payload = received.payload().unwrap();
            let attributes = |element: &minidom::Element| {
                let attributes = element.attrs().into_iter();
                attributes
                    .map(|((_, name), value)| (name.to_string(), value.to_owned()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(attributes(payload), attributes(&long));
            assert_eq!(
                crate::xmpp::payload::text_of(payload, "text", NS_HOOK),
                crate::xmpp::payload::text_of(&long, "text", NS_HOOK)
            );
            assert!(payload.is("verdict", NS_HOOK));
            assert_eq!(received.header.to.as_str(), "example.org/portcullis");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_here_is_what_the_parser_reads(
            parts in proptest::collection::vec(prop_oneof![
                Just(" id='q'"), Just(" type='get'"), Just(" type=\"get\""), Just(" from='a.example'"), Just(" to='b'"),
                Just(" xmlns='jabber:component:accept'"), Just(" xml:lang='en'"), Just(">"), Just("<check"),
                Just(" xmlns='urn:portcullis:hook:1'"), Just(" account='a@b'"), Just(" account='a&lt;@b'"),
                Just(" address='192.0.2.1'"), Just(" hold='250'"), Just("/>"), Just("></check>"), Just("</iq>"), Just(" "), Just("x"),
            ], 0..16),
            orderly in any::<bool>(),
        ) {
            let text = match orderly {
                false => format!("<iq{}", parts.concat()),
                true => {
                    let of = |names: &[&str]| parts.iter()
                        .filter(|part| names.iter().any(|name| part.trim_start().starts_with(name)))
                        .copied().collect::<String>();
                    format!("<iq xmlns='jabber:component:accept' type='get'{}><check xmlns='urn:portcullis:hook:1'{}/></iq>",
                        of(&["id", "from", "to", "xml:lang"]), of(&["account", "address", "hold"]))
                }
            };
            if let Some(plain) = PlainCheck::read(text.as_bytes()) {
                let Top::Stanza(slow) = parse(text.as_bytes()) else {
                    return Err(TestCaseError::fail(format!("not a stanza: {text}")));
                };
                prop_assert_eq!(slow.header.from.as_str(), plain.from);
                prop_assert_eq!(slow.header.id.as_deref(), Some(plain.id));
                let payload = slow.payload().unwrap();
                let now = Timestamp::from_millis(0);
                prop_assert_eq!(HookRequest::read(payload, true, now), Ok(HookRequest::Check(plain.check)));
            }
        }
    }
}
