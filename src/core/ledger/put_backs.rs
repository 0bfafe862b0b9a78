//! Where the log was found to have been put back to an older copy.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::core::bans::BanId;
use crate::core::event::{EventId, Seq};

/// Number of marks that are kept. A log is put back a few times in its life, but an import may claim more.
const KEPT: usize = 1_000;

/// That the log was found to have been put back to an older copy: positions before this one may mean something else
/// to somebody who knew the log as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBackMark {
    /// Position of the event that says so.
    pub at: Seq,
    /// Id of that event. Unlike the position, it is never used again in a log that is put back a second time.
    pub id: EventId,
    /// The ban number from which numbers went on.
    pub next: BanId,
}

impl PutBackMark {
    /// By how much ban numbers may be ahead of positions from here on: every ban takes a position of the log.
    pub fn lead(&self) -> u64 {
        self.next.0.saturating_sub(self.at.0)
    }
}

/// The last [`KEPT`] marks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBacks(VecDeque<PutBackMark>);

impl PutBacks {
    /// The last one; `None` if the log was never put back.
    pub fn last(&self) -> Option<&PutBackMark> {
        self.0.back()
    }

    /// Whether this log has the mark of that event.
    pub fn knows(&self, id: EventId) -> bool {
        self.0.iter().any(|mark| mark.id == id)
    }

    pub(super) fn add(&mut self, mark: PutBackMark) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(mark);
    }
}
