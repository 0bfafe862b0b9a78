//! How far long work is, for whoever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cheap to clone; all clones are of the same work.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    done: AtomicUsize,
    /// 0: not known.
    of: AtomicUsize,
}

impl Progress {
    /// So many are done, of so many.
    pub fn note(&self, done: usize, of: usize) {
        self.0.done.store(done, Ordering::Relaxed);
        self.0.of.store(of, Ordering::Relaxed);
    }

    /// How many are done, of how many; `None` when that cannot be told.
    pub fn get(&self) -> Option<(usize, usize)> {
        let of = self.0.of.load(Ordering::Relaxed);
        (of > 0).then(|| (self.0.done.load(Ordering::Relaxed), of))
    }
}
