//! Our place in the rooms we should be in, as their door last saw it: for `status` and for news.

use std::sync::Arc;

use arc_swap::ArcSwap;

use xmpp_parsers::jid::BareJid;

use crate::core::{Role, Timestamp};

/// So many people whom a room gives a role are told by name.
pub const HOLDERS: usize = 50;

/// All of them. Cheap to clone; whoever holds it sees the newest.
#[derive(Debug, Clone, Default)]
pub struct Seats(Arc<ArcSwap<Vec<Seat>>>);

impl Seats {
    /// Puts others in their place.
    pub fn set(&self, seats: Vec<Seat>) {
        self.0.store(Arc::new(seats));
    }

    /// As they are now.
    pub fn now(&self) -> Arc<Vec<Seat>> {
        self.0.load_full()
    }
}

/// Our place in one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
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
    pub trouble: Option<Trouble>,
    /// When we try next.
    pub again: Option<Timestamp>,
}

/// Why we are not in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
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
