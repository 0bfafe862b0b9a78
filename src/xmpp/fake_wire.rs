//! A wire whose other end is played by a test, stanza by stanza, without a stream.
#![allow(clippy::unwrap_used)]

use tokio::sync::mpsc;
use xmpp_parsers::jid::BareJid;

use super::stanza::{NS_COMPONENT, Received, Top, parse};
use super::wire::{Outgoing, Wire};

/// The stanzas that the server would receive.
pub(crate) struct OtherEnd(mpsc::UnboundedReceiver<Outgoing>);

/// A wire of this domain whose link is up, and its other end.
pub(crate) fn up(domain: &str) -> (Wire, OtherEnd) {
    let (wire, waiting) = Wire::new(BareJid::new(domain).unwrap(), 100_000);
    wire.open();
    (wire, OtherEnd(waiting))
}

impl OtherEnd {
    /// The next stanza we sent; `None` if all wires are dropped.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        let out = self.0.recv().await?;
        Some(received(std::str::from_utf8(&out.bytes).unwrap()))
    }
}

/// Parses a stanza into what the link hands on.
pub(crate) fn received(text: &str) -> Received {
    let name = text.find([' ', '>', '/']).unwrap();
    let framed = match text[name..].contains(&format!("xmlns='{NS_COMPONENT}'"))
        || text[name..].contains(&format!("xmlns=\"{NS_COMPONENT}\""))
    {
        true => text.to_owned(),
        false => format!("{} xmlns='{NS_COMPONENT}'{}", &text[..name], &text[name..]),
    };
    match parse(framed.as_bytes()) {
        Top::Stanza(received) => received,
        other => panic!("{other:?}"),
    }
}
