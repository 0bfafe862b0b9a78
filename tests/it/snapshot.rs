//! A snapshot and what the log has behind it come to the ledger that the whole log comes to.

use portcullis::ban::event::Chain;
use portcullis::ban::watch::{Topic, Watch};
use portcullis::ban::{
    Actor, Change, Event, EventId, Ledger, Origin, Personal, Seq, Subject, Timestamp,
};
use proptest::prelude::*;

/// One event: whom it is about, what it changes, how far behind its version it was decided, and
/// how many pieces of the snapshot are taken after it.
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
    match kind % 12 {
        0 | 1 => Change::Imposed {
            reason: reason(),
            until: (kind > 100).then_some(until),
        },
        2 => Change::Amended {
            reason: reason(),
            until: (kind > 50).then_some(until),
        },
        3 | 4 => Change::Lifted { reason: reason() },
        5 => Change::Expired,
        6 | 7 => Change::ImposedByRule {
            reason: reason(),
            until,
            ordinal: u32::from(kind),
        },
        8 => Change::Allowed {
            comment: reason(),
            until: (kind > 50).then_some(until),
        },
        9 => Change::Unallowed,
        10 => Change::Forgotten,
        _ => every(&Change::Watched {
            watch: (kind > 50).then(|| Watch::of([Topic::Bans])),
        }),
    }
}

/// A new kind of change must be in the story above too.
fn every(change: &Change) -> Change {
    match change {
        Change::Imposed { .. }
        | Change::Amended { .. }
        | Change::Lifted { .. }
        | Change::Expired
        | Change::ImposedByRule { .. }
        | Change::Allowed { .. }
        | Change::Unallowed
        | Change::Forgotten
        | Change::Watched { .. } => change.clone(),
    }
}

fn event(ledger: &Ledger, at: i64, step: &Step) -> Event {
    let subject = Subject::parse(SUBJECTS[step.0]).unwrap();
    let version = ledger.version(&subject);
    Event {
        id: EventId([0; 16]),
        at: Timestamp::from_millis(at),
        actor: match step.1 % 2 {
            0 => Actor {
                occupant: Some(String::from("room@example.org/nick")),
                ..Actor::rules()
            },
            _ => Actor::clock(),
        },
        origin: match step.1 % 3 {
            0 => Origin::Automatic {
                rule: String::from("x"),
            },
            1 => Origin::Manual,
            _ => Origin::Imported,
        },
        based_on: if step.2 { Seq(version.0 / 2) } else { version },
        subject,
        change: change(step.1, at),
        personal: Personal::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_is_what_a_full_replay_gives(
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
        prop_assert_eq!(ending.folded, Seq(log.len() as u64));
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
        // Also where it does not show in a comparison: in the order of subjects.
        let bytes = |ledger: &mut Ledger| {
            let taking = ledger.begin_snapshot(1);
            ledger.end_snapshot(taking).seal(Chain::default())
        };
        prop_assert_eq!(bytes(&mut restored), bytes(&mut replayed));
    }
}
