//! Messages of ours that came back: notices that nobody read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xmpp_parsers::jid::BareJid;

use crate::core::Timestamp;

/// How many since the program started, and the last of them. Cheap to clone; whoever holds it sees the same.
#[derive(Debug, Clone, Default)]
pub struct Undelivered(Arc<Mutex<Told>>);

/// What is told of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// How many.
    pub number: u64,
    /// For whom the last one was, and when it came back.
    pub last: Option<(BareJid, Timestamp)>,
}

impl Undelivered {
    /// One for `whom` came back.
    pub fn note(&self, whom: BareJid, now: Timestamp) {
        let mut told = self.told();
        told.number = told.number.saturating_add(1);
        told.last = Some((whom, now));
    }

    /// As it is now.
    pub fn now(&self) -> Told {
        self.told().clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
