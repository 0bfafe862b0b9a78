//! Service discovery (XEP-0030) with capabilities (XEP-0115, XEP-0390), and the small requests of every client
//! (XEP-0012, 0092, 0199, 0202).
//!
//! The list of commands comes from [`crate::command`], limited to those that the requester may run.

use std::collections::BTreeSet;

use minidom::Element;
use xmpp_parsers::caps::{self, Caps};
use xmpp_parsers::disco::{DiscoInfoResult, DiscoItemsResult, Identity, Item};
use xmpp_parsers::ecaps2::{self, ECaps2};
use xmpp_parsers::hashes::{Algo, Hash};
use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::ns;
use xmpp_parsers::version::VersionResult;

use super::text;
use crate::command::{self, phrases};
use crate::core::{Role, Timestamp};
use crate::xmpp::fault::Fault;
use crate::xmpp::payload::command::NS_COMMANDS;
use crate::xmpp::payload::{form::NS_DATA, leaf, with};
use crate::xmpp::stanza::LANG;

/// The node that names the program in capabilities.
const CAPS_NODE: &str = "https://github.com/portcullis-xmpp/portcullis";
const NS_LAST: &str = "jabber:iq:last";
const NS_CAPS_2: &str = "urn:xmpp:caps";

/// Our two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addressed {
    /// The component's domain.
    Domain,
    /// The contact that people chat with.
    Bot,
}

/// A request: from whom, to which address, and when.
#[derive(Debug)]
pub(super) struct DiscoQuery<'a> {
    pub(super) face: Addressed,
    pub(super) asked: &'a Jid,
    pub(super) bot: &'a BareJid,
    pub(super) role: Role,
    pub(super) now: Timestamp,
    pub(super) started: Timestamp,
}

/// Answers a get; `None` if the payload is not one of these requests.
pub(super) fn answer(
    question: &DiscoQuery<'_>,
    payload: &Element,
) -> Option<Result<Element, Fault>> {
    let node = payload.attr("node");
    let ns = payload.ns();
    Some(match (payload.name(), ns.as_str()) {
        ("query", ns::DISCO_INFO) => info(question, node),
        ("query", ns::DISCO_ITEMS) => items(question, node),
        ("query", ns::VERSION) => Ok(VersionResult {
            name: String::from("portcullis"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            os: None,
        }
        .into()),
        ("ping", ns::PING) => return None,
        ("time", ns::TIME) => {
            let mut time = Element::bare("time", ns::TIME);
            time.append_child(leaf("tzo", ns::TIME, "+00:00"));
            time.append_child(leaf("utc", ns::TIME, &question.now.to_xmpp()));
            Ok(time)
        }
        ("query", NS_LAST) => {
            let seconds = question.now.since(question.started).as_secs().to_string();
            Ok(with("query", NS_LAST, &[("seconds", &seconds)]))
        }
        (_, ns::DISCO_INFO | ns::DISCO_ITEMS | ns::VERSION | ns::PING | ns::TIME | NS_LAST) => {
            Err(Fault::Malformed)
        }
        _ => return None,
    })
}

/// Whether the namespace has gets only.
pub(super) fn is_read_only(ns: &str) -> bool {
    matches!(
        ns,
        ns::DISCO_INFO | ns::DISCO_ITEMS | ns::VERSION | ns::PING | ns::TIME | NS_LAST
    )
}

fn info(question: &DiscoQuery<'_>, node: Option<&str>) -> Result<Element, Fault> {
    let base = identity_of(question.face);
    let Some(node) = node else {
        return Ok(base.into());
    };
    let command = |type_: &str, name: &str| DiscoInfoResult {
        node: Some(node.to_owned()),
        identities: vec![Identity::new("automation", type_, LANG, name)],
        features: [ns::DISCO_INFO, ns::DISCO_ITEMS, NS_COMMANDS, NS_DATA]
            .map(str::to_owned)
            .into(),
        extensions: Vec::new(),
    };
    if node == NS_COMMANDS {
        return Ok(command("command-list", "Commands").into());
    }
    if let Some(spec) = command::form(node) {
        return if command::permits(question.role, spec) {
            Ok(command("command-node", spec.title).into())
        } else {
            Err(Fault::Forbidden)
        };
    }
    let (caps, caps2) = hashes(&base);
    let known = [
        caps.map(|caps| caps::query_caps(caps).node),
        caps2.map(|hash| ecaps2::query_ecaps2(hash).node),
    ];
    if known.iter().flatten().flatten().any(|known| known == node) {
        return Ok(DiscoInfoResult {
            node: Some(node.to_owned()),
            ..base
        }
        .into());
    }
    Err(Fault::NotFound)
}

fn items(question: &DiscoQuery<'_>, node: Option<&str>) -> Result<Element, Fault> {
    let items = match node {
        // Browsing the server leads to the contact.
        None if question.face == Addressed::Domain => vec![Item {
            jid: question.bot.clone().into(),
            node: None,
            name: Some(String::from("portcullis")),
        }],
        None => Vec::new(),
        Some(NS_COMMANDS) => command::forms(question.role)
            .map(|spec| Item {
                jid: question.asked.clone(),
                node: Some(spec.name.to_owned()),
                name: Some(spec.title.to_owned()),
            })
            .collect(),
        Some(node) => match command::form(node) {
            Some(spec) if command::permits(question.role, spec) => Vec::new(),
            Some(_) => return Err(Fault::Forbidden),
            None => return Err(Fault::NotFound),
        },
    };
    Ok(DiscoItemsResult {
        node: node.map(str::to_owned),
        items,
        rsm: None,
    }
    .into())
}

fn identity_of(face: Addressed) -> DiscoInfoResult {
    let (category, type_) = match face {
        Addressed::Domain => ("component", "generic"),
        Addressed::Bot => ("client", "bot"),
    };
    DiscoInfoResult {
        node: None,
        identities: vec![
            Identity::new(category, type_, LANG, "portcullis"),
            Identity::new("automation", "command-list", LANG, "portcullis"),
        ],
        features: BTreeSet::from(
            [
                ns::DISCO_INFO,
                ns::DISCO_ITEMS,
                ns::CAPS,
                NS_CAPS_2,
                NS_COMMANDS,
                NS_DATA,
                ns::VERSION,
                ns::PING,
                ns::TIME,
                NS_LAST,
                ns::RECEIPTS,
            ]
            .map(str::to_owned),
        ),
        extensions: Vec::new(),
    }
}

fn hashes(info: &DiscoInfoResult) -> (Option<Caps>, Option<Hash>) {
    let caps = caps::hash_caps(&caps::compute_disco(info), Algo::Sha_1)
        .ok()
        .map(|hash| Caps::new(CAPS_NODE, hash));
    let caps2 = ecaps2::compute_disco(info)
        .and_then(|data| ecaps2::hash_ecaps2(&data, Algo::Sha_256))
        .ok();
    (caps, caps2)
}

/// The capabilities in a presence of this address.
pub(super) fn capabilities(face: Addressed) -> Vec<Element> {
    let (caps, caps2) = hashes(&identity_of(face));
    let caps2 = caps2.map(|hash| ECaps2::new(vec![hash]).into());
    caps.map(Element::from).into_iter().chain(caps2).collect()
}

/// The status text in contact lists.
pub(super) fn status() -> String {
    phrases::plain(&text::presence())
}
