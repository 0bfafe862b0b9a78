//! Accounts, in the spelling of their server.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xmpp_parsers::jid::{BareJid, Jid};

use super::as_written;

/// An account of the server: a bare JID with a localpart. The localpart is as the server spells it, which is nearly always
/// the normal form of RFC 7622; the domain is a [`domain_key`].
///
/// Stored as text, so that reading it from the log cannot fail after the rules of normalisation change. The text is shared, because the same account appears in many places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(Arc<str>);

impl Account {
    /// From a JID; the resource is dropped. `None` for a domain without a localpart.
    ///
    /// The jid crate may have changed the name when it read the JID: read what a server wrote with
    /// [`exact`](super::as_written::exact), and check what a person typed with
    /// [`is_renamed`](super::as_written::is_renamed).
    pub fn from_jid(jid: &Jid) -> Option<Self> {
        let localpart = jid.node()?;
        let domain = domain_key(jid.domain().as_str());
        Self::readable(format!("{localpart}@{domain}"))
    }

    /// `None` if what is printed could not be typed: the jid crate takes `ß--b.example` and `Ӏ.example`, but not
    /// `ss--b.example` and `ӏ.example`, its normal forms of them.
    fn readable(text: String) -> Option<Self> {
        let domain = text.rsplit_once('@').map_or("", |parts| parts.1);
        let is_plain = domain.is_ascii() && !domain.contains("--");
        let is_read = is_plain || Jid::new(domain).is_ok();
        is_read.then(|| Account(text.into()))
    }

    /// From a name that a server vouches for and that the jid crate refuses or would change: its localpart has characters that
    /// are newer than Unicode 3.2 (emoji, `ᵃ`), which Prosody lets through, or a form that only the server's stringprep
    /// gives it. Taken as the server wrote it. `None` if it cannot be a bare JID at all.
    pub fn from_server(text: &str) -> Option<Self> {
        /// RFC 7622, 3.1
        const LONGEST: usize = 1023;
        let (localpart, domain) = text.split_once('@')?;
        let is_name = !localpart.is_empty()
            && localpart.len() <= LONGEST
            && !localpart.chars().any(is_forbidden);
        let domain = as_written::exact(domain)
            .filter(|jid| is_name && jid.node().is_none() && jid.resource().is_none())?;
        let domain = domain_key(domain.domain().as_str());
        Self::readable(format!("{localpart}@{domain}"))
    }

    /// Fast path for a text that is clearly in normal form, as servers send it: lower-case ASCII letters, digits,
    /// `.`, `_` and `-` on both sides of one `@`. `None` for any other text, which may still be an account
    /// ([`Account::from_jid`]).
    pub fn from_plain(text: &str) -> Option<Self> {
        let (localpart, domain) = text.split_once('@')?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_name = |byte: u8| is_plain(byte) || matches!(byte, b'.' | b'_' | b'-');
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            let ends = bytes.first().into_iter().chain(bytes.last());
            !bytes.is_empty()
                && bytes.len() < 64
                && !label.contains("--")
                && ends.copied().all(is_plain)
                && bytes.iter().all(|byte| is_plain(*byte) || *byte == b'-')
        };
        let fits = !localpart.is_empty()
            && localpart.len() < 256
            && domain.len() < 256
            && localpart.bytes().all(is_name)
            && domain.split('.').all(is_label)
            && domain.bytes().any(|byte| byte.is_ascii_lowercase());
        fits.then(|| Account(text.into()))
    }

    /// The account in the spelling of its server: with `domain` (such as `xn--bcher-kva.example`) in place of its own if
    /// both are spellings of one domain, and unchanged otherwise. ejabberd compares names byte by byte.
    pub fn spelled(&self, domain: &str) -> Cow<'_, str> {
        if domain != self.domain() && domain_key(domain) == self.domain() {
            Cow::Owned(format!("{}@{domain}", self.localpart()))
        } else {
            Cow::Borrowed(&self.0)
        }
    }

    /// The normalised bare JID.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    pub fn localpart(&self) -> &str {
        self.0.split_once('@').map_or(&*self.0, |parts| parts.0)
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |parts| parts.1)
    }

    /// The account as a JID; `None` if it has none, because the jid crate refuses the name or would change it.
    pub fn to_jid(&self) -> Option<BareJid> {
        as_written::exact(&self.0).map(|jid| jid.to_bare())
    }
}

/// A domain as accounts have it: lower case, no dot at the end, and in Unicode, so that A-labels (`xn--`) and U-labels
/// compare equal; the jid crate keeps the spelling.
///
/// A domain stays in A-labels if its Unicode form is read as another domain: the jid crate follows IDNA 2003, where `ß`
/// means `ss`, but `xn--strae-oqa.example` does not belong to the owner of `strasse.example`.
pub fn domain_key(domain: &str) -> String {
    let domain = domain.trim_end_matches('.');
    let (unicode, _) = idna::domain_to_unicode(domain);
    let reads_back = || BareJid::new(&unicode).is_ok_and(|jid| jid.as_str() == unicode);
    match unicode.is_ascii() || reads_back() {
        true => unicode,
        false => domain.to_lowercase(),
    }
}

/// What no localpart has: RFC 7622, 3.3.1, and RFC 3454, tables B.1 and C.1.1 to C.9. What Unicode 3.2 does not assign is in
/// none of the tables, and Prosody lets it through.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c, '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{6dd}' | '\u{70f}'
            | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{2063}'
            | '\u{206a}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
            | '\u{f0000}'..='\u{10ffff}')
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<str>::deserialize(deserializer).map(|text| Account(text.into()))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_newer_than_our_unicode_is_taken_as_the_server_wrote_it() {
        for (text, expect) in [
            ("😀@example.org", Some("😀@example.org")),
            ("a🦊b@xn--bcher-kva.example", Some("a🦊b@bücher.example")),
            ("😀\u{202e}@example.org", None),
            ("😀\u{200d}@example.org", None),
            ("😀 a@example.org", None),
            ("😀@example.org/x", None),
            ("😀@a@example.org", None),
            ("@example.org", None),
            ("😀", None),
            ("😀@", None),
        ] {
            let found = Account::from_server(text);
            assert_eq!(found.as_ref().map(Account::as_str), expect, "{text:?}");
        }
        let long = format!("{}@example.org", "😀".repeat(300));
        assert_eq!(Account::from_server(&long), None);
    }

    #[test]
    fn a_domain_that_would_be_read_as_another_one_in_unicode_stays_in_ascii() {
        for (text, domain) in [
            ("a@XN--bcher-kva.example.", "bücher.example"),
            ("a@bücher.example", "bücher.example"),
            ("a@xn--strae-oqa.example", "xn--strae-oqa.example"),
            ("a@straße.example", "strasse.example"),
            ("a@xn--bcher-ke6ample", "xn--bcher-ke6ample"),
        ] {
            let account = Account::from_jid(&Jid::new(text).unwrap()).unwrap();
            assert_eq!(account.domain(), domain, "{text}");
            let again = Account::from_jid(&Jid::new(account.as_str()).unwrap());
            assert_eq!(again, Some(account), "{text}");
        }
    }

    #[test]
    fn a_domain_whose_normal_form_cannot_be_typed_is_no_account() {
        for text in ["a@ß--b.example", "a@ǟӀ", "a@ӏ.example"] {
            let jid = Jid::new(text).ok();
            assert_eq!(jid.as_ref().and_then(Account::from_jid), None, "{text:?}");
            assert_eq!(Account::from_server(text), None, "{text:?}");
        }
        let typed = Jid::new("a@ß--b.example");
        assert!(typed.is_ok_and(|jid| jid.as_str() == "a@ss--b.example"));
    }

    #[test]
    fn a_plain_account_is_its_own_normal_form() {
        for text in ["alice@example.org", "a.b-c_9@x-1.localhost", "u@localhost"] {
            let slowly = Account::from_jid(&Jid::new(text).unwrap());
            assert_eq!(Account::from_plain(text), slowly, "{text}");
            assert!(slowly.is_some());
        }
        for text in [
            "Alice@example.org",
            "a@b@c",
            "a@Example.org",
            "a@xn--bcher-kva.example",
            "a@example.org.",
            "a@example.org/x",
            "@example.org",
            "a@",
            "a@-b",
            "a@192.0.2.1",
            "é@example.org",
            "a b@example.org",
            "a@[::1]",
            "a",
        ] {
            assert_eq!(Account::from_plain(text), None, "{text}");
        }
    }

    #[test]
    fn names_as_long_as_the_dns_allows_are_plain_and_longer_ones_are_not() {
        let is_plain = |text: String| Account::from_plain(&text).is_some();
        let label = |bytes: usize| "a".repeat(bytes);
        assert!(is_plain(format!("a@{}", label(63))));
        assert!(!is_plain(format!("a@{}", label(64))));
        assert!(is_plain(format!("{}@b", label(255))));
        assert!(!is_plain(format!("{}@b", label(256))));
        let domain = |last: usize| format!("{0}.{0}.{0}.{1}", label(63), label(last));
        assert!(is_plain(format!("a@{}", domain(63))));
        let long = format!("a@{}.a", domain(62));
        assert!(long.len() == 2 + 256 && !is_plain(long));
    }
}
