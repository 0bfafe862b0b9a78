//! Presence of the bot: some clients show its commands only if it is available (RFC 6121, 3 and 4).

use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::presence::{Presence, Type};

use super::disco::{self, Addressed};
use crate::core::Role;

/// Answers a presence that requires an answer. People with a role may see us, others may not.
pub(super) fn answer(
    type_: &str,
    role: Role,
    face: Addressed,
    ours: &BareJid,
    theirs: &Jid,
) -> Vec<Presence> {
    let to = Jid::from(theirs.to_bare());
    let say = |type_| plain(type_, ours, to.clone());
    match (type_, role > Role::Stranger) {
        ("subscribe", true) => vec![say(Type::Subscribed), available(face, ours, to.clone())],
        ("subscribe" | "probe", false) => vec![say(Type::Unsubscribed)],
        ("probe", true) => vec![available(face, ours, theirs.clone())],
        ("unsubscribe", _) => vec![say(Type::Unsubscribed), say(Type::Unavailable)],
        _ => Vec::new(),
    }
}

/// Our available presence.
pub(super) fn available(face: Addressed, ours: &BareJid, to: Jid) -> Presence {
    let mut presence = plain(Type::None, ours, to);
    presence
        .statuses
        .insert(String::new().into(), disco::status());
    presence.payloads = disco::capabilities(face);
    presence
}

/// A presence with no content.
pub(super) fn plain(type_: Type, ours: &BareJid, to: Jid) -> Presence {
    Presence::new(type_).with_from(ours.clone()).with_to(to)
}
