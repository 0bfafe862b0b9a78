//! The context that commands run in.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::audit::AuditEvents;
use super::front::{FrontState, NoFront};
use super::roles::Roles;
use super::superiors::Superiors;
use crate::admission::Admission;
use crate::core::{
    Ban, EventId, Ledger, Order, Proposal, Refusal, Ruling, Subject, Timestamp, propose,
};
use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::gate::Gate;
use crate::news::Feed;
use crate::rehearse::recorded::RecordingFiles;

/// Callback for the progress of long work: number done and total number.
pub type OnProgress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Everything that commands use.
#[derive(Clone)]
pub struct Context {
    /// Makes all decisions.
    pub engine: Arc<Engine>,
    /// Counts logins and explains verdicts.
    pub admission: Arc<Admission>,
    /// Unfinished work on the server.
    pub delivery: Arc<Delivery>,
    /// Sends notifications.
    pub news: Arc<Feed>,
    /// When the program started.
    pub started: Timestamp,
    /// The roles by configuration; shared by all contexts and replaced at a reload.
    pub roles: Arc<ArcSwap<Roles>>,
    /// The state of rooms, and bounced messages.
    pub front: Arc<dyn FrontState>,
    /// Sends audit events.
    pub audit: AuditEvents,
    /// The files of the recording; `None` if judged logins are not recorded.
    pub recording: Option<RecordingFiles>,
    /// Name of the storage engine that the log is on; `None` if it is on no disk.
    pub store_engine: Option<&'static str>,
    /// What is wrong with the file that says where the log ended, found at the start.
    pub damaged_head: Option<String>,
    /// Receives the progress of long work.
    pub progress: OnProgress,
}

impl Context {
    /// A context of these rooms, without a front and without a recording.
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
            store_engine: None,
            damaged_head: None,
            progress: Arc::new(|_, _| {}),
        }
    }

    /// The active ban of a subject.
    pub(crate) fn active_ban(&self, subject: &Subject) -> Option<Ban> {
        let now = self.engine.now();
        let ban = |ledger: &Ledger| ledger.bans().of(subject).cloned();
        self.engine.read(ban).filter(|ban| ban.is_in_force(now))
    }

    /// Why the rules would refuse the order of somebody below these superiors now; nothing is done.
    pub(crate) fn would_refuse(&self, order: Order, superiors: &Superiors<'_>) -> Option<Refusal> {
        let (policy, now) = (self.engine.policy(), self.engine.now());
        let order = superiors.inform(order).into();
        let proposal = self
            .engine
            .read(|ledger| propose(ledger, &policy, &order, now, &mut || EventId([0; 16])));
        match proposal {
            Proposal::Answer(Ruling::Refused(why)) => Some(why),
            _ => None,
        }
    }

    /// Sets the state of the front.
    #[must_use]
    pub fn beside(self, front: Arc<dyn FrontState>) -> Self {
        Context { front, ..self }
    }

    /// Sets the files of the recording.
    #[must_use]
    pub fn recording(self, recording: Option<RecordingFiles>) -> Self {
        Context { recording, ..self }
    }

    /// Sets the name of the storage engine, and what was wrong with the store's file `head`.
    #[must_use]
    pub fn stored_by(self, engine: &'static str, damaged_head: Option<String>) -> Self {
        Context {
            store_engine: Some(engine),
            damaged_head,
            ..self
        }
    }
}
