//! What the server does about a ban of ours.

use serde::Serialize;

use super::facts::fact;
use crate::command::context::Context;
use crate::command::phrases;
use crate::core::Subject;
use crate::delivery::ports::{Enforcement, Task};

/// What the server does about a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(in crate::command) enum OnServer {
    /// The last change is not carried out yet.
    Pending {
        /// The unfinished work.
        #[serde(serialize_with = "fact")]
        task: Task,
    },
    /// The server enforces nothing (level 0), or is not connected.
    NothingEnforced {
        /// Whether there is a connection to the server; without one its level is not known.
        linked: bool,
    },
    /// Only the hook module could enforce it, and it is not installed.
    NeedsModule,
    /// The server enforces it.
    Enforced,
}

impl OnServer {
    /// What it does about the ban of a subject, or about the end of its ban.
    pub(in crate::command) fn about(subject: &Subject, context: &Context) -> OnServer {
        let standing = context.delivery.server().standing();
        let Enforcement { level, linked, .. } = **standing.borrow();
        match context.delivery.task(subject) {
            Some(task) => OnServer::Pending { task },
            None if level == 0 => OnServer::NothingEnforced { linked },
            None if level < 2 && !matches!(subject, Subject::Account(_)) => OnServer::NeedsModule,
            None => OnServer::Enforced,
        }
    }

    /// Whether a login that the ban refuses is refused. A hook module asks at each login, and without a connection goes on
    /// with the bans that it holds.
    pub(in crate::command) fn is_in_force(&self, context: &Context) -> bool {
        match self {
            OnServer::Pending { .. } => {
                let standing = context.delivery.server().standing();
                let Enforcement { level, linked, .. } = **standing.borrow();
                level == 2 || !linked
            }
            OnServer::NothingEnforced { linked } => !linked,
            OnServer::NeedsModule => false,
            OnServer::Enforced => true,
        }
    }

    /// In a sentence.
    pub(in crate::command) fn sentence(&self, subject: &Subject) -> String {
        match (self, subject) {
            (OnServer::Pending { task }, _) => {
                format!("Not carried out yet: {}", phrases::task(task))
            }
            (OnServer::NothingEnforced { linked }, _) => phrases::nothing_enforced(*linked),
            (OnServer::NeedsModule, _) => phrases::needs_module(subject),
            (OnServer::Enforced, Subject::Account(_)) => String::from("The server refuses them."),
            (OnServer::Enforced, _) => String::from(phrases::ENFORCED),
        }
    }
}
