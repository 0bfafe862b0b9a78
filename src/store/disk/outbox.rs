//! The store as outbox, counter store and snapshot store: unfinished work lies in the engine, the other two in files.

use std::ops::ControlFlow;

use super::Store;
use super::codec;
use crate::admission::CounterStore;
use crate::core::{Seq, Subject};
use crate::delivery::ports::{Outbox, Task};
use crate::journal::{LogFault, Snapshots};
use crate::store::bounded;
use crate::store::engine::{ALL_KEYS, Direction, Durable, Failure, RowChange, StoreTable, scan};

impl Outbox for Store {
    fn load(&self) -> Result<(Seq, Vec<Task>), LogFault> {
        self.shared.call(|engine| {
            let mut cursor = Seq(0);
            let mut tasks = Vec::new();
            let (outbox, up) = (StoreTable::Outbox, Direction::Ascending);
            scan(engine, outbox, ALL_KEYS, up, |key, value| {
                let unreadable =
                    |why| Failure::Damaged(format!("unfinished work is damaged: {why}"));
                if *key == codec::CURSOR_KEY {
                    cursor = Seq(codec::number_from_bytes(value).map_err(unreadable)?);
                } else {
                    tasks.push(codec::task_from_bytes(value).map_err(unreadable)?);
                }
                Ok::<_, Failure>(ControlFlow::Continue(()))
            })?;
            Ok((cursor, tasks))
        })
    }

    fn save(&self, cursor: Seq, put: &[Task], remove: &[Subject]) -> Result<(), LogFault> {
        let rows = rows(cursor, put, remove)
            .map_err(|why| LogFault::Broken(format!("cannot write down unfinished work: {why}")))?;
        self.shared
            .call_to_write(|engine| engine.write(&rows, Durable::Soon))
    }
}

fn rows(cursor: Seq, put: &[Task], remove: &[Subject]) -> Result<Vec<RowChange>, codec::BadBytes> {
    let outbox = StoreTable::Outbox;
    let mut rows = Vec::with_capacity(1 + put.len() + remove.len());
    let cursor = codec::number_to_bytes(cursor.0);
    rows.push(RowChange::put(outbox, codec::CURSOR_KEY, cursor));
    // Removals come first: a subject in both lists has new work.
    for subject in remove {
        rows.push(RowChange::remove(outbox, codec::task_key(subject)?));
    }
    for task in put {
        let value = codec::task_to_bytes(&bounded(task))?;
        rows.push(RowChange::put(
            outbox,
            codec::task_key(&task.subject)?,
            value,
        ));
    }
    Ok(rows)
}

impl CounterStore for Store {
    fn save_counters(&self, part: u32, bytes: &[u8]) -> Result<(), LogFault> {
        self.shared.counters.save(part, bytes)
    }

    fn load_counters(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        Ok(self.shared.counters.load())
    }
}

impl Snapshots for Store {
    fn save_snapshot(
        &self,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
    ) -> Result<(), LogFault> {
        let outbox_first = || self.shared.call_to_write(|engine| engine.sync());
        self.shared.ledger.save(frames, outbox_first)
    }

    fn load_snapshot(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        self.shared.ledger.load()
    }
}
