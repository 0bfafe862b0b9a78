//! One room: a state machine from outside to inside, and back in after every loss.
//!
//! ```text
//! Cut ─ link ─► Out ─ time ─► Looking ─ what room is it ─► Entering ─ own presence, 110 ─► Inside
//!  ▲             ▲◄── no such room ──┘◄─ refused, silent ──┘ └► Between (nick taken) ┘         │
//!  └── no link ──┴◄──────────────── kicked, closed, restarted, not in it by self-ping ─────────┘
//! ```
//!
//! Nothing here sends or sleeps. [`Room::step`] says what to do now or when to ask again; answers to our requests go
//! to [`Room::looked`] and [`Room::pinged`]; stanzas that arrive unasked (`arrives.rs`) go to [`Room::presence`] and
//! [`Room::message`].

mod arrives;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem::{discriminant, take};
use std::time::Duration;

use minidom::Element;
use xmpp_parsers::ns;

use super::occupants::Occupants;
use super::settings::Settings;
use crate::command::{RoomStatus, RoomTrouble};
use crate::core::Timestamp;
use crate::xmpp::iq::{StanzaRefusal, Unanswered};

pub(crate) use arrives::Heard;

/// Time limit from our presence to the room's consent.
const ENTER_WITHIN: Duration = Duration::from_secs(30);
/// After this time without a stanza from the room we check that we are still joined (XEP-0410).
pub const SILENCE: Duration = Duration::from_secs(15 * 60);
/// Pause after a check without a clear result.
const UNDECIDED: Duration = Duration::from_secs(60);
/// After this time inside, a loss starts with the shortest pause again.
const STEADY: Duration = Duration::from_secs(120);
/// Pause between leaving and re-entering a room to learn who everybody is.
const ANEW: Duration = Duration::from_secs(1);
/// A temporary problem is reported only after this many failed attempts.
const MENDS: u32 = 3;
/// What to do for a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoomStep {
    /// Nothing before this time; `None`: until something happens.
    Wait(Option<Timestamp>),
    /// Ask for its features, and give the answer to [`Room::looked`] with this number.
    Look(u64),
    /// Send a presence that enters under this nick.
    Enter(String),
    /// Send a presence that leaves.
    Leave(String),
    /// Ping ourselves in it, and give the answer to [`Room::pinged`] with this number.
    Ping(String, u64),
}

/// A change to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tell {
    /// We entered.
    Entered {
        /// Our nick.
        nick: String,
        /// Whether a problem had been reported before.
        after: bool,
    },
    /// We are not in, for this reason.
    Trouble(RoomTrouble),
    /// Anybody can enter and read.
    Public,
}

#[derive(Debug, Clone, PartialEq)]
enum RoomState {
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
    /// Whether a ping is in flight.
    asked: bool,
    /// Whether our role in the room shows us real JIDs.
    moderator: bool,
}

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) settings: Settings,
    state: RoomState,
    occupants: Occupants,
    /// Number of the current request, so that late answers are recognised.
    round: u64,
    tries: u32,
    trouble: Option<RoomTrouble>,
    /// Whether it has been reported.
    told: bool,
    /// Whether a problem was reported since we were last in.
    complained: bool,
    public: Option<bool>,
    /// Whether to ask for its features while we are in.
    look: bool,
    /// Ids of our own lines: ours, and the one assigned by the room (XEP-0359).
    said: VecDeque<(String, String)>,
    tell: Vec<Tell>,
}

impl Room {
    pub(super) fn new(settings: Settings) -> Self {
        Room {
            settings,
            state: RoomState::Cut,
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

    /// Our nick; `None` if we are not in.
    pub(super) fn nick(&self) -> Option<&str> {
        match &self.state {
            RoomState::Inside(inside) => Some(&inside.nick),
            _ => None,
        }
    }

    /// The changes to report since the last call.
    pub(super) fn tell(&mut self) -> Vec<Tell> {
        take(&mut self.tell)
    }

    pub(super) fn status(&self) -> RoomStatus {
        let again = match self.state {
            RoomState::Out { again } | RoomState::Between { again, .. } => Some(again),
            _ => None,
        };
        RoomStatus {
            room: self.settings.room.to_string(),
            nick: self.nick().map(str::to_owned),
            others: self.occupants.len(),
            faceless: self.occupants.faceless(),
            grants: self.settings.grants.all(),
            holders: self.occupants.holders(self.settings.grants),
            admins: self.occupants.admins(self.settings.grants),
            public: self.public,
            trouble: self.trouble.clone().filter(|_| self.nick().is_none()),
            again,
        }
    }

    /// The id of our own line, given the id assigned by the room.
    pub(super) fn ours(&self, id: &str) -> Option<&str> {
        let mut said = self.said.iter().rev();
        let (ours, _) = said.find(|(ours, theirs)| theirs == id || ours == id)?;
        Some(ours)
    }

    /// The link is up, or was renewed: the room does not know us.
    pub(super) fn link_up(&mut self, now: Timestamp) {
        self.occupants.clear();
        self.tries = 0;
        self.state = RoomState::Out { again: now };
    }

    /// The link is down.
    pub(super) fn link_down(&mut self) {
        self.occupants.clear();
        self.state = RoomState::Cut;
    }

    /// Leaves for good; returns the nick to leave under if we may be in.
    pub(super) fn leave(&mut self) -> Option<String> {
        let nick = match &self.state {
            RoomState::Inside(inside) => Some(inside.nick.clone()),
            RoomState::Leaving { nick, .. } => Some(nick.clone()),
            RoomState::Entering { nick, .. } => Some(self.wished(*nick)),
            _ => None,
        };
        self.link_down();
        nick
    }

    /// Leaves in order to re-enter with other settings, or to learn who everybody is.
    pub(super) fn anew(&mut self, now: Timestamp) {
        if let RoomState::Inside(inside) = &self.state {
            self.state = RoomState::Leaving {
                nick: inside.nick.clone(),
                again: now.saturating_add(ANEW),
            };
        }
    }

    /// Tries at once if it waits, because somebody says that it would work now.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        if let RoomState::Out { again } = &mut self.state {
            *again = now;
        }
    }

    /// What to do at this time. Call it again until it returns [`RoomStep::Wait`].
    pub(super) fn step(&mut self, now: Timestamp, chance: u32) -> RoomStep {
        match &mut self.state {
            RoomState::Cut | RoomState::Looking => RoomStep::Wait(None),
            RoomState::Out { again } if now < *again => RoomStep::Wait(Some(*again)),
            RoomState::Out { .. } => {
                self.state = RoomState::Looking;
                self.round += 1;
                RoomStep::Look(self.round)
            }
            RoomState::Between { again, .. } if now < *again => RoomStep::Wait(Some(*again)),
            RoomState::Between { nick, .. } => {
                let nick = *nick;
                self.enter(nick, now)
            }
            RoomState::Entering { until, .. } if now < *until => RoomStep::Wait(Some(*until)),
            RoomState::Entering { .. } => {
                self.fail(RoomTrouble::Silent, now, chance);
                self.step(now, chance)
            }
            RoomState::Leaving { nick, again } => {
                let (nick, again) = (take(nick), *again);
                self.occupants.clear();
                self.state = RoomState::Out { again };
                RoomStep::Leave(nick)
            }
            RoomState::Inside(_) if self.look => {
                self.look = false;
                self.round += 1;
                RoomStep::Look(self.round)
            }
            RoomState::Inside(inside) if inside.asked => RoomStep::Wait(None),
            RoomState::Inside(inside) => {
                let due = inside.heard.saturating_add(SILENCE);
                if now < due {
                    return RoomStep::Wait(Some(due));
                }
                inside.asked = true;
                self.round += 1;
                RoomStep::Ping(inside.nick.clone(), self.round)
            }
        }
    }

    /// Handles the answer about the room's features, or its failure. Returns a step if it is time to enter.
    pub(super) fn looked(
        &mut self,
        round: u64,
        answer: Result<&Element, &Unanswered>,
        now: Timestamp,
        chance: u32,
    ) -> Option<RoomStep> {
        if round != self.round {
            return None;
        }
        if let Ok(query) = answer {
            self.public = is_public(query);
        }
        if let RoomState::Inside(_) = self.state {
            self.warn_if_public();
            return None;
        }
        if self.state != RoomState::Looking {
            return None;
        }
        let trouble = match answer {
            // Some rooms tell their features only to members.
            Ok(_) => return Some(self.enter(0, now)),
            Err(Unanswered::Refused(StanzaRefusal { condition, .. })) => match condition.as_str() {
                "item-not-found" => RoomTrouble::Missing,
                "remote-server-not-found" | "remote-server-timeout" => RoomTrouble::Unreachable,
                _ => return Some(self.enter(0, now)),
            },
            // COMPAT: on ejabberd (24.12, 26.07) answers to disco requests do not reach a component.
            Err(Unanswered::Silent) => return Some(self.enter(0, now)),
            Err(_) => RoomTrouble::Unreachable,
        };
        self.fail(trouble, now, chance);
        None
    }

    /// Handles the result of a self-ping (XEP-0410, 3.2).
    pub(super) fn pinged(
        &mut self,
        round: u64,
        answer: Result<(), &Unanswered>,
        now: Timestamp,
        chance: u32,
    ) {
        let RoomState::Inside(inside) = &mut self.state else {
            return;
        };
        if round != self.round {
            return;
        }
        inside.asked = false;
        let condition = match answer {
            Ok(()) => "",
            Err(Unanswered::Refused(StanzaRefusal { condition, .. })) => condition,
            Err(_) => "remote-server-timeout",
        };
        match condition {
            // These errors also come from a client that is joined: one that cannot answer pings, or has another nick.
            "" | "service-unavailable" | "feature-not-implemented" | "item-not-found" => {
                inside.heard = now;
            }
            "remote-server-not-found" | "remote-server-timeout" => {
                inside.heard = now.saturating_add(UNDECIDED).saturating_sub(SILENCE);
            }
            _ => self.fail(RoomTrouble::Lost, now, chance),
        }
    }

    fn heard(&mut self, now: Timestamp) {
        if let RoomState::Inside(inside) = &mut self.state {
            inside.heard = now;
        }
    }

    fn wished(&self, nick: usize) -> String {
        match nick {
            0 => self.settings.nick.clone(),
            more => format!("{}-{}", self.settings.nick, more + 1),
        }
    }

    fn enter(&mut self, nick: usize, now: Timestamp) -> RoomStep {
        self.occupants.clear();
        self.state = RoomState::Entering {
            nick,
            until: now.saturating_add(ENTER_WITHIN),
        };
        RoomStep::Enter(self.wished(nick))
    }

    fn warn_if_public(&mut self) {
        if self.public == Some(true) {
            self.tell.push(Tell::Public);
        }
    }

    /// Leaves the inside state for this reason. The pause depends on the reason and the number of failures.
    fn fail(&mut self, trouble: RoomTrouble, now: Timestamp, chance: u32) {
        if let RoomState::Inside(inside) = &self.state
            && now.since(inside.since) >= STEADY
        {
            self.tries = 0;
        }
        self.occupants.clear();
        self.state = RoomState::Out {
            again: now.saturating_add(pause(&trouble, self.tries, chance)),
        };
        self.tries = self.tries.saturating_add(1);
        let is_known = |known: &RoomTrouble| discriminant(known) == discriminant(&trouble);
        self.told &= self.trouble.as_ref().is_some_and(is_known);
        let mends = matches!(
            trouble,
            RoomTrouble::Unreachable | RoomTrouble::Lost | RoomTrouble::Silent
        );
        if !self.told && (!mends || self.tries > MENDS) {
            (self.told, self.complained) = (true, true);
            self.tell.push(Tell::Trouble(trouble.clone()));
        }
        self.trouble = Some(trouble);
    }
}

/// The pause before the next attempt; longer for problems that somebody has to fix than for temporary ones.
fn pause(trouble: &RoomTrouble, tries: u32, chance: u32) -> Duration {
    let (first, longest) = match trouble {
        RoomTrouble::Unreachable | RoomTrouble::Lost => (2, 300),
        RoomTrouble::Silent => (10, 300),
        RoomTrouble::Kicked(..) => (15, 1_800),
        _ => (30, 1_800),
    };
    let most = (first << tries.min(16)).min(longest) * 1_000;
    // Between three quarters of the pause and all of it, so that after a restart not all bots come at once.
    let less = most / 4 * u64::from(chance) / u64::from(u32::MAX);
    Duration::from_millis(most - less)
}

/// Whether anybody can enter, from the features of a room (XEP-0045, 15.3); `None` if they do not say.
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
