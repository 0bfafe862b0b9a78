//! Subjects of bans: an account, an address, a network, a pair (an account at a source), or an account lockdown.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use xmpp_parsers::jid::Jid;

use super::{as_written, words};

pub use super::account::Account;

/// What a ban is about.
///
/// Read from bytes, it is normalised too: the index of active bans takes two networks that differ in host bits for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "StoredSubject")]
pub enum Subject {
    /// A bare JID.
    Account(Account),
    /// One address. An IPv4-mapped IPv6 address (`::ffff:`) is stored as IPv4.
    Address(IpAddr),
    /// A network with its host bits cleared; never a single address.
    Network(IpNet),
    /// A pair: an account at one address or network, `alice@example.org from 203.0.113.7`. Other accounts there, and
    /// the account elsewhere, are not affected.
    Pair(Account, IpNet),
    /// The lockdown of an account under attack: `guard of alice@example.org`. It refuses sources without an earlier
    /// login to that account, and never its owner at the usual places.
    Guard(Account),
}

/// A subject as bytes have it, which may not be normalised.
#[derive(Deserialize)]
enum StoredSubject {
    Account(Account),
    Address(IpAddr),
    Network(IpNet),
    Pair(Account, IpNet),
    Guard(Account),
}

impl From<StoredSubject> for Subject {
    fn from(stored: StoredSubject) -> Self {
        match stored {
            StoredSubject::Account(account) => Subject::Account(account),
            StoredSubject::Address(address) => Subject::address(address),
            StoredSubject::Network(net) => Subject::network(net),
            StoredSubject::Pair(account, net) => Subject::Pair(account, normal(net)),
            StoredSubject::Guard(account) => Subject::Guard(account),
        }
    }
}

/// Separates the halves of a pair.
const FROM: &str = "from";
/// Precedes the account of a lockdown.
const GUARD_OF: [&str; 2] = ["guard", "of"];

/// The text is no subject. `Display` says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSubject {
    /// The text is empty.
    #[error(
        "say whom: an account (spam@example.org), an address (203.0.113.7) or a network (203.0.113.0/24)"
    )]
    Missing,
    /// A JID without a localpart.
    #[error("{0:?} is a whole domain, not an account; write name@{0}")]
    Domain(String),
    /// Looks like a JID but is invalid.
    #[error("{text:?} is not a valid JID: {why}")]
    Jid {
        /// The text.
        text: String,
        /// The reason.
        why: String,
    },
    /// A JID that the jid crate reads as another one; see [`as_written`].
    #[error(
        "{text:?} looks like {becomes}, and a server may have both; write {becomes} if you mean that account{exactly}"
    )]
    Renamed {
        /// The text.
        text: String,
        /// The other one.
        becomes: String,
        /// How to name the account of this spelling; may be empty.
        exactly: String,
    },
    /// A word without `@` that is no address.
    #[error("{0:?} is neither an account nor an address; an account is written name@domain")]
    Bare(String),
    /// Looks like an address but is invalid.
    #[error("{0:?} is not a valid address; write for example 203.0.113.7 or 2001:db8::7")]
    Address(String),
    /// Looks like a network but is invalid.
    #[error("{0:?} is not a valid network; write for example 203.0.113.0/24 or 2001:db8::/64")]
    Network(String),
    /// `… from …` without an account and an address.
    #[error(
        "{0:?} is not an account and a place; write for example alice@example.org from 203.0.113.7"
    )]
    Pair(String),
    /// An address, and behind a space what would make it a network or a range.
    #[error(
        "{0:?} is unclear; a network is written in one word, for example 203.0.113.0/24, and a range as networks"
    )]
    Apart(String),
    /// An address with a zone (`fe80::1%eth0`), which is valid on one machine only.
    #[error("{0:?} names a network interface; leave out the part from the % on")]
    Zone(String),
}

impl Subject {
    /// Parses what a person wrote: recognises the kind by its shape, and normalises it.
    ///
    /// # Errors
    /// [`BadSubject`] says what is wrong and what to write.
    pub fn parse(text: &str) -> Result<Subject, BadSubject> {
        let text = text.trim();
        let text = text.strip_prefix("xmpp:").unwrap_or(text);
        if text.is_empty() {
            return Err(BadSubject::Missing);
        }
        if let Some(name) = words::unquoted(text) {
            return match exactly(&name) {
                Some(account) => Ok(Subject::Account(account)),
                None => Self::parse(&name),
            };
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        match &words[..] {
            [guard, of, account] if is_guard_of(guard, of) => {
                return Self::parse_jid(account).map(|subject| match subject {
                    Subject::Account(account) => Subject::Guard(account),
                    other => other,
                });
            }
            [account, from, place] if is_from(from) => {
                let account = Self::parse_jid(account)?;
                let place = match Self::parse(place) {
                    // It has the shape of another kind only because something is wrong with it.
                    Err(BadSubject::Bare(_) | BadSubject::Domain(_) | BadSubject::Jid { .. })
                        if is_place(place) =>
                    {
                        return Err(BadSubject::Pair(text.to_owned()));
                    }
                    place => place?,
                };
                return match (account, place.net()) {
                    (Subject::Account(account), Some(net)) => Ok(Subject::Pair(account, net)),
                    _ => Err(BadSubject::Pair(text.to_owned())),
                };
            }
            // Everything behind the slash of a JID is its resource, which a ban of the account would leave out.
            [account, from, place, ..]
                if account.contains('@') && is_from(from) && is_place(place) =>
            {
                return Err(BadSubject::Pair(text.to_owned()));
            }
            _ => {}
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

    /// Parses a subject at the start of `words` and returns how many words it took: one, or three for
    /// `alice@example.org from 203.0.113.7` and `guard of alice@example.org`.
    ///
    /// # Errors
    /// [`BadSubject`] says what is wrong and what to write.
    pub fn take(words: &[&str]) -> Result<(Subject, usize), BadSubject> {
        if let Some(three) = words.get(..3) {
            let is_pair = is_from(three[1]) && three[0].contains('@');
            match Self::parse(&three.join(" ")) {
                Ok(subject) if is_pair || is_guard_of(three[0], three[1]) => {
                    return Ok((subject, 3));
                }
                // The account alone would be a wider ban than what is written.
                Err(why) if is_pair && is_place(three[2]) => return Err(why),
                _ => {}
            }
        }
        let subject = Self::parse(words.first().copied().unwrap_or_default())?;
        match subject.net().is_some() && widens(&words[1..]) {
            true => Err(BadSubject::Apart(words[..2].join(" "))),
            false => Ok((subject, 1)),
        }
    }

    fn parse_jid(text: &str) -> Result<Subject, BadSubject> {
        let name = words::unquoted(text);
        if let Some(account) = name.as_deref().and_then(exactly) {
            return Ok(Subject::Account(account));
        }
        let text = name.as_deref().unwrap_or(text);
        let jid = match Jid::new(text) {
            Ok(jid) => jid,
            Err(why) => {
                // We print such names too, so they must be readable.
                let newer = Account::from_server(text).map(Subject::Account);
                return newer.ok_or_else(|| BadSubject::Jid {
                    text: text.to_owned(),
                    why: why_no_jid(&why).to_owned(),
                });
            }
        };
        if as_written::is_renamed(text, &jid) {
            let exactly = exactly(text).map(|account| words::quoted(account.as_str()));
            return Err(BadSubject::Renamed {
                text: text.to_owned(),
                becomes: jid.to_string(),
                exactly: exactly.map_or_else(String::new, |name| {
                    format!(", or {name} with the quotes for this one")
                }),
            });
        }
        match Account::from_jid(&jid) {
            Some(account) => Ok(Subject::Account(account)),
            None => Err(BadSubject::Domain(text.to_owned())),
        }
    }

    /// An address; IPv4-mapped IPv6 becomes IPv4.
    pub fn address(address: IpAddr) -> Subject {
        Subject::Address(address.to_canonical())
    }

    /// A network with its host bits cleared; IPv4-mapped IPv6 becomes IPv4, and a network of one address becomes that
    /// address.
    pub fn network(net: IpNet) -> Subject {
        let net = normal(net);
        if net.prefix_len() == net.max_prefix_len() {
            return Subject::address(net.addr());
        }
        Subject::Network(net)
    }

    /// The addresses it covers for everybody; `None` for accounts, pairs and account lockdowns.
    pub fn net(&self) -> Option<IpNet> {
        match self {
            Subject::Address(address) => Some(IpNet::from(*address)),
            Subject::Network(net) => Some(*net),
            Subject::Account(_) | Subject::Pair(..) | Subject::Guard(_) => None,
        }
    }

    /// The account; `None` for any other kind, even a pair or account lockdown.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Subject::Account(account) => Some(account),
            _ => None,
        }
    }

    /// The account that it concerns: itself, or that of a pair or account lockdown.
    pub fn whose(&self) -> Option<&Account> {
        match self {
            Subject::Account(account) | Subject::Pair(account, _) | Subject::Guard(account) => {
                Some(account)
            }
            Subject::Address(_) | Subject::Network(_) => None,
        }
    }

    /// The addresses that it concerns: those it covers, or those of a pair.
    pub fn place(&self) -> Option<IpNet> {
        match self {
            Subject::Pair(_, net) => Some(*net),
            other => other.net(),
        }
    }

    /// Whether another subject is part of this one: for an account, everything about it; for a network, everything
    /// inside of it.
    pub fn holds(&self, other: &Subject) -> bool {
        match self {
            Subject::Account(account) => other.whose() == Some(account),
            Subject::Address(_) | Subject::Network(_) => match (self.net(), other.place()) {
                (Some(net), Some(place)) => net.contains(&place),
                _ => false,
            },
            Subject::Pair(..) | Subject::Guard(_) => false,
        }
    }

    /// The subject as a line names it that somebody may copy: as `Display`, with the account in quotes if its name could
    /// be taken for something else.
    pub fn written(&self) -> String {
        match self {
            Subject::Account(account) => words::name(account.as_str()),
            Subject::Pair(account, net) => {
                let place = Subject::network(*net);
                format!("{} {FROM} {place}", words::name(account.as_str()))
            }
            Subject::Guard(account) => {
                let name = words::name(account.as_str());
                format!("{} {} {name}", GUARD_OF[0], GUARD_OF[1])
            }
            Subject::Address(_) | Subject::Network(_) => self.to_string(),
        }
    }

    /// The kind in one word: `account`, `address`, `network`, `pair`, `guard`.
    pub fn kind(&self) -> &'static str {
        match self {
            Subject::Account(_) => "account",
            Subject::Address(_) => "address",
            Subject::Network(_) => "network",
            Subject::Pair(..) => "pair",
            Subject::Guard(_) => "guard",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Account(account) => f.write_str(&printed(account)),
            Subject::Address(address) => address.fmt(f),
            Subject::Network(net) => net.fmt(f),
            Subject::Pair(account, net) => {
                let place = Subject::network(*net);
                write!(f, "{} {FROM} {place}", printed(account))
            }
            Subject::Guard(account) => {
                let name = printed(account);
                write!(f, "{} {} {name}", GUARD_OF[0], GUARD_OF[1])
            }
        }
    }
}

/// The account that a name in quotes means exactly as it is spelled: one that the jid crate refuses or would change.
fn exactly(name: &str) -> Option<Account> {
    let is_ascii = name.split('@').next().is_some_and(str::is_ascii);
    match is_ascii || as_written::exact(name).is_some() {
        true => None,
        false => Account::from_server(name),
    }
}

/// The name, in quotes if it would be read as another one without them.
fn printed(account: &Account) -> Cow<'_, str> {
    match as_written::reads_back(account.as_str()) {
        true => account.as_str().into(),
        false => words::quoted(account.as_str()).into(),
    }
}

/// Whether two networks have an address in common.
pub fn overlaps(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// What is wrong with a JID, in words that need no knowledge of RFC 7622.
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

/// Whether a word separates an account from its place: `from`, however it is written.
pub fn is_from(word: &str) -> bool {
    word.trim_end_matches(':').eq_ignore_ascii_case(FROM)
}

/// Whether two words precede the account of a lockdown: `guard of`, however it is written.
pub fn is_guard_of(guard: &str, of: &str) -> bool {
    guard.eq_ignore_ascii_case(GUARD_OF[0]) && of.eq_ignore_ascii_case(GUARD_OF[1])
}

/// Whether a word is meant as an address or network, valid or not: also with a typing error, a port, or marks around
/// it, as in `(203.0.113.7)` and `[203.0.113.7]:5222`.
pub fn is_place(word: &str) -> bool {
    let is_dot = |c: char| matches!(c, '.' | ',' | '。' | '．' | '｡');
    let inside = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let begins_as_one =
        inside.starts_with(char::is_numeric) && inside.contains(|c| is_dot(c) || ":/".contains(c));
    let has_octets = word
        .split(|c: char| !c.is_numeric() && !is_dot(c))
        .any(|part| part.split(is_dot).filter(|octet| !octet.is_empty()).count() > 2);
    let has_groups = word.matches(':').count() > 1;
    begins_as_one
        || has_octets
        || has_groups
        || match Subject::parse(word) {
            Ok(subject) => subject.net().is_some(),
            Err(why) => matches!(
                why,
                BadSubject::Address(_) | BadSubject::Network(_) | BadSubject::Zone(_)
            ),
        }
}

/// Whether the words behind an address were meant to make it a network or a range: `/24`, `/ 24`, `255.255.255.0`,
/// `- 203.0.113.9`. Taken for the beginning of a reason they would leave a ban of that address alone.
pub fn widens(words: &[&str]) -> bool {
    let Some(first) = words.first() else {
        return false;
    };
    let is_mask = first.parse::<Ipv4Addr>().is_ok_and(|mask| {
        let bits = mask.to_bits();
        bits >> 24 == 0xff && bits.leading_ones() + bits.trailing_zeros() >= 32
    });
    let is_range = matches!(*first, "-" | "–" | "—" | "to" | "..")
        && words
            .get(1)
            .is_some_and(|end| end.parse::<IpAddr>().is_ok());
    let prefix = first.strip_prefix(['/', '\\']);
    is_mask
        || is_range
        || prefix.is_some_and(|rest| {
            rest.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
}

fn looks_like_ipv4(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `::ffff:a.b.c.d/96+n` becomes `a.b.c.d/n`. ejabberd reports IPv4 addresses in this form.
fn fold_mapped(net: IpNet) -> IpNet {
    const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
    let IpNet::V6(v6) = net else { return net };
    let inside = Ipv6Net::new(MAPPED, 96).is_ok_and(|mapped| mapped.contains(&v6));
    match v6.addr().to_ipv4_mapped() {
        Some(v4) if inside => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(net, IpNet::V4),
        _ => net,
    }
}

/// A network as subjects have it: host bits cleared, IPv4-mapped IPv6 as IPv4.
fn normal(net: IpNet) -> IpNet {
    fold_mapped(net).trunc()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_that_are_not_normalised_are_read_as_what_they_mean() {
        let account = Account::from_plain("a@example.org").unwrap();
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let cases = [
            (
                Subject::Network(net("2001:db8:0:0:68::/48")),
                "2001:db8::/48",
            ),
            (
                Subject::Network(net("::ffff:203.0.113.9/120")),
                "203.0.113.0/24",
            ),
            (Subject::Network(net("203.0.113.7/32")), "203.0.113.7"),
            (
                Subject::Address("::ffff:203.0.113.7".parse().unwrap()),
                "203.0.113.7",
            ),
            (
                Subject::Pair(account, net("203.0.113.9/24")),
                "a@example.org from 203.0.113.0/24",
            ),
        ];
        for (stored, meant) in cases {
            let bytes = postcard::to_stdvec(&stored).unwrap();
            let read: Subject = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read, Subject::parse(meant).unwrap());
            let again = postcard::to_stdvec(&read).unwrap();
            assert_eq!(postcard::from_bytes::<Subject>(&again), Ok(read));
        }
    }

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
        check("::ffff:203.0.113.7/64", "::/64");
    }

    #[test]
    fn pairs_and_guards_have_a_text_that_reads_back() {
        check(
            "Alice@Example.org/x from ::ffff:203.0.113.7",
            "alice@example.org from 203.0.113.7",
        );
        check(
            "alice@example.org from 2001:db8::1/64",
            "alice@example.org from 2001:db8::/64",
        );
        check("guard of alice@example.org", "guard of alice@example.org");
        assert!(Subject::parse("alice@example.org from bob@example.org").is_err());
        let words = ["alice@example.org", "from", "192.0.2.1", "spam"];
        let (pair, used) = Subject::take(&words).unwrap();
        assert_eq!((pair.kind(), used), ("pair", 3));
        let (account, used) = Subject::take(&["alice@example.org", "from", "hell"]).unwrap();
        assert_eq!((account.kind(), used), ("account", 1));
    }

    #[test]
    fn an_account_from_something_like_an_address_is_never_the_account() {
        for place in [
            "203.0.113.700",
            "2001:db8::/129",
            "2001:db8::x",
            "fe80::1%eth0",
            "(203.0.113.7)",
            "<203.0.113.7>",
            "]203.0.113.7",
            "[203.0.113.7]:5222",
            "203.0.113.7:5222",
            "[2001:db8::7]:5222",
            "::ffff:203.0.113.700",
            "ip:203.0.113.7",
            "l92.0.2.7",
            "bob@203.0.113.7",
            "203,0,113,7",
            "２０３．０．１１３．７",
            "http://203.0.113.7/",
        ] {
            for from in ["from", "From", "FROM", "from:"] {
                let taken = Subject::take(&["alice@example.org", from, place, "1h"]);
                assert!(taken.is_err(), "{from} {place}: {taken:?}");
                let account = format!("alice@example.org/x {from} {place}");
                assert!(Subject::parse(&account).is_err(), "{account}");
                assert!(
                    Subject::parse(&format!("{account} 1h")).is_err(),
                    "{account}"
                );
            }
        }
        for from in ["From", "FROM", "from:"] {
            let taken = Subject::take(&["alice@example.org", from, "203.0.113.7"]);
            assert_eq!(
                taken.map(|(pair, _)| pair.to_string()).as_deref(),
                Ok("alice@example.org from 203.0.113.7")
            );
        }
        check("Guard Of alice@example.org", "guard of alice@example.org");
        for reason in ["hell", "example.net", "3"] {
            let (account, used) = Subject::take(&["alice@example.org", "from", reason]).unwrap();
            assert_eq!((account.kind(), used), ("account", 1), "{reason}");
        }
    }

    #[test]
    fn an_account_that_a_server_reports_can_be_named() {
        check("😀@example.org", "😀@example.org");
        check(
            "😀@example.org from 203.0.113.7",
            "😀@example.org from 203.0.113.7",
        );
    }

    /// Prosody has accounts `ᵃlice` and `alice`, and ejabberd makes `evilC∕kg` of `evil㏆`.
    #[test]
    fn a_name_that_would_become_another_is_asked_about_and_can_be_named_in_quotes() {
        for (typed, becomes, exactly) in [
            (
                "ᵃlice@example.org",
                "alice@example.org",
                "\"ᵃlice@example.org\"",
            ),
            (
                "evil㏆@example.org",
                "evilc∕kg@example.org",
                "\"evil㏆@example.org\"",
            ),
            ("ﬁ@example.org/x", "fi@example.org/x", ""),
            ("alice@exᵃmple.org", "alice@example.org", ""),
        ] {
            for text in [
                typed,
                &format!("{typed} from 192.0.2.1"),
                &format!("guard of {typed}"),
            ] {
                let why = Subject::parse(text).unwrap_err();
                assert!(matches!(why, BadSubject::Renamed { .. }), "{text}: {why:?}");
                let why = why.to_string();
                assert!(why.contains(&format!("write {becomes} ")), "{why}");
                assert!(
                    exactly.is_empty() != why.contains(&format!("or {exactly} with")),
                    "{why}"
                );
            }
        }
        for name in [
            "ᵃlice@example.org",
            "evilC∕kg@example.org",
            "evil㏆@bücher.example",
        ] {
            let account = Account::from_server(name).unwrap();
            let quoted = format!("\"{name}\"");
            assert_eq!(Subject::Account(account.clone()).to_string(), quoted);
            assert_eq!(words::name(account.as_str()), quoted);
            check(&quoted, &quoted);
            check(
                &format!("{quoted} from 192.0.2.1"),
                &format!("{quoted} from 192.0.2.1"),
            );
            check(&format!("guard of {quoted}"), &format!("guard of {quoted}"));
            assert_eq!(account.to_jid(), None, "it would be that of another");
        }
        check("\"Alice@Example.org\"", "alice@example.org");
        check("Ärger@example.org", "ärger@example.org");
    }

    #[test]
    fn an_account_with_characters_that_nobody_sees_can_be_named() {
        for c in "\u{600}\u{605}\u{61c}\u{180f}\u{2065}\u{2066}\u{fff0}\u{fff8}\u{e0100}".chars() {
            let account = Account::from_server(&format!("a{c}b@example.org")).unwrap();
            let printed = format!("\"a{}b@example.org\"", c.escape_unicode());
            assert_eq!(words::name(account.as_str()), printed);
            check(&printed, &printed);
            assert_eq!(Subject::parse(&printed), Ok(Subject::Account(account)));
        }
    }

    #[test]
    fn what_is_no_subject_is_told_why() {
        let why = |input: &str| Subject::parse(input).unwrap_err();
        assert_eq!(why(" "), BadSubject::Missing);
        assert_eq!(why("example.org"), BadSubject::Domain("example.org".into()));
        assert_eq!(why("spam"), BadSubject::Bare("spam".into()));
        assert_eq!(why("256.1.1.1"), BadSubject::Address("256.1.1.1".into()));
        assert_eq!(
            why("2001:db8::x"),
            BadSubject::Address("2001:db8::x".into())
        );
        let port = "example.org:5222";
        assert_eq!(why(port), BadSubject::Bare(port.into()));
        assert_eq!(
            why("10.0.0.0/33"),
            BadSubject::Network("10.0.0.0/33".into())
        );
        assert_eq!(why("fe80::1%eth0"), BadSubject::Zone("fe80::1%eth0".into()));
        assert!(matches!(why("a b@c"), BadSubject::Jid { .. }));
        assert!(matches!(why("@example.org"), BadSubject::Jid { .. }));
    }
}
