//! Where decisions outlive the program: [`memory`] and [`sled`] are each a [`Journal`](crate::journal::Journal) with its
//! [`Replica`](crate::journal::Replica) and an [`Outbox`](crate::gate::ports::Outbox), held to one contract (`tests/it/store.rs`).
//! Beside them, and worth less: [`counters`], a snapshot of the [`ledger`], and [`recording`] of what was weighed.
//!
//! This room never decides anything: it keeps bytes in order and says so when it cannot. It
//! never repairs by deleting what was acknowledged. Nothing of the storage engine is seen
//! outside of `sled.rs` and `sled/` (docs/adr/0001-sled.md).
//!
//! Start reading at [`memory`], which says in 100 lines what a store does; [`sled`] does the
//! same on a disk.

pub mod counters;
mod frames;
pub mod ledger;
pub mod memory;
pub mod recording;
pub mod sled;

pub use self::counters::CounterFile;
pub use self::ledger::LedgerFile;
pub use self::memory::{Delivery, MemoryStore};
pub use self::sled::{OpenFault, Store};

use crate::core::{Event, Personal};
use crate::gate::ports::Task;
use crate::journal::LogFault;

/// How many appends may wait for the disk; one more is [`LogFault::Busy`].
pub const APPENDS_WAITING: usize = 4096;

/// Bytes one stored value may have. Every text in an event has a bound far below; this keeps the
/// engine from putting a value in a file of its own.
pub const VALUE_LIMIT: usize = 60 * 1024;

/// Bytes kept of the words why a task did not work. They come from a server, so they have a bound.
pub const FAULT_LIMIT: usize = 1024;

/// What a log keeps of an event: the bytes it hashes, and what may be forgotten.
struct Parts {
    bytes: Vec<u8>,
    personal: Personal,
}

/// Encodes before anything waits or is written: an event that cannot be stored costs nobody else.
fn parts(events: &[Event]) -> Result<Vec<Parts>, LogFault> {
    events
        .iter()
        .map(|event| {
            let bytes = event
                .to_bytes()
                .map_err(|why| LogFault::Broken(why.to_string()))?;
            let personal = event.personal.clone();
            let texts = [&personal.note, &personal.evidence];
            let personal_len: usize = texts.into_iter().flatten().map(String::len).sum();
            if bytes.len().max(personal_len) > VALUE_LIMIT {
                return Err(LogFault::Broken(format!(
                    "an event is larger than the {VALUE_LIMIT} bytes that fit; shorten its texts"
                )));
            }
            Ok(Parts { bytes, personal })
        })
        .collect()
}

/// A task as it is kept: with the words of the server cut to [`FAULT_LIMIT`].
fn bounded(task: &Task) -> Task {
    let mut task = task.clone();
    if let Some(fault) = &mut task.fault {
        let cut = (0..=FAULT_LIMIT.min(fault.len())).rfind(|at| fault.is_char_boundary(*at));
        fault.truncate(cut.unwrap_or(0));
    }
    task
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::{Seq, Subject, Timestamp};

    #[test]
    fn the_words_of_a_server_are_cut_between_characters() {
        let mut task = Task {
            subject: Subject::parse("spam@example.org").unwrap(),
            since: Seq(1),
            asked: Timestamp::from_millis(0),
            tries: 1,
            next: Timestamp::from_millis(1),
            fault: Some(format!("x{}", "ü".repeat(FAULT_LIMIT))),
        };
        let cut = bounded(&task).fault.unwrap();
        assert_eq!(cut.len(), FAULT_LIMIT - 1);
        task.fault = Some("short".into());
        assert_eq!(bounded(&task), task);
    }
}
