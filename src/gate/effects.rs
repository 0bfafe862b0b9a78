//! Unfinished work on the server: carried out, tried again, never forgotten.
//!
//! A task does not say "write this record" but "bring the server in line for this subject": what
//! that means is read from the ledger when it is carried out. So a newer decision replaces an
//! older one, work never arrives out of order, and there is at most one task a subject.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ports::{LogFault, Outbox, Task, Undone};
use super::{Gate, lock, subject_of};
use crate::ban::{Effect, Seq, Subject, Timestamp};

/// How many subjects are worked on at the same time: Prosody is one thread, and a flood of
/// privileged requests delays everybody's logins (reference: prosody.md 6).
const AT_ONCE: usize = 8;
/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The longest one try may take before it counts as failed.
const TRY_TIMEOUT: Duration = Duration::from_secs(60);

/// The table of unfinished work.
pub(super) struct Desk {
    outbox: Arc<dyn Outbox>,
    table: Mutex<Table>,
    work: Notify,
    changed: watch::Sender<u64>,
}

struct Table {
    cursor: Seq,
    tasks: HashMap<Subject, Task>,
    unsaved: HashSet<Subject>,
}

impl Desk {
    pub(super) fn new(outbox: Arc<dyn Outbox>, cursor: Seq, tasks: Vec<Task>) -> Self {
        let tasks = tasks
            .into_iter()
            .map(|task| (task.subject.clone(), task))
            .collect();
        Desk {
            outbox,
            table: Mutex::new(Table {
                cursor,
                tasks,
                unsaved: HashSet::new(),
            }),
            work: Notify::new(),
            changed: watch::Sender::new(0),
        }
    }

    /// Takes in what a folded event asks for.
    pub(super) fn take_in(&self, seq: Seq, at: Timestamp, effects: Vec<Effect>) {
        let mut table = lock(&self.table);
        for effect in effects {
            let subject = subject_of(&effect).clone();
            table.unsaved.insert(subject.clone());
            table.tasks.insert(
                subject.clone(),
                Task {
                    subject,
                    since: seq,
                    asked: at,
                    tries: 0,
                    next: at,
                    fault: None,
                },
            );
        }
    }

    /// Writes what changed, and how far the log has been taken in.
    pub(super) fn save(&self, cursor: Seq) -> Result<(), LogFault> {
        let (put, remove) = {
            let mut table = lock(&self.table);
            table.cursor = table.cursor.max(cursor);
            let unsaved = std::mem::take(&mut table.unsaved);
            let (there, gone): (Vec<_>, Vec<_>) = unsaved
                .into_iter()
                .partition(|subject| table.tasks.contains_key(subject));
            let put: Vec<Task> = there
                .iter()
                .filter_map(|subject| table.tasks.get(subject).cloned())
                .collect();
            (put, gone)
        };
        let saved = self.outbox.save(cursor, &put, &remove);
        if saved.is_err() {
            let mut table = lock(&self.table);
            table
                .unsaved
                .extend(put.into_iter().map(|task| task.subject));
            table.unsaved.extend(remove);
        }
        saved
    }

    fn save_here(&self) {
        let cursor = lock(&self.table).cursor;
        if let Err(why) = self.save(cursor) {
            tracing::error!(%why, "cannot save unfinished work; it is kept in memory");
        }
    }

    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    pub(super) fn task(&self, subject: &Subject) -> Option<Task> {
        lock(&self.table).tasks.get(subject).cloned()
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        lock(&self.table).tasks.values().cloned().collect()
    }

    /// Waits until a subject's task is done (`None`) or has been tried in vain (why).
    pub(super) async fn tried(&self, subject: &Subject) -> Option<String> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            match self.task(subject) {
                None => return None,
                Some(Task {
                    fault: Some(fault), ..
                }) => return Some(fault),
                Some(_) => {}
            }
            if changed.changed().await.is_err() {
                return Some(String::from("the program is stopping"));
            }
        }
    }

    /// Tasks to try now, at most `most`, not those in flight; and when the next one is due.
    fn due(
        &self,
        now: Timestamp,
        most: usize,
        in_flight: &HashSet<Subject>,
    ) -> (Vec<Task>, Option<Timestamp>) {
        let table = lock(&self.table);
        let mut idle: Vec<&Task> = table
            .tasks
            .values()
            .filter(|task| !in_flight.contains(&task.subject))
            .collect();
        idle.sort_by_key(|task| (task.next, task.since));
        let due: Vec<Task> = idle
            .iter()
            .take_while(|task| task.next <= now)
            .take(most)
            .map(|task| (*task).clone())
            .collect();
        let next = idle.get(due.len()).map(|task| task.next);
        (due, next)
    }

    /// Writes down how a try went. A task renewed in the meantime stays.
    fn finish(&self, tried: &Task, outcome: Result<(), Undone>, now: Timestamp) {
        {
            let mut table = lock(&self.table);
            let Some(task) = table.tasks.get_mut(&tried.subject) else {
                return;
            };
            if task.since == tried.since {
                match outcome {
                    Ok(()) => {
                        table.tasks.remove(&tried.subject);
                    }
                    Err(Undone(fault)) => {
                        task.tries = task.tries.saturating_add(1);
                        task.next = now.saturating_add(wait_after(task.tries));
                        task.fault = Some(fault);
                    }
                }
                table.unsaved.insert(tried.subject.clone());
            }
        }
        self.save_here();
        self.changed.send_modify(|count| *count += 1);
    }

    /// Says of every task nobody has tried yet why it waits.
    fn explain_wait(&self, why: &str) {
        let mut table = lock(&self.table);
        for task in table.tasks.values_mut() {
            if task.fault.is_none() {
                task.fault = Some(why.to_owned());
            }
        }
        drop(table);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Makes everything due: the server is back, or lets us do more.
    fn all_due(&self, now: Timestamp) {
        for task in lock(&self.table).tasks.values_mut() {
            task.next = now;
        }
    }
}

fn wait_after(tries: u32) -> Duration {
    let doubled = 2u32.saturating_pow(tries.saturating_sub(1).min(16));
    FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT)
}

/// Carries out tasks until told to stop; then waits for those in flight.
pub(super) async fn run(gate: Arc<Gate>, stop: CancellationToken) {
    let mut standing = gate.server.standing();
    let mut in_flight: HashSet<Subject> = HashSet::new();
    let mut tries: JoinSet<(Task, Result<(), Undone>)> = JoinSet::new();
    loop {
        let now = gate.clock.now();
        let linked = {
            let standing = standing.borrow();
            standing.linked && standing.probed
        };
        let mut next = None;
        if linked {
            let (due, later) = gate.desk.due(now, AT_ONCE - in_flight.len(), &in_flight);
            next = later;
            for task in due {
                in_flight.insert(task.subject.clone());
                tries.spawn(carry(Arc::clone(&gate), task));
            }
        } else {
            gate.desk
                .explain_wait("there is no connection to the server at present");
        }
        let full = in_flight.len() >= AT_ONCE;
        let sleep = next
            .filter(|_| !full)
            .map_or(LONGEST_WAIT, |at| at.since(now));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(sleep) => {}
            () = gate.desk.work.notified() => {}
            changed = standing.changed() => {
                if changed.is_err() {
                    break;
                }
                gate.desk.all_due(gate.clock.now());
            }
            Some(done) = tries.join_next() => finish(&gate, &mut in_flight, done),
        }
    }
    tries.abort_all();
}

fn finish(
    gate: &Gate,
    in_flight: &mut HashSet<Subject>,
    done: Result<(Task, Result<(), Undone>), tokio::task::JoinError>,
) {
    match done {
        Ok((task, outcome)) => {
            in_flight.remove(&task.subject);
            if let Err(why) = &outcome {
                tracing::warn!(subject = %task.subject, tries = task.tries + 1, %why,
                    "the server has not carried out a decision yet; trying again");
            }
            gate.desk.finish(&task, outcome, gate.clock.now());
        }
        Err(why) => {
            // Cannot happen: a try catches its own panics and is never aborted before the end.
            tracing::error!(%why, "work on the server was lost");
        }
    }
}

/// Brings the server in line with the ledger for one subject.
async fn carry(gate: Arc<Gate>, task: Task) -> (Task, Result<(), Undone>) {
    let now = gate.clock.now();
    let standing = gate.read(|ledger| {
        ledger
            .current(&task.subject)
            .filter(|ban| ban.is_in_force(now))
            .cloned()
    });
    let work = async {
        match &standing {
            Some(ban) => gate.server.enforce(ban).await.map(|_| ()),
            None => gate.server.release(&task.subject).await,
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
