//! Durable state: [`Store`] implements [`Journal`](crate::journal::Journal), [`Replica`](crate::journal::Replica) and
//! [`Outbox`](crate::delivery::ports::Outbox), and keeps one contract with the store in memory that tests use
//! (`tests/it/store.rs`, `tests/it/support/memory.rs`). Less valuable files lie beside it: [`counters`], a snapshot
//! of the [`ledger`], and a [`recording`] of judged logins.
//!
//! This room decides nothing: it keeps bytes in order and reports failures. It never repairs by deleting acknowledged
//! data. No other room sees the storage engine: `sled.rs` (docs/adr/0001-sled.md) and `redb.rs`
//! (docs/adr/0022-second-store.md) stand behind the trait in `engine.rs`.
//!
//! Start reading at `disk.rs`. `frames` defines how bytes are framed.

pub mod counters;
mod disk;
mod engine;
mod frames;
pub mod ledger;
pub mod recording;
mod redb;
mod sled;

pub use self::counters::CounterFile;
pub use self::disk::{
    Damage, DamagedPart, Found, MoveFault, MovedStore, OpenFault, Store, StoreInspection,
    engine_of, inspect, is_in_use, is_new, move_store,
};
pub use self::engine::EngineKind;
pub use self::ledger::LedgerFile;

use crate::core::{Event, Personal};
use crate::delivery::ports::Task;
use crate::journal::LogFault;

/// Maximum number of waiting appends; one more is answered [`LogFault::Busy`].
pub const APPENDS_WAITING: usize = 4096;

/// Maximum size of a stored value in bytes. All texts in an event are limited far below; this keeps the engine from
/// putting a value into its own file.
pub const VALUE_LIMIT: usize = 60 * 1024;

/// Maximum size of a task's error text in bytes. The text comes from the server, so it needs a limit.
pub const FAULT_LIMIT: usize = 1024;

/// The two parts of an event in the log: the bytes that are hashed, and the personal part, which may be deleted later.
pub struct Parts {
    /// The bytes that are hashed.
    pub bytes: Vec<u8>,
    /// The part that may be deleted later.
    pub personal: Personal,
}

/// Encodes the events before anything is queued or written, so that only the caller of an unstorable event gets the
/// error.
///
/// # Errors
/// [`LogFault::Broken`] if an event cannot be encoded or is larger than [`VALUE_LIMIT`].
pub fn parts(events: &[Event]) -> Result<Vec<Parts>, LogFault> {
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

/// The task with its error text cut to [`FAULT_LIMIT`].
pub fn bounded(task: &Task) -> Task {
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
