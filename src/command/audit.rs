//! What people changed, for whoever passes it on: a room for the audit.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::call::{Call, Caller};
use super::outcome::{Grade, Outcome};
use super::text;
use crate::core::EntryPoint;

/// How many may wait to be told; who is slower misses the oldest, and learns how many.
const WAITING: usize = 256;

/// An order that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Who gave it.
    pub caller: Caller,
    /// Through which door.
    pub door: EntryPoint,
    /// Which command.
    pub command: String,
    /// What came of it, one line.
    pub told: String,
}

impl AuditEvent {
    /// `None` when nothing was changed.
    pub(super) fn of(call: &Call, outcome: &Outcome) -> Option<AuditEvent> {
        match outcome {
            Outcome::Done(answer) if answer.grade < Grade::Bad && call.command.changes => {}
            _ => return None,
        }
        Some(AuditEvent {
            caller: call.caller.clone(),
            door: call.door,
            command: call.command.name.to_owned(),
            told: text::audit(outcome),
        })
    }
}

/// Where they are told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditEvents(broadcast::Sender<Arc<AuditEvent>>);

impl Default for AuditEvents {
    fn default() -> Self {
        AuditEvents(broadcast::Sender::new(WAITING))
    }
}

impl AuditEvents {
    /// All from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<AuditEvent>> {
        self.0.subscribe()
    }

    pub(super) fn tell(&self, event: AuditEvent) {
        // An error means that nobody listens.
        let _ = self.0.send(Arc::new(event));
    }
}

#[cfg(test)]
mod tests {
    use crate::command::specs;

    #[test]
    fn what_changes_something_is_told_on() {
        let told: Vec<&str> = specs()
            .filter(|spec| spec.changes)
            .map(|spec| spec.name)
            .collect();
        assert_eq!(
            told,
            [
                "ban", "unban", "extend", "note", "undo", "kick", "attempt", "forget", "allow",
                "unallow"
            ]
        );
    }
}
