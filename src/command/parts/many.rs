//! What commands share that change very many subjects: the road in pieces, and what could not be done, by why.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;

use super::text;
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::{broken, phrases};
use crate::core::{Order, Ruling, Subject};
use crate::journal::LogFault;

/// How many orders are submitted before the next are looked at.
pub(in crate::command) const AT_ONCE: usize = 8_192;
/// Of how many the answer waits to see what the server makes of them.
const WATCHED: usize = 50;
/// How long it waits.
const WAIT: Duration = Duration::from_secs(2);

/// Takes an order for each of the things down the road, in their order, and hands on what came of each.
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
        tracing::info!(command = %call.name, done, of = things.len(), "changing very many");
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

/// What was not done: why, and for whom.
#[derive(Debug, Default)]
pub(in crate::command) struct TargetFailure(HashMap<String, Vec<Subject>>);

impl TargetFailure {
    /// Counts one in.
    pub(in crate::command) fn add(&mut self, subject: &Subject, why: String) {
        self.0.entry(why).or_default().push(subject.clone());
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
            Ok(_) => String::from(text::SOMEBODY_ELSE),
            Err(LogFault::Busy) => String::from(phrases::BUSY),
            Err(fault) => phrases::broken(&broken("store one of many changes", &fault)),
        };
        self.add(subject, why);
    }

    /// Whether all was done.
    pub(in crate::command) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line for each reason, what most failed of first.
    pub(in crate::command) fn lines(&self) -> Vec<String> {
        let mut failed: Vec<(&String, &Vec<Subject>)> = self.0.iter().collect();
        failed.sort_by_key(|(why, subjects)| (usize::MAX - subjects.len(), (*why).clone()));
        let line = |(why, subjects): (&String, &Vec<Subject>)| text::failed_of_many(subjects, why);
        failed.into_iter().map(line).collect()
    }
}
