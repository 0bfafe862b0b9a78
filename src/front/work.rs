//! Commands from forms that take longer than a client waits for an IQ.
//!
//! The command runs in its own task. The form waits for it for a moment; then it is answered with the progress, and
//! its sender may refresh it as often as they like. The command is completed in any case, and a message reports the
//! result if the form is not refreshed: see [`Works::unseen`].

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use xmpp_parsers::jid::Jid;

use super::progress::Progress;
use crate::command::outcome::Outcome;
use crate::command::{self, Call, Command, Context, Reference};
use crate::core::Timestamp;

/// How long a form waits before it is answered with the progress.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a finished command waits for its form to be refreshed before a message reports the result.
pub const UNSEEN: Duration = Duration::from_secs(30);
/// Maximum number of results that are kept for a refresh, or for the link to come back. The oldest is dropped.
pub const KEPT: usize = 64;

/// A command that runs, or has finished.
#[derive(Debug)]
pub(super) struct Work {
    /// The sender of the form.
    pub(super) owner: Jid,
    /// Session id of the form.
    session: String,
    /// Which command.
    pub(super) command: &'static Command,
    /// Progress of the command.
    pub(super) progress: Progress,
    done: watch::Receiver<Option<(Outcome, Timestamp)>>,
}

impl Work {
    /// Starts a call from a form, and wakes the sender of messages at its end. It occupies its permit until then.
    pub(super) fn begin(
        session: &str,
        call: Call,
        context: &Context,
        place: OwnedSemaphorePermit,
        wake: Arc<Notify>,
    ) -> Work {
        let progress = Progress::default();
        let context = Context {
            progress: progress.reporter(),
            ..context.clone()
        };
        let (end, done) = watch::channel(None);
        let (owner, command) = (call.caller.jid.clone(), call.command);
        tokio::spawn(async move {
            let _place = place;
            let work = AssertUnwindSafe(command::handle(&call, &context)).catch_unwind();
            let outcome = work.await.unwrap_or_else(|_| {
                let reference = Reference::fresh();
                tracing::error!(
                    reference = reference.0,
                    "a command panicked; this is a bug of portcullis"
                );
                reference.into()
            });
            end.send_replace(Some((outcome, context.engine.now())));
            wake.notify_one();
        });
        Work {
            owner,
            session: session.to_owned(),
            command,
            progress,
            done,
        }
    }

    /// The outcome, if it is there within [`PATIENCE`].
    pub(super) async fn outcome(&mut self) -> Option<Outcome> {
        // An error means that the program is stopping.
        let done = self.done.wait_for(Option::is_some);
        let done = tokio::time::timeout(PATIENCE, done).await.ok()?.ok()?;
        done.as_ref().map(|(outcome, _)| outcome.clone())
    }

    fn ended(&self) -> Option<Timestamp> {
        self.done.borrow().as_ref().map(|(_, at)| *at)
    }
}

/// Commands that took longer than a form waits.
#[derive(Debug, Default)]
pub(super) struct Works(Mutex<Vec<Work>>);

impl Works {
    /// Keeps one until its form is refreshed.
    pub(super) fn keep(&self, work: Work) {
        let mut works = self.works();
        if works.len() >= KEPT {
            works.remove(0);
        }
        works.push(work);
    }

    /// The command of a form; `None` if its result was already sent.
    pub(super) fn take(&self, session: &str) -> Option<Work> {
        let mut works = self.works();
        let place = works.iter().position(|work| work.session == session)?;
        Some(works.remove(place))
    }

    /// The results of commands that ended [`UNSEEN`] ago, or of all ended ones when the program stops; and when to
    /// ask again. Each is returned once.
    pub(super) fn unseen(
        &self,
        now: Timestamp,
        is_end: bool,
    ) -> (Vec<(Work, Outcome)>, Option<Timestamp>) {
        let mut works = self.works();
        let due = |work: &mut Work| {
            let ended = work.ended();
            ended.is_some_and(|at| is_end || at.saturating_add(UNSEEN) <= now)
        };
        let told = works.extract_if(.., due).filter_map(|work| {
            let (outcome, _) = work.done.borrow().clone()?;
            Some((work, outcome))
        });
        let told = told.collect();
        let next = works.iter().filter_map(Work::ended).min();
        (told, next.map(|at| at.saturating_add(UNSEEN)))
    }

    fn works(&self) -> MutexGuard<'_, Vec<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
