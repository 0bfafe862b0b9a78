//! What arrives from a room: who is there, that we are or are no more, and what is said.

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

/// So many nicks are tried: the wished one, then with `-2` and so on behind it.
const NICKS: usize = 4;
/// Between two of them.
const NICK_PAUSE: Duration = Duration::from_secs(2);
/// So many of our own lines are remembered by the id the room gave them.
const SAID: usize = 64;

/// Who speaks in a room.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    /// What is said, as it is written, and the way back.
    pub(crate) line: ChatLine,
    /// Who it really is, if the room lets us see it.
    pub(crate) person: Option<Jid>,
    /// The role the room itself grants them.
    pub(crate) grant: Role,
    /// Our own nick.
    pub(crate) ours: String,
}

impl Room {
    /// A presence from the room or somebody in it.
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

    /// A message from the room or somebody in it: a line, if it is one that may be meant for us.
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
        // Invitations and the like are not said to us by an occupant.
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

    /// Our own presence: we are in, under this nick, whichever we had wished for.
    fn we_are(&mut self, nick: String, told: &UserStatus, now: Timestamp, chance: u32) {
        match &mut self.state {
            RoomState::Entering { .. } if told.has(201) => {
                // It was not there, and nobody but us could enter or configure it now: left empty, it goes away again.
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

    /// Our own presence: we are out, or have another nick.
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

    /// An error: the answer to our presence.
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
            // "service-unavailable" is a full room (7.2.9), "resource-constraint" one on Prosody.
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

    /// What the room itself says: that something about it changed, or that a line of ours did not get in.
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
            // Who is there shows another face now, or none; nobody tells us which.
            self.anew(now);
        } else if is_any(&[102, 103, 104]) {
            self.look = true;
        }
    }

    /// A line of our own, as all the room sees it.
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
