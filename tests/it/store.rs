//! One contract for every store; then the failures that only a disk has: kill -9, a full disk, two programs, bit rot.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use portcullis::core::event::Chain;
use portcullis::core::{
    Actor, BanChange, BanRuling, Change, Event, EventId, HistoryChange, HistoryRuling, Ledger,
    Personal, Ruling, Seq, Subject, Timestamp,
};
use portcullis::delivery::ports::{Outbox, Task};
use portcullis::journal::{Entry, Journal, LogFault, Replica};
use portcullis::store::{APPENDS_WAITING, EngineKind, FAULT_LIMIT, OpenFault, Store};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::support::MemoryStore;

trait Both: Journal + Replica + Outbox {}
impl<T: Journal + Replica + Outbox> Both for T {}

/// Runs a test on every store.
fn on_each(test: impl Fn(&dyn Both)) {
    test(&MemoryStore::new());
    on_each_engine(|kind, folder| test(&open(kind, folder)));
}

/// Runs a test on every storage engine, in a new folder.
fn on_each_engine(test: impl Fn(EngineKind, &Path)) {
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        test(kind, folder.path());
    }
}

fn open(kind: EngineKind, folder: &Path) -> Store {
    Store::open_on(folder, Some(kind)).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

fn event(number: u64) -> Event {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    Event::decided(
        EventId(id),
        Timestamp::from_millis(1_795_320_000_000),
        Actor::clock(),
        Subject::parse(&format!("spam{number}@example.org")).unwrap(),
        Seq(0),
        Change::Ban(BanChange::Imposed {
            reason: String::from("spam"),
            until: None,
        }),
    )
    .with_personal(Personal {
        key: 0,
        // Some events have a personal part, some do not.
        note: number.is_multiple_of(3).then(|| format!("note {number}")),
        evidence: None,
    })
}

fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
    numbers.map(event).collect()
}

async fn append(log: &(impl Journal + ?Sized), batch: Vec<Event>) -> Result<Seq, LogFault> {
    log.append(&batch).await
}

fn task(name: &str, tries: u32) -> Task {
    Task {
        subject: Subject::parse(name).unwrap(),
        since: Seq(1),
        asked: Timestamp::from_millis(5),
        tries,
        next: Timestamp::from_millis(9),
        fault: Some(String::from("no link")),
    }
}

/// All entries; checks their positions and hashes again without the store's help.
fn all(log: &(impl Replica + ?Sized)) -> Vec<Event> {
    let entries = log.read(Seq(1), usize::MAX).unwrap();
    let mut chain = Chain::default();
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry.seq, Seq(at as u64 + 1));
        chain = chain.extend(entry.seq, &entry.event.to_bytes().unwrap());
        assert_eq!(entry.chain, chain);
    }
    assert_eq!(*log.head().borrow(), Seq(entries.len() as u64));
    entries.into_iter().map(|entry| entry.event).collect()
}

#[test]
fn what_was_appended_is_read_in_its_order_with_its_notes() {
    on_each(|store| {
        assert_eq!(all(store), []);
        assert_eq!(wait(append(store, events(0..1))).unwrap(), Seq(1));
        assert_eq!(wait(append(store, events(1..4))).unwrap(), Seq(4));
        assert_eq!(all(store), events(0..4));
        assert_eq!(wait(append(store, Vec::new())).unwrap(), Seq(4));
    });
}

#[test]
fn a_part_of_the_log_is_read_as_it_is_in_the_whole() {
    on_each(|store| {
        wait(append(store, events(0..9))).unwrap();
        let whole = store.read(Seq(1), 100).unwrap();
        let part = |from, most| store.read(Seq(from), most).unwrap();
        assert_eq!(part(0, 2), whole[..2]);
        assert_eq!(part(3, 4), whole[2..6]);
        assert_eq!(part(8, 9), whole[7..]);
        assert_eq!(part(10, 1), Vec::<Entry>::new());
        assert_eq!(part(u64::MAX, usize::MAX), Vec::<Entry>::new());
        assert_eq!(part(1, 0), Vec::<Entry>::new());
    });
}

#[test]
fn appends_at_the_same_time_keep_their_events_together() {
    on_each(|store| {
        let seqs = wait(join_all(
            (0..100).map(|n| append(store, events(n * 3..n * 3 + 3))),
        ));
        let mut seqs: Vec<Seq> = seqs.into_iter().map(Result::unwrap).collect();
        seqs.sort();
        let expect: Vec<Seq> = (1..=100).map(|n| Seq(n * 3)).collect();
        assert_eq!(seqs, expect);
        for together in all(store).chunks(3) {
            let first = u64::from_be_bytes(together[0].id.0[8..].try_into().unwrap());
            assert_eq!(together, events(first..first + 3));
        }
    });
}

#[test]
fn appended_entries_can_be_read_as_soon_as_the_head_moves() {
    on_each(|store| {
        let mut head = store.head();
        assert!(!head.has_changed().unwrap());
        wait(append(store, events(0..2))).unwrap();
        assert!(head.has_changed().unwrap());
        assert_eq!(*head.borrow_and_update(), Seq(2));
    });
}

#[test]
fn the_tail_gives_all_that_is_behind_a_place_and_then_waits_for_more() {
    on_each(|store| {
        wait(async {
            append(store, events(0..700)).await.unwrap();
            let mut tail = store.tail(Seq(1));
            let mut seen = Vec::new();
            while seen.len() < 699 {
                seen.extend(tail.next().await.unwrap().unwrap());
            }
            assert_eq!(seen, store.read(Seq(2), 1_000).unwrap());
            let more = async {
                let pause = Duration::from_millis(20);
                let nothing = tokio::time::timeout(pause, tail.next()).await;
                assert!(nothing.is_err(), "{nothing:?}");
                tail.next().await.unwrap().unwrap()
            };
            let later = async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                append(store, events(700..702)).await.unwrap();
            };
            let (more, ()) = futures::future::join(more, later).await;
            assert_eq!(more, store.read(Seq(701), 10).unwrap());
        });
    });
}

#[test]
fn the_entries_at_some_places_are_one_answer() {
    on_each(|store| {
        wait(append(store, events(0..9))).unwrap();
        let places = [Seq(7), Seq(2), Seq(3), Seq(10)];
        let found = store.trail(&places).unwrap();
        let whole = store.read(Seq(1), 9).unwrap();
        assert_eq!(
            found,
            [whole[6].clone(), whole[1].clone(), whole[2].clone()]
        );
        assert_eq!(store.trail(&[]).unwrap(), Vec::<Entry>::new());
    });
}

#[test]
fn a_batch_offered_twice_is_applied_once() {
    on_each(|store| {
        let mut kicked = event(2);
        kicked.change = Change::History(HistoryChange::Kicked {
            reason: String::from("spam"),
        });
        let batch = [event(1), kicked];
        wait(append(store, batch.to_vec())).unwrap();
        wait(append(store, batch.to_vec())).unwrap();
        let mut ledger = Ledger::default();
        let mut rulings = Vec::new();
        for entry in store.read(Seq(1), 10).unwrap() {
            rulings.push(ledger.fold(entry.seq, &entry.event).0);
        }
        assert!(matches!(
            rulings[..2],
            [
                Ruling::Ban(BanRuling::Banned(_)),
                Ruling::History(HistoryRuling::Kicked(_))
            ]
        ));
        assert_eq!(rulings[2..], [Ruling::Stale, Ruling::Stale]);
        for event in batch {
            assert_eq!(
                ledger.subjects().trail(&event.subject).len(),
                1,
                "{}",
                event.subject
            );
        }
    });
}

#[test]
fn a_hundred_thousand_events_are_one_append() {
    on_each(|store| {
        assert_eq!(
            wait(append(store, events(0..100_000))).unwrap(),
            Seq(100_000)
        );
        assert_eq!(store.read(Seq(99_999), 9).unwrap().len(), 2);
        let some = store.read(Seq(11), 9_001).unwrap();
        let places: Vec<u64> = some.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(places, (11..=9_011).collect::<Vec<u64>>());
        assert_eq!(some[9_000].event, event(9_010));
    });
}

#[test]
fn an_event_too_large_to_store_costs_nobody_else() {
    on_each(|store| {
        let mut large = event(0);
        large.personal.note = Some("x".repeat(70_000));
        let answers = wait(join_all([
            append(store, events(1..2)),
            append(store, vec![large]),
            append(store, events(2..3)),
        ]));
        assert!(matches!(answers[1], Err(LogFault::Broken(_))));
        assert_eq!(all(store), events(1..3));
    });
}

#[test]
fn too_many_waiting_appends_are_answered_busy() {
    let slow = MemoryStore::new();
    slow.delay_appends(Some(Duration::from_millis(1)));
    let folders = EngineKind::ALL.map(|kind| (kind, tempfile::tempdir().unwrap()));
    let disks = folders
        .iter()
        .map(|(kind, folder)| open(*kind, folder.path()));
    let disks: Vec<Store> = disks.collect();
    let mut stores: Vec<&dyn Both> = vec![&slow];
    stores.extend(disks.iter().map(|disk| disk as &dyn Both));
    for store in stores {
        // Polled at once; a store on disk may have written some before the last one arrives.
        let many = APPENDS_WAITING as u64 * 8;
        let answers = wait(join_all((0..many).map(|n| append(store, events(n..n + 1)))));
        let done = answers.iter().filter(|answer| answer.is_ok()).count();
        let busy = answers
            .iter()
            .filter(|answer| matches!(answer, Err(LogFault::Busy)));
        assert!(done >= APPENDS_WAITING, "{done}");
        assert_eq!(done + busy.count(), answers.len());
        assert_eq!(all(store).len(), done);
    }
}

#[test]
fn unfinished_work_is_kept_one_task_a_subject() {
    on_each(|store| {
        assert_eq!(store.load().unwrap(), (Seq(0), Vec::new()));
        let [a, b, net] = ["a@example.org", "b@example.org", "203.0.113.0/24"];
        store
            .save(Seq(3), &[task(a, 0), task(b, 0), task(net, 0)], &[])
            .unwrap();
        let gone = [Subject::parse(b).unwrap(), Subject::parse(net).unwrap()];
        store
            .save(Seq(4), &[task(a, 1), task(net, 1)], &gone)
            .unwrap();
        assert_eq!(work(store), (Seq(4), vec![task(a, 1), task(net, 1)]));
        let mut wordy = task(a, 2);
        wordy.fault = Some("x".repeat(100_000));
        store.save(Seq(5), &[wordy], &[]).unwrap();
        let (_, tasks) = work(store);
        assert_eq!(tasks[0].fault, Some("x".repeat(FAULT_LIMIT)));
    });
}

fn work(store: &(impl Outbox + ?Sized)) -> (Seq, Vec<Task>) {
    let (cursor, mut tasks) = store.load().unwrap();
    tasks.sort_by(|a, b| a.subject.cmp(&b.subject));
    (cursor, tasks)
}

#[test]
fn a_failed_write_acknowledges_nothing_and_leaves_no_hole() {
    let store = MemoryStore::new();
    store.fail_on(2);
    wait(append(&store, events(0..2))).unwrap();
    let head = store.head();
    let failed = wait(append(&store, events(2..4)));
    assert!(matches!(failed, Err(LogFault::Broken(_))));
    assert!(!head.has_changed().unwrap());
    assert_eq!(all(&store), events(0..2));
    wait(append(&store, events(4..6))).unwrap();
    assert_eq!(all(&store)[2..], events(4..6));
    store.fail_on(1);
    assert!(store.save(Seq(1), &[task("a@b.example", 0)], &[]).is_err());
    assert_eq!(store.load().unwrap(), (Seq(0), Vec::new()));
}

#[test]
fn a_closed_store_says_so_and_is_found_again_as_it_was() {
    on_each_engine(|kind, folder| {
        let path = folder.join("new/store");
        let store = open(kind, &path);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let id = store.id();
        wait(append(&store, events(0..5))).unwrap();
        store.save(Seq(5), &[task("a@b.example", 3)], &[]).unwrap();
        store.close();
        assert!(matches!(
            wait(append(&store, events(5..6))),
            Err(LogFault::Broken(_))
        ));
        assert!(matches!(store.read(Seq(1), 1), Err(LogFault::Broken(_))));
        drop(store);
        let store = open(kind, &path);
        assert_eq!(store.id(), id);
        assert_eq!(all(&store), events(0..5));
        assert_eq!(work(&store), (Seq(5), vec![task("a@b.example", 3)]));
    });
}

#[test]
fn appends_that_wait_are_written_before_it_closes() {
    on_each_engine(|kind, folder| {
        let store = Arc::new(open(kind, folder));
        let answers = wait(async {
            let appends = join_all((0..50).map(|n| append(&*store, events(n..n + 1))));
            let closing = tokio::task::spawn_blocking({
                let store = Arc::clone(&store);
                move || store.close()
            });
            let answers = appends.await;
            closing.await.unwrap();
            answers
        });
        let done = answers.iter().filter(|answer| answer.is_ok()).count();
        drop(store);
        assert_eq!(all(&open(kind, folder)).len(), done);
    });
}

#[test]
fn a_second_program_on_the_same_store_is_refused() {
    on_each_engine(|kind, folder| {
        let store = open(kind, folder);
        let refused = Store::open(folder).unwrap_err();
        assert!(matches!(refused, OpenFault::Locked { .. }));
        assert!(
            refused
                .to_string()
                .starts_with("another portcullis runs on this store")
        );
        drop(store);
        open(kind, folder);
    });
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    on_each_engine(|kind, folder| {
        let file = folder.join("file");
        fs::write(&file, "").unwrap();
        let fault = Store::open_on(file.join("store"), Some(kind)).unwrap_err();
        assert!(matches!(fault, OpenFault::Folder { .. }), "{fault}");
        assert!(
            fault.to_string().contains(file.to_str().unwrap()),
            "{fault}"
        );
    });
}

/// Environment variable with the path of the store for the child: this test, started again in another process.
const CHILD: &str = "PORTCULLIS_TEST_STORE";

/// Starts `test` of this binary again through `shell`, which receives it as `"$@"`.
fn again(shell: &str, test: &str, store: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", shell, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, store)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// Reports a number to the parent, on its own line, because the test harness writes there too.
fn tell(word: &str, number: u64) {
    println!("\n{word} {number}");
}

fn told(line: &str, word: &str) -> Option<u64> {
    line.strip_prefix(word)?.strip_prefix(' ')?.parse().ok()
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_and_no_append_is_torn() {
    if let Some(path) = std::env::var_os(CHILD) {
        append_until_killed(Path::new(&path));
    }
    on_each_engine(killed_again_and_again);
}

fn killed_again_and_again(kind: EngineKind, folder: &Path) {
    // The child opens what it finds.
    drop(open(kind, folder));
    let mut seen = 0;
    for round in 0..8 {
        let mut child = again(
            "exec \"$@\"",
            "store::nothing_acknowledged_is_lost_by_kill_9_and_no_append_is_torn",
            folder,
        )
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = seen;
        let enough = seen + 40 + round * 37;
        for line in lines.by_ref() {
            acknowledged = told(&line.unwrap(), "done").unwrap_or(acknowledged);
            if acknowledged >= enough {
                break;
            }
        }
        assert!(acknowledged >= enough, "the child ended by itself");
        child.kill().unwrap();
        // Numbers that were reported just before the child died count too.
        for line in lines.map_while(Result::ok) {
            acknowledged = told(&line, "done")
                .unwrap_or(acknowledged)
                .max(acknowledged);
        }
        child.wait().unwrap();

        let store = open(kind, folder);
        let events = all(&store);
        assert!(events.len() as u64 >= acknowledged, "round {round}");
        assert_eq!(events.len() % 3, 0, "round {round}: a torn append");
        for together in events.chunks(3) {
            let first = u64::from_be_bytes(together[0].id.0[8..].try_into().unwrap());
            assert_eq!(together, self::events(first..first + 3));
        }
        seen = events.len() as u64;
    }
}

/// Keeps eight appends of three events in flight.
fn append_until_killed(path: &Path) -> ! {
    let store = Arc::new(Store::open(path).unwrap());
    let start = store.head().borrow().0;
    runtime().block_on(async {
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..8 {
            let store = Arc::clone(&store);
            lanes.spawn(async move {
                for round in 0.. {
                    let first = start + (round * 8 + lane) * 3;
                    let seq = append(&*store, events(first..first + 3)).await.unwrap();
                    // Everything before an acknowledged position is acknowledged, or as durable.
                    tell("done", seq.0);
                    store.save(seq, &[task("a@b.example", 1)], &[]).unwrap();
                }
            });
        }
        lanes.join_all().await;
    });
    unreachable!("the parent kills it")
}

/// A limit on the file size simulates a full disk.
#[test]
fn a_full_disk_loses_only_unacknowledged_appends_and_recovers() {
    let Some(path) = std::env::var_os(CHILD) else {
        on_each_engine(run_out_of_room);
        return;
    };
    fill_and_recover(Path::new(&path));
}

fn run_out_of_room(kind: EngineKind, folder: &Path) {
    // The child opens what it finds.
    drop(open(kind, folder));
    // 4096 blocks of 512 bytes. With SIGXFSZ ignored, the write fails instead.
    let output = again(
        "trap '' XFSZ; ulimit -S -f 4096; exec \"$@\"",
        "store::a_full_disk_loses_only_unacknowledged_appends_and_recovers",
        folder,
    )
    .stderr(Stdio::piped())
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let done = said.lines().find_map(|line| told(line, "done")).unwrap();
    let store = open(kind, folder);
    assert_eq!(all(&store).len() as u64, done);
}

fn fill_and_recover(path: &Path) {
    let store = Store::open(path).unwrap();
    let mut kept = Vec::new();
    let mut number = 0;
    let fault = loop {
        let new = events(number..number + 100);
        number += 100;
        assert!(number < 100_000, "the limit does not bite");
        match wait(append(&store, new.clone())) {
            Ok(_) => kept.extend(new),
            Err(fault) => break fault,
        }
    };
    assert!(
        fault.to_string().contains("make room on the disk"),
        "{fault}"
    );
    assert_eq!(store.head().borrow().0, kept.len() as u64);
    // Each time it is opened again there may be a little space.
    for _ in 0..5 {
        let new = events(number..number + 100);
        number += 100;
        if wait(append(&store, new.clone())).is_ok() {
            kept.extend(new);
        }
        assert_eq!(store.head().borrow().0, kept.len() as u64);
    }
    let room = Command::new("prlimit")
        .args([
            "--fsize=unlimited",
            "--pid",
            &std::process::id().to_string(),
        ])
        .status()
        .unwrap();
    assert!(room.success());
    wait(append(&store, events(number..number + 2))).unwrap();
    kept.extend(events(number..number + 2));
    assert_eq!(all(&store), kept);
    drop(store);
    tell("done", kept.len() as u64);
}

/// Overwrites the last occurrence of `needle` in the engine's file.
fn spoil(folder: &Path, needle: &[u8], with: &[u8]) {
    let path = folder.join("sled/db");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes
        .windows(needle.len())
        .rposition(|window| window == needle)
        .unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_log_that_lost_its_end_on_the_disk_is_not_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(EngineKind::Sled, folder.path());
    for number in 0..20 {
        wait(append(&store, events(number..number + 1))).unwrap();
    }
    drop(store);
    // sled treats this as an unfinished write and drops everything after it.
    spoil(folder.path(), b"spam15", b"SPAM15");
    let before = fs::read(folder.path().join("head")).unwrap();
    let fault = Store::open(folder.path()).unwrap_err();
    assert!(matches!(fault, OpenFault::Damaged { .. }), "{fault}");
    let said = fault.to_string();
    assert!(said.contains(folder.path().to_str().unwrap()), "{said}");
    assert!(said.contains("entry 20 had been acknowledged"), "{said}");
    assert_eq!(fs::read(folder.path().join("head")).unwrap(), before);
    // The remedy that the message names.
    fs::remove_file(folder.path().join("head")).unwrap();
    let store = open(EngineKind::Sled, folder.path());
    let left = all(&store).len() as u64;
    assert!(left < 20, "{left}");
    assert_eq!(wait(append(&store, events(50..51))).unwrap(), Seq(left + 1));
}

#[test]
fn a_folder_of_rubbish_is_an_error_that_deletes_nothing() {
    on_each_engine(|kind, folder| {
        let store = open(kind, folder);
        wait(append(&store, events(0..3))).unwrap();
        drop(store);
        let file = folder.join(kind.name()).join("db");
        let rubbish = b"this is no file of a database ".repeat(40_000);
        fs::write(&file, &rubbish).unwrap();
        let fault = Store::open(folder).unwrap_err();
        assert!(matches!(fault, OpenFault::Damaged { .. }), "{fault}");
        // sled cuts off what it takes for an unfinished write.
        let left = fs::read(&file).unwrap();
        assert!(kind == EngineKind::Sled || left == rubbish);
    });
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Read(u64, usize),
    Save(u64, Vec<u8>, Vec<u8>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let names = || proptest::collection::vec(0..6u8, 0..4);
    prop_oneof![
        4 => (0..5u64).prop_map(Step::Append),
        3 => (0..40u64, 0..20usize).prop_map(|(from, most)| Step::Read(from, most)),
        3 => (0..40u64, names(), names()).prop_map(|(at, put, gone)| Step::Save(at, put, gone)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_on_disk_behaves_like_one_in_memory(kind in proptest::sample::select(&EngineKind::ALL[..]), steps in proptest::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryStore::new();
        let mut disk = open(kind, folder.path());
        let name = |n: &u8| format!("user{n}@example.org");
        let mut number = 0;
        for step in steps {
            match step {
                Step::Append(count) => {
                    let new = events(number..number + count);
                    number += count;
                    let seq = wait(memory.append(&new)).unwrap();
                    prop_assert_eq!(wait(disk.append(&new)).unwrap(), seq);
                }
                Step::Read(from, most) => prop_assert_eq!(
                    disk.read(Seq(from), most).unwrap(),
                    memory.read(Seq(from), most).unwrap()
                ),
                Step::Save(at, put, gone) => {
                    let put: Vec<Task> = put.iter().map(|n| task(&name(n), at as u32)).collect();
                    let gone: Vec<Subject> =
                        gone.iter().map(|n| Subject::parse(&name(n)).unwrap()).collect();
                    memory.save(Seq(at), &put, &gone).unwrap();
                    disk.save(Seq(at), &put, &gone).unwrap();
                }
                Step::Reopen => {
                    drop(disk);
                    disk = open(kind, folder.path());
                }
            }
            prop_assert_eq!(*disk.head().borrow(), *memory.head().borrow());
            prop_assert_eq!(work(&disk), work(&memory));
        }
        prop_assert_eq!(all(&disk), all(&memory));
    }
}

/// Whatever part of an engine's file is overwritten, the store is refused, an entry is reported as damaged, or
/// everything is there: nothing is lost in silence. Once with a store that was closed, once with one that was killed.
#[test]
fn no_damage_of_a_file_loses_anything_in_silence() {
    on_each_engine(|kind, folder| {
        let (whole, killed) = (folder.join("whole"), folder.join("killed"));
        let store = open(kind, &whole);
        for number in 0..40 {
            wait(append(&store, events(number..number + 1))).unwrap();
        }
        let [db, head] = [format!("{kind}/db"), String::from("head")];
        fs::create_dir_all(killed.join(kind.name())).unwrap();
        for file in [&db, &head] {
            fs::copy(whole.join(file), killed.join(file)).unwrap();
        }
        drop(store);
        let (mut refused, mut damaged, mut there) = (0, 0, 0);
        for from in [&whole, &killed] {
            let bytes = fs::read(from.join(&db)).unwrap();
            for at in (0..bytes.len()).step_by(1_024) {
                // Bytes that are zero anyway are no damage.
                let end = bytes.len().min(at + 256);
                if bytes[at..end].iter().all(|byte| *byte == 0) {
                    continue;
                }
                let spoilt = folder.join("spoilt");
                let _ = fs::remove_dir_all(&spoilt);
                fs::create_dir_all(spoilt.join(kind.name())).unwrap();
                fs::copy(from.join(&head), spoilt.join(&head)).unwrap();
                let mut bad = bytes.clone();
                bad[at..end].fill(0);
                fs::write(spoilt.join(&db), bad).unwrap();
                let Ok(store) = Store::open(&spoilt) else {
                    refused += 1;
                    continue;
                };
                match store.read(Seq(1), usize::MAX) {
                    Ok(entries) => {
                        let found = entries.into_iter().map(|entry| entry.event);
                        assert_eq!(found.collect::<Vec<_>>(), events(0..40), "{kind} {at}");
                        there += 1;
                    }
                    Err(_) => damaged += 1,
                }
            }
        }
        println!("{kind}: {refused} refused, {damaged} damaged entries, {there} whole");
        assert!(refused + damaged > 20);
    });
}

/// A file that was cut off is refused.
#[test]
fn a_file_that_was_cut_off_is_refused() {
    on_each_engine(|kind, folder| {
        let store = open(kind, folder);
        wait(append(&store, events(0..500))).unwrap();
        drop(store);
        let path = folder.join(kind.name()).join("db");
        let length = fs::metadata(&path).unwrap().len();
        for keep in [0, length / 3, length / 2] {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(keep).unwrap();
            let fault = Store::open(folder).unwrap_err();
            assert!(
                matches!(fault, OpenFault::Damaged { .. }),
                "{kind}: {fault}"
            );
        }
    });
}
