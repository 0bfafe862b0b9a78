//! The queue of unfinished work: at most one task per subject, kept in the outbox and ordered by due time. The cost
//! of a step does not grow with the length of the queue.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::Incident;
use super::ports::{Outbox, Task, Undone};
use crate::core::{Effect, Seq, Subject, Timestamp};
use crate::engine::{Effects, LogPause};
use crate::journal::LogFault;

/// Delay after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// Maximum delay between two attempts.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Number of failed attempts after which people are told; they take half a minute or more.
const STUCK: u32 = 5;
/// Number of further attempts after which people are told again; they take about a day.
const STILL_STUCK: u32 = 288;

/// The queue of unfinished work.
pub struct Queue {
    outbox: Arc<dyn Outbox>,
    table: Mutex<TaskTable>,
    /// Held from collecting unsaved tasks until they are written. The fold, the worker and snapshots all save, and
    /// tasks must be written in the order in which they were collected.
    saving: Mutex<()>,
    /// Saving fails.
    failing: LogPause,
    work: Notify,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct TaskTable {
    cursor: Seq,
    tasks: HashMap<Subject, Task>,
    /// The same tasks by due time; those due at the same time by age.
    queue: BTreeSet<(Timestamp, Seq, Subject)>,
    unsaved: HashSet<Subject>,
    /// Why nothing is tried at present; `None`: tasks are tried.
    waits: Option<&'static str>,
}

impl TaskTable {
    fn put(&mut self, task: Task) {
        self.remove(&task.subject);
        self.queue
            .insert((task.next, task.since, task.subject.clone()));
        self.tasks.insert(task.subject.clone(), task);
    }

    fn remove(&mut self, subject: &Subject) -> Option<Task> {
        let task = self.tasks.remove(subject)?;
        self.queue
            .remove(&(task.next, task.since, task.subject.clone()));
        Some(task)
    }

    /// The task as shown to people.
    fn told(&self, task: &Task) -> Task {
        let waits = || self.waits.map(str::to_owned);
        Task {
            fault: task.fault.clone().or_else(waits),
            ..task.clone()
        }
    }
}

impl Queue {
    /// Reads the unfinished tasks.
    ///
    /// # Errors
    /// [`LogFault`] if an entry is damaged or the disk fails.
    pub fn open(outbox: Arc<dyn Outbox>) -> Result<Arc<Self>, LogFault> {
        let (cursor, tasks) = outbox.load()?;
        let mut table = TaskTable {
            cursor,
            ..TaskTable::default()
        };
        tasks.into_iter().for_each(|task| table.put(task));
        Ok(Arc::new(Queue {
            outbox,
            table: Mutex::new(table),
            saving: Mutex::new(()),
            failing: LogPause::default(),
            work: Notify::new(),
            changed: watch::Sender::new(0),
        }))
    }

    fn table(&self) -> MutexGuard<'_, TaskTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether tasks changed since they were last saved.
    pub(super) fn is_unsaved(&self) -> bool {
        !self.table().unsaved.is_empty()
    }

    pub(super) fn save_here(&self) {
        let cursor = self.table().cursor;
        match self.save(cursor) {
            Ok(()) => {
                self.failing.end();
            }
            Err(why) if self.failing.is_due() => {
                tracing::error!(%why, "cannot save unfinished work; it stays in memory");
            }
            Err(_) => {}
        }
    }

    /// Waits until there may be a task to try.
    pub(super) async fn work(&self) {
        self.work.notified().await;
    }

    pub(super) fn task(&self, subject: &Subject) -> Option<Task> {
        let table = self.table();
        table.tasks.get(subject).map(|task| table.told(task))
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        let table = self.table();
        table.tasks.values().map(|task| table.told(task)).collect()
    }

    /// Waits until the subject's task is done (`None`), or an attempt has failed (`Some`, with the reason).
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

    /// Adds a task without a new decision, because the server lost the old one.
    pub(super) fn again(&self, subject: &Subject, since: Seq, now: Timestamp) {
        {
            let mut table = self.table();
            table.put(Task {
                subject: subject.clone(),
                since,
                asked: now,
                tries: 0,
                next: now,
                fault: None,
            });
            table.unsaved.insert(subject.clone());
        }
        self.save_here();
        self.wake();
    }

    /// At most `most` tasks to try now, without those in flight; and when the next one is due.
    pub(super) fn due(
        &self,
        now: Timestamp,
        most: usize,
        in_flight: &HashSet<Subject>,
    ) -> (Vec<Task>, Option<Timestamp>) {
        let table = self.table();
        let mut idle = table
            .queue
            .iter()
            .filter(|(_, _, subject)| !in_flight.contains(subject))
            .peekable();
        let mut due = Vec::new();
        while due.len() < most
            && let Some((_, _, subject)) = idle.next_if(|(next, ..)| *next <= now)
        {
            due.extend(table.tasks.get(subject).cloned());
        }
        (due, idle.peek().map(|(next, ..)| *next))
    }

    /// Records the result of an attempt; [`Queue::save_here`] writes it. A task that was renewed meanwhile stays.
    ///
    /// Returns what people should know: that the task is stuck (after [`STUCK`] attempts and then about once a day),
    /// or that a stuck task is done.
    pub(super) fn finish(
        &self,
        tried: &Task,
        outcome: Result<(), Undone>,
        now: Timestamp,
    ) -> Option<Incident> {
        let mut incident = None;
        {
            let mut table = self.table();
            let mut task = table.remove(&tried.subject)?;
            match outcome {
                _ if task.since != tried.since => table.put(task),
                Ok(()) if task.tries >= STUCK => incident = Some(Incident::Unstuck(task)),
                Ok(()) => {}
                Err(Undone(fault)) => {
                    task.tries = task.tries.saturating_add(1);
                    task.next = now.saturating_add(wait_after(task.tries));
                    task.fault = Some(fault);
                    if task.tries == STUCK || task.tries.is_multiple_of(STILL_STUCK) {
                        incident = Some(Incident::Stuck(task.clone()));
                    }
                    table.put(task);
                }
            }
            table.unsaved.insert(tried.subject.clone());
        }
        self.changed.send_modify(|count| *count += 1);
        incident
    }

    /// Sets the reason why nothing is tried at present; it is shown for tasks without an attempt. `None`: tasks are
    /// tried.
    pub(super) fn wait_for(&self, why: Option<&'static str>) {
        let before = std::mem::replace(&mut self.table().waits, why);
        if before != why {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// Makes all tasks due, because the server is back or lets us do more.
    pub(super) fn all_due(&self, now: Timestamp) {
        let mut table = self.table();
        table.queue.clear();
        for task in std::mem::take(&mut table.tasks).into_values() {
            table.put(Task { next: now, ..task });
        }
    }
}

impl Effects for Queue {
    fn cursor(&self) -> Seq {
        self.table().cursor
    }

    fn take_in(&self, seq: Seq, at: Timestamp, effects: Vec<Effect>) {
        let mut table = self.table();
        for Effect::Settle(subject) in effects {
            table.unsaved.insert(subject.clone());
            table.put(Task {
                subject,
                since: seq,
                asked: at,
                tries: 0,
                next: at,
                fault: None,
            });
        }
    }

    fn save(&self, cursor: Seq) -> Result<(), LogFault> {
        let _in_order = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let (put, remove) = {
            let mut table = self.table();
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
            let mut table = self.table();
            table
                .unsaved
                .extend(put.into_iter().map(|task| task.subject));
            table.unsaved.extend(remove);
        }
        saved
    }

    fn wake(&self) {
        self.work.notify_one();
    }
}

fn wait_after(tries: u32) -> Duration {
    let doubled = 2u32.saturating_pow(tries.saturating_sub(1).min(16));
    FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Records what it is asked to save, and blocks in its first removal until it is released.
    #[derive(Default)]
    struct SlowOutbox {
        written: Mutex<Vec<(Vec<Subject>, Vec<Subject>)>>,
        is_held: AtomicBool,
        inside: Option<Arc<(Barrier, Barrier)>>,
    }

    impl Outbox for SlowOutbox {
        fn load(&self) -> Result<(Seq, Vec<Task>), LogFault> {
            Ok((Seq(0), Vec::new()))
        }

        fn save(&self, _: Seq, put: &[Task], remove: &[Subject]) -> Result<(), LogFault> {
            if !remove.is_empty() && !self.is_held.swap(true, Ordering::SeqCst) {
                let (entered, leave) = &**self.inside.as_ref().unwrap();
                entered.wait();
                leave.wait();
            }
            let put = put.iter().map(|task| task.subject.clone()).collect();
            self.written.lock().unwrap().push((put, remove.to_vec()));
            Ok(())
        }
    }

    /// A task added while its last removal is being written must not be removed by that write.
    #[test]
    fn what_was_taken_first_is_written_first() {
        let gates = Arc::new((Barrier::new(2), Barrier::new(2)));
        let outbox = Arc::new(SlowOutbox {
            inside: Some(Arc::clone(&gates)),
            ..SlowOutbox::default()
        });
        let queue = Queue::open(Arc::clone(&outbox) as _).unwrap();
        let subject = Subject::parse("a@example.org").unwrap();
        let now = Timestamp::from_millis(0);
        queue.take_in(Seq(1), now, vec![Effect::Settle(subject.clone())]);
        queue.save(Seq(1)).unwrap();
        let task = queue.task(&subject).unwrap();
        queue.finish(&task, Ok(()), now);
        std::thread::scope(|scope| {
            let removing = scope.spawn(|| queue.save(Seq(1)));
            gates.0.wait();
            queue.take_in(Seq(2), now, vec![Effect::Settle(subject.clone())]);
            let asking = scope.spawn(|| queue.save(Seq(2)));
            // Without the order the second save would have finished by now.
            while outbox.written.lock().unwrap().len() < 2 && asking_waits(&queue) {
                std::thread::yield_now();
            }
            gates.1.wait();
            removing.join().unwrap().unwrap();
            asking.join().unwrap().unwrap();
        });
        let written = outbox.written.lock().unwrap();
        assert_eq!(written.last().unwrap(), &(vec![subject], Vec::new()));
    }

    /// Whether nobody holds the lock, so that a second save could finish.
    fn asking_waits(queue: &Queue) -> bool {
        queue.saving.try_lock().is_ok()
    }
}
