//! The state of the front that commands read: configured rooms and bounced messages. The front keeps both.

use std::sync::Arc;

use serde::Serialize;
use xmpp_parsers::jid::BareJid;

use crate::core::{Account, Role, Timestamp};

/// Maximum number of role holders in a room that are listed by name.
pub const HOLDERS: usize = 50;

/// The current state of the front.
pub trait FrontState: Send + Sync {
    /// The state of every configured room.
    fn rooms(&self) -> Arc<Vec<RoomStatus>>;
    /// Messages of ours that bounced since the program started.
    fn undelivered(&self) -> Undelivered;
}

/// No front: no rooms, and no messages.
pub(super) struct NoFront;

impl FrontState for NoFront {
    fn rooms(&self) -> Arc<Vec<RoomStatus>> {
        Arc::default()
    }

    fn undelivered(&self) -> Undelivered {
        Undelivered::default()
    }
}

/// Bounced messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// Number of messages.
    pub number: u64,
    /// Receiver and time of the last one.
    pub last: Option<(BareJid, Timestamp)>,
}

/// The state of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomStatus {
    /// Its address.
    pub room: String,
    /// Our nick; `None` if we are not in.
    pub nick: Option<String>,
    /// Number of other occupants.
    pub others: usize,
    /// Number of occupants whose real JID we do not see.
    pub faceless: usize,
    /// The roles granted to owners, admins and members.
    pub grants: [Role; 3],
    /// Occupants with a role granted by the room, sorted; at most [`HOLDERS`].
    pub holders: Vec<(BareJid, Role)>,
    /// Accounts of the occupants to whom the room grants the role admin.
    pub admins: Vec<Account>,
    /// Whether anybody can enter and read; `None` if the room does not say.
    pub public: Option<bool>,
    /// Why we are not in; `None` if we are, or did not try yet.
    pub trouble: Option<RoomTrouble>,
    /// When we try next.
    pub again: Option<Timestamp>,
}

/// Why we are not in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoomTrouble {
    /// The room does not exist.
    Missing,
    /// It was destroyed, for this reason.
    Destroyed(Option<String>),
    /// All nicks that we try are taken.
    NickTaken,
    /// It requires a password, or another one.
    Password,
    /// It is members-only, and we are not a member.
    MembersOnly,
    /// We are banned: by whom and why, if known.
    Banned(Option<String>, Option<String>),
    /// We were kicked: by whom and why, if known.
    Kicked(Option<String>, Option<String>),
    /// The room is full.
    Full,
    /// The room's service cannot be reached, or is restarting.
    Unreachable,
    /// There was no answer.
    Silent,
    /// We were no longer in it, without having been told.
    Lost,
    /// Another refusal: its condition and text.
    Refused(String),
}
