//! Stores written by earlier versions, kept byte for byte in `stored/` and opened by the current program.
//!
//! `store-1` was written at 8b68ef4: 17 events of versions 1 to 3 with notes and evidence, two tasks, counters with
//! one part behind them, and a snapshot of the ledger up to event 15. It is on sled, and no configuration said so.
//!
//! `store-2` is on redb: `store-1` as `move-store` moved it on 2026-12-01, and four more events, of kinds that are younger
//! than `store-1`. [`write_store_2`] wrote it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::admission::CounterStore as _;
use portcullis::core::{
    Actor, BanChange, BanId, Bounds, Change, Event, EventId, HistoryChange, Ledger, Personal, Seq,
    Subject, Timestamp, Tracker,
};
use portcullis::delivery::ports::Outbox as _;
use portcullis::journal::{Journal as _, Replica as _};
use portcullis::store::{EngineKind, Store, move_store};

const START: i64 = 1_795_320_000_000;

/// A copy of a kept store, because opening a store changes it.
fn copy(name: &str) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/stored")
        .join(name);
    copy_all(&from, &folder.path().join(name));
    let store = Store::open(folder.path().join(name)).unwrap();
    (folder, store)
}

fn copy_all(from: &Path, to: &PathBuf) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn a_store_stays_on_its_engine_without_a_word_of_configuration() {
    assert_eq!(copy("store-1").1.engine(), EngineKind::Sled);
    assert_eq!(copy("store-2").1.engine(), EngineKind::Redb);
}

#[test]
fn the_log_of_version_1_is_read_with_its_notes_and_folds_to_the_same() {
    for name in ["store-1", "store-2"] {
        let (_folder, store) = copy(name);
        let entries = store.read(Seq(1), 17).unwrap();
        assert_eq!(entries.len(), 17);
        assert_eq!(format!("{:?}", entries[16].chain), "1a9ba0948a60d33b…");
        let notes = entries
            .iter()
            .filter_map(|entry| entry.event.personal.note.as_deref());
        assert_eq!(notes.collect::<Vec<_>>(), ["note 5", "note 10", "note 15"]);
        let mut ledger = Ledger::default();
        for entry in &entries {
            ledger.fold(entry.seq, &entry.event);
        }
        let bans = ledger
            .bans()
            .newest_first()
            .map(|ban| format!("{} {}", ban.id, ban.subject));
        assert_eq!(
            bans.collect::<Vec<_>>(),
            [
                "#7 2001:db8::/48",
                "#6 guard of d@example.org",
                "#5 192.0.2.8",
                "#1 a@example.org",
            ]
        );
        assert_eq!(ledger.bans().last_ended().count(), 3);
        assert_eq!(ledger.subscriptions().all().len(), 1);
    }
}

#[test]
fn the_unfinished_work_of_version_1_is_read() {
    for name in ["store-1", "store-2"] {
        let (_folder, store) = copy(name);
        let (cursor, tasks) = store.load().unwrap();
        assert_eq!(cursor, Seq(17));
        let told = tasks
            .iter()
            .map(|task| (task.subject.to_string(), task.tries, task.fault.clone()));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (String::from("a@example.org"), 0, None),
                (
                    String::from("2001:db8::/48"),
                    2,
                    Some(String::from("no link"))
                ),
            ]
        );
    }
}

#[test]
fn the_counters_of_version_2_are_read_with_the_part_behind_them() {
    let (_folder, store) = copy("store-1");
    let parts = store.load_counters().unwrap();
    let now = Timestamp::from_millis(START + 62_000);
    let tracker = Tracker::restore(&parts, Arc::default(), Bounds::default(), now).unwrap();
    let fill = tracker.fill();
    let keys: Vec<_> = fill.iter().map(|table| (table.what, table.keys)).collect();
    assert_eq!(
        keys,
        [
            ("pair", 31),
            ("address", 1),
            ("network", 1),
            ("account", 1),
            ("account", 1),
            ("known", 40)
        ]
    );
    let knows = |n: u8| {
        let account = Subject::parse(&format!("u{n}@example.org")).unwrap();
        let address = format!("198.51.100.{n}").parse().unwrap();
        tracker.knows(account.account().unwrap(), address, now)
    };
    assert!(knows(1) && knows(39) && knows(50) && !knows(51));
}

/// The events of `store-2` behind those of `store-1`.
fn younger() -> Vec<Event> {
    let event = |number: u8, subject: &str, change: Change| {
        Event::decided(
            EventId([number; 16]),
            Timestamp::from_millis(START + 100_000 + i64::from(number)),
            Actor::clock(),
            Subject::parse(subject).unwrap(),
            Seq(0),
            change,
        )
    };
    let reason = || String::from("since version 1");
    let note = Personal {
        key: 0,
        note: Some(String::from("note 20")),
        evidence: None,
    };
    vec![
        event(18, "e@example.org", Change::PutBack { next: BanId(5_000) }),
        event(
            19,
            "f@example.org",
            Change::Ban(BanChange::Forced {
                reason: reason(),
                until: None,
            }),
        ),
        event(
            20,
            "e@example.org",
            Change::History(HistoryChange::Annotated { replaces: true }),
        )
        .with_personal(note),
        event(
            21,
            "g@example.org",
            Change::History(HistoryChange::Kicked { reason: reason() }),
        ),
    ]
}

#[test]
fn the_events_that_store_2_has_beyond_version_1_are_read() {
    let (_folder, store) = copy("store-2");
    let entries = store.read(Seq(18), 100).unwrap();
    let events: Vec<Event> = entries.into_iter().map(|entry| entry.event).collect();
    assert_eq!(events, younger());
}

/// Writes `store-2` into the folder that the environment variable `PORTCULLIS_TEST_SAMPLE` names. A later program cannot
/// write it again: its bytes are what is kept.
#[test]
#[ignore = "the store that it wrote is kept"]
fn write_store_2() {
    let target = std::env::var_os("PORTCULLIS_TEST_SAMPLE").unwrap();
    let target = PathBuf::from(target);
    let (folder, store) = copy("store-1");
    drop(store);
    let path = folder.path().join("store-1");
    let moved = move_store(&path, EngineKind::Redb, &mut |_| ()).unwrap();
    fs::remove_dir_all(moved.aside).unwrap();
    let store = Store::open(&path).unwrap();
    futures::executor::block_on(store.append(&younger())).unwrap();
    drop(store);
    copy_all(&path, &target);
}
