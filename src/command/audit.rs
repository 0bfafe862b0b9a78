//! Changes made by people, for audit rooms.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::call::{Call, Caller};
use super::outcome::{Grade, Outcome};
use super::text;
use crate::core::EntryPoint;

/// Maximum number of waiting events. A slow receiver misses the oldest ones and learns how many.
const WAITING: usize = 256;

/// A command that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Who gave the command.
    pub caller: Caller,
    /// The entry point it came through.
    pub door: EntryPoint,
    /// Name of the command.
    pub command: String,
    /// The result in one line.
    pub told: String,
}

impl AuditEvent {
    /// The event of a call; `None` if nothing was changed.
    fn of(call: &Call, outcome: &Outcome) -> Option<AuditEvent> {
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

/// The sender of audit events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditEvents(broadcast::Sender<Arc<AuditEvent>>);

impl Default for AuditEvents {
    fn default() -> Self {
        AuditEvents(broadcast::Sender::new(WAITING))
    }
}

impl AuditEvents {
    /// Receives all events from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<AuditEvent>> {
        self.0.subscribe()
    }

    /// Tells of a call, if it changed something.
    pub(super) fn tell_of(&self, call: &Call, outcome: &Outcome) {
        if let Some(event) = AuditEvent::of(call, outcome) {
            // An error means that nobody listens.
            let _ = self.0.send(Arc::new(event));
        }
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
