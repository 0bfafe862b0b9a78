//! What is known of a subject besides its ban and its exemption: its earlier bans, notes and kicks.

mod decide;
mod record;

use super::event::{Event, Seq};
use super::ledger::{Folded, Ledger};
use super::subject::Subject;

pub(in crate::core) use decide::decide;
pub use record::History;
pub(in crate::core) use record::UNKNOWN;

/// What an event changes about the history of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryChange {
    /// Earlier bans no longer count: escalation starts again at the first step. An active ban continues.
    Forgotten,
    /// The private note in [`Personal`](super::event::Personal), if there is one, is added.
    Annotated {
        /// Whether the earlier notes are deleted. Without a new note, none is left.
        replaces: bool,
    },
    /// The subject's sessions were ended without a ban.
    Kicked {
        /// Public reason.
        reason: String,
    },
}

/// What a person orders about the history of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryOrder {
    /// Forget earlier bans: escalation starts again and counters are reset. For an account this includes its lockdown
    /// and its pairs, for a network everything inside of it.
    Forget,
    /// Add a private note; with `replaces`, delete the earlier ones first.
    Annotate {
        /// The new note; `None`: none is added.
        note: Option<String>,
        /// Whether the earlier notes are deleted.
        replaces: bool,
    },
    /// End the open sessions without a ban. The server does it.
    Kick {
        /// Public reason.
        reason: String,
    },
}

/// The ruling on an order about the history of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryRuling {
    /// The earlier bans of a subject no longer count.
    Forgotten {
        /// The subject.
        subject: Subject,
        /// Number of bans that counted until now.
        bans: u32,
    },
    /// A note was added, or notes were deleted.
    Annotated(Subject),
    /// The subject's sessions are to be ended.
    Kicked(Subject),
}

pub(in crate::core) fn fold(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    change: &HistoryChange,
) -> Folded {
    let subject = event.subject.clone();
    match change {
        HistoryChange::Forgotten => {
            let bans = ledger.subjects.history_mut(&subject).forget(event.at);
            Ok((
                HistoryRuling::Forgotten { subject, bans }.into(),
                Vec::new(),
            ))
        }
        HistoryChange::Annotated { .. } => {
            Ok((HistoryRuling::Annotated(subject).into(), Vec::new()))
        }
        HistoryChange::Kicked { .. } => {
            // Added to the trail, but the subject keeps its version: nothing that was decided on it becomes stale.
            ledger.subjects.record(&subject, seq);
            Err(Box::new(HistoryRuling::Kicked(subject).into()))
        }
    }
}
