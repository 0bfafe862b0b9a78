//! What is known of a subject besides its ban and its exemption: how often it was banned, notes, kicks.

use super::subject::Subject;

/// What an event changes about the history of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryChange {
    /// Earlier bans no longer count: escalation starts again at the first step. A ban in force goes on.
    Forgotten,
    /// There is a private note (in [`Personal`](super::event::Personal)) to add to those there are.
    Annotated {
        /// The notes before it are deleted; without a note of its own, none is left.
        replaces: bool,
    },
    /// The subject's sessions were ended, without a ban.
    Kicked {
        /// Public reason.
        reason: String,
    },
}

/// What somebody wants done about the history of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryOrder {
    /// Forget earlier bans: escalation starts again and counters are cleared; of an account also those of its lockdown
    /// and of its pairs, of a network those of everything in it.
    Forget,
    /// Add a private note; with `replaces`, delete the earlier ones first.
    Annotate {
        /// The note; `None`: none is added.
        note: Option<String>,
        /// The earlier notes are deleted.
        replaces: bool,
    },
    /// End the sessions that are open, without a ban. The server does it.
    Kick {
        /// Public reason.
        reason: String,
    },
}

/// What came of an order about the history of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryRuling {
    /// Earlier bans of a subject no longer count.
    Forgotten {
        /// Whose.
        subject: Subject,
        /// How many bans counted until now.
        bans: u32,
    },
    /// There is a note more, or less.
    Annotated(Subject),
    /// Its sessions were to be ended.
    Kicked(Subject),
}
