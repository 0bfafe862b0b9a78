//! Carries out unfinished work on the server, and retries it until it is done.
//!
//! A task does not say "write this record" but "bring the server in line for this subject": what that means is read
//! from the ledger when the task runs. So a newer decision replaces an older one, work never arrives out of order,
//! and there is at most one task per subject.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::ports::{Task, Undone};
use super::queue::LONGEST_WAIT;
use crate::core::{Seq, Subject};

/// Number of subjects worked on at the same time. Prosody has one thread, and a flood of privileged requests would
/// delay everybody's logins.
const AT_ONCE: usize = 8;
/// How long completed work may stay unwritten, so that it is written in batches. After a crash it is carried out
/// again, which changes nothing.
const WRITTEN_EVERY: Duration = Duration::from_millis(50);
/// What was carried out within this time before the link is lost is carried out again, because the server may have crashed:
/// ejabberd answers a write before it is on its disk (Mnesia's log is written up to two seconds later).
const UNSURE: Duration = Duration::from_secs(30);
/// Maximum number of subjects remembered for that, the newest; the next look at all records finds the others.
const UNSURE_AT_MOST: usize = 4_096;
/// Time limit of an attempt.
const TRY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a stop waits for tasks in flight. A task that takes longer is abandoned: it is still in the outbox and is
/// carried out after the next start.
pub const STOP_WAIT: Duration = Duration::from_secs(3);

/// Carries out tasks until told to stop; then waits for those in flight, at most [`STOP_WAIT`].
pub(super) async fn run(delivery: Arc<Delivery>, stop: CancellationToken) {
    let mut standing = delivery.server.standing();
    let mut in_flight: HashSet<Subject> = HashSet::new();
    let mut tries: JoinSet<(Task, Result<(), Undone>)> = JoinSet::new();
    let mut carried_out = CarriedOut::default();
    let mut was_linked = false;
    let mut written = tokio::time::interval(WRITTEN_EVERY);
    written.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = delivery.engine.now();
        let linked = {
            let standing = standing.borrow();
            standing.linked && standing.probed
        };
        if was_linked && !linked {
            for (subject, since) in carried_out.unsure() {
                delivery.queue.again(&subject, since, now);
            }
        }
        was_linked = linked;
        delivery
            .queue
            .wait_for((!linked).then_some("there is no connection to the server at present"));
        let mut next = None;
        if linked {
            let (due, later) = delivery
                .queue
                .due(now, AT_ONCE - in_flight.len(), &in_flight);
            next = later;
            for task in due {
                in_flight.insert(task.subject.clone());
                tries.spawn(carry(Arc::clone(&delivery), task));
            }
        }
        let full = in_flight.len() >= AT_ONCE;
        let sleep = next
            .filter(|_| !full)
            .map_or(LONGEST_WAIT, |at| at.since(now));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(sleep) => {}
            () = delivery.queue.work() => {}
            changed = standing.changed() => {
                if changed.is_err() {
                    break;
                }
                delivery.queue.all_due(delivery.engine.now());
            }
            Some(done) = tries.join_next() => {
                finish(&delivery, &mut in_flight, &mut carried_out, done);
                while let Some(done) = tries.try_join_next() {
                    finish(&delivery, &mut in_flight, &mut carried_out, done);
                }
            }
            _ = written.tick(), if delivery.queue.is_unsaved() => delivery.queue.save_here(),
        }
    }
    let drained = tokio::time::timeout(STOP_WAIT, async {
        while let Some(done) = tries.join_next().await {
            finish(&delivery, &mut in_flight, &mut carried_out, done);
        }
    });
    if drained.await.is_err() {
        tracing::info!(
            tasks = in_flight.len(),
            "work on the server is not finished; it continues after the next start"
        );
        tries.abort_all();
    }
    delivery.queue.save_here();
}

/// What was carried out last, the newest at the end.
#[derive(Default)]
struct CarriedOut(VecDeque<(Instant, Subject, Seq)>);

impl CarriedOut {
    fn add(&mut self, subject: Subject, since: Seq) {
        let now = Instant::now();
        while let Some((at, ..)) = self.0.front()
            && (self.0.len() >= UNSURE_AT_MOST || now - *at > UNSURE)
        {
            self.0.pop_front();
        }
        self.0.push_back((now, subject, since));
    }

    /// Removes everything, and returns what a crash of the server just now may have undone.
    fn unsure(&mut self) -> Vec<(Subject, Seq)> {
        let now = Instant::now();
        let recent = self.0.drain(..).filter(|(at, ..)| now - *at <= UNSURE);
        recent.map(|(_, subject, since)| (subject, since)).collect()
    }
}

fn finish(
    delivery: &Delivery,
    in_flight: &mut HashSet<Subject>,
    carried_out: &mut CarriedOut,
    done: Result<(Task, Result<(), Undone>), tokio::task::JoinError>,
) {
    match done {
        Ok((task, outcome)) => {
            in_flight.remove(&task.subject);
            if let Err(why) = &outcome {
                tracing::warn!(subject = %task.subject, tries = task.tries + 1, %why,
                    "the server has not carried out a decision yet; trying again");
            } else {
                carried_out.add(task.subject.clone(), task.since);
            }
            if let Some(incident) = delivery.queue.finish(&task, outcome, delivery.engine.now()) {
                (delivery.incident)(incident);
            }
        }
        Err(why) => {
            // Cannot happen: an attempt catches its own panics, and is aborted only after the last one was awaited.
            tracing::error!(%why, "a task for the server was lost");
        }
    }
}

/// Brings the server in line with the ledger for one subject.
async fn carry(delivery: Arc<Delivery>, task: Task) -> (Task, Result<(), Undone>) {
    let now = delivery.engine.now();
    let standing = delivery.engine.read(|ledger| {
        ledger
            .bans()
            .of(&task.subject)
            .filter(|ban| ban.is_in_force(now))
            .cloned()
    });
    let work = async {
        match &standing {
            Some(ban) => delivery.server.enforce(ban).await.map(|_| ()),
            None => delivery.server.release(&task.subject).await,
        }
    };
    let work = AssertUnwindSafe(work).catch_unwind();
    let outcome = match tokio::time::timeout(TRY_TIMEOUT, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Undone(String::from("it failed inside; see the log"))),
        Err(_) => Err(Undone(String::from("the server did not answer in time"))),
    };
    (task, outcome)
}
