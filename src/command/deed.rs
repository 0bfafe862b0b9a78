//! What people did, for whoever tells it on: a room for the audit.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::call::{Call, Caller};
use super::outcome::{Grade, Outcome};
use super::{find, words};
use crate::core::{Door, Role};

/// How many may wait to be told; who is slower misses the oldest, and learns how many.
const WAITING: usize = 256;

/// An order that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who gave it.
    pub caller: Caller,
    /// Through which door.
    pub door: Door,
    /// Which command.
    pub command: String,
    /// What came of it, one line.
    pub told: String,
}

impl Deed {
    /// `None` when nothing was changed.
    pub(super) fn of(call: &Call, outcome: &Outcome) -> Option<Deed> {
        match outcome {
            Outcome::Done(answer) if answer.grade < Grade::Bad && changes(&call.name) => {}
            _ => return None,
        }
        Some(Deed {
            caller: call.caller.clone(),
            door: call.door,
            command: call.name.clone(),
            told: words::audit(outcome),
        })
    }
}

/// Where deeds are told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deeds(broadcast::Sender<Arc<Deed>>);

impl Default for Deeds {
    fn default() -> Self {
        Deeds(broadcast::Sender::new(WAITING))
    }
}

impl Deeds {
    /// All from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Deed>> {
        self.0.subscribe()
    }

    pub(super) fn tell(&self, deed: Deed) {
        // An error means that nobody listens.
        let _ = self.0.send(Arc::new(deed));
    }
}

/// Whether a command changes something; what only looks is for viewers, too.
fn changes(command: &str) -> bool {
    // What somebody wants to hear is nobody else's business; a rehearsal is a long look.
    const BUT: [&str; 2] = ["watch", "rehearse"];
    find(command).is_some_and(|spec| spec.needs > Role::Viewer && !BUT.contains(&spec.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::COMMANDS;

    #[test]
    fn what_changes_something_is_told_on() {
        let told: Vec<&str> = COMMANDS
            .iter()
            .map(|spec| spec.name)
            .filter(|name| changes(name))
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
