//! Tests: which logins are counted, and the notices about sources that are spared.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::event::Seq;
use crate::core::tracker::Bounds;
use crate::core::{Account, ExemptionChange};

/// A ledger, the built-in rules, and a clock that moves only when a test moves it.
struct World {
    ledger: Ledger,
    tracker: Tracker,
    policy: Policy,
    now: Timestamp,
    seq: u64,
}

const HERE: &str = "203.0.113.7";

impl World {
    fn new() -> World {
        let policy = Policy {
            exempt_networks: vec!["192.0.2.0/24".parse().unwrap()],
            ..Policy::default()
        };
        let now = Timestamp::from_millis(1_795_320_000_000);
        World {
            ledger: Ledger::default(),
            tracker: Tracker::new(policy.rules.clone(), Bounds::default(), [7; 16], now),
            policy,
            now,
            seq: 0,
        }
    }

    fn fold(&mut self, event: &Event) {
        self.seq += 1;
        self.ledger.fold(Seq(self.seq), event);
    }

    /// Reports an outcome of the login of an account; returns how many bans it leads to and the notices.
    fn report(&mut self, name: &str, from: &str, outcome: LoginOutcome) -> (usize, Vec<Notice>) {
        let signal = Signal::Login(Attempt {
            account: Some(account(name)),
            address: from.parse().ok(),
            outcome,
            unknown: false,
            at: self.now,
        });
        let mut fresh = EventId::default;
        let (proposal, notices) = judge(
            &self.ledger,
            &mut self.tracker,
            &self.policy,
            &signal,
            self.now,
            &mut fresh,
        );
        let Proposal::Events(events) = proposal else {
            panic!("a login has no answer");
        };
        events.iter().for_each(|event| self.fold(event));
        (events.len(), notices)
    }

    /// Reports failures of as many accounts; returns the number of bans and notices.
    fn failures(&mut self, from: &str, count: u32) -> (usize, usize) {
        let told = (0..count).map(|n| {
            let (bans, notices) = self.report(&format!("u{n}"), from, LoginOutcome::Failure);
            (bans, notices.len())
        });
        told.fold((0, 0), |(a, b), (bans, notices)| (a + bans, b + notices))
    }

    fn pass(&mut self, minutes: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(minutes * 60));
    }
}

fn account(name: &str) -> Account {
    let subject = Subject::parse(&format!("{name}@example.org")).unwrap();
    subject.account().unwrap().clone()
}

#[test]
fn failures_from_an_exempt_address_are_not_counted() {
    let mut world = World::new();
    let allowed = ExemptionChange::Granted {
        comment: String::new(),
        until: None,
    };
    let subject = Subject::parse("198.51.100.1").unwrap();
    let (now, actor) = (world.now, Actor::rules());
    let id = EventId::default();
    let change = Change::Exemption(allowed);
    world.fold(&Event::decided(id, now, actor, subject, Seq(0), change));
    for exempt in ["192.0.2.1", "198.51.100.1"] {
        assert_eq!(world.failures(exempt, 30), (0, 0), "{exempt}");
    }
    assert_eq!(world.failures(HERE, 5), (1, 0));
}

#[test]
fn a_login_that_a_ban_refuses_counts_neither_against_the_source_nor_for_it() {
    let mut world = World::new();
    assert_eq!(world.failures(HERE, 5), (1, 0));
    world.pass(29);
    assert_eq!(world.failures(HERE, 4), (0, 0));
    world.report("a", HERE, LoginOutcome::Success);
    let here = HERE.parse().unwrap();
    assert!(!world.tracker.knows(&account("a"), here, world.now));
    world.pass(2);
    assert_eq!(world.failures(HERE, 1), (0, 0));
    world.report("a", HERE, LoginOutcome::Success);
    assert!(world.tracker.knows(&account("a"), here, world.now));
}
