//! What commands share that change very many subjects: orders in pieces, and what could not be done, by reason.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;

use super::text;
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::{Answer, Grade};
use crate::command::phrases::{self, typed};
use crate::core::{Order, Ruling, Subject};
use crate::journal::LogFault;

/// How many orders are submitted before the next are looked at.
pub(in crate::command) const AT_ONCE: usize = 8_192;
/// Of how many the answer waits to see what the server makes of them.
const WATCHED: usize = 50;
/// How long it waits.
const WAIT: Duration = Duration::from_secs(2);

/// Gives an order for each of the things, in their order, and hands on what came of each.
pub(in crate::command) async fn carry_out<T>(
    call: &Call,
    things: &[T],
    order: impl Fn(&T) -> Order,
    mut take: impl FnMut(&T, Result<Ruling, LogFault>),
    context: &Context,
) {
    let mut done = 0;
    for piece in things.chunks(AT_ONCE) {
        let orders = piece.iter().map(|thing| order(thing).into()).collect();
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

/// Of how many subjects the server is not in line yet, after a moment.
pub(in crate::command) async fn still_pending(changed: &[Subject], context: &Context) -> usize {
    let delivery = &context.delivery;
    let watched = changed.iter().take(WATCHED);
    join_all(watched.map(|subject| delivery.settled(subject, WAIT))).await;
    let pending = changed
        .iter()
        .filter(|subject| delivery.task(subject).is_some());
    pending.count()
}

/// The answer about all: `done` of `total` are as asked for, and the server has still to do `pending` of them.
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

/// What was not done: why, and for whom.
#[derive(Debug, Default)]
pub(in crate::command) struct TargetFailure {
    reasons: HashMap<String, Vec<Subject>>,
    /// What was said of the first fault of the store: one line in the log for all.
    broken: Option<String>,
}

impl TargetFailure {
    /// Counts one in.
    pub(in crate::command) fn add(&mut self, subject: &Subject, why: String) {
        self.reasons.entry(why).or_default().push(subject.clone());
    }

    /// Counts in one that brought no ruling, or none that belongs to the order.
    pub(in crate::command) fn take(
        &mut self,
        subject: &Subject,
        answer: Result<Ruling, LogFault>,
        call: &Call,
    ) {
        let why = match answer {
            Ok(Ruling::Refused(why)) => phrases::refusal(&why, call.caller.rights.over(subject)),
            Ok(Ruling::Overtaken(deed)) => text::overtaken_by(&deed),
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

    /// Whether all was done.
    pub(in crate::command) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// A line for each reason, what most failed of first.
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
