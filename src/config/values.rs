//! One typed text, turned into the value it means, or into what is wrong with it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio_rustls::rustls::pki_types::ServerName;
use xmpp_parsers::jid::{DomainPart, Jid};

use super::{Address, nearest::nearest};
use crate::{
    core::{Account, Subject, Term},
    logs::Format,
};

pub(super) fn host(text: &str) -> Result<String, String> {
    domain(text).map(|domain| domain.to_string())
}

pub(super) fn account(text: &str) -> Result<Account, String> {
    let jid =
        Jid::new(text.trim()).map_err(|error| format!("{text:?} is not a valid JID ({error})"))?;
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

pub(super) fn address(text: &str) -> Result<Address, String> {
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
    Ok(Address {
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

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let subject = Subject::parse(text).map_err(|bad| bad.to_string())?;
    subject
        .net()
        .ok_or_else(|| format!("{text:?} is an account; accounts go into `accounts`"))
}

/// One of the words a setting takes.
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

pub(super) fn log_format(text: &str) -> Result<Format, String> {
    if let Some((_, format)) = Format::NAMES.iter().find(|(name, _)| *name == text) {
        return Ok(*format);
    }
    let hint = nearest(text, Format::NAMES.map(|(name, _)| name))
        .map(|near| format!("; did you mean \"{near}\"?"));
    Err(format!(
        "{text:?} is not a format; formats are \"text\" and \"json\"{}",
        hint.unwrap_or_default()
    ))
}
