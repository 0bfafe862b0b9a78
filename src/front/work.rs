//! Commands from forms that take longer than a client waits for the answer to an IQ.
//!
//! A command runs by itself. The form waits for it for a moment; what takes longer is answered with how far it is, and
//! the form may look again as often as its sender likes. It is done to its end whether or not anybody looks, and whoever
//! does not look is told by a message: see [`Works::unseen`].

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

/// How long a form waits before it is answered with how far the work is.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a finished one waits for its form to look again, before a message tells what came of it.
pub const UNSEEN: Duration = Duration::from_secs(30);
/// How many are kept that nobody has looked at yet; while the link is down they cannot be told. The oldest gives way.
pub const KEPT: usize = 64;

/// A command that runs, or has run.
#[derive(Debug)]
pub(super) struct Work {
    /// Whose form it was.
    pub(super) owner: Jid,
    /// Which form.
    session: String,
    /// Which command.
    pub(super) command: &'static Command,
    /// How far it is.
    pub(super) progress: Progress,
    done: watch::Receiver<Option<(Outcome, Timestamp)>>,
}

impl Work {
    /// Runs a call of a form until its end, and then wakes whoever tells it. It has its place among those that run
    /// at the same time until then.
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

    /// What came of it, if that is known within [`PATIENCE`].
    pub(super) async fn outcome(&mut self) -> Option<Outcome> {
        // An error means that the program stops.
        let done = self.done.wait_for(Option::is_some);
        let done = tokio::time::timeout(PATIENCE, done).await.ok()?.ok()?;
        done.as_ref().map(|(outcome, _)| outcome.clone())
    }

    fn ended(&self) -> Option<Timestamp> {
        self.done.borrow().as_ref().map(|(_, at)| *at)
    }
}

/// Those that took too long to be waited for.
#[derive(Debug, Default)]
pub(super) struct Works(Mutex<Vec<Work>>);

impl Works {
    /// Keeps one until it is looked at again.
    pub(super) fn keep(&self, work: Work) {
        let mut works = self.works();
        if works.len() >= KEPT {
            works.remove(0);
        }
        works.push(work);
    }

    /// That of a form, to be looked at; `None` when it was told already.
    pub(super) fn take(&self, session: &str) -> Option<Work> {
        let mut works = self.works();
        let place = works.iter().position(|work| work.session == session)?;
        Some(works.remove(place))
    }

    /// What came of those that ended [`UNSEEN`] ago, or at all when the program ends, and when the next one is to be
    /// told. They are told once.
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
