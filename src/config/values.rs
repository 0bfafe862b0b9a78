//! Parsers for single values. Their errors say what is wrong with the text.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use ipnet::IpNet;
use tokio_rustls::rustls::pki_types::ServerName;
use xmpp_parsers::jid::{DomainPart, Jid};

use super::nearest::nearest;
use crate::core::account::domain_key;
use crate::core::{Account, Subject, Term, as_written};

/// Parses a domain, in the form that accounts use.
pub(super) fn host(text: &str) -> Result<String, String> {
    domain(text).map(|domain| domain_key(domain.as_str()))
}

pub(super) fn account(text: &str) -> Result<Account, String> {
    let jid =
        Jid::new(text.trim()).map_err(|error| format!("{text:?} is not a valid JID ({error})"))?;
    if as_written::is_renamed(text.trim(), &jid) {
        return Err(format!(
            "{text:?} looks like {jid}, and servers may tell the two apart; write {:?} if you mean that",
            jid.as_str()
        ));
    }
    if jid.resource().is_some() {
        return Err(format!(
            "{text:?} names one client of an account; leave out the / and what follows: {:?}",
            jid.to_bare().as_str()
        ));
    }
    Account::from_jid(&jid).ok_or_else(|| {
        format!("{text:?} is a domain, not an account; an account is written name@domain")
    })
}

pub(super) fn domain(text: &str) -> Result<DomainPart, String> {
    let jid = Jid::new(text.trim())
        .map_err(|error| format!("{text:?} is not a valid domain ({error})"))?;
    if jid.node().is_some() || jid.resource().is_some() {
        return Err(format!(
            "{text:?} is not a bare domain; leave out @ and / : {:?}",
            jid.domain().as_str()
        ));
    }
    Ok(jid.domain().to_owned())
}

pub(super) fn address(text: &str) -> Result<ServerAddress, String> {
    let (host, port) = text
        .trim()
        .rsplit_once(':')
        .ok_or_else(|| format!("{text:?} has no port; write host:port"))?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{port:?} is not a port; ports are 1 to 65535"))?;
    let host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner)
            if inner
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_ipv6()) =>
        {
            inner
        }
        None if host.contains(':') => {
            return Err(format!(
                "write an IPv6 address in brackets: \"[{host}]:{port}\""
            ));
        }
        None if !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_alphanumeric() || ".-_".contains(c)) =>
        {
            host
        }
        _ => return Err(format!("{host:?} is neither a host name nor an address")),
    };
    Ok(ServerAddress {
        host: host.to_owned(),
        port,
    })
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| {
        format!("{text:?} is not address:port; names are not looked up here, IPv6 goes in brackets")
    };
    text.trim().parse().map_err(wrong)
}

pub(super) fn certificate_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{text:?} is neither a host name nor an address")),
    }
}

pub(super) fn term(text: &str) -> Result<Term, String> {
    match Term::parse(text).map_err(|bad| bad.to_string())? {
        Term::Until(_) => Err(format!(
            "{text:?} is a date; this is about how long, not until when"
        )),
        term => Ok(term),
    }
}

/// Parses a finite duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    length(term(text)?)
        .ok_or_else(|| format!("{text:?} has no end; a finite duration is needed here"))
}

/// The length of a term; `None` for a date and for forever.
pub(super) fn length(term: Term) -> Option<Duration> {
    match term {
        Term::For(length) => Some(length),
        Term::Until(_) | Term::Forever => None,
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let subject = Subject::parse(text).map_err(|bad| bad.to_string())?;
    subject
        .net()
        .ok_or_else(|| format!("{text:?} is an account; accounts go into `accounts`"))
}

/// Parses one word from a list.
pub(super) fn one_of<T: Copy>(text: &str, names: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let hint = nearest(text, names.iter().map(|(name, _)| *name))
        .map(|near| format!("; did you mean \"{near}\"?"));
    let list: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
    Err(format!(
        "{text:?} is none of {}{}",
        list.join(", "),
        hint.unwrap_or_default()
    ))
}

/// Allowed sizes of a recording in bytes: a smaller file would hold less than a minute of attempts, a larger one
/// cannot be rehearsed.
const SIZES: RangeInclusive<u64> = 100_000..=100_000_000_000;

/// Parses `10 MB`, `512KiB`, or bytes without a unit.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => {
            return Err(format!(
                "{text:?} is no size; its unit is kB, MB, GB, KiB, MiB or GiB"
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no size; it begins with a whole number"))?;
    match number.checked_mul(factor) {
        Some(bytes) if SIZES.contains(&bytes) => Ok(bytes),
        _ => Err(format!("{text:?} is not from 100 kB to 100 GB")),
    }
}

/// host:port. The host is a name, or an address without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerAddress {
    /// Host name or address.
    pub(super) host: String,
    /// TCP port, never 0.
    pub(super) port: u16,
}

/// The default listener of a server on this machine.
impl Default for ServerAddress {
    fn default() -> Self {
        ServerAddress {
            host: "127.0.0.1".to_owned(),
            port: 5347,
        }
    }
}

impl ServerAddress {
    /// Whether the host is certainly this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self.host.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self
                .host
                .trim_end_matches('.')
                .eq_ignore_ascii_case("localhost"),
        }
    }
}

/// `127.0.0.1:5347`, `[::1]:5347`, `xmpp.example.org:5347`.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_host_has_one_form_however_it_is_written() {
        for text in [
            "xn--bcher-kva.example",
            "XN--BCHER-KVA.Example.",
            "Bücher.example",
        ] {
            assert_eq!(host(text).unwrap(), "bücher.example", "{text}");
            let someone = account(&format!("someone@{text}")).unwrap();
            assert_eq!(someone.domain(), host(text).unwrap());
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, want) in [
            ("10 MB", 10_000_000),
            ("10mb", 10_000_000),
            ("1 GiB", 1 << 30),
            ("512 KiB", 512 << 10),
            ("123456", 123_456),
            (" 100 kB ", 100_000),
        ] {
            assert_eq!(bytes(text).unwrap(), want, "{text}");
        }
        for (text, said) in [
            ("10 apples", "\"10 apples\" is no size; its unit is kB"),
            ("MB", "it begins with a whole number"),
            ("1.5 MB", "its unit is"),
            ("99999", "is not from 100 kB to 100 GB"),
            ("101 GB", "is not from"),
            ("99999999999999 GB", "is not from"),
        ] {
            let got = bytes(text).unwrap_err();
            assert!(got.contains(said), "{got}");
        }
    }
}
