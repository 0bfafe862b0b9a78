//! A snapshot plus the log behind it gives the same ledger as the whole log.

use std::sync::Arc;
use std::time::Duration;

use portcullis::core::event::Chain;
use portcullis::core::subscriptions::{Topic, Watch};
use portcullis::core::{
    Actor, BanChange, BanId, Change, EntryPoint, Event, EventId, ExemptionChange, HistoryChange,
    Ledger, Origin, Seq, Subject, Timestamp,
};
use portcullis::journal::{Journal as _, Replica, Snapshots as _};
use portcullis::store::{EngineKind, Store};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::support::{FakeServer, MemoryStore, START, World};

/// One event: its subject, its change, how far behind the current version it was decided, and how many pieces of the
/// snapshot are taken after it.
type Step = (usize, u8, bool, u8);

const SUBJECTS: [&str; 12] = [
    "a@example.org",
    "b@example.org",
    "a@example.org from 192.0.2.1",
    "b@example.org from 2001:db8::/64",
    "guard of a@example.org",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.0/24",
    "192.0.2.0/23",
    "2001:db8::1",
    "2001:db8::/64",
    "::/0",
];

fn change(kind: u8, at: i64) -> Change {
    let until = Timestamp::from_millis(at + i64::from(kind) * 1_500);
    let reason = || format!("reason {}", kind % 3);
    match kind % 18 {
        0 | 1 => Change::Ban(BanChange::Imposed {
            reason: reason(),
            until: (kind > 100).then_some(until),
        }),
        2 => Change::Ban(BanChange::Amended {
            reason: reason(),
            until: (kind > 50).then_some(until),
        }),
        3 | 4 => Change::Ban(BanChange::Lifted { reason: reason() }),
        5 => Change::Ban(BanChange::Expired),
        6 | 7 => Change::Ban(BanChange::ImposedByRule {
            reason: reason(),
            until,
            ordinal: u32::from(kind),
        }),
        8 => Change::Exemption(ExemptionChange::Granted {
            comment: reason(),
            until: (kind > 50).then_some(until),
        }),
        9 => Change::Exemption(ExemptionChange::Revoked),
        10 => Change::History(HistoryChange::Forgotten),
        11 => Change::Undone,
        12 => Change::Undone,
        13 => Change::History(HistoryChange::Annotated { replaces: true }),
        14 => Change::Ban(BanChange::Forced {
            reason: reason(),
            until: None,
        }),
        15 => Change::History(HistoryChange::Kicked { reason: reason() }),
        16 => Change::PutBack {
            next: BanId(u64::from(kind)),
        },
        _ => every(&Change::Subscribed {
            watch: (kind > 50).then(|| Watch::of([Topic::Bans])),
        }),
    }
}

/// A new kind of change must be added to the steps above, too.
fn every(change: &Change) -> Change {
    match change {
        Change::Ban(BanChange::Imposed { .. })
        | Change::Ban(BanChange::Amended { .. })
        | Change::Ban(BanChange::Lifted { .. })
        | Change::Ban(BanChange::Expired)
        | Change::Ban(BanChange::ImposedByRule { .. })
        | Change::Exemption(ExemptionChange::Granted { .. })
        | Change::Exemption(ExemptionChange::Revoked)
        | Change::History(HistoryChange::Forgotten)
        | Change::Subscribed { .. }
        | Change::Undone
        | Change::PutBack { .. }
        | Change::History(HistoryChange::Annotated { .. })
        | Change::Ban(BanChange::Forced { .. })
        | Change::History(HistoryChange::Kicked { .. }) => change.clone(),
    }
}

fn event(ledger: &Ledger, at: i64, step: &Step) -> Event {
    let subject = Subject::parse(SUBJECTS[step.0]).unwrap();
    let version = ledger.version(&subject);
    Event::decided(
        EventId([0; 16]),
        Timestamp::from_millis(at),
        match step.1 % 2 {
            0 => Actor {
                occupant: Some(Box::from("room@example.org/nick")),
                door: EntryPoint::Chat,
                ..Actor::rules()
            },
            _ => Actor::clock(),
        },
        subject,
        if step.2 { Seq(version.0 / 2) } else { version },
        change(step.1, at),
    )
    .with_origin(match step.1 % 3 {
        0 => Origin::Automatic {
            rule: String::from("x"),
        },
        1 => Origin::Manual,
        _ => Origin::Imported,
    })
}

fn replayed(log: &impl Replica) -> Ledger {
    let mut ledger = Ledger::default();
    for entry in log.read(Seq(1), usize::MAX).unwrap() {
        ledger.fold(entry.seq, &entry.event);
    }
    ledger
}

/// Starts a new world on the store of another one.
fn again(store: &Arc<MemoryStore>) -> World {
    World::on(Arc::clone(store), FakeServer::new(false), START)
}

/// Whether the world's ledger equals a fold of its log.
fn is_whole(world: &World) -> bool {
    let truth = replayed(&*world.store);
    world.engine.read(|ledger| *ledger == truth)
}

async fn story(world: &World, names: std::ops::Range<usize>) {
    for n in names {
        world.ban(&format!("u{n}@example.org"), Some("1h")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_reads_the_snapshot_and_the_log_behind_it() {
    let world = World::new(FakeServer::new(false));
    story(&world, 0..5).await;
    assert_eq!(world.snapshotter.take().unwrap(), Seq(5));
    story(&world, 5..7).await;
    let later = again(&world.store);
    assert_eq!(later.snapshotter.began_with(), Seq(5));
    assert!(is_whole(&later));
    assert_eq!(later.delivery.tasks().len(), 7, "no work is forgotten");
    assert!(!is_let_in(&later, "u0@example.org") && !is_let_in(&later, "u6@example.org"));
}

/// The log of a small store can be lost by one damaged page.
#[tokio::test(start_paused = true)]
async fn a_small_store_is_saved_once_an_hour_and_at_a_stop() {
    let world = World::new(FakeServer::new(false));
    let began_with = || again(&world.store).snapshotter.began_with();
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&world.snapshotter).keep(stop.clone()));
    story(&world, 0..3).await;
    tokio::time::sleep(Duration::from_secs(50 * 60)).await;
    assert_eq!(began_with(), Seq(0));
    tokio::time::sleep(Duration::from_secs(12 * 60)).await;
    assert_eq!(began_with(), Seq(3));
    story(&world, 3..4).await;
    stop.cancel();
    keeping.await.unwrap();
    assert_eq!(began_with(), Seq(4));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_damaged_or_of_another_log_is_left_aside() {
    let world = World::new(FakeServer::new(false));
    story(&world, 0..5).await;
    world.snapshotter.take().unwrap();
    let frames = world.store.load_snapshot().unwrap();
    for at in 0..frames.len() {
        let mut bad = frames.clone();
        bad[at][3] ^= 0x40;
        world
            .store
            .save_snapshot(&mut bad.into_iter().map(Ok))
            .unwrap();
        let later = again(&world.store);
        assert_eq!(later.snapshotter.began_with(), Seq(0));
        assert!(is_whole(&later));
    }
    let other = World::new(FakeServer::new(false));
    story(&other, 10..16).await;
    other
        .store
        .save_snapshot(&mut frames.into_iter().map(Ok))
        .unwrap();
    let later = again(&other.store);
    assert_eq!(later.snapshotter.began_with(), Seq(0));
    assert!(is_whole(&later));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_ahead_of_the_unfinished_work_is_left_aside() {
    let world = World::new(FakeServer::new(false));
    story(&world, 0..3).await;
    world.snapshotter.take().unwrap();
    // As after a crash that lost the last seconds of the outbox.
    let crashed = Arc::new(MemoryStore::new());
    let log = world.store.read(Seq(1), 10).unwrap();
    for entry in log {
        crashed.append(&[entry.event]).await.unwrap();
    }
    let frames = world.store.load_snapshot().unwrap();
    crashed
        .save_snapshot(&mut frames.into_iter().map(Ok))
        .unwrap();
    let later = again(&crashed);
    assert_eq!(later.snapshotter.began_with(), Seq(0));
    assert_eq!(later.delivery.tasks().len(), 3, "no work is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_kept_changes_nothing() {
    let world = World::new(FakeServer::new(false));
    story(&world, 0..3).await;
    world.snapshotter.take().unwrap();
    story(&world, 3..5).await;
    for nth in [1, 2] {
        world.store.fail_on(nth);
        assert!(world.snapshotter.take().is_err());
    }
    assert_eq!(again(&world.store).snapshotter.began_with(), Seq(3));
    assert_eq!(world.snapshotter.take().unwrap(), Seq(5));
}

#[test]
fn a_disk_keeps_it_beside_the_log() {
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_on(folder.path(), Some(kind)).unwrap();
        let frames = [b"one".to_vec(), b"end".to_vec()];
        store
            .save_snapshot(&mut frames.clone().into_iter().map(Ok))
            .unwrap();
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.load_snapshot().unwrap(), frames);
    }
}

fn is_let_in(world: &World, account: &str) -> bool {
    let subject = Subject::parse(account).unwrap();
    world.admission.check(subject.account(), None) == portcullis::core::Verdict::LetIn
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_snapshot_equals_a_full_replay(
        before in proptest::collection::vec((0..12usize, any::<u8>(), proptest::bool::weighted(0.1), 0..1_u8), 0..60),
        during in proptest::collection::vec((0..12usize, any::<u8>(), proptest::bool::weighted(0.1), 0..4_u8), 0..40),
        behind in proptest::collection::vec((0..12usize, any::<u8>(), proptest::bool::weighted(0.1), 0..1_u8), 0..40),
        at_once in 1..5usize,
    ) {
        let mut ledger = Ledger::default();
        let mut log = Vec::new();
        let fold = |ledger: &mut Ledger, log: &mut Vec<Event>, step: &Step| {
            let seq = log.len() + 1;
            let event = event(ledger, seq as i64 * 1_000, step);
            ledger.fold(Seq(seq as u64), &event);
            log.push(event);
        };
        before.iter().for_each(|step| fold(&mut ledger, &mut log, step));
        let mut frames = Vec::new();
        let mut taking = ledger.begin_snapshot(at_once);
        for step in &during {
            fold(&mut ledger, &mut log, step);
            for _ in 0..step.3 {
                frames.extend(ledger.next_piece(&mut taking));
            }
        }
        while let Some(piece) = ledger.next_piece(&mut taking) {
            frames.push(piece);
        }
        let ending = ledger.end_snapshot(taking);
        prop_assert_eq!(ending.folded(), Seq(log.len() as u64));
        frames.push(ending.seal(Chain([1; 32])));
        behind.iter().for_each(|step| fold(&mut ledger, &mut log, step));

        let (mut restored, chain) = Ledger::restore(&frames).unwrap();
        prop_assert_eq!(chain, Chain([1; 32]));
        let mut replayed = Ledger::default();
        for (seq, event) in (1..).zip(&log) {
            let ruling = replayed.fold(Seq(seq), event);
            if Seq(seq) > restored.folded() {
                prop_assert_eq!(restored.fold(Seq(seq), event), ruling);
            }
        }
        prop_assert_eq!(&restored, &ledger);
        prop_assert_eq!(&restored, &replayed);
        // The order of subjects must be equal, too, although a comparison does not see it.
        let bytes = |ledger: &mut Ledger| {
            let taking = ledger.begin_snapshot(1);
            ledger.end_snapshot(taking).seal(Chain::default())
        };
        prop_assert_eq!(bytes(&mut restored), bytes(&mut replayed));
    }
}
