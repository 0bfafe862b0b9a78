//! Shared by commands that change very many subjects: submits orders in batches, and groups failures by reason.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;

use super::text;
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::{Answer, Grade};
use crate::command::phrases::{self, typed};
use crate::command::superiors::Superiors;
use crate::core::{Order, Ruling, Subject};
use crate::journal::LogFault;

/// Number of orders submitted at once.
pub(in crate::command) const AT_ONCE: usize = 8_192;
/// Number of subjects for which the answer waits for the server.
const WATCHED: usize = 50;
/// How long it waits.
const WAIT: Duration = Duration::from_secs(2);

/// Submits an order for each item, in their order, and passes on each result.
pub(in crate::command) async fn carry_out<T>(
    call: &Call,
    things: &[T],
    order: impl Fn(&T) -> Order,
    mut take: impl FnMut(&T, Result<Ruling, LogFault>),
    context: &Context,
) {
    let mut done = 0;
    let superiors = Superiors::of(&call.caller, context);
    for piece in things.chunks(AT_ONCE) {
        let orders = piece
            .iter()
            .map(|thing| superiors.inform(order(thing)).into())
            .collect();
        let answers = context.engine.submit(orders).await;
        for (thing, answer) in piece.iter().zip(answers) {
            take(thing, answer);
        }
        done += piece.len();
        (context.progress)(done, things.len());
        tracing::info!(
            command = call.command.name,
            done,
            of = things.len(),
            "changing very many"
        );
    }
}

/// The number of subjects for which the server is not in line yet, after a short wait.
pub(in crate::command) async fn still_pending(changed: &[Subject], context: &Context) -> usize {
    let delivery = &context.delivery;
    let watched = changed.iter().take(WATCHED);
    join_all(watched.map(|subject| delivery.settled(subject, WAIT))).await;
    let pending = changed
        .iter()
        .filter(|subject| delivery.task(subject).is_some());
    pending.count()
}

/// The answer: `done` of `total` subjects are as requested, and the server has yet to carry out `pending` of them.
pub(in crate::command) fn answer(
    done: usize,
    total: usize,
    failed: &TargetFailure,
    pending: usize,
    lines: Vec<String>,
) -> Answer {
    let grade = match (done, failed.is_empty() && pending == 0) {
        (0, _) => Grade::Bad,
        (_, true) => Grade::Good,
        (_, false) => Grade::Warning,
    };
    Answer::new(grade, phrases::summary_title(done, total), lines)
}

/// The failures: reasons, and their subjects.
#[derive(Debug, Default)]
pub(in crate::command) struct TargetFailure {
    reasons: HashMap<String, Vec<Subject>>,
    /// The sentence for the first failure of the store, so that the log has one line for all.
    broken: Option<String>,
}

impl TargetFailure {
    /// Adds a failure.
    pub(in crate::command) fn add(&mut self, subject: &Subject, why: String) {
        self.reasons.entry(why).or_default().push(subject.clone());
    }

    /// Adds a failed order: without a ruling, or with one that does not belong to the order.
    pub(in crate::command) fn take(
        &mut self,
        subject: &Subject,
        answer: Result<Ruling, LogFault>,
        call: &Call,
    ) {
        let why = match answer {
            Ok(Ruling::Refused(why)) => phrases::refusal(&why, call.caller.rights.over(subject)),
            Ok(Ruling::Overtaken(entry)) => text::overtaken_by(&entry),
            Ok(_) => String::from("somebody else is changing it; try again."),
            Err(LogFault::Busy) => String::from(phrases::BUSY),
            Err(LogFault::Unknown(_)) => format!(
                "not known yet. The log of decisions does not answer; it may still happen. Look with {}, then say it again for what is left.",
                typed("list")
            ),
            Err(fault) => {
                let broken =
                    || phrases::broken(&crate::command::broken("store many orders", &fault));
                self.broken.get_or_insert_with(broken).clone()
            }
        };
        self.add(subject, why);
    }

    /// Whether there was no failure.
    pub(in crate::command) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// One line per reason, the most frequent first.
    pub(in crate::command) fn lines(&self) -> Vec<String> {
        let mut failed: Vec<(&String, &Vec<Subject>)> = self.reasons.iter().collect();
        failed.sort_by_key(|(why, subjects)| (usize::MAX - subjects.len(), (*why).clone()));
        let line = |(why, subjects): (&String, &Vec<Subject>)| {
            let names = phrases::named(subjects.iter());
            format!("{} FAILED ({names}): {why}", subjects.len())
        };
        failed.into_iter().map(line).collect()
    }
}
