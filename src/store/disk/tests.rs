//! A store whose engine, files or disk misbehave.
#![allow(clippy::unwrap_used)]
use std::path::{Path, PathBuf};

use futures::executor::block_on;

use super::codec::LogValue;
use super::*;
use crate::core::{Actor, BanChange, Change, Event, EventId, Personal, Subject, Timestamp};
use crate::journal::{Journal, LogFault, Replica};
use crate::store::engine::{Durable, RowChange, StoreTable};

fn event(number: u8) -> Event {
    Event::decided(
        EventId([number; 16]),
        Timestamp::from_millis(0),
        Actor::clock(),
        Subject::parse("spam@example.org").unwrap(),
        Seq(0),
        Change::Ban(BanChange::Expired),
    )
    .with_personal(Personal {
        key: 0,
        note: Some(format!("note {number}")),
        evidence: None,
    })
}

/// A store with five entries, modified without its knowledge.
fn spoilt(kind: EngineKind, spoil: impl FnOnce(&dyn StorageEngine)) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_on(folder.path(), Some(kind)).unwrap();
    for number in 1..=5 {
        block_on(store.append(&[event(number)])).unwrap();
    }
    spoil(&*store.shared.engine().unwrap());
    (folder, store)
}

fn entry(engine: &dyn StorageEngine, seq: u64) -> Vec<u8> {
    let key = codec::seq_key(Seq(seq));
    engine.get(StoreTable::Log, &key).unwrap().unwrap()
}

fn put(engine: &dyn StorageEngine, table: StoreTable, seq: u64, value: Vec<u8>) {
    let row = RowChange::put(table, codec::seq_key(Seq(seq)), value);
    engine.write(&[row], Durable::Now).unwrap();
}

fn remove(engine: &dyn StorageEngine, table: StoreTable, seq: u64) {
    let row = RowChange::remove(table, codec::seq_key(Seq(seq)));
    engine.write(&[row], Durable::Now).unwrap();
}

fn damage(store: &Store, from: u64) -> (u64, String) {
    match store.read(Seq(from), 9) {
        Err(LogFault::Damaged { seq, why }) => (seq.0, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_entry_is_named() {
    for kind in EngineKind::ALL {
        let (_folder, store) = spoilt(kind, |engine| {
            let mut value = entry(engine, 3);
            *value.last_mut().unwrap() ^= 1;
            put(engine, StoreTable::Log, 3, value);
        });
        let why = String::from("its checksum does not match");
        assert_eq!(damage(&store, 1), (3, why.clone()));
        assert_eq!(damage(&store, 4), (3, why));
        assert_eq!(store.read(Seq(1), 2).unwrap().len(), 2);
        assert_eq!(store.read(Seq(5), 2).unwrap().len(), 1);
    }
}

#[test]
fn entries_in_another_order_are_noticed() {
    for kind in EngineKind::ALL {
        let (folder, store) = spoilt(kind, |engine| {
            let [third, fourth] = [3, 4].map(|seq| entry(engine, seq));
            put(engine, StoreTable::Log, 3, fourth);
            put(engine, StoreTable::Log, 4, third);
        });
        let why = String::from("it does not follow from the entry before it");
        assert_eq!(damage(&store, 1), (3, why.clone()));
        assert_eq!(damage(&store, 4), (4, why));
        drop(store);
        let fault = Store::open(folder.path()).unwrap_err();
        assert!(matches!(fault, OpenFault::Damaged { .. }), "{fault}");
    }
}

#[test]
fn a_hole_and_a_damaged_note_are_noticed() {
    for kind in EngineKind::ALL {
        let (_folder, store) = spoilt(kind, |engine| {
            remove(engine, StoreTable::Log, 2);
            put(engine, StoreTable::Personal, 4, b"?".to_vec());
        });
        assert_eq!(damage(&store, 1), (2, "it is missing".into()));
        assert_eq!(damage(&store, 3), (2, "it is missing".into()));
        assert_eq!(
            damage(&store, 4),
            (4, "its personal part: it is cut off".into())
        );
    }
}

#[test]
fn a_forgotten_note_leaves_its_event_readable() {
    for kind in EngineKind::ALL {
        let (_folder, store) = spoilt(kind, |engine| {
            remove(engine, StoreTable::Personal, 2);
        });
        let entries = store.read(Seq(1), 9).unwrap();
        assert_eq!(entries[1].event.personal, Personal::default());
        assert_eq!(entries[2].event.personal, event(3).personal);
    }
}

#[test]
fn an_append_that_a_crash_tore_is_dropped_when_it_opens() {
    for kind in EngineKind::ALL {
        let (folder, store) = spoilt(kind, |engine| {
            let chain = layout::chain_at(engine, Seq(5)).unwrap().unwrap();
            let bytes = event(6).to_bytes().unwrap();
            let torn = LogValue {
                last: false,
                chain: chain.extend(Seq(6), &bytes),
                event: &bytes,
            };
            put(engine, StoreTable::Log, 6, torn.to_bytes());
            put(engine, StoreTable::Personal, 6, b"stray".to_vec());
        });
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(*store.head().borrow(), Seq(5));
        let mut plain = event(7);
        plain.personal = Personal::default();
        assert_eq!(block_on(store.append(&[plain.clone()])).unwrap(), Seq(6));
        assert_eq!(store.read(Seq(6), 9).unwrap()[0].event, plain);
    }
}

#[test]
fn a_panic_of_the_engine_is_an_error_and_the_last_word() {
    for kind in EngineKind::ALL {
        let (_folder, store) = spoilt(kind, |_| ());
        let fault = store
            .shared
            .call::<()>(|_| panic!("pid {}", 7))
            .unwrap_err();
        assert!(fault.to_string().contains("it panicked: pid 7"), "{fault}");
        assert!(store.read(Seq(1), 1).is_ok());
        let engine = store.shared.engine().unwrap();
        let panic = Failure::Panicked("in a write".into());
        store.shared.failed(engine, &panic);
        let fault = block_on(store.append(&[event(6)])).unwrap_err();
        assert!(fault.to_string().contains("restart portcullis"), "{fault}");
    }
}

#[test]
fn after_a_failed_read_the_engine_is_opened_again() {
    for kind in EngineKind::ALL {
        let (_folder, store) = spoilt(kind, |_| ());
        let engine = store.shared.engine().unwrap();
        let why = Failure::Unread(std::io::Error::other("a bad sector"));
        let fault = store.shared.failed(Arc::clone(&engine), &why);
        assert!(fault.to_string().contains("a bad sector"), "{fault}");
        let fault = store.read(Seq(1), 9).unwrap_err();
        assert!(fault.to_string().contains("a bad sector"), "{fault}");
        // What another call says later about the same engine changes nothing.
        let late = Failure::Panicked("late".into());
        store.shared.failed(engine, &late);
        assert_eq!(block_on(store.append(&[event(6)])).unwrap(), Seq(6));
        assert_eq!(store.read(Seq(1), 9).unwrap().len(), 6);
    }
}

#[test]
fn a_failed_write_is_told_until_one_succeeds_and_one_is_tried() {
    for kind in EngineKind::ALL {
        let (_folder, store) = spoilt(kind, |_| ());
        let trouble = store.trouble();
        let fails = || trouble.borrow().is_some();
        let engine = store.shared.engine().unwrap();
        let end = (Seq(5), layout::chain_at(&*engine, Seq(5)).unwrap().unwrap());
        let full = || Failure::Io(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert!(!fails());
        store.shared.failed(engine, &full());
        assert!(fails());
        store.shared.look_after(end, false);
        assert!(fails(), "that the engine opens proves nothing");
        store.shared.look_after(end, true);
        assert!(!fails());
        store.shared.failed(store.shared.engine().unwrap(), &full());
        assert!(fails());
        block_on(store.append(&[event(6)])).unwrap();
        assert!(!fails());
    }
}

#[test]
fn a_damaged_head_is_told_at_the_start_that_finds_it() {
    for kind in EngineKind::ALL {
        let (folder, store) = spoilt(kind, |_| ());
        assert_eq!(store.damaged_head(), None);
        drop(store);
        let head = folder.path().join(head_file::NAME);
        let mut bytes = std::fs::read(&head).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&head, &bytes).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let why = store.damaged_head();
        assert_eq!(why.as_deref(), Some("its checksum does not match"));
        assert_eq!(store.read(Seq(1), 9).unwrap().len(), 5);
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.damaged_head(), None, "it was written anew");
        drop(store);
        // Without the files of an engine it says nothing about what there was.
        std::fs::write(&head, &bytes).unwrap();
        std::fs::remove_dir_all(folder.path().join(kind.name())).unwrap();
        let fault = Store::open(folder.path()).unwrap_err();
        assert!(matches!(fault, OpenFault::Damaged { .. }), "{fault}");
    }
}

#[test]
fn a_store_of_a_newer_portcullis_is_refused() {
    for kind in EngineKind::ALL {
        let (folder, store) = spoilt(kind, |engine| {
            let version = codec::number_to_bytes(2);
            let row = RowChange::put(StoreTable::Meta, layout::VERSION_KEY, version);
            engine.write(&[row], Durable::Now).unwrap();
        });
        drop(store);
        let fault = Store::open(folder.path()).unwrap_err();
        assert!(
            matches!(
                fault,
                OpenFault::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{fault}"
        );
    }
}

/// Whatever a power cut at a start leaves of the files that sled can do without, the store opens with everything.
#[test]
fn what_a_power_cut_leaves_never_keeps_the_store_from_opening() {
    type Spoil = fn(&Path);
    fn snapshot(folder: &Path) -> PathBuf {
        let names = std::fs::read_dir(folder).unwrap();
        let mut paths = names.map(|found| found.unwrap().path());
        let is_one = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("snap.") && !name.ends_with(".generating")
        };
        paths.find(is_one).unwrap()
    }
    fn cut(path: &Path, keep: usize) {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..keep.min(bytes.len())]).unwrap();
    }
    let kinds: [(&str, Spoil); 14] = [
        ("an empty unfinished snapshot", |folder| {
            let name = format!("{}.generating", snapshot(folder).display());
            std::fs::write(name, b"").unwrap();
        }),
        ("half an unfinished snapshot", |folder| {
            let half = std::fs::read(snapshot(folder)).unwrap();
            let name = format!("{}.generating", snapshot(folder).display());
            std::fs::write(name, &half[..half.len() / 2]).unwrap();
        }),
        ("a whole unfinished snapshot", |folder| {
            let name = format!("{}.generating", snapshot(folder).display());
            std::fs::copy(snapshot(folder), name).unwrap();
        }),
        ("an unfinished snapshot of a later start", |folder| {
            std::fs::write(folder.join("snap.00000000FFFFFFFF.generating"), b"x").unwrap();
        }),
        ("an empty snapshot", |folder| cut(&snapshot(folder), 0)),
        ("a snapshot of 12 bytes", |folder| {
            cut(&snapshot(folder), 12)
        }),
        ("half a snapshot", |folder| {
            let path = snapshot(folder);
            let half = std::fs::metadata(&path).unwrap().len() / 2;
            cut(&path, usize::try_from(half).unwrap());
        }),
        ("a snapshot of zeros", |folder| {
            let path = snapshot(folder);
            let length = std::fs::metadata(&path).unwrap().len();
            std::fs::write(path, vec![0; usize::try_from(length).unwrap()]).unwrap();
        }),
        ("a second, empty snapshot", |folder| {
            std::fs::write(folder.join("snap.00000000FFFFFFFF"), b"").unwrap();
        }),
        ("no snapshot", |folder| {
            std::fs::remove_file(snapshot(folder)).unwrap();
        }),
        ("empty settings", |folder| cut(&folder.join("conf"), 0)),
        ("half the settings", |folder| cut(&folder.join("conf"), 20)),
        ("settings of zeros", |folder| {
            std::fs::write(folder.join("conf"), [0; 60]).unwrap();
        }),
        ("no settings", |folder| {
            std::fs::remove_file(folder.join("conf")).unwrap();
        }),
    ];
    for (what, spoil) in kinds {
        let (folder, store) = spoilt(EngineKind::Sled, |_| ());
        drop(store);
        // The second start writes a snapshot of what the first one stored.
        drop(Store::open(folder.path()).unwrap());
        spoil(&folder.path().join(EngineKind::Sled.name()));
        let store = Store::open(folder.path()).unwrap_or_else(|why| panic!("{what}: {why}"));
        let entries = store.read(Seq(1), 9).unwrap();
        let expected: Vec<Event> = (1..=5).map(event).collect();
        let found: Vec<Event> = entries.into_iter().map(|entry| entry.event).collect();
        assert_eq!(found, expected, "{what}");
        assert_eq!(
            block_on(store.append(&[event(6)])).unwrap(),
            Seq(6),
            "{what}"
        );
        drop(store);
        let store = Store::open(folder.path()).unwrap_or_else(|why| panic!("{what}: {why}"));
        assert_eq!(store.read(Seq(1), 9).unwrap().len(), 6, "{what}");
    }
}

#[test]
fn a_first_start_that_was_cut_off_prevents_no_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("redb");
    // What redb had written of a new file when the power failed.
    std::fs::create_dir(&engine).unwrap();
    std::fs::write(engine.join("db.new"), [0; 4096]).unwrap();
    drop(EngineKind::Redb.open(&engine).unwrap());
    assert!(engine.join("db").exists() && !engine.join("db.new").exists());
    drop(EngineKind::Redb.open(&engine).unwrap());
}

#[test]
fn what_was_not_yet_durable_survives_a_crash_after_the_next_sync() {
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let (live, copy) = (folder.path().join("live"), folder.path().join("copy"));
        for one in [&live, &copy] {
            std::fs::create_dir(one).unwrap();
        }
        let engine = kind.open(&live).unwrap();
        let (key, value) = (codec::seq_key(Seq(7)), b"soon".to_vec());
        let row = RowChange::put(StoreTable::Meta, key, value.clone());
        engine.write(&[row], Durable::Soon).unwrap();
        engine.sync().unwrap();
        // The files as a crash leaves them behind.
        for file in std::fs::read_dir(&live).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
            }
        }
        drop(engine);
        let engine = kind.open(&copy).unwrap();
        let read = engine.get(StoreTable::Meta, &codec::seq_key(Seq(7)));
        assert_eq!(read.unwrap(), Some(value), "{}", kind.name());
    }
}

#[test]
fn a_damaged_key_far_behind_the_others_does_not_keep_the_check_from_ending() {
    for kind in EngineKind::ALL {
        let far = 1 << 56;
        let (folder, store) = spoilt(kind, |engine| {
            let value = entry(engine, 5);
            put(engine, StoreTable::Log, far, value);
        });
        drop(store);
        let scratch = tempfile::tempdir().unwrap();
        let found = inspect(folder.path(), scratch.path(), &mut |_| ()).unwrap();
        let parts: Vec<DamagedPart> = found.damage.iter().map(|one| one.part).collect();
        assert!(
            parts.contains(&DamagedPart::Entries(Seq(6), Seq(far - 1))),
            "{parts:?}"
        );
    }
}
