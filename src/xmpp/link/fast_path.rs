//! Answers frames where they are read, without a parser (docs/adr/0017-fast-path.md).
//!
//! An answer must take into account everything received before its question, such as a failed login reported before
//! it. So a frame is answered here only while the program has no stanza of this link in hand. An [`InHand`] goes with
//! each stanza that is handed on, and is dropped when the stanza is dealt with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::INCOMING_BYTES;

/// Answers a frame from memory, without waiting: the whole answer as bytes; `None`: the frame is for the parser.
type AnswerFrame = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// The fast path of one link.
pub(super) struct FastPath {
    answer: Option<Box<AnswerFrame>>,
    in_hand: Arc<AtomicUsize>,
    /// Memory left for stanzas in hand: one permit per byte.
    room: Arc<Semaphore>,
}

/// Marks a stanza that the program has not dealt with yet. Drop it once the immediate answers are sent.
#[derive(Debug)]
pub struct InHand {
    in_hand: Arc<AtomicUsize>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Default for FastPath {
    fn default() -> Self {
        FastPath {
            answer: None,
            in_hand: Arc::default(),
            room: Arc::new(Semaphore::new(INCOMING_BYTES)),
        }
    }
}

impl FastPath {
    pub(super) fn new(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        FastPath {
            answer: Some(Box::new(answer)),
            ..FastPath::default()
        }
    }

    /// The answer to a frame, if it can be given now.
    pub(super) fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let answer = self.answer.as_deref()?;
        // Acquire: the answer sees everything the program did with earlier stanzas.
        if self.in_hand.load(Ordering::Acquire) > 0 {
            return None;
        }
        answer(frame)
    }

    /// Waits until the program has no stanza of this link in hand.
    pub(super) async fn idle(&self) {
        let all = u32::try_from(INCOMING_BYTES).unwrap_or(u32::MAX);
        let _ = self.room.acquire_many(all).await;
    }

    /// Takes a stanza with this memory in hand, as soon as there is enough left.
    pub(super) async fn hand_on(&self, cost: usize) -> InHand {
        let cost = u32::try_from(cost.clamp(1, INCOMING_BYTES)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let room = Arc::clone(&self.room).acquire_many_owned(cost).await.ok();
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        InHand {
            in_hand: Arc::clone(&self.in_hand),
            _room: room,
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.in_hand.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_answered_before_what_came_first_is_dealt_with() {
        let path = FastPath::new(|frame| (frame == b"ask").then(|| b"yes".to_vec()));
        assert_eq!(path.answer(b"ask"), Some(b"yes".to_vec()));
        assert_eq!(path.answer(b"other"), None);
        let (first, second) = (path.hand_on(1).await, path.hand_on(1).await);
        drop(first);
        assert_eq!(path.answer(b"ask"), None);
        drop(second);
        assert!(path.answer(b"ask").is_some());
        assert_eq!(FastPath::default().answer(b"ask"), None);
    }
}
