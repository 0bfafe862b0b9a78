//! What is known of a subject's earlier bans.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::bans::Past;
use crate::core::time::Timestamp;

/// The history of one subject: all that an undo restores besides its ban and its exemption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Number of bans since the history was last forgotten.
    pub bans: u32,
    /// Number of bans that count for escalation, after memory and decay of the rule that decided last.
    pub counted: u32,
    /// The last ban that ended; `None` if there was none.
    pub last: Option<Past>,
    /// Intended length of the last ban; `None`: permanent, or there was none.
    pub length: Option<Duration>,
    /// Failures before this time do not count: a ban, un-ban or `forget` came after them. `None`: all count.
    pub clean: Option<Timestamp>,
    /// When a person last un-banned the subject; `None` if never.
    pub pardoned: Option<Timestamp>,
    /// When the history was last forgotten; `None` if never.
    pub forgotten: Option<Timestamp>,
}

/// The history of a subject that nothing is known of.
pub(in crate::core) const UNKNOWN: &History = &History {
    bans: 0,
    counted: 0,
    last: None,
    length: None,
    clean: None,
    pardoned: None,
    forgotten: None,
};

impl History {
    /// A ban began. `ordinal` is its offence number if a rule counted it.
    pub(in crate::core) fn began(
        &mut self,
        at: Timestamp,
        until: Option<Timestamp>,
        ordinal: Option<u32>,
    ) {
        self.bans = self.bans.saturating_add(1);
        self.counted = ordinal.unwrap_or(self.counted.saturating_add(1));
        self.length = until.map(|end| end.since(at));
        self.clean = Some(at.saturating_add(Duration::from_millis(1)));
    }

    /// A ban ended; with `by_hand`, because a person lifted it at `at`.
    pub(in crate::core) fn ended(&mut self, ban: Past, at: Timestamp, by_hand: bool) {
        self.last = Some(ban);
        if by_hand {
            self.clean = Some(at);
            self.pardoned = Some(at);
        }
    }

    /// Earlier bans no longer count. Returns the number of those that counted.
    pub(in crate::core) fn forget(&mut self, at: Timestamp) -> u32 {
        self.bans = 0;
        self.length = None;
        self.clean = Some(at);
        self.forgotten = Some(at);
        std::mem::take(&mut self.counted)
    }
}
