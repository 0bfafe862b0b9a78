//! Which positions of the log this program gave to the modules. A module that holds a later one got it from a program
//! that knew more than the store does now: the store was put back to an older copy, even if it has grown beyond that
//! position since.

use std::collections::{HashMap, VecDeque};

use crate::core::{EventId, Seq};

/// Number of unknown marks that are remembered, so that several modules that hold the same one prove one restore.
const NOTICED: usize = 64;

#[derive(Debug)]
pub(super) struct GivenPositions {
    /// Where the log ended when the program started: earlier positions may have been given by the program before.
    began: Seq,
    /// The last one by virtual host. Only modules that are believed have an entry, so it is as long as their list.
    last: HashMap<String, Seq>,
    noticed: VecDeque<EventId>,
}

impl GivenPositions {
    pub(super) fn new(began: Seq) -> Self {
        GivenPositions {
            began,
            last: HashMap::new(),
            noticed: VecDeque::new(),
        }
    }

    /// The last position that a module of this virtual host can know.
    pub(super) fn to(&self, domain: &str) -> Seq {
        self.last
            .get(domain)
            .map_or(self.began, |last| self.began.max(*last))
    }

    /// A module of this virtual host gets this position.
    pub(super) fn give(&mut self, domain: &str, upto: Seq) {
        match self.last.get_mut(domain) {
            Some(last) => *last = upto.max(*last),
            None => drop(self.last.insert(domain.to_owned(), upto)),
        }
    }

    /// Whether a mark that is not in the log was recorded as the proof of a restore already.
    pub(super) fn is_noticed(&self, mark: EventId) -> bool {
        self.noticed.contains(&mark)
    }

    pub(super) fn noticed(&mut self, mark: EventId) {
        if self.noticed.len() >= NOTICED {
            self.noticed.pop_front();
        }
        self.noticed.push_back(mark);
    }
}
