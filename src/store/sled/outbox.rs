//! The store as outbox, counter store and snapshot store: unfinished work lies in the engine, the other two in files.

use super::Store;
use super::codec;
use super::engine::{Failure, SledEngine};
use crate::admission::CounterStore;
use crate::core::{Seq, Subject};
use crate::delivery::ports::{Outbox, Task};
use crate::journal::{LogFault, Snapshots};
use crate::store::bounded;

impl Outbox for Store {
    fn load(&self) -> Result<(Seq, Vec<Task>), LogFault> {
        self.shared.call(|engine| {
            let mut cursor = Seq(0);
            let mut tasks = Vec::new();
            for item in &engine.outbox {
                let (key, value) = item?;
                let unreadable =
                    |why| Failure::Damaged(format!("unfinished work is damaged: {why}"));
                if *key == codec::CURSOR_KEY {
                    cursor = Seq(codec::number_from_bytes(&value).map_err(unreadable)?);
                } else {
                    tasks.push(codec::task_from_bytes(&value).map_err(unreadable)?);
                }
            }
            Ok((cursor, tasks))
        })
    }

    fn save(&self, cursor: Seq, put: &[Task], remove: &[Subject]) -> Result<(), LogFault> {
        self.shared.call(|engine| {
            let cannot =
                |why| Failure::Damaged(format!("cannot write down unfinished work: {why}"));
            let mut batch = ::sled::Batch::default();
            batch.insert(&codec::CURSOR_KEY, codec::number_to_bytes(cursor.0));
            // Removals come first: a subject in both lists has new work.
            for subject in remove {
                batch.remove(codec::task_key(subject).map_err(cannot)?);
            }
            for task in put {
                let key = codec::task_key(&task.subject).map_err(cannot)?;
                batch.insert(key, codec::task_to_bytes(&bounded(task)).map_err(cannot)?);
            }
            Ok(engine.outbox.apply_batch(batch)?)
        })
    }
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
        let outbox_first = || self.shared.call(SledEngine::sync);
        self.shared.ledger.save(frames, outbox_first)
    }

    fn load_snapshot(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        self.shared.ledger.load()
    }
}
