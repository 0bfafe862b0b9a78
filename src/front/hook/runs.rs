//! Where modules are that take everything anew, page by page.
//!
//! Between the pages bans end, and a ban that was on an early page must be taken back on a later one: so the place
//! where a run began is kept until its next page. A module is given a number in place of the page's own place in the
//! log, high enough never to be one.

use std::collections::VecDeque;

use crate::core::Seq;

/// Numbers from here on name a run. Lua's numbers are exact up to twice as much.
const FIRST: u64 = 1 << 52;
/// Runs that are remembered; whoever is forgotten begins anew.
const RUNS: usize = 512;

/// One page that was given, of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyncRun {
    name: u64,
    /// Up to where the pages have come.
    pub(super) since: Seq,
    /// Where the log was when the run began.
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
    /// A page was given and there is more: the number to ask for it by.
    pub(super) fn goes_on(&mut self, since: Seq, begun: Seq) -> u64 {
        if self.open.len() >= RUNS {
            self.open.pop_front();
        }
        let name = self.next;
        self.next += 1;
        self.open.push_back(SyncRun { name, since, begun });
        name
    }

    /// The page a number stands for. It may be asked for again: answers get lost.
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
