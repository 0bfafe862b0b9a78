//! How far long work is, for whoever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::command::OnProgress;

/// Cheap to clone; all clones are of the same work.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<ProgressCount>);

#[derive(Debug, Default)]
struct ProgressCount {
    done: AtomicUsize,
    /// 0: not known.
    of: AtomicUsize,
}

impl Progress {
    /// Takes how far it is, from whoever does the work.
    pub(super) fn reporter(&self) -> OnProgress {
        let counted = Arc::clone(&self.0);
        Arc::new(move |done, of| {
            counted.done.store(done, Ordering::Relaxed);
            counted.of.store(of, Ordering::Relaxed);
        })
    }

    /// How many are done, of how many; `None` when that cannot be told.
    pub(super) fn get(&self) -> Option<(usize, usize)> {
        let of = self.0.of.load(Ordering::Relaxed);
        (of > 0).then(|| (self.0.done.load(Ordering::Relaxed), of))
    }
}
