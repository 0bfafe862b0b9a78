//! Rooms (XEP-0045), as an occupant reads and writes them.
//!
//! By hand instead of `xmpp_parsers::muc`: an unknown status or an item without a role must not hide who an occupant
//! is.

use minidom::Element;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::ns;

use super::{leaf, text_of, with};
use crate::core::as_written;

/// The affiliation of a person with a room, present or not (XEP-0045, 5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Affiliation {
    /// None, or outcast.
    #[default]
    None,
    /// May enter a members-only room.
    Member,
    /// May ban and grant membership.
    Admin,
    /// May change everything about the room.
    Owner,
}

/// The MUC part of a presence from a room (`<x xmlns='http://jabber.org/protocol/muc#user'/>`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserStatus {
    /// The affiliation of the occupant.
    pub affiliation: Affiliation,
    /// Whether the occupant has the room's role moderator, and so sees real JIDs.
    pub moderator: bool,
    /// The real JID, if we may see it. If several clients share a nick, the first one named.
    pub jid: Option<Jid>,
    /// The new nick, with status 303.
    pub nick: Option<String>,
    /// The reason of a kick or ban, in the words of the person who did it.
    pub reason: Option<String>,
    /// Who kicked or banned, by nick or JID.
    pub actor: Option<String>,
    /// The status codes.
    pub statuses: Vec<u16>,
    /// Set if the room was destroyed; with the reason, if there is one.
    pub destroyed: Option<Option<String>>,
}

impl UserStatus {
    /// Reads a presence; without the MUC part all fields are empty.
    pub fn read(presence: &Element) -> UserStatus {
        let Some(x) = presence.get_child("x", ns::MUC_USER) else {
            return UserStatus::default();
        };
        let said = |element: &Element| {
            Some(text_of(element, "reason", ns::MUC_USER)).filter(|text| !text.is_empty())
        };
        let item = x.get_child("item", ns::MUC_USER);
        let attr = |name| item.and_then(|item| item.attr(name));
        let actor = item.and_then(|item| item.get_child("actor", ns::MUC_USER));
        UserStatus {
            affiliation: match attr("affiliation") {
                Some("owner") => Affiliation::Owner,
                Some("admin") => Affiliation::Admin,
                Some("member") => Affiliation::Member,
                _ => Affiliation::None,
            },
            moderator: attr("role") == Some("moderator"),
            jid: attr("jid").and_then(as_written::exact),
            nick: attr("nick").map(str::to_owned),
            reason: item.and_then(said),
            actor: actor
                .and_then(|actor| actor.attr("nick").or_else(|| actor.attr("jid")))
                .map(str::to_owned),
            statuses: codes(x),
            destroyed: x.get_child("destroy", ns::MUC_USER).map(said),
        }
    }

    /// Whether it has this status code.
    pub fn has(&self, code: u16) -> bool {
        self.statuses.contains(&code)
    }
}

/// The status codes in a message from a room, about changes of the room.
pub fn statuses(message: &Element) -> Vec<u16> {
    let x = message.get_child("x", ns::MUC_USER);
    x.map(codes).unwrap_or_default()
}

fn codes(x: &Element) -> Vec<u16> {
    x.children()
        .filter(|child| child.is("status", ns::MUC_USER))
        .filter_map(|status| status.attr("code")?.parse().ok())
        .collect()
}

/// Whether a message is an invitation relayed by the room (7.8.2).
pub fn is_invitation(message: &Element) -> bool {
    let x = message.get_child("x", ns::MUC_USER);
    x.is_some_and(|x| x.has_child("invite", ns::MUC_USER))
}

/// The element of a presence that enters a room: no history (7.2.15), and the password if there is one.
pub fn entry(password: Option<&str>) -> Element {
    let mut x = Element::bare("x", ns::MUC);
    x.append_child(with("history", ns::MUC, &[("maxstanzas", "0")]));
    if let Some(password) = password {
        x.append_child(leaf("password", ns::MUC, password));
    }
    x
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(inside: &str) -> UserStatus {
        let text = format!("<presence xmlns='jabber:component:accept'>{inside}</presence>");
        UserStatus::read(&text.parse().unwrap())
    }

    #[test]
    fn who_is_there_is_read_in_whatever_order_it_comes() {
        let read = told(
            "<show>away</show><x xmlns='http://jabber.org/protocol/muc#user'><status code='100'/>\
             <item jid='al@example.org/desk' role='moderator' affiliation='owner'/><status code='110'/>\
             <status code='4294967296'/><new xmlns='urn:x'/></x>",
        );
        assert_eq!(read.affiliation, Affiliation::Owner);
        assert_eq!(read.jid, Some(Jid::new("al@example.org/desk").unwrap()));
        assert!(read.moderator && read.has(110) && !read.has(201));
        assert_eq!(
            told("<x xmlns='vcard-temp:x:update'/>"),
            UserStatus::default()
        );
        let odd = told(
            "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='@' affiliation='king'/></x>",
        );
        assert_eq!(odd, UserStatus::default());
    }

    #[test]
    fn who_did_it_and_why_is_read() {
        let read = told(
            "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'>\
             <actor nick='Eve'/><reason>no bots</reason></item><status code='307'/></x>",
        );
        assert_eq!(read.actor.as_deref(), Some("Eve"));
        assert_eq!(read.reason.as_deref(), Some("no bots"));
        let gone = told(
            "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><destroy/></x>",
        );
        assert_eq!(gone.destroyed, Some(None));
    }

    #[test]
    fn nothing_of_what_was_said_before_is_asked_for() {
        let x = entry(Some("a<b"));
        let text = String::from(&x);
        assert!(
            text.contains("maxstanzas='0'") || text.contains("maxstanzas=\"0\""),
            "{text}"
        );
        assert_eq!(text_of(&x, "password", ns::MUC), "a<b");
        assert!(!entry(None).has_child("password", ns::MUC));
    }
}
