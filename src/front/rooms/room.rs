//! One room: from outside of it to inside, and back in whenever that is lost.
//!
//! ```text
//! Cut ─ link ─► Out ─ time ─► Looking ─ what room is it ─► Entering ─ own presence, 110 ─► Inside
//!  ▲             ▲◄── no such room ──┘◄─ refused, silent ──┘ └► Between (nick taken) ┘         │
//!  └── no link ──┴◄──────────────── kicked, closed, restarted, not in it by self-ping ─────────┘
//! ```
//!
//! Nothing here sends or sleeps: [`Room::step`] says what to do now or when to ask again, and what arrives is told by
//! [`Room::presence`], [`Room::message`], [`Room::looked`] and [`Room::pinged`].

use std::collections::VecDeque;
use std::mem::{discriminant, take};
use std::time::Duration;

use minidom::Element;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::ns;

use super::occupants::Occupants;
use super::settings::Settings;
use crate::ban::{Role, Timestamp};
use crate::command::{Seat, Trouble};
use crate::front::message::{Line, Way};
use crate::xmpp::iq::{AskFault, refusal};
use crate::xmpp::payload::muc::{Told, is_invitation, statuses};
use crate::xmpp::stanza::{NS_COMPONENT, Received};

/// So many nicks are tried: the wished one, then with `-2` and so on behind it.
const NICKS: usize = 4;
/// Between two of them.
const NICK_PAUSE: Duration = Duration::from_secs(2);
/// From our presence to the room's consent.
const ENTER_WITHIN: Duration = Duration::from_secs(30);
/// After so long without a sign of the room we ask whether we are still in (XEP-0410).
pub const SILENCE: Duration = Duration::from_secs(15 * 60);
/// After a question of ours that decided nothing.
const UNDECIDED: Duration = Duration::from_secs(60);
/// Who was in for so long has a fresh start when it is lost.
const STEADY: Duration = Duration::from_secs(120);
/// Between leaving a room and entering it anew, to see who everybody is.
const ANEW: Duration = Duration::from_secs(1);
/// What mends itself is told only when it has not after so many tries.
const MENDS: u32 = 3;
/// So many of our own lines are remembered by the id the room gave them.
const SAID: usize = 64;

/// Who speaks in a room.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    /// What is said, as it is written, and the way back.
    pub(crate) line: Line,
    /// Who it really is, if the room lets us see it.
    pub(crate) person: Option<Jid>,
    /// The role the room itself grants them.
    pub(crate) grant: Role,
    /// Our own nick.
    pub(crate) ours: String,
}

/// What to do for a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before then; `None`: until something happens.
    Wait(Option<Timestamp>),
    /// Ask what room it is, and hand the answer to [`Room::looked`] with this number.
    Look(u64),
    /// Send a presence that enters under this nick.
    Enter(String),
    /// Send a presence that leaves.
    Leave(String),
    /// Ping ourselves in it, and hand the answer to [`Room::pinged`] with this number.
    Ping(String, u64),
}

/// What there is to tell of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tell {
    /// We are in.
    Entered {
        /// Under this nick.
        nick: String,
        /// After it was told that we were not.
        after: bool,
    },
    /// We are not, and why.
    Trouble(Trouble),
    /// Anybody can come in and read.
    Public,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Cut,
    Out { again: Timestamp },
    Looking,
    Between { nick: usize, again: Timestamp },
    Entering { nick: usize, until: Timestamp },
    Inside(Inside),
    Leaving { nick: String, again: Timestamp },
}

#[derive(Debug, Clone, PartialEq)]
struct Inside {
    nick: String,
    since: Timestamp,
    heard: Timestamp,
    /// A ping is under way.
    asked: bool,
    /// Our role in the room lets us see who the others are.
    moderator: bool,
}

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) settings: Settings,
    state: State,
    occupants: Occupants,
    /// Numbers what we ask, so that a late answer is known as one.
    round: u64,
    tries: u32,
    trouble: Option<Trouble>,
    /// It has been told.
    told: bool,
    /// Some trouble has been told since we were in.
    complained: bool,
    public: Option<bool>,
    /// To be asked what room it is, while we are in.
    look: bool,
    /// Our own lines: their id, and the one the room gave them (XEP-0359).
    said: VecDeque<(String, String)>,
    tell: Vec<Tell>,
}

impl Room {
    pub(super) fn new(settings: Settings) -> Self {
        Room {
            settings,
            state: State::Cut,
            occupants: Occupants::default(),
            round: 0,
            tries: 0,
            trouble: None,
            told: false,
            complained: false,
            public: None,
            look: false,
            said: VecDeque::new(),
            tell: Vec::new(),
        }
    }

    /// Our nick, while we are in.
    pub(super) fn nick(&self) -> Option<&str> {
        match &self.state {
            State::Inside(inside) => Some(&inside.nick),
            _ => None,
        }
    }

    /// What there is to tell since it was last asked for.
    pub(super) fn tell(&mut self) -> Vec<Tell> {
        take(&mut self.tell)
    }

    pub(super) fn seat(&self) -> Seat {
        let again = match self.state {
            State::Out { again } | State::Between { again, .. } => Some(again),
            _ => None,
        };
        Seat {
            room: self.settings.room.to_string(),
            nick: self.nick().map(str::to_owned),
            others: self.occupants.len(),
            faceless: self.occupants.faceless(),
            grants: self.settings.grants.all(),
            holders: self.occupants.holders(self.settings.grants),
            public: self.public,
            trouble: self.trouble.clone().filter(|_| self.nick().is_none()),
            again,
        }
    }

    /// The id of our own line that the room knows by this one.
    pub(super) fn ours(&self, id: &str) -> Option<&str> {
        let mut said = self.said.iter().rev();
        let (ours, _) = said.find(|(ours, theirs)| theirs == id || ours == id)?;
        Some(ours)
    }

    /// The link is there, or was renewed: nobody knows us.
    pub(super) fn link_up(&mut self, now: Timestamp) {
        self.occupants.clear();
        self.tries = 0;
        self.state = State::Out { again: now };
    }

    /// The link is gone.
    pub(super) fn link_down(&mut self) {
        self.occupants.clear();
        self.state = State::Cut;
    }

    /// Out of it for good; the nick to leave under, if we may be in.
    pub(super) fn leave(&mut self) -> Option<String> {
        let nick = match &self.state {
            State::Inside(inside) => Some(inside.nick.clone()),
            State::Leaving { nick, .. } => Some(nick.clone()),
            State::Entering { nick, .. } => Some(self.wished(*nick)),
            _ => None,
        };
        self.link_down();
        nick
    }

    /// Leaves, to enter anew: with other settings, or to see who everybody is.
    pub(super) fn anew(&mut self, now: Timestamp) {
        if let State::Inside(inside) = &self.state {
            self.state = State::Leaving {
                nick: inside.nick.clone(),
                again: now.saturating_add(ANEW),
            };
        }
    }

    /// Tries at once, if it waits: somebody says that it would work now.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        if let State::Out { again } = &mut self.state {
            *again = now;
        }
    }

    /// What to do at this time. To be asked again until it is to wait.
    pub(super) fn step(&mut self, now: Timestamp, chance: u32) -> Step {
        match &mut self.state {
            State::Cut | State::Looking => Step::Wait(None),
            State::Out { again } if now < *again => Step::Wait(Some(*again)),
            State::Out { .. } => {
                self.state = State::Looking;
                self.round += 1;
                Step::Look(self.round)
            }
            State::Between { again, .. } if now < *again => Step::Wait(Some(*again)),
            State::Between { nick, .. } => {
                let nick = *nick;
                self.enter(nick, now)
            }
            State::Entering { until, .. } if now < *until => Step::Wait(Some(*until)),
            State::Entering { .. } => {
                self.fail(Trouble::Silent, now, chance);
                self.step(now, chance)
            }
            State::Leaving { nick, again } => {
                let (nick, again) = (take(nick), *again);
                self.occupants.clear();
                self.state = State::Out { again };
                Step::Leave(nick)
            }
            State::Inside(_) if self.look => {
                self.look = false;
                self.round += 1;
                Step::Look(self.round)
            }
            State::Inside(inside) if inside.asked => Step::Wait(None),
            State::Inside(inside) => {
                let due = inside.heard.saturating_add(SILENCE);
                if now < due {
                    return Step::Wait(Some(due));
                }
                inside.asked = true;
                self.round += 1;
                Step::Ping(inside.nick.clone(), self.round)
            }
        }
    }

    /// What the room said it is, or why that is not known. What is to be done then, if it is time to enter.
    pub(super) fn looked(
        &mut self,
        round: u64,
        answer: Result<&Element, &AskFault>,
        now: Timestamp,
        chance: u32,
    ) -> Option<Step> {
        if round != self.round {
            return None;
        }
        if let Ok(query) = answer {
            self.public = is_public(query);
        }
        if let State::Inside(_) = self.state {
            self.warn_if_public();
            return None;
        }
        if self.state != State::Looking {
            return None;
        }
        let trouble = match answer {
            // Some rooms tell only their members what they are.
            Ok(_) => return Some(self.enter(0, now)),
            Err(AskFault::Refused { condition, .. }) => match condition.as_str() {
                "item-not-found" => Trouble::Missing,
                "remote-server-not-found" | "remote-server-timeout" => Trouble::Unreachable,
                _ => return Some(self.enter(0, now)),
            },
            // COMPAT: on ejabberd (24.12, 26.07) no answer to a question of disco reaches a component.
            Err(AskFault::Timeout(_)) => return Some(self.enter(0, now)),
            Err(_) => Trouble::Unreachable,
        };
        self.fail(trouble, now, chance);
        None
    }

    /// What came of a ping to ourselves (XEP-0410, 3.2).
    pub(super) fn pinged(
        &mut self,
        round: u64,
        answer: Result<(), &AskFault>,
        now: Timestamp,
        chance: u32,
    ) {
        let State::Inside(inside) = &mut self.state else {
            return;
        };
        if round != self.round {
            return;
        }
        inside.asked = false;
        let condition = match answer {
            Ok(()) => "",
            Err(AskFault::Refused { condition, .. }) => condition,
            Err(_) => "remote-server-timeout",
        };
        match condition {
            // A client that cannot ping is there, too; and one with another nick.
            "" | "service-unavailable" | "feature-not-implemented" | "item-not-found" => {
                inside.heard = now;
            }
            "remote-server-not-found" | "remote-server-timeout" => {
                inside.heard = now.saturating_add(UNDECIDED).saturating_sub(SILENCE);
            }
            _ => self.fail(Trouble::Lost, now, chance),
        }
    }

    /// A presence from the room or somebody in it.
    pub(super) fn presence(&mut self, received: &Received, now: Timestamp, chance: u32) {
        self.heard(now);
        let nick = received.header.from.resource().map(|nick| nick.to_string());
        let told = Told::read(&received.element);
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
    pub(super) fn message(
        &mut self,
        received: &Received,
        now: Timestamp,
        chance: u32,
    ) -> Option<Heard> {
        self.heard(now);
        let message = &received.element;
        let from = &received.header.from;
        let State::Inside(Inside { nick: ours, .. }) = &self.state else {
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
            "groupchat" => Way::Open(nick.clone()),
            "chat" | "normal" | "" => Way::Private,
            _ => return None,
        };
        // Invitations and the like are not said to us by an occupant.
        if way == Way::Private && is_invitation(message) {
            return None;
        }
        let occupant = self.occupants.find(&nick)?;
        Some(Heard {
            line: Line::read(received, way, received.header.to.clone())?,
            person: occupant.jid.clone(),
            grant: self.settings.grants.to(occupant.affiliation),
            ours,
        })
    }

    fn heard(&mut self, now: Timestamp) {
        if let State::Inside(inside) = &mut self.state {
            inside.heard = now;
        }
    }

    fn wished(&self, nick: usize) -> String {
        match nick {
            0 => self.settings.nick.clone(),
            more => format!("{}-{}", self.settings.nick, more + 1),
        }
    }

    fn enter(&mut self, nick: usize, now: Timestamp) -> Step {
        self.occupants.clear();
        self.state = State::Entering {
            nick,
            until: now.saturating_add(ENTER_WITHIN),
        };
        Step::Enter(self.wished(nick))
    }

    /// Our own presence: we are in, under this nick, whichever we had wished for.
    fn we_are(&mut self, nick: String, told: &Told, now: Timestamp, chance: u32) {
        match &mut self.state {
            State::Entering { .. } if told.has(201) => {
                // It was not there, and nobody but us could enter or configure it now: left empty, it goes away again.
                self.fail(Trouble::Missing, now, chance);
                if let State::Out { again } = self.state {
                    self.state = State::Leaving { nick, again };
                }
            }
            State::Entering { .. } => {
                self.trouble = None;
                self.told = false;
                self.tell.push(Tell::Entered {
                    nick: nick.clone(),
                    after: take(&mut self.complained),
                });
                self.state = State::Inside(Inside {
                    nick,
                    since: now,
                    heard: now,
                    asked: false,
                    moderator: told.moderator,
                });
                self.warn_if_public();
            }
            State::Inside(inside) => {
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
    fn we_are_not(&mut self, told: Told, now: Timestamp, chance: u32) {
        let State::Inside(inside) = &mut self.state else {
            return;
        };
        if told.has(303)
            && let Some(nick) = told.nick
        {
            inside.nick = nick;
            return;
        }
        let trouble = if let Some(why) = told.destroyed {
            Trouble::Destroyed(why)
        } else if told.has(301) {
            Trouble::Banned(told.actor, told.reason)
        } else if told.has(321) || told.has(322) {
            Trouble::MembersOnly
        } else if told.has(332) || told.has(333) {
            Trouble::Unreachable
        } else if told.has(307) {
            Trouble::Kicked(told.actor, told.reason)
        } else {
            Trouble::Lost
        };
        self.fail(trouble, now, chance);
    }

    /// An error: the answer to our presence.
    fn refused(&mut self, presence: &Element, now: Timestamp, chance: u32) {
        let State::Entering { nick, .. } = self.state else {
            return;
        };
        let error = presence.get_child("error", NS_COMPONENT);
        let Some(AskFault::Refused {
            condition, text, ..
        }) = error.map(refusal)
        else {
            return;
        };
        let trouble = match condition.as_str() {
            "conflict" if nick + 1 < NICKS => {
                self.state = State::Between {
                    nick: nick + 1,
                    again: now.saturating_add(NICK_PAUSE),
                };
                return;
            }
            "conflict" => Trouble::NickTaken,
            "not-authorized" => Trouble::Password,
            "registration-required" => Trouble::MembersOnly,
            "forbidden" => Trouble::Banned(None, text),
            // "service-unavailable" is a full room (7.2.9), "resource-constraint" one on Prosody.
            "service-unavailable" | "resource-constraint" => Trouble::Full,
            "item-not-found" | "gone" => Trouble::Missing,
            "remote-server-not-found" | "remote-server-timeout" | "recipient-unavailable" => {
                Trouble::Unreachable
            }
            other => Trouble::Refused(match text {
                Some(text) => format!("{other} ({text})"),
                None => other.to_owned(),
            }),
        };
        self.fail(trouble, now, chance);
    }

    /// What the room itself says: that something about it changed, or that a line of ours did not get in.
    fn announced(&mut self, message: &Element, type_: &str, now: Timestamp, chance: u32) {
        if type_ == "error" {
            let error = message.get_child("error", NS_COMPONENT).map(refusal);
            if matches!(error, Some(AskFault::Refused { condition, .. }) if condition == "not-acceptable")
            {
                self.fail(Trouble::Lost, now, chance);
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

    fn warn_if_public(&mut self) {
        if self.public == Some(true) {
            self.tell.push(Tell::Public);
        }
    }

    /// Out, for this reason; when to try again depends on it and on how often it went wrong.
    fn fail(&mut self, trouble: Trouble, now: Timestamp, chance: u32) {
        if let State::Inside(inside) = &self.state
            && now.since(inside.since) >= STEADY
        {
            self.tries = 0;
        }
        self.occupants.clear();
        self.state = State::Out {
            again: now.saturating_add(pause(&trouble, self.tries, chance)),
        };
        self.tries = self.tries.saturating_add(1);
        let is_known = |known: &Trouble| discriminant(known) == discriminant(&trouble);
        self.told &= self.trouble.as_ref().is_some_and(is_known);
        let mends = matches!(
            trouble,
            Trouble::Unreachable | Trouble::Lost | Trouble::Silent
        );
        if !self.told && (!mends || self.tries > MENDS) {
            (self.told, self.complained) = (true, true);
            self.tell.push(Tell::Trouble(trouble.clone()));
        }
        self.trouble = Some(trouble);
    }
}

/// How long to wait before the next try. What somebody has to change takes longer than what mends itself.
fn pause(trouble: &Trouble, tries: u32, chance: u32) -> Duration {
    let (first, longest) = match trouble {
        Trouble::Unreachable | Trouble::Lost => (2, 300),
        Trouble::Silent => (10, 300),
        Trouble::Kicked(..) => (15, 1_800),
        _ => (30, 1_800),
    };
    let most = (first << tries.min(16)).min(longest) * 1_000;
    // Between three quarters of it and all of it: after a restart not all come at once.
    let less = most / 4 * u64::from(chance) / u64::from(u32::MAX);
    Duration::from_millis(most - less)
}

/// Whether anybody can come in, by what a room says about itself (XEP-0045, 15.3).
fn is_public(query: &Element) -> Option<bool> {
    let has = |name: &str| {
        query
            .children()
            .any(|child| child.is("feature", ns::DISCO_INFO) && child.attr("var") == Some(name))
    };
    if has("muc_membersonly") || has("muc_passwordprotected") || has("muc_password") {
        Some(false)
    } else if has("muc_open") {
        Some(true)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
