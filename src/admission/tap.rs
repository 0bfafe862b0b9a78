//! What was weighed, for somebody who writes it down: each login and each attempt by hand that was
//! counted or could have been, and each order that changed something.
//!
//! Nobody who logs in waits for the one who writes: what does not fit into the queue is counted
//! and gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::core::{
    Action, BanOrder, BanRuling, ExemptionRuling, HistoryRuling, LoginOutcome, Order, Proposal,
    Ruling, Signal, Term, Timestamp, UndoRuling,
};
use crate::engine::Listener;

/// How much may wait to be written down.
const WAITING: usize = 8_192;

/// Something that was weighed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The moment that counted: of a login its own, of all else that of the decision.
    pub at: Timestamp,
    /// What.
    pub input: JudgedInput,
}

/// What the rules took in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgedInput {
    /// A login that failed or succeeded, or failures by hand.
    Signal(Signal),
    /// An order that was carried out. One to ban names its term, and none carries its private note.
    Order(Order),
}

/// The other end of the queue.
#[derive(Debug)]
pub struct JudgedFeed {
    queue: mpsc::Receiver<Judged>,
    missed: Arc<AtomicU64>,
}

impl JudgedFeed {
    /// Waits for what comes next and adds all that waits to `batch`, at most `most`. 0: no more
    /// will come.
    pub async fn next(&mut self, batch: &mut Vec<Judged>, most: usize) -> usize {
        self.queue.recv_many(batch, most).await
    }

    /// Takes in nothing new; what waits is still there.
    pub fn close(&mut self) {
        self.queue.close();
    }

    /// How much did not fit into the queue since this was last asked.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// Our end. Costs next to nothing while nobody listens.
#[derive(Default)]
pub struct Tap(OnceLock<(mpsc::Sender<Judged>, Arc<AtomicU64>)>);

impl Tap {
    /// The other end; only the first who asks gets it.
    pub fn listen(&self) -> Option<JudgedFeed> {
        let (tell, queue) = mpsc::channel(WAITING);
        let missed = Arc::default();
        self.0.set((tell, Arc::clone(&missed))).ok()?;
        Some(JudgedFeed { queue, missed })
    }

    /// Tells of a login or an attempt by hand that was not turned down.
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

    /// Tells of an order that was carried out.
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
            // What stands now is what was ordered, as far as rules are concerned.
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
                // The default depends on who ordered, which is not written down.
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
