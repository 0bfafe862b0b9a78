//! Stanzas that arrive from a room: occupants, our own entering and leaving, and lines.

use std::mem::take;
use std::time::Duration;

use minidom::Element;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::ns;

use super::{Inside, Room, RoomState, Tell};
use crate::command::RoomTrouble;
use crate::core::{Role, Timestamp};
use crate::front::message::{ChatLine, MessageKind};
use crate::xmpp::iq::StanzaRefusal;
use crate::xmpp::payload::muc::{UserStatus, is_invitation, statuses};
use crate::xmpp::stanza::{NS_COMPONENT, Received};

/// Number of nicks to try: the configured one, then with `-2` and so on appended.
const NICKS: usize = 4;
/// Pause between two nicks.
const NICK_PAUSE: Duration = Duration::from_secs(2);
/// Number of our own lines whose room ids are remembered.
const SAID: usize = 64;

/// A line of an occupant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    /// The line, and the way its answer goes.
    pub(crate) line: ChatLine,
    /// The occupant's real JID, if the room shows it to us.
    pub(crate) person: Option<Jid>,
    /// The role that the room grants to the occupant.
    pub(crate) grant: Role,
    /// Our own nick.
    pub(crate) ours: String,
}

impl Room {
    /// Handles a presence from the room or an occupant.
    pub(in crate::front::rooms) fn presence(
        &mut self,
        received: &Received,
        now: Timestamp,
        chance: u32,
    ) {
        self.heard(now);
        let nick = received.header.from.resource().map(|nick| nick.to_string());
        let told = UserStatus::read(&received.element);
        match (received.type_(), nick) {
            ("error", _) => self.refused(&received.element, now, chance),
            ("", Some(nick)) if told.has(110) => self.we_are(nick, &told, now, chance),
            ("", Some(nick)) => self.occupants.put(&nick, &told),
            ("unavailable", Some(nick)) => {
                if told.has(110) || self.nick() == Some(&nick) {
                    self.we_are_not(told, now, chance);
                } else {
                    self.occupants.remove(&nick);
                }
            }
            _ => {}
        }
    }

    /// Handles a message from the room or an occupant; returns the line, if it may be addressed to us.
    pub(in crate::front::rooms) fn message(
        &mut self,
        received: &Received,
        now: Timestamp,
        chance: u32,
    ) -> Option<Heard> {
        self.heard(now);
        let message = &received.element;
        let from = &received.header.from;
        let RoomState::Inside(Inside { nick: ours, .. }) = &self.state else {
            if from.resource().is_none() && is_invitation(message) {
                self.hurry(now);
            }
            return None;
        };
        let ours = ours.clone();
        let Some(nick) = from.resource().map(|nick| nick.to_string()) else {
            self.announced(message, received.type_(), now, chance);
            return None;
        };
        if nick == ours {
            self.reflected(message);
            return None;
        }
        let way = match received.type_() {
            "groupchat" => MessageKind::Open(nick.clone()),
            "chat" | "normal" | "" => MessageKind::Private,
            _ => return None,
        };
        // Invitations and the like come from the room, not from an occupant.
        if way == MessageKind::Private && is_invitation(message) {
            return None;
        }
        let occupant = self.occupants.find(&nick)?;
        Some(Heard {
            line: ChatLine::read(received, way, received.header.to.clone())?,
            person: occupant.jid.clone(),
            grant: self.settings.grants.to(occupant.affiliation),
            ours,
        })
    }

    /// Our own presence: we are in, under this nick, even if we asked for another.
    fn we_are(&mut self, nick: String, told: &UserStatus, now: Timestamp, chance: u32) {
        match &mut self.state {
            RoomState::Entering { .. } if told.has(201) => {
                // The room did not exist and was created by our presence. Nobody else could enter or configure it
                // now; left empty, it is removed.
                self.fail(RoomTrouble::Missing, now, chance);
                if let RoomState::Out { again } = self.state {
                    self.state = RoomState::Leaving { nick, again };
                }
            }
            RoomState::Entering { .. } => {
                self.trouble = None;
                self.told = false;
                self.tell.push(Tell::Entered {
                    nick: nick.clone(),
                    after: take(&mut self.complained),
                });
                self.state = RoomState::Inside(Inside {
                    nick,
                    since: now,
                    heard: now,
                    asked: false,
                    moderator: told.moderator,
                });
                self.warn_if_public();
            }
            RoomState::Inside(inside) => {
                let sees_more = told.moderator && !inside.moderator;
                inside.moderator = told.moderator;
                inside.nick = nick;
                if sees_more && self.occupants.faceless() > 0 {
                    self.anew(now);
                }
            }
            _ => {}
        }
    }

    /// Our own unavailable presence: we are out, or have another nick.
    fn we_are_not(&mut self, told: UserStatus, now: Timestamp, chance: u32) {
        let RoomState::Inside(inside) = &mut self.state else {
            return;
        };
        if told.has(303)
            && let Some(nick) = told.nick
        {
            inside.nick = nick;
            return;
        }
        let trouble = if let Some(why) = told.destroyed {
            RoomTrouble::Destroyed(why)
        } else if told.has(301) {
            RoomTrouble::Banned(told.actor, told.reason)
        } else if told.has(321) || told.has(322) {
            RoomTrouble::MembersOnly
        } else if told.has(332) || told.has(333) {
            RoomTrouble::Unreachable
        } else if told.has(307) {
            RoomTrouble::Kicked(told.actor, told.reason)
        } else {
            RoomTrouble::Lost
        };
        self.fail(trouble, now, chance);
    }

    /// An error answer to our presence.
    fn refused(&mut self, presence: &Element, now: Timestamp, chance: u32) {
        let RoomState::Entering { nick, .. } = self.state else {
            return;
        };
        if !presence.has_child("error", NS_COMPONENT) {
            return;
        }
        let StanzaRefusal {
            condition, text, ..
        } = StanzaRefusal::read(presence);
        let trouble = match condition.as_str() {
            "conflict" if nick + 1 < NICKS => {
                self.state = RoomState::Between {
                    nick: nick + 1,
                    again: now.saturating_add(NICK_PAUSE),
                };
                return;
            }
            "conflict" => RoomTrouble::NickTaken,
            "not-authorized" => RoomTrouble::Password,
            "registration-required" => RoomTrouble::MembersOnly,
            "forbidden" => RoomTrouble::Banned(None, text),
            // "service-unavailable" is a full room (7.2.9); Prosody sends "resource-constraint".
            "service-unavailable" | "resource-constraint" => RoomTrouble::Full,
            "item-not-found" | "gone" => RoomTrouble::Missing,
            "remote-server-not-found" | "remote-server-timeout" | "recipient-unavailable" => {
                RoomTrouble::Unreachable
            }
            other => RoomTrouble::Refused(match text {
                Some(text) => format!("{other} ({text})"),
                None => other.to_owned(),
            }),
        };
        self.fail(trouble, now, chance);
    }

    /// A message of the room itself: its configuration changed, or a line of ours was refused.
    fn announced(&mut self, message: &Element, type_: &str, now: Timestamp, chance: u32) {
        if type_ == "error" {
            if StanzaRefusal::read(message).condition == "not-acceptable" {
                self.fail(RoomTrouble::Lost, now, chance);
            }
            return;
        }
        let codes = statuses(message);
        let is_any = |any: &[u16]| codes.iter().any(|code| any.contains(code));
        if is_any(&[172, 173]) {
            // Real JIDs may have become visible or hidden, and the room does not say whose.
            self.anew(now);
        } else if is_any(&[102, 103, 104]) {
            self.look = true;
        }
    }

    /// One of our own lines, as the room distributes it.
    fn reflected(&mut self, message: &Element) {
        let by = self.settings.room.as_str();
        let theirs = message.children().find(|child| {
            child.is("stanza-id", ns::SID) && child.attr("by").is_some_and(|jid| jid == by)
        });
        if let (Some(ours), Some(theirs)) =
            (message.attr("id"), theirs.and_then(|id| id.attr("id")))
        {
            if self.said.len() >= SAID {
                self.said.pop_front();
            }
            self.said.push_back((ours.to_owned(), theirs.to_owned()));
        }
    }
}
