//! The tap for recordings: every login and manual attempt that was judged, and every order that changed something.
//!
//! No login waits for the recorder: if the queue is full, entries are dropped and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::core::{
    Action, BanOrder, BanRuling, ExemptionRuling, HistoryRuling, LoginOutcome, Order, Proposal,
    Ruling, Signal, Term, Timestamp, UndoRuling,
};
use crate::engine::Listener;

/// Maximum number of entries waiting to be recorded.
const WAITING: usize = 8_192;

/// An entry for the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// For a login the time it happened, otherwise the time of the decision.
    pub at: Timestamp,
    /// The signal or order.
    pub input: JudgedInput,
}

/// What the rules judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgedInput {
    /// A login that failed or succeeded, or failures counted by hand.
    Signal(Signal),
    /// An order that was carried out. A ban always has its term, and no order has its private note.
    Order(Order),
}

/// The receiving end of the tap.
#[derive(Debug)]
pub struct JudgedFeed {
    queue: mpsc::Receiver<Judged>,
    missed: Arc<AtomicU64>,
}

impl JudgedFeed {
    /// Waits for the next entries and appends up to `most` of them to `batch`. Returns how many; 0 after
    /// [`JudgedFeed::close`] when the queue is empty.
    pub async fn next(&mut self, batch: &mut Vec<Judged>, most: usize) -> usize {
        self.queue.recv_many(batch, most).await
    }

    /// Stops accepting entries; those in the queue can still be read.
    pub fn close(&mut self) {
        self.queue.close();
    }

    /// Number of entries dropped since the last call.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// The sending end of the tap. Costs next to nothing while nobody listens.
#[derive(Default)]
pub struct Tap(OnceLock<(mpsc::Sender<Judged>, Arc<AtomicU64>)>);

impl Tap {
    /// Opens the receiving end; `None` from the second call on.
    pub fn listen(&self) -> Option<JudgedFeed> {
        let (tell, queue) = mpsc::channel(WAITING);
        let missed = Arc::default();
        self.0.set((tell, Arc::clone(&missed))).ok()?;
        Some(JudgedFeed { queue, missed })
    }

    /// Sends a login, or a manual attempt that was not rejected.
    pub(super) fn judged(&self, signal: &Signal, proposal: &Proposal, now: Timestamp) {
        let at = match (signal, proposal) {
            (Signal::Login(attempt), _) => match attempt.outcome {
                LoginOutcome::Failure | LoginOutcome::Success => attempt.at.min(now),
                LoginOutcome::Refused | LoginOutcome::Error => return,
            },
            (
                Signal::ByHand { .. },
                Proposal::Events(_)
                | Proposal::Answer(Ruling::Noted | Ruling::Ban(BanRuling::Already(_))),
            ) => now,
            _ => return,
        };
        self.tell(at, || JudgedInput::Signal(signal.clone()));
    }

    /// Sends an order that was carried out.
    fn told_order(&self, order: &Order, ruling: &Ruling, now: Timestamp) {
        let until = match ruling {
            Ruling::Undo(UndoRuling::Undone { ban: Some(ban), .. }) => ban.until,
            Ruling::Undo(UndoRuling::Undone { stood: Some(_), .. }) => None,
            Ruling::Ban(BanRuling::Banned(ban)) | Ruling::Ban(BanRuling::Amended { ban, .. }) => {
                ban.until
            }
            Ruling::Ban(BanRuling::Lifted(_))
            | Ruling::Exemption(ExemptionRuling::Granted { .. })
            | Ruling::Exemption(ExemptionRuling::Revoked(_))
            | Ruling::History(HistoryRuling::Forgotten { .. }) => None,
            _ => return,
        };
        self.tell(now, || {
            let mut order: Order = order.clone();
            // Record the resulting ban or un-ban instead of the extension or undo: a replay knows no earlier state.
            match (&order.what, ruling) {
                (Action::Ban(BanOrder::Extend { .. }), Ruling::Ban(BanRuling::Amended { ban, .. }))
                | (Action::Undo { .. }, Ruling::Undo(UndoRuling::Undone { ban: Some(ban), .. })) => {
                    order.what = Action::Ban(BanOrder::Impose {
                        term: None,
                        reason: Some(ban.reason.clone()),
                        note: None,
                    });
                }
                (Action::Undo { .. }, Ruling::Undo(UndoRuling::Undone { .. })) => {
                    order.what = Action::Ban(BanOrder::Lift {
                        reason: String::new(),
                    });
                }
                _ => {}
            }
            if let Action::Ban(BanOrder::Impose { term, note, .. }) = &mut order.what {
                // The default term depends on the role of the person, which is not recorded.
                term.get_or_insert(Term::up_to(until));
                *note = None;
            }
            JudgedInput::Order(order)
        });
    }

    fn tell(&self, at: Timestamp, input: impl FnOnce() -> JudgedInput) {
        let Some((tell, missed)) = self.0.get() else {
            return;
        };
        let input = input();
        if let Err(mpsc::error::TrySendError::Full(_)) = tell.try_send(Judged { at, input }) {
            missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Listener for Tap {
    fn ordered(&self, order: &Order, ruling: &Ruling, decided: Timestamp) {
        self.told_order(order, ruling, decided);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Attempt;

    fn login(outcome: LoginOutcome) -> Signal {
        Signal::Login(Attempt {
            account: None,
            address: Some("203.0.113.7".parse().unwrap()),
            outcome,
            unknown: false,
            at: Timestamp::from_millis(5),
        })
    }

    fn tell(tap: &Tap, outcome: LoginOutcome) {
        let now = Timestamp::from_millis(3);
        tap.judged(&login(outcome), &Proposal::Events(Vec::new()), now);
    }

    #[tokio::test]
    async fn only_logins_that_are_weighed_are_told_and_never_from_the_future() {
        let tap = Tap::default();
        tell(&tap, LoginOutcome::Failure);
        let mut heard = tap.listen().unwrap();
        assert!(tap.listen().is_none(), "there is one listener");
        for outcome in [
            LoginOutcome::Refused,
            LoginOutcome::Failure,
            LoginOutcome::Error,
            LoginOutcome::Success,
        ] {
            tell(&tap, outcome);
        }
        heard.close();
        let mut all = Vec::new();
        while heard.next(&mut all, 9).await > 0 {}
        let at = Timestamp::from_millis(3);
        let want = [LoginOutcome::Failure, LoginOutcome::Success].map(|outcome| Judged {
            at,
            input: JudgedInput::Signal(login(outcome)),
        });
        assert_eq!(all, want);
    }

    #[tokio::test]
    async fn a_full_queue_loses_and_counts_and_does_not_wait() {
        let tap = Tap::default();
        let mut heard = tap.listen().unwrap();
        for _ in 0..WAITING + 3 {
            tell(&tap, LoginOutcome::Failure);
        }
        assert_eq!((heard.missed(), heard.missed()), (3, 0));
        let mut all = Vec::new();
        assert_eq!(heard.next(&mut all, usize::MAX).await, WAITING);
    }
}
