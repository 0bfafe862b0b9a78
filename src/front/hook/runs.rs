//! Full syncs in progress: modules that fetch the whole set, page by page.
//!
//! Bans may end between two pages. A ban that was on an early page must then be taken back on a later one, so the
//! position at which the run began is kept until its next page. The module gets a run number instead of the page's
//! position in the log, high enough never to be a position.

use std::collections::VecDeque;

use crate::core::Seq;

/// The first run number. Lua's numbers are exact up to twice as much.
const FIRST: u64 = 1 << 52;
/// Maximum number of runs; a run that was dropped starts over.
const RUNS: usize = 512;

/// Whether a number from a module is a position in the log, and not the number of a run.
pub(super) fn is_position(seq: Seq) -> bool {
    seq.0 < FIRST
}

/// The last page of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyncRun {
    name: u64,
    /// The position up to which pages were sent.
    pub(super) since: Seq,
    /// The position of the log when the run began.
    pub(super) begun: Seq,
}

#[derive(Debug)]
pub(super) struct Runs {
    next: u64,
    open: VecDeque<SyncRun>,
}

impl Default for Runs {
    fn default() -> Self {
        Runs {
            next: FIRST,
            open: VecDeque::new(),
        }
    }
}

impl Runs {
    /// Records a page that is not the last; returns the number to ask for the next one.
    pub(super) fn goes_on(&mut self, since: Seq, begun: Seq) -> u64 {
        if self.open.len() >= RUNS {
            self.open.pop_front();
        }
        let name = self.next;
        self.next += 1;
        self.open.push_back(SyncRun { name, since, begun });
        name
    }

    /// The run with this number. A page may be asked for again, because answers get lost.
    pub(super) fn begun(&self, name: u64) -> Option<SyncRun> {
        self.open.iter().find(|run| run.name == name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_under_a_number_that_grows_and_is_no_place() {
        let mut runs = Runs::default();
        let first = runs.goes_on(Seq(200), Seq(900));
        let second = runs.goes_on(Seq(400), Seq(900));
        assert!(second > first && first >= FIRST);
        assert_eq!(runs.begun(first).map(|run| run.since), Some(Seq(200)));
        assert_eq!(runs.begun(900), None);
        for _ in 0..RUNS {
            runs.goes_on(Seq(1), Seq(1));
        }
        assert_eq!(runs.begun(second), None);
        assert!(runs.open.len() <= RUNS);
    }
}
