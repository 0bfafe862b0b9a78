//! What commands read of the front: the rooms we should be in, and messages that came back. The front keeps both.

use std::sync::Arc;

use xmpp_parsers::jid::BareJid;

use crate::core::{Role, Timestamp};

/// So many people whom a room gives a role are told by name.
pub const HOLDERS: usize = 50;

/// The state of the front, as it is when it is asked for.
pub trait FrontState: Send + Sync {
    /// Every room we should be in.
    fn rooms(&self) -> Arc<Vec<RoomStatus>>;
    /// Messages of ours that came back since the program started.
    fn undelivered(&self) -> Undelivered;
}

/// Where there is no front: no rooms, and nothing was sent.
pub(super) struct NoFront;

impl FrontState for NoFront {
    fn rooms(&self) -> Arc<Vec<RoomStatus>> {
        Arc::default()
    }

    fn undelivered(&self) -> Undelivered {
        Undelivered::default()
    }
}

/// Messages nobody read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// How many.
    pub number: u64,
    /// For whom the last one was, and when it came back.
    pub last: Option<(BareJid, Timestamp)>,
}

/// Our place in one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomStatus {
    /// Its address.
    pub room: String,
    /// Our nick, while we are in.
    pub nick: Option<String>,
    /// How many others are there.
    pub others: usize,
    /// Of how many of them we see no real JID.
    pub faceless: usize,
    /// What it makes of its owners, admins and members.
    pub grants: [Role; 3],
    /// Who is there and has a role by that, sorted; at most [`HOLDERS`].
    pub holders: Vec<(BareJid, Role)>,
    /// Whether anybody can enter and read; `None`: the room does not tell.
    pub public: Option<bool>,
    /// Why we are not in.
    pub trouble: Option<RoomTrouble>,
    /// When we try next.
    pub again: Option<Timestamp>,
}

/// Why we are not in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomTrouble {
    /// There is no such room.
    Missing,
    /// It was closed for good, for this reason.
    Destroyed(Option<String>),
    /// All the nicks we try are taken.
    NickTaken,
    /// It wants a password, or another one.
    Password,
    /// It is for members, and we are none.
    MembersOnly,
    /// We are banned from it: by whom, and why, if that is told.
    Banned(Option<String>, Option<String>),
    /// We were kicked out: by whom, and why, if that is told.
    Kicked(Option<String>, Option<String>),
    /// No more people fit in.
    Full,
    /// The server or its rooms are out of reach or starting again.
    Unreachable,
    /// No answer came.
    Silent,
    /// We were no longer in, and nobody had told us.
    Lost,
    /// Another refusal: its condition and words.
    Refused(String),
}
