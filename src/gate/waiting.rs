//! Who waits for what came of their events.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

use super::lock;
use crate::core::{EventId, Ruling};

/// Who waits for rulings, by the event they are on.
pub(super) type WaitingRoom = Mutex<HashMap<EventId, oneshot::Sender<Ruling>>>;

/// Seats in the waiting room; given up when the one who waits goes away.
pub(super) struct Waiting<'a> {
    room: &'a WaitingRoom,
    seats: Vec<EventId>,
}

impl<'a> Waiting<'a> {
    pub(super) fn take_seats(
        room: &'a WaitingRoom,
        seats: Vec<EventId>,
    ) -> (Self, Vec<oneshot::Receiver<Ruling>>) {
        let mut table = lock(room);
        let told = seats.iter().map(|id| {
            let (tell, told) = oneshot::channel();
            table.insert(*id, tell);
            told
        });
        let told = told.collect();
        drop(table);
        (Waiting { room, seats }, told)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut table = lock(self.room);
        for id in &self.seats {
            table.remove(id);
        }
    }
}
