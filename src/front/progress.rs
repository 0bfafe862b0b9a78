//! Progress of long work, for clients that wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::command::OnProgress;

/// Cheap to clone; all clones show the same work.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<ProgressCount>);

#[derive(Debug, Default)]
struct ProgressCount {
    done: AtomicUsize,
    /// Total number; 0: unknown.
    of: AtomicUsize,
}

impl Progress {
    /// The callback through which the work reports its progress.
    pub(super) fn reporter(&self) -> OnProgress {
        let counted = Arc::clone(&self.0);
        Arc::new(move |done, of| {
            counted.done.store(done, Ordering::Relaxed);
            counted.of.store(of, Ordering::Relaxed);
        })
    }

    /// Number done and total number; `None` if unknown.
    pub(super) fn get(&self) -> Option<(usize, usize)> {
        let of = self.0.of.load(Ordering::Relaxed);
        (of > 0).then(|| (self.0.done.load(Ordering::Relaxed), of))
    }
}
