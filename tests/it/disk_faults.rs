//! Disks that fail, and files that were cut off or changed: whatever happens, every acknowledged decision is there at
//! the next start, or the damage is named. Nothing is ever lost in silence.
//!
//! `PORTCULLIS_FAULT_ROUNDS` sets the number of rounds of each kind (default [`ROUNDS`]); `all`: every 64th byte of
//! every file and every byte of a small one, and every write. `just disk-faults` runs all and prints the table.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use futures::executor::block_on;
use portcullis::core::{Actor, BanChange, Change, Event, EventId, Ledger, Seq, Subject, Timestamp};
use portcullis::exchange::lines::ExportLine;
use portcullis::exchange::salvage::salvage;
use portcullis::journal::{Journal as _, LogFault, Replica as _, Snapshots as _};
use portcullis::store::{EngineKind, Store, inspect, move_store};

/// Rounds of each kind without [`PORTCULLIS_FAULT_ROUNDS`](self).
const ROUNDS: usize = 40;
/// Bans in the store whose files are damaged.
const BANS: u16 = 60;
/// Every how many bytes a file is cut off or changed.
const STEP: usize = 64;
/// A file below this size is cut off and changed at every byte.
const SMALL: usize = 4_096;

fn rounds(all: usize) -> usize {
    match std::env::var("PORTCULLIS_FAULT_ROUNDS").as_deref() {
        Ok("all") => all,
        Ok(number) => number.parse().unwrap(),
        Err(_) => ROUNDS,
    }
}

/// These places, thinned out evenly to the number of rounds.
fn thinned(places: Vec<usize>) -> Vec<usize> {
    let most = rounds(places.len()).max(1);
    let every = places.len().div_ceil(most).max(1);
    places.into_iter().step_by(every).collect()
}

fn ban(number: u16) -> Event {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Event::decided(
        EventId(id),
        Timestamp::from_millis(1_795_320_000_000 + i64::from(number)),
        Actor::rules(),
        Subject::parse(&format!("user{number}@example.org")).unwrap(),
        Seq(0),
        Change::Ban(BanChange::Imposed {
            reason: format!("ban {number}"),
            until: None,
        }),
    )
}

/// A store with bans and a snapshot, closed.
fn filled(folder: &Path, kind: EngineKind) -> Vec<Event> {
    let events: Vec<Event> = (1..=BANS).map(ban).collect();
    let store = Store::open_on(folder, Some(kind)).unwrap();
    let mut ledger = Ledger::default();
    let mut chain = None;
    for event in &events {
        let seq = block_on(store.append(std::slice::from_ref(event))).unwrap();
        ledger.fold(seq, event);
        chain = Some(store.read(seq, 1).unwrap()[0].chain);
    }
    let mut taking = ledger.begin_snapshot(16);
    let mut frames = Vec::new();
    while let Some(piece) = ledger.next_piece(&mut taking) {
        frames.push(Ok(piece));
    }
    frames.push(Ok(ledger.end_snapshot(taking).seal(chain.unwrap())));
    store.save_snapshot(&mut frames.into_iter()).unwrap();
    drop(store);
    // A second start writes what a later one depends on.
    drop(Store::open(folder).unwrap());
    events
}

/// Everything in the log, or why it cannot be read; a start reads all of it, too.
fn read_all(folder: &Path) -> Result<Vec<Event>, String> {
    let store = Store::open(folder).map_err(|why| why.to_string())?;
    let entries = store
        .read(Seq(1), usize::MAX)
        .map_err(|why| why.to_string())?;
    Ok(entries.into_iter().map(|entry| entry.event).collect())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for found in fs::read_dir(folder).unwrap() {
        let path = found.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for found in fs::read_dir(from).unwrap() {
        let path = found.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
}

#[derive(Debug, Default)]
struct Outcome {
    rounds: usize,
    /// Every decision is there, and a check finds the same.
    harmless: usize,
    /// The start refuses.
    refused: usize,
    /// The start goes on with all decisions, and a check names the damage.
    named: usize,
    /// Bans in force that were exported from refused stores, of all those that were in them.
    exported: (usize, usize),
}

#[test]
fn a_file_that_was_cut_off_or_changed_loses_nothing_in_silence() {
    EngineKind::ALL.into_iter().for_each(damaged_files);
}

fn damaged_files(kind: EngineKind) {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let events = filled(&whole, kind);
    assert_eq!(read_all(&whole), Ok(events.clone()));
    let mut table = Vec::new();
    for file in files(&whole) {
        let name = file.strip_prefix(&whole).unwrap().to_owned();
        let bytes = fs::read(&file).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let step = if bytes.len() < SMALL { 1 } else { STEP };
        for cuts in [true, false] {
            let mut outcome = Outcome::default();
            for at in thinned((0..bytes.len()).step_by(step).collect()) {
                let mut bad = bytes.clone();
                match cuts {
                    true => bad.truncate(at),
                    false => bad[at] ^= 1 << (at / step % 8),
                }
                let damaged = folder.path().join("damaged");
                copy(&whole, &damaged);
                fs::write(damaged.join(&name), &bad).unwrap();
                one_round(
                    &damaged,
                    folder.path(),
                    &events,
                    &mut outcome,
                    &format!("{} {at} {cuts}", name.display()),
                );
                fs::remove_dir_all(&damaged).unwrap();
            }
            let what = if cuts { "cut off" } else { "bit changed" };
            table.push((format!("{} {what}", plain(&name)), outcome));
        }
    }
    eprintln!(
        "| file | rounds | harmless | start refuses | start goes on, check-store names it | bans exported from refused stores |"
    );
    eprintln!("| --- | --- | --- | --- | --- | --- |");
    for (what, one) in &table {
        eprintln!(
            "| {kind}: {what} | {} | {} | {} | {} | {} of {} |",
            one.rounds, one.harmless, one.refused, one.named, one.exported.0, one.exported.1
        );
    }
}

/// The name of a file without the number in it.
fn plain(name: &Path) -> String {
    let name = name.to_string_lossy();
    match name.split_once("snap.") {
        Some((before, _)) => format!("{before}snap.N"),
        None => name.into_owned(),
    }
}

fn one_round(damaged: &Path, scratch: &Path, events: &[Event], outcome: &mut Outcome, what: &str) {
    outcome.rounds += 1;
    let mut bans = BTreeSet::new();
    let (now, mark) = (Timestamp::from_millis(1_795_330_000_000), EventId([9; 16]));
    let found = salvage(damaged, scratch, true, (now, mark), &mut |line| {
        if let ExportLine::Ban(ban) = line {
            bans.insert(ban.subject);
        }
    });
    let found = found.unwrap_or_else(|why| panic!("{what}: the check itself fails: {why}"));
    let every: BTreeSet<String> = events
        .iter()
        .map(|event| event.subject.to_string())
        .collect();
    assert!(bans.is_subset(&every), "{what}: bans that nobody made");
    match read_all(damaged) {
        Ok(read) => {
            assert_eq!(
                read.len(),
                events.len(),
                "{what}: decisions are gone in silence"
            );
            assert_eq!(read, events, "{what}: decisions changed in silence");
            match found.is_whole() {
                true => outcome.harmless += 1,
                false => outcome.named += 1,
            }
            assert_eq!(bans, every, "{what}: {found:?}");
        }
        Err(why) => {
            assert!(
                !found.is_whole(),
                "{what}: the start says {why}, the check says it is whole"
            );
            assert!(
                why.contains(&*damaged.to_string_lossy()) || why.contains("entry "),
                "{what}: {why}"
            );
            outcome.refused += 1;
            outcome.exported.0 += bans.len();
            outcome.exported.1 += every.len();
        }
    }
}

/// The process on the failing disk: appends bans one by one, and prints what became of each.
#[test]
#[ignore = "runs as a child of the test below"]
fn child_on_a_failing_disk() {
    let Ok(folder) = std::env::var("PORTCULLIS_FAULT_STORE") else {
        return;
    };
    let say = |what: &str, number: u16| {
        let mut out = std::io::stdout();
        writeln!(out, "\n{what} {number}").unwrap();
        out.flush().unwrap();
    };
    if let Ok(to) = std::env::var("PORTCULLIS_FAULT_MOVE") {
        let to = EngineKind::NAMES.iter().find(|(name, _)| *name == to);
        let moved = move_store(Path::new(&folder), to.unwrap().1, &mut |_| ());
        return say("moved", u16::from(moved.is_ok()));
    }
    let Ok(store) = Store::open(folder) else {
        return say("refused", 0);
    };
    let there = store.read(Seq(1), usize::MAX);
    let there = there.map_or(0, |there| there.len());
    say("there", u16::try_from(there).unwrap());
    say("trouble", u16::from(store.trouble().borrow().is_some()));
    for number in 101..=112 {
        match block_on(store.append(&[ban(number)])) {
            Ok(_) => say("stored", number),
            Err(LogFault::Unknown(_)) => say("unknown", number),
            Err(_) => say("not", number),
        }
    }
    // The disk fails while it is closed, too.
    drop(store);
}

/// What the child said.
struct ChildWords(String);

impl ChildWords {
    /// The numbers behind a word.
    fn told(&self, what: &str) -> Vec<u16> {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(what));
        lines
            .filter_map(|number| number.trim().parse().ok())
            .collect()
    }
}

/// Runs the child.
fn run_child(shim: &Path, store: &Path, fault: &[(&str, String)]) -> ChildWords {
    // A child that hangs is ended; what it said until then counts.
    let child = Command::new("timeout")
        .arg("30")
        .arg(std::env::current_exe().unwrap())
        .args([
            "disk_faults::child_on_a_failing_disk",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("PORTCULLIS_FAULT_STORE", store)
        .env("LD_PRELOAD", shim)
        .envs(fault.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    ChildWords(String::from_utf8_lossy(&child.stdout).into_owned())
}

/// Builds the library that makes a disk fail, in a folder.
fn shim(folder: &Path) -> PathBuf {
    let shim = folder.join("failing_disk.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&shim)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/failing_disk.c"))
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    shim
}

/// A disk that takes no write at all, from before the start on: every ban is read, and none is taken.
#[test]
fn a_start_on_a_disk_that_takes_no_writes_reads_all_bans_and_stores_none() {
    let folder = tempfile::tempdir().unwrap();
    let shim = shim(folder.path());
    for kind in EngineKind::ALL {
        let whole = folder.path().join("whole");
        let events = filled(&whole, kind);
        for error in [28, 30] {
            let failing = folder.path().join("failing");
            copy(&whole, &failing);
            let fault = [
                ("FAIL_BELOW", failing.to_string_lossy().into_owned()),
                ("FAIL_FROM", String::from("1")),
                ("FAIL_UPTO", i32::MAX.to_string()),
                ("FAIL_WITH", error.to_string()),
            ];
            let child = run_child(&shim, &failing, &fault);
            let place = format!("{kind}, error {error}: {}", child.0);
            let there = u16::try_from(events.len()).unwrap();
            assert_eq!(child.told("there "), [there], "{place}");
            assert_eq!(child.told("trouble "), [1], "{place}");
            assert_eq!(child.told("not ").len(), 12, "{place}");
            assert_eq!(read_all(&failing).unwrap(), events, "{place}");
            fs::remove_dir_all(&failing).unwrap();
        }
        fs::remove_dir_all(&whole).unwrap();
    }
}

/// The disk fills up, or fails otherwise, at any write of a move.
#[test]
fn a_move_on_a_disk_that_fails_leaves_the_store_whole() {
    let folder = tempfile::tempdir().unwrap();
    let shim = shim(folder.path());
    for (from, to) in [
        (EngineKind::Sled, EngineKind::Redb),
        (EngineKind::Redb, EngineKind::Sled),
    ] {
        let whole = folder.path().join("whole");
        let events = filled(&whole, from);
        let (mut moved, mut stayed, mut hung) = (0, 0, 0);
        for error in [28, 5] {
            for first in thinned((1..=160).collect()) {
                let failing = folder.path().join("failing");
                copy(&whole, &failing);
                let fault = [
                    ("FAIL_BELOW", failing.to_string_lossy().into_owned()),
                    ("FAIL_FROM", first.to_string()),
                    ("FAIL_UPTO", i32::MAX.to_string()),
                    ("FAIL_WITH", error.to_string()),
                    ("FAIL_HALF", u8::from(error == 28).to_string()),
                    ("PORTCULLIS_FAULT_MOVE", to.name().to_owned()),
                ];
                let child = run_child(&shim, &failing, &fault);
                match child.told("moved ")[..] {
                    [1] => moved += 1,
                    [0] => stayed += 1,
                    // sled sometimes waits for ever once a write failed (docs/reliability.md), but it must not crash.
                    _ => {
                        let place = format!("{from} to {to}, from call {first}");
                        assert!(!child.0.contains("FAILED"), "{place}: {}", child.0);
                        hung += 1;
                    }
                }
                let place = format!("{from} to {to}, error {error}, from call {first}");
                assert_eq!(read_all(&failing).unwrap(), events, "{place}");
                let left = failing.join(to.name()).with_extension("copying");
                assert!(!left.exists() || hung > 0, "{place}");
                fs::remove_dir_all(&failing).unwrap();
            }
        }
        eprintln!(
            "| move from {from} to {to} | moved {moved} | as it was {stayed} | hung {hung} |"
        );
        assert!(stayed > 0, "nothing failed");
        fs::remove_dir_all(&whole).unwrap();
    }
}

#[test]
fn on_a_disk_that_fails_what_was_acknowledged_stays() {
    EngineKind::ALL.into_iter().for_each(failing_disks);
}

fn failing_disks(kind: EngineKind) {
    const FAULTS: [(&str, i32, bool); 4] = [
        ("full (ENOSPC)", 28, false),
        ("full in the middle of a write", 28, true),
        ("input/output error (EIO)", 5, false),
        ("read-only (EROFS)", 30, false),
    ];
    let folder = tempfile::tempdir().unwrap();
    let shim = shim(folder.path());
    let whole = folder.path().join("whole");
    let events = filled(&whole, kind);
    eprintln!(
        "| disk | fails | rounds | decisions acknowledged and there | refused | of these there after all | start refused afterwards |"
    );
    eprintln!("| --- | --- | --- | --- | --- | --- | --- |");
    for (what, error, half) in FAULTS {
        for lasting in [true, false] {
            let (mut acknowledged, mut refused, mut no_start) = (0, 0, 0);
            let mut came_back = 0;
            // A store of twelve appends makes about sixty calls.
            let places = thinned((1..=64).collect());
            for &from in &places {
                let damaged = folder.path().join("failing");
                copy(&whole, &damaged);
                let upto = if lasting {
                    i64::from(i32::MAX)
                } else {
                    from as i64
                };
                // A full disk still takes writes to the file head, which has its place already.
                let below = match error {
                    28 => damaged.join(kind.name()),
                    _ => damaged.clone(),
                };
                let fault = [
                    ("FAIL_BELOW", below.to_string_lossy().into_owned()),
                    ("FAIL_FROM", from.to_string()),
                    ("FAIL_UPTO", upto.to_string()),
                    ("FAIL_WITH", error.to_string()),
                    ("FAIL_HALF", u8::from(half).to_string()),
                ];
                let child = run_child(&shim, &damaged, &fault);
                let (stored, not) = (child.told("stored "), child.told("not "));
                match read_all(&damaged) {
                    Ok(there) => {
                        let place = format!("{what}, from call {from}, lasting {lasting}");
                        assert_eq!(there[..events.len()], events, "{place}");
                        let there: Vec<Event> = there[events.len()..].to_vec();
                        for number in &stored {
                            assert!(there.contains(&ban(*number)), "{place}: {number} is lost");
                        }
                        let back = not
                            .iter()
                            .filter(|number| there.contains(&ban(**number)))
                            .count();
                        assert!(
                            error != 28 || back == 0,
                            "{place}: {back} refused bans are there"
                        );
                        came_back += back;
                        let found = inspect(&damaged, folder.path(), &mut |_| ()).unwrap();
                        assert!(found.is_whole(), "{place}: {found:?}");
                        acknowledged += stored.len();
                        refused += not.len();
                    }
                    Err(why) => {
                        let found = inspect(&damaged, folder.path(), &mut |_| ()).unwrap();
                        assert!(!found.is_whole(), "{what} {from}: {why}");
                        no_start += 1;
                    }
                }
                fs::remove_dir_all(&damaged).unwrap();
            }
            let how = if lasting {
                "from the n-th call on"
            } else {
                "at the n-th call"
            };
            assert!(
                acknowledged > 0 && refused > 0,
                "{what} {how}: nothing was tried"
            );
            assert_eq!(no_start, 0, "{what} {how}");
            eprintln!(
                "| {kind}: {what} | {how} | {} | {acknowledged} | {refused} | {came_back} | {no_start} |",
                places.len()
            );
        }
    }
}
