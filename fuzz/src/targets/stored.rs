//! Stored values: bytes that can be read are written again as the same bytes or as a newer form that is read as the same
//! value; and no value that can be read breaks the fold or the snapshot of it.

use std::sync::Arc;

use portcullis::core::event::Chain;
use portcullis::core::{Bounds, Event, Ledger, Personal, Seq, Timestamp, Tracker};
use portcullis::delivery::ports::Task;
use portcullis::exchange::lines::ExportLine;
use portcullis::store::{FAULT_LIMIT, bounded};
use serde::Serialize;
use serde::de::DeserializeOwned;

const NOW: i64 = 1_795_320_000_000;

pub fn run(data: &[u8]) {
    let Some((case, bytes)) = data.split_first() else {
        return;
    };
    match case % 5 {
        0 => log(bytes),
        1 => {
            if let Some(task) = reads_back::<Task>(bytes) {
                let task = bounded(&task);
                assert!(task.fault.is_none_or(|fault| fault.len() <= FAULT_LIMIT));
            }
        }
        2 => drop(reads_back::<Personal>(bytes)),
        3 => snapshot(bytes),
        _ => counters(bytes),
    }
}

/// Values with two bytes of length before each, as a test input and not as any store writes them.
fn values(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (value, behind) = rest.split_at(length);
        values.push(value.to_vec());
        bytes = behind;
    }
    values
}

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    bytes: &[u8],
) -> Option<T> {
    let value: T = postcard::from_bytes(bytes).ok()?;
    let written = postcard::to_stdvec(&value).expect("what was read can be written");
    assert_eq!(postcard::from_bytes::<T>(&written).as_ref(), Ok(&value));
    Some(value)
}

/// Events of a log, folded one after the other.
fn log(bytes: &[u8]) {
    let (mut ledger, mut seq) = (Ledger::default(), Seq(0));
    for value in values(bytes) {
        let Ok(event) = Event::from_bytes(&value, Personal::default()) else {
            continue;
        };
        let written = event.to_bytes().expect("what was read can be written");
        assert_eq!(
            Event::from_bytes(&written, Personal::default())
                .ok()
                .as_ref(),
            Some(&event)
        );
        drop(ExportLine::event(&event, true).to_text());
        seq = seq.next();
        ledger.fold(seq, &event);
        assert_eq!(ledger.folded(), seq);
    }
    same_after_snapshot(&mut ledger);
}

fn same_after_snapshot(ledger: &mut Ledger) {
    let mut taking = ledger.begin_snapshot(2);
    let mut frames = Vec::new();
    while let Some(frame) = ledger.next_piece(&mut taking) {
        frames.push(frame);
    }
    frames.push(ledger.end_snapshot(taking).seal(Chain::default()));
    let (restored, _) = Ledger::restore(&frames).expect("a snapshot is restored");
    assert_eq!(restored, *ledger);
}

fn snapshot(bytes: &[u8]) {
    if let Ok((mut ledger, _)) = Ledger::restore(&values(bytes)) {
        same_after_snapshot(&mut ledger);
    }
}

fn counters(bytes: &[u8]) {
    let now = Timestamp::from_millis(NOW);
    let bounds = Bounds {
        keys: 64,
        known: 64,
    };
    let restore = |parts: &[Vec<u8>]| Tracker::restore(parts, Arc::default(), bounds, now);
    let Ok(mut tracker) = restore(&values(bytes)) else {
        return;
    };
    for table in tracker.fill() {
        assert!(table.keys <= 64, "{table:?}");
    }
    let saved = tracker.save();
    let mut again = restore(&[saved]).expect("what was saved is restored");
    // A restored tracker leaves out what is over by then.
    for (again, before) in again.fill().iter().zip(tracker.fill()) {
        assert!(again.keys <= before.keys);
    }
    let _ = again.save();
}
