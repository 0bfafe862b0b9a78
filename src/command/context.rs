//! What commands may reach.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::audit::AuditEvents;
use super::front::{FrontState, NoFront};
use super::roles::Roles;
use crate::admission::Admission;
use crate::core::{
    Ban, EventId, Ledger, Order, Proposal, Refusal, Ruling, Subject, Timestamp, propose,
};
use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::gate::Gate;
use crate::news::Feed;
use crate::rehearse::recorded::RecordingFiles;

/// Takes how much of long work is done, and of how much.
pub type OnProgress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// What commands work with.
#[derive(Clone)]
pub struct Context {
    /// All decisions go through it.
    pub engine: Arc<Engine>,
    /// Counts logins and says what stands against one.
    pub admission: Arc<Admission>,
    /// How far the server is in line with what is decided.
    pub delivery: Arc<Delivery>,
    /// Where it is told what people should hear of.
    pub news: Arc<Feed>,
    /// Since when the program runs.
    pub started: Timestamp,
    /// Who has which role by configuration. One for all who hold a context, as read last.
    pub roles: Arc<ArcSwap<Roles>>,
    /// The rooms we should be in, and messages that came back.
    pub front: Arc<dyn FrontState>,
    /// Where it is told what people did.
    pub audit: AuditEvents,
    /// Where what is weighed is recorded, if it is.
    pub recording: Option<RecordingFiles>,
    /// Is told how far long work is.
    pub progress: OnProgress,
}

impl Context {
    /// What commands work with from now on.
    pub fn new(gate: &Gate, started: Timestamp) -> Self {
        Context {
            engine: Arc::clone(&gate.engine),
            admission: Arc::clone(&gate.admission),
            delivery: Arc::clone(&gate.delivery),
            news: Arc::clone(&gate.news),
            started,
            roles: Arc::default(),
            front: Arc::new(NoFront),
            audit: AuditEvents::default(),
            recording: None,
            progress: Arc::new(|_, _| {}),
        }
    }

    /// The active ban of a subject.
    pub(crate) fn active_ban(&self, subject: &Subject) -> Option<Ban> {
        let now = self.engine.now();
        let ban = |ledger: &Ledger| ledger.bans().of(subject).cloned();
        self.engine.read(ban).filter(|ban| ban.is_in_force(now))
    }

    /// Why the rules would refuse an order if it were given now. Nothing is done.
    pub(crate) fn would_refuse(&self, order: Order) -> Option<Refusal> {
        let (policy, now) = (self.engine.policy(), self.engine.now());
        let order = order.into();
        let proposal = self
            .engine
            .read(|ledger| propose(ledger, &policy, &order, now, &mut || EventId([0; 16])));
        match proposal {
            Proposal::Answer(Ruling::Refused(why)) => Some(why),
            _ => None,
        }
    }

    /// The same beside a front.
    #[must_use]
    pub fn beside(self, front: Arc<dyn FrontState>) -> Self {
        Context { front, ..self }
    }

    /// The same where what is weighed is recorded.
    #[must_use]
    pub fn recording(self, recording: Option<RecordingFiles>) -> Self {
        Context { recording, ..self }
    }
}
