//! What commands may reach.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::audit::AuditEvents;
use super::progress::Progress;
use super::roles::Roles;
use super::seat::Seats;
use super::undelivered::Undelivered;
use crate::core::Timestamp;
use crate::gate::Gate;

/// What commands work with.
#[derive(Clone)]
pub struct Context {
    /// All decisions go through it.
    pub gate: Arc<Gate>,
    /// Since when the program runs.
    pub started: Timestamp,
    /// Who has which role by configuration. One for all who hold a context, as read last.
    pub roles: Arc<ArcSwap<Roles>>,
    /// The rooms we should be in.
    pub seats: Seats,
    /// What of our messages came back.
    pub undelivered: Undelivered,
    /// Where it is told what people did.
    pub audit: AuditEvents,
    /// Where what is weighed is recorded, if it is.
    pub recording: Option<Recorded>,
    /// Where long work says how far it is.
    pub progress: Progress,
}

/// A recording of what was weighed (`[record_attempts]`): `FILE`, and behind it `FILE.1` to
/// `FILE.keep`, older ones with higher numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The file that is written to.
    pub file: PathBuf,
    /// How many old ones are kept.
    pub keep: u32,
}

impl Context {
    /// What commands work with from now on.
    pub fn new(gate: Arc<Gate>, started: Timestamp) -> Self {
        Context {
            gate,
            started,
            roles: Arc::default(),
            seats: Seats::default(),
            undelivered: Undelivered::default(),
            audit: AuditEvents::default(),
            recording: None,
            progress: Progress::default(),
        }
    }

    /// The same where what is weighed is recorded.
    #[must_use]
    pub fn recording(self, recording: Option<Recorded>) -> Self {
        Context { recording, ..self }
    }
}
