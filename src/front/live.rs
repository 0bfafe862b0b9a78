//! The state of the front that `status` shows: written by the rooms and the router, read by commands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use xmpp_parsers::jid::BareJid;

use crate::command::{FrontState, RoomStatus, Undelivered};
use crate::core::Timestamp;

/// The state of the front.
#[derive(Debug, Default)]
pub(super) struct Live {
    rooms: ArcSwap<Vec<RoomStatus>>,
    undelivered: Mutex<Undelivered>,
}

impl Live {
    /// Replaces the state of the rooms.
    pub(super) fn set_rooms(&self, rooms: Vec<RoomStatus>) {
        self.rooms.store(Arc::new(rooms));
    }

    /// Records that a message to `whom` bounced.
    pub(super) fn came_back(&self, whom: BareJid, now: Timestamp) {
        let mut undelivered = self.lock();
        undelivered.number = undelivered.number.saturating_add(1);
        undelivered.last = Some((whom, now));
    }

    fn lock(&self) -> MutexGuard<'_, Undelivered> {
        self.undelivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrontState for Live {
    fn rooms(&self) -> Arc<Vec<RoomStatus>> {
        self.rooms.load_full()
    }

    fn undelivered(&self) -> Undelivered {
        self.lock().clone()
    }
}
