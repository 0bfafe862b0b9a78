//! Frames that are answered where they are read, without a parser (docs/adr/0017-fast-path.md).
//!
//! An answer must know of everything that was said before its question: a failed login that was reported first counts. So a
//! frame is answered here only while the program has nothing of this link in hand. [`InHand`] goes with each stanza that is
//! handed on, and whoever takes the stanza drops it when the stanza is dealt with; nobody else need know of this.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers a frame from memory and without waiting, or leaves it to the parser: the whole answer as it goes into the stream.
type AnswerFrame = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// The fast path of one link.
#[derive(Default)]
pub(super) struct FastPath {
    answer: Option<Box<AnswerFrame>>,
    in_hand: Arc<AtomicUsize>,
}

/// A stanza the program has not dealt with yet. Drop it when the answers due at once are sent.
#[derive(Debug)]
pub struct InHand(Arc<AtomicUsize>);

impl FastPath {
    pub(super) fn new(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        FastPath {
            answer: Some(Box::new(answer)),
            in_hand: Arc::default(),
        }
    }

    /// The answer to a frame, if it can be given now.
    pub(super) fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let answer = self.answer.as_deref()?;
        // Acquire: what the program did with the last stanza is seen by the answer.
        if self.in_hand.load(Ordering::Acquire) > 0 {
            return None;
        }
        answer(frame)
    }

    pub(super) fn hand_on(&self) -> InHand {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        InHand(Arc::clone(&self.in_hand))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_answered_before_what_came_first_is_dealt_with() {
        let path = FastPath::new(|frame| (frame == b"ask").then(|| b"yes".to_vec()));
        assert_eq!(path.answer(b"ask"), Some(b"yes".to_vec()));
        assert_eq!(path.answer(b"other"), None);
        let (first, second) = (path.hand_on(), path.hand_on());
        drop(first);
        assert_eq!(path.answer(b"ask"), None);
        drop(second);
        assert!(path.answer(b"ask").is_some());
        assert_eq!(FastPath::default().answer(b"ask"), None);
    }
}
