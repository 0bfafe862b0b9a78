//! A store moves from one storage engine to another and back, and an interruption at any moment loses nothing.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use portcullis::core::{
    Actor, BanChange, Change, Event, EventId, Personal, Seq, Subject, Timestamp,
};
use portcullis::delivery::ports::{Outbox, Task};
use portcullis::journal::{Entry, Journal as _, Replica as _, Snapshots as _};
use portcullis::store::{EngineKind, MoveFault, OpenFault, Store, inspect, move_store};

const SLED: EngineKind = EngineKind::Sled;
const REDB: EngineKind = EngineKind::Redb;

fn event(number: u64) -> Event {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    Event::decided(
        EventId(id),
        Timestamp::from_millis(1_795_320_000_000),
        Actor::clock(),
        Subject::parse(&format!("spam{number}@example.org")).unwrap(),
        Seq(0),
        Change::Ban(BanChange::Expired),
    )
    .with_personal(Personal {
        key: 0,
        note: number.is_multiple_of(3).then(|| format!("note {number}")),
        evidence: None,
    })
}

fn task(name: &str) -> Task {
    Task {
        subject: Subject::parse(name).unwrap(),
        since: Seq(1),
        asked: Timestamp::from_millis(5),
        tries: 2,
        next: Timestamp::from_millis(9),
        fault: Some(String::from("no link")),
    }
}

fn append(store: &Store, events: std::ops::Range<u64>) {
    let events: Vec<Event> = events.map(event).collect();
    futures::executor::block_on(store.append(&events)).unwrap();
}

/// A closed store with entries, unfinished work and a snapshot.
fn filled(kind: EngineKind, folder: &Path, entries: u64) -> Content {
    let store = Store::open_on(folder, Some(kind)).unwrap();
    append(&store, 0..entries);
    store
        .save(Seq(3), &[task("a@example.org"), task("192.0.2.0/24")], &[])
        .unwrap();
    store
        .save_snapshot(&mut [b"one".to_vec()].map(Ok).into_iter())
        .unwrap();
    content(&store)
}

#[derive(Debug, PartialEq)]
struct Content {
    id: [u8; 16],
    entries: Vec<Entry>,
    work: (Seq, Vec<Task>),
    snapshot: Vec<Vec<u8>>,
}

fn content(store: &Store) -> Content {
    let mut work = store.load().unwrap();
    work.1.sort_by(|a, b| a.subject.cmp(&b.subject));
    Content {
        id: store.id(),
        entries: store.read(Seq(1), usize::MAX).unwrap(),
        work,
        snapshot: store.load_snapshot().unwrap(),
    }
}

/// Opens what is there and compares; returns the engine.
fn found(folder: &Path, expected: &Content) -> EngineKind {
    let store = Store::open(folder).unwrap();
    assert_eq!(content(&store), *expected);
    store.engine()
}

#[test]
fn everything_moves_and_moves_back() {
    let folder = tempfile::tempdir().unwrap();
    let before = filled(SLED, folder.path(), 12_000);
    let mut progress = 0;
    let moved = move_store(folder.path(), REDB, &mut |rows| progress = rows).unwrap();
    assert_eq!((moved.from, moved.entries), (SLED, 12_000));
    assert_eq!(moved.rows, 12_000 + 4_000 + 3 + 2);
    assert_eq!(moved.chain, before.entries.last().unwrap().chain);
    assert_eq!(moved.aside, folder.path().join("sled.before-redb"));
    assert!(moved.aside.join("db").exists());
    assert_eq!(progress, 2 * moved.rows);
    assert_eq!(found(folder.path(), &before), REDB);

    let store = Store::open(folder.path()).unwrap();
    append(&store, 12_000..12_010);
    let later = content(&store);
    drop(store);
    move_store(folder.path(), SLED, &mut |_| ()).unwrap();
    assert_eq!(found(folder.path(), &later), SLED);
    let again = move_store(folder.path(), REDB, &mut |_| ()).unwrap();
    assert_eq!(again.aside, folder.path().join("sled.before-redb.1"));
    assert_eq!(found(folder.path(), &later), REDB);
}

#[test]
fn what_cannot_be_moved_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let fault = move_store(&path, REDB, &mut |_| ()).unwrap_err();
    assert!(matches!(fault, MoveFault::NoStore(_)), "{fault}");
    assert!(!path.exists());
    let before = filled(SLED, &path, 5);
    let fault = move_store(&path, SLED, &mut |_| ()).unwrap_err();
    assert!(matches!(fault, MoveFault::Already { .. }), "{fault}");
    let running = Store::open(&path).unwrap();
    let fault = move_store(&path, REDB, &mut |_| ()).unwrap_err();
    assert!(
        matches!(fault, MoveFault::Open(OpenFault::Locked { .. })),
        "{fault}"
    );
    drop(running);
    // A copy cannot be written where a file is.
    fs::write(path.join("redb.copying"), b"in the way").unwrap();
    let fault = move_store(&path, REDB, &mut |_| ()).unwrap_err();
    assert!(
        matches!(fault, MoveFault::Copy { from: SLED, .. }),
        "{fault}"
    );
    assert_eq!(found(&path, &before), SLED);
}

#[test]
fn a_store_that_lost_something_is_not_moved() {
    let folder = tempfile::tempdir().unwrap();
    filled(SLED, folder.path(), 9);
    let other = tempfile::tempdir().unwrap();
    filled(SLED, other.path(), 8);
    fs::remove_dir_all(folder.path().join("sled")).unwrap();
    fs::rename(other.path().join("sled"), folder.path().join("sled")).unwrap();
    let fault = move_store(folder.path(), REDB, &mut |_| ()).unwrap_err();
    assert!(
        matches!(fault, MoveFault::Open(OpenFault::Damaged { .. })),
        "{fault}"
    );
}

#[test]
fn the_configured_engine_must_be_the_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let before = filled(REDB, folder.path(), 5);
    let fault = Store::open_on(folder.path(), Some(SLED)).unwrap_err();
    assert!(
        fault.to_string().contains("move-store --to sled"),
        "{fault}"
    );
    assert!(!folder.path().join("sled").exists());
    assert_eq!(found(folder.path(), &before), REDB);
    fs::create_dir(folder.path().join("sled")).unwrap();
    assert_eq!(
        found(folder.path(), &before),
        REDB,
        "an empty folder is no store"
    );
    fs::write(folder.path().join("sled/db"), b"x").unwrap();
    let fault = Store::open(folder.path()).unwrap_err();
    assert!(matches!(fault, OpenFault::Several { .. }), "{fault}");
}

#[test]
fn only_a_store_that_does_not_exist_yet_is_on_the_default_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert_eq!(Store::open(path("new")).unwrap().engine(), REDB);
    assert_eq!(
        Store::open_on(path("named"), Some(SLED)).unwrap().engine(),
        SLED
    );
    let before = filled(SLED, &path("old"), 9);
    assert_eq!(found(&path("old"), &before), SLED);
    assert!(!path("old/redb").exists());
}

#[test]
fn no_new_store_is_made_where_the_files_of_an_old_one_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let before = filled(SLED, folder.path(), 9);
    fs::rename(path("sled"), path("elsewhere")).unwrap();
    for asked in [None, Some(SLED), Some(REDB)] {
        let fault = Store::open_on(folder.path(), asked).unwrap_err();
        assert!(matches!(fault, OpenFault::Damaged { .. }), "{fault}");
        let said = fault.to_string();
        assert!(said.contains("entry 9 had been acknowledged"), "{said}");
    }
    assert!(!path("redb").exists() && !path("sled").exists());
    fs::rename(path("elsewhere"), path("sled")).unwrap();
    assert_eq!(found(folder.path(), &before), SLED);
}

/// The moments between the last steps, made by hand.
#[test]
fn a_move_between_its_last_steps_is_finished_or_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let before = filled(SLED, folder.path(), 50);
    move_store(folder.path(), REDB, &mut |_| ()).unwrap();
    // The copy is whole, and the old engine is still in place.
    fs::rename(path("redb"), path("redb.copied")).unwrap();
    fs::rename(path("sled.before-redb"), path("sled")).unwrap();
    assert_eq!(found(folder.path(), &before), SLED);
    // The old engine was put aside, and nothing is in place.
    fs::rename(path("sled"), path("sled.before-redb")).unwrap();
    assert_eq!(found(folder.path(), &before), REDB);
    assert!(path("redb/db").exists() && !path("redb.copied").exists());
    // A copy that was not finished means nothing, and the next move replaces it.
    fs::create_dir(path("sled.copying")).unwrap();
    fs::write(path("sled.copying/db"), b"half").unwrap();
    assert_eq!(found(folder.path(), &before), REDB);
    move_store(folder.path(), SLED, &mut |_| ()).unwrap();
    assert_eq!(found(folder.path(), &before), SLED);
}

#[test]
fn a_store_of_another_user_is_neither_moved_nor_started_on() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let before = filled(SLED, folder.path(), 5);
    if std::os::unix::fs::chown(folder.path(), Some(12_345), None).is_err() {
        eprintln!("only root can give a folder to another user: nothing was tested");
        return;
    }
    let fault = move_store(folder.path(), REDB, &mut |_| ()).unwrap_err();
    assert!(
        matches!(
            fault,
            MoveFault::Open(OpenFault::OtherOwner { owner: 12_345, .. })
        ),
        "{fault}"
    );
    let said = fault.to_string();
    assert!(said.contains("runuser -u 12345 -- portcullis"), "{said}");
    assert!(!folder.path().join("redb.copying").exists());
    // A start by hand, also of a store that would be made below a folder of that user.
    for place in [folder.path().to_owned(), folder.path().join("a/b")] {
        let fault = Store::open(&place).unwrap_err();
        assert!(
            matches!(fault, OpenFault::OtherOwner { owner: 12_345, .. }),
            "{fault}"
        );
    }
    assert!(!folder.path().join("a").exists());
    std::os::unix::fs::chown(folder.path(), Some(0), None).unwrap();
    assert_eq!(fs::metadata(folder.path()).unwrap().uid(), 0);
    assert_eq!(found(folder.path(), &before), SLED);
}

#[test]
fn links_in_place_of_its_files_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join("store").join(name);
    filled(SLED, &path(""), 5);
    for name in ["lock", "head", "sled/db", "sled"] {
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(path(name), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path(name)).unwrap();
        let what = match elsewhere.is_dir() {
            true => elsewhere.join("db"),
            false => elsewhere.clone(),
        };
        let before = fs::read(&what).unwrap();
        assert!(Store::open(path("")).is_err(), "{name}");
        assert!(move_store(&path(""), REDB, &mut |_| ()).is_err(), "{name}");
        let found = inspect(&path(""), folder.path(), &mut |_| ());
        assert!(found.is_err() || !found.unwrap().is_whole(), "{name}");
        assert_eq!(fs::read(&what).unwrap(), before, "{name}");
        fs::remove_file(path(name)).unwrap();
        fs::rename(&elsewhere, path(name)).unwrap();
    }
    assert!(Store::open(path("")).is_ok());
}

/// Environment variables for the child, which is the test below, started again in another process: the folder, the engine to
/// move to, and the report of progress at which it waits to be killed.
const CHILD: [&str; 3] = [
    "PORTCULLIS_TEST_MOVE",
    "PORTCULLIS_TEST_MOVE_TO",
    "PORTCULLIS_TEST_MOVE_STOP",
];

/// Reports of progress in a move of 6,000 entries.
const REPORTS: u32 = 10;

/// Moves until the report of progress number `stop`, says so, and waits to be killed.
fn move_until(folder: &Path, to: EngineKind, stop: u32) {
    let mut reports = 0;
    let mut wait = |_| {
        reports += 1;
        if reports == stop {
            println!("\nwaiting");
            loop {
                std::thread::park();
            }
        }
    };
    move_store(folder, to, &mut wait).unwrap();
}

#[test]
fn a_move_that_is_killed_at_any_moment_loses_nothing() {
    if let [Ok(folder), Ok(to), Ok(stop)] = CHILD.map(std::env::var) {
        let to = EngineKind::NAMES.iter().find(|(name, _)| *name == to);
        return move_until(Path::new(&folder), to.unwrap().1, stop.parse().unwrap());
    }
    for (from, to) in [(SLED, REDB), (REDB, SLED)] {
        let folder = tempfile::tempdir().unwrap();
        // More rows than are copied at a time: the two parts of the log, then the other tables, and all of it compared.
        let before = filled(from, folder.path(), 6_000);
        for stop in 1..=REPORTS {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "move_store::a_move_that_is_killed_at_any_moment_loses_nothing",
                    "--nocapture",
                ])
                .envs(CHILD.into_iter().zip([
                    folder.path().to_str().unwrap(),
                    to.name(),
                    &stop.to_string(),
                ]))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let said = BufReader::new(child.stdout.take().unwrap());
            let waits = said.lines().any(|line| line.unwrap() == "waiting");
            assert!(waits, "report {stop} did not come");
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(folder.path().join(format!("{to}.copying")).exists());
            assert_eq!(found(folder.path(), &before), from, "report {stop}");
        }
        let mut reports = 0;
        move_store(folder.path(), to, &mut |_| reports += 1).unwrap();
        assert_eq!(reports, REPORTS, "no report was left out");
        assert_eq!(found(folder.path(), &before), to);
    }
}
