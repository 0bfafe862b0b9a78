//! Who a ban is about: an account, an address or a network.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use xmpp_parsers::jid::{BareJid, Jid};

/// An account of the server: a bare JID with a localpart, normalised (RFC 7622: case folded,
/// IDNA domain, no resource).
///
/// Kept as the normalised text, so that reading it back from the log cannot fail when the rules
/// of normalisation change under it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account(Box<str>);

impl Account {
    /// From a JID; the resource is dropped. `None` for a domain without a localpart.
    pub fn from_jid(jid: &Jid) -> Option<Self> {
        let localpart = jid.node()?;
        // The jid crate checks IDNA but keeps the spelling: xn-- and U-labels must compare equal.
        let (domain, _) = idna::domain_to_unicode(jid.domain().as_str().trim_end_matches('.'));
        Some(Account(format!("{localpart}@{domain}").into()))
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

    /// As a JID; `None` only if the rules for JIDs changed since it was stored.
    pub fn to_jid(&self) -> Option<BareJid> {
        BareJid::new(&self.0).ok()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a ban is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// A bare JID.
    Account(Account),
    /// One address; IPv4 in IPv6 (`::ffff:`) is IPv4.
    Address(IpAddr),
    /// A network, host bits cleared, never a single address.
    Network(IpNet),
}

/// Why a text names no subject. `Display` says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSubject {
    /// Nothing was written.
    #[error(
        "say whom: an account (spam@example.org), an address (203.0.113.7) or a network (203.0.113.0/24)"
    )]
    Missing,
    /// A JID, but not one of an account.
    #[error("{0:?} is a whole domain, not an account; write name@{0}")]
    Domain(String),
    /// Looks like a JID and is none.
    #[error("{text:?} is not a valid JID: {why}")]
    Jid {
        /// What was written.
        text: String,
        /// What the JID parser says of it.
        why: String,
    },
    /// A word without `@`.
    #[error("{0:?} is neither an account nor an address; an account is written name@domain")]
    Bare(String),
    /// Looks like an address and is none.
    #[error("{0:?} is not a valid address; write for example 203.0.113.7 or 2001:db8::7")]
    Address(String),
    /// Looks like a network and is none.
    #[error("{0:?} is not a valid network; write for example 203.0.113.0/24 or 2001:db8::/64")]
    Network(String),
    /// An address with a zone (`fe80::1%eth0`) means something on one machine only.
    #[error("{0:?} names a network interface; leave out the part from the % on")]
    Zone(String),
}

impl Subject {
    /// Reads what a person wrote, guessing the kind from its shape, and normalises it.
    ///
    /// # Errors
    /// [`BadSubject`] says what is wrong and what to write.
    pub fn parse(text: &str) -> Result<Subject, BadSubject> {
        let text = text.trim();
        let text = text.strip_prefix("xmpp:").unwrap_or(text);
        if text.is_empty() {
            return Err(BadSubject::Missing);
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Subject::address(address));
        }
        if text.contains('@') {
            return Self::parse_jid(text);
        }
        if let Some((host, _)) = bare.split_once('%')
            && host.parse::<IpAddr>().is_ok()
        {
            return Err(BadSubject::Zone(text.to_owned()));
        }
        if let Some((host, _)) = text.split_once('/')
            && (host.contains(':') || looks_like_ipv4(host))
        {
            return text
                .parse::<IpNet>()
                .map(Subject::network)
                .map_err(|_| BadSubject::Network(text.to_owned()));
        }
        if looks_like_ipv4(text) || (text.contains(':') && !text.contains('.')) {
            return Err(BadSubject::Address(text.to_owned()));
        }
        match Jid::new(text) {
            Ok(_) if text.contains('.') => Err(BadSubject::Domain(text.to_owned())),
            _ => Err(BadSubject::Bare(text.to_owned())),
        }
    }

    fn parse_jid(text: &str) -> Result<Subject, BadSubject> {
        let jid = Jid::new(text).map_err(|why| BadSubject::Jid {
            text: text.to_owned(),
            why: why_no_jid(&why).to_owned(),
        })?;
        match Account::from_jid(&jid) {
            Some(account) => Ok(Subject::Account(account)),
            None => Err(BadSubject::Domain(text.to_owned())),
        }
    }

    /// An address, with IPv4 in IPv6 folded to IPv4.
    pub fn address(address: IpAddr) -> Subject {
        Subject::Address(address.to_canonical())
    }

    /// A network with its host bits cleared and IPv4 in IPv6 folded; one of a single address
    /// becomes that address.
    pub fn network(net: IpNet) -> Subject {
        let net = fold_mapped(net).trunc();
        if net.prefix_len() == net.max_prefix_len() {
            return Subject::address(net.addr());
        }
        Subject::Network(net)
    }

    /// The addresses it covers; `None` for an account.
    pub fn net(&self) -> Option<IpNet> {
        match self {
            Subject::Account(_) => None,
            Subject::Address(address) => Some(IpNet::from(*address)),
            Subject::Network(net) => Some(*net),
        }
    }

    /// The account, if it is one.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Subject::Account(account) => Some(account),
            _ => None,
        }
    }

    /// What kind it is, in one word for people: `account`, `address`, `network`.
    pub fn kind(&self) -> &'static str {
        match self {
            Subject::Account(_) => "account",
            Subject::Address(_) => "address",
            Subject::Network(_) => "network",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Account(account) => account.fmt(f),
            Subject::Address(address) => address.fmt(f),
            Subject::Network(net) => net.fmt(f),
        }
    }
}

/// Whether two networks have an address in common.
pub fn overlaps(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// What is wrong with a JID, in words for people who do not know RFC 7622.
fn why_no_jid(why: &xmpp_parsers::jid::Error) -> &'static str {
    use xmpp_parsers::jid::Error;
    match why {
        Error::NodeEmpty => "nothing stands before the @",
        Error::NodePrep => "the name before the @ holds a character that no name may have",
        Error::NodeTooLong => "the name before the @ is longer than 1023 bytes",
        Error::TooManyAts => "it has more than one @",
        Error::NamePrep | Error::Idna => "what stands behind the @ is no domain",
        Error::ResourceEmpty => "nothing stands behind the /",
        Error::ResourcePrep | Error::ResourceTooLong => "what stands behind the / is no resource",
        Error::ResourceMissingInFullJid | Error::ResourceInBareJid => {
            "the resource does not belong"
        }
    }
}

fn looks_like_ipv4(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `::ffff:a.b.c.d/96+n` is `a.b.c.d/n`; ejabberd reports addresses in exactly this form.
fn fold_mapped(net: IpNet) -> IpNet {
    const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
    let IpNet::V6(v6) = net else { return net };
    let inside = Ipv6Net::new(MAPPED, 96).is_ok_and(|mapped| mapped.contains(&v6));
    match v6.addr().to_ipv4_mapped() {
        Some(v4) if inside => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(net, IpNet::V4),
        _ => net,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(input: &str, expect: &str) {
        assert_eq!(
            Subject::parse(input).unwrap().to_string(),
            expect,
            "{input}"
        );
    }

    #[test]
    fn accounts_are_normalised_and_lose_their_resource() {
        check("Spam@Localhost/res", "spam@localhost");
        check(" xmpp:spam@example.org ", "spam@example.org");
        check("straße@example.org", "strasse@example.org");
        assert_eq!(
            Subject::parse("a@bücher.example").unwrap(),
            Subject::parse("a@xn--bcher-kva.example").unwrap()
        );
        check("spam@example.org.", "spam@example.org");
    }

    #[test]
    fn addresses_have_one_spelling() {
        check("203.0.113.7", "203.0.113.7");
        check("::ffff:203.0.113.7", "203.0.113.7");
        check("2001:DB8:0:0::7", "2001:db8::7");
        check("[2001:db8::7]", "2001:db8::7");
    }

    #[test]
    fn networks_lose_their_host_bits() {
        check("203.0.113.7/24", "203.0.113.0/24");
        check("203.0.113.7/32", "203.0.113.7");
        check("::ffff:203.0.113.0/120", "203.0.113.0/24");
        check("2001:db8::1/64", "2001:db8::/64");
        check("::/0", "::/0");
    }

    #[test]
    fn what_is_no_subject_is_told_why() {
        let why = |input: &str| Subject::parse(input).unwrap_err();
        assert_eq!(why(" "), BadSubject::Missing);
        assert_eq!(why("example.org"), BadSubject::Domain("example.org".into()));
        assert_eq!(why("spam"), BadSubject::Bare("spam".into()));
        assert_eq!(why("256.1.1.1"), BadSubject::Address("256.1.1.1".into()));
        assert_eq!(
            why("10.0.0.0/33"),
            BadSubject::Network("10.0.0.0/33".into())
        );
        assert_eq!(why("fe80::1%eth0"), BadSubject::Zone("fe80::1%eth0".into()));
        assert!(matches!(why("a b@c"), BadSubject::Jid { .. }));
        assert!(matches!(why("@example.org"), BadSubject::Jid { .. }));
    }
}
