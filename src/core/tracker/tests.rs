//! What each kind of rule counts, and for how long.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::subject::Subject;
use RuleKey::{Address, Network, Pair};

/// A tracker, and a clock that moves only when a test moves it.
struct World {
    tracker: Tracker,
    rules: Arc<Rules>,
    bounds: Bounds,
    now: Timestamp,
}

const HERE: &str = "203.0.113.1";
const NEAR: &str = "203.0.113.2";
const FAR: &str = "198.51.100.1";

fn rule(key: RuleKey, counts: Counts, window: u64) -> Rule {
    Rule {
        name: format!("{key:?}-{counts:?}"),
        key,
        counts,
        limit: 20,
        window: Duration::from_secs(window),
        ban: Duration::from_secs(60),
        growth: None,
        dry_run: false,
    }
}

fn account(name: &str) -> Account {
    let subject = Subject::parse(&format!("{name}@example.org")).unwrap();
    subject.account().unwrap().clone()
}

impl World {
    /// The repeat window is 100 seconds, and the rules are numbered in this order.
    fn new(table: impl Into<Vec<Rule>>) -> World {
        let rules = Arc::new(Rules {
            table: table.into(),
            quiet: Duration::from_secs(100),
            ..Rules::default()
        });
        let (bounds, now) = (Bounds::default(), Timestamp::from_millis(1_795_320_000_000));
        World {
            tracker: Tracker::new(Arc::clone(&rules), bounds, [7; 16], now),
            rules,
            bounds,
            now,
        }
    }

    fn hash(&self, who: &LoginOrigin<'_>) -> HashedAttempt {
        self.tracker.hash_attempt(who, self.now, self.now)
    }

    fn attempt(&self, name: Option<&str>, address: Option<&str>) -> HashedAttempt {
        let (account, address) = (name.map(account), address.map(|text| text.parse().unwrap()));
        let reach = &self.rules.reach;
        self.hash(&LoginOrigin::at(reach, account.as_ref(), address))
    }

    fn succeed(&mut self, name: &str, address: &str) {
        let trace = self.attempt(Some(name), Some(address));
        self.tracker.succeed(trace);
    }

    /// Counts a failure; returns what each rule counts for it by now.
    fn fail(&mut self, name: Option<&str>, address: Option<&str>) -> Vec<u32> {
        self.count(self.attempt(name, address))
    }

    fn count(&mut self, mut trace: HashedAttempt) -> Vec<u32> {
        let known = self.tracker.is_known(&trace, self.now);
        self.tracker.count(&mut trace, known, self.now);
        self.amounts(&trace)
    }

    fn amounts(&self, trace: &HashedAttempt) -> Vec<u32> {
        let always = Timestamp::from_millis(i64::MIN);
        (0..self.rules.table.len())
            .map(|number| self.tracker.amount(number, trace, always))
            .collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(seconds));
    }
}

#[test]
fn a_name_counts_once_where_names_are_counted_and_each_time_where_failures_are() {
    let mut world = World::new([
        rule(Network, Counts::Addresses, 600),
        rule(Network, Counts::Failures, 600),
    ]);
    for _ in 0..30 {
        world.fail(Some("a"), Some(NEAR));
    }
    assert_eq!(world.fail(Some("a"), Some(HERE)), [2, 20]);
    assert_eq!(world.fail(Some("b"), Some(NEAR)), [2, 20]);
    assert_eq!(world.fail(Some("a"), Some(FAR)), [1, 1]);
}

#[test]
fn a_failure_without_an_account_is_a_separate_one_and_without_an_address_no_more_sources() {
    let mut world = World::new([
        rule(Address, Counts::Accounts, 600),
        rule(Address, Counts::Failures, 600),
        rule(RuleKey::Account, Counts::Addresses, 600),
        rule(RuleKey::Account, Counts::Networks, 600),
        rule(RuleKey::Account, Counts::Failures, 600),
    ]);
    for _ in 0..2 {
        world.fail(None, Some(HERE));
        world.fail(Some("a"), None);
    }
    assert_eq!(world.fail(None, Some(HERE)), [3, 3, 0, 0, 0]);
    assert_eq!(world.fail(Some("a"), None), [0, 0, 0, 0, 3]);
    let a = account("a");
    let mut who = LoginOrigin::at(&world.rules.reach, Some(&a), None);
    who.by_hand = true;
    assert_eq!(world.count(world.hash(&who)), [0, 0, 1, 1, 4]);
    assert_eq!(world.count(world.hash(&who)), [0, 0, 2, 2, 5]);
}

#[test]
fn failures_where_the_account_logged_in_before_count_for_the_pair_alone() {
    let table = [
        rule(Address, Counts::Failures, 600),
        rule(Network, Counts::Failures, 600),
        rule(RuleKey::Account, Counts::Failures, 600),
        rule(Pair, Counts::Failures, 600),
    ];
    let mut world = World::new(table.clone());
    world.succeed("a", HERE);
    assert_eq!(world.fail(Some("a"), Some(HERE)), [0, 0, 0, 1]);
    assert_eq!(world.fail(Some("a"), Some(NEAR)), [1, 1, 1, 1]);
    assert_eq!(world.fail(Some("b"), Some(HERE)), [1, 2, 1, 1]);
    // A shared source does not count for its network.
    let mut shared = world.attempt(Some("c"), Some(FAR));
    shared.share();
    assert_eq!(world.count(shared), [1, 0, 1, 1]);
    // Without a rule by pair, nothing else would stop a guesser there.
    let mut world = World::new(&table[..3]);
    world.succeed("a", HERE);
    assert_eq!(world.fail(Some("a"), Some(HERE)), [1, 1, 1]);
}

#[test]
fn a_repeat_counts_again_after_a_pause_and_a_restart_is_no_pause() {
    let table = [
        rule(Address, Counts::Failures, 600),
        rule(Pair, Counts::Failures, 1),
    ];
    let mut world = World::new(table);
    assert_eq!(world.fail(Some("a"), Some(HERE))[0], 1);
    world.pass(60);
    let saved = world.tracker.save();
    let rules = Arc::clone(&world.rules);
    world.tracker = Tracker::restore(&[saved], rules, world.bounds, world.now).unwrap();
    assert_eq!(world.fail(Some("a"), Some(HERE))[0], 1);
    world.pass(100);
    assert_eq!(world.fail(Some("a"), Some(HERE))[0], 1);
    world.pass(101);
    assert_eq!(world.fail(Some("a"), Some(HERE))[0], 2);
}

#[test]
fn a_count_that_is_over_makes_room_before_one_that_is_not() {
    for (seconds, evicted, left) in [(10, 1, HERE), (11, 0, NEAR)] {
        let mut world = World::new([rule(Address, Counts::Failures, 10)]);
        world.bounds.keys = 2;
        let rules = Arc::clone(&world.rules);
        world.tracker = Tracker::new(rules, world.bounds, [7; 16], world.now);
        for _ in 0..3 {
            world.fail(None, Some(HERE));
        }
        world.pass(5);
        world.fail(None, Some(NEAR));
        world.fail(None, Some(NEAR));
        world.pass(seconds - 5);
        world.fail(None, Some(FAR));
        assert_eq!(world.tracker.fill()[0].evicted, evicted);
        for place in [HERE, NEAR] {
            let amounts = world.amounts(&world.attempt(None, Some(place)));
            assert_eq!(amounts != [0], place == left, "{place} after {seconds} s");
        }
    }
}

#[test]
fn counters_with_many_failures_stay_within_the_bound_of_memory() {
    let mut long = rule(Address, Counts::Failures, 600);
    long.limit = 500;
    let mut world = World::new([long]);
    world.bounds.keys = 100;
    let rules = Arc::clone(&world.rules);
    world.tracker = Tracker::new(rules, world.bounds, [7; 16], world.now);
    for n in 0..100 {
        for _ in 0..20 {
            world.fail(None, Some(&format!("203.0.113.{n}")));
        }
    }
    let fill = &world.tracker.fill()[0];
    assert!(fill.evicted > 0 && fill.keys > 5, "{fill:?}");
}

/// What a tracker is after it was saved as a whole with the part after it, and read again some seconds later.
fn restored(
    world: &World,
    whole: &[u8],
    part: &[u8],
    seconds: u64,
) -> Result<Tracker, BadCounters> {
    let now = world.now.saturating_add(Duration::from_secs(seconds));
    let parts = [whole.to_vec(), part.to_vec()];
    Tracker::restore(&parts, Arc::clone(&world.rules), world.bounds, now)
}

#[test]
fn a_part_keeps_where_accounts_logged_in_and_no_address_of_a_failure() {
    let mut world = World::new([rule(Address, Counts::Failures, 600)]);
    let whole = world.tracker.save();
    world.fail(Some("a"), Some(HERE));
    let UnsavedOutcomes::Part(failure) = world.tracker.save_recent() else {
        panic!("nothing to save");
    };
    let address = known::bits(HERE.parse().unwrap()).to_be_bytes();
    assert!(!failure.windows(16).any(|bytes| bytes == address));
    assert_eq!(world.tracker.save_recent(), UnsavedOutcomes::Nothing);
    world.succeed("a", HERE);
    let UnsavedOutcomes::Part(success) = world.tracker.save_recent() else {
        panic!("nothing to save");
    };
    let tracker = restored(&world, &whole, &success, 0).unwrap();
    assert_eq!(tracker.accounts_at(HERE.parse().unwrap()), 1);
    world.tracker.not_saved();
    assert_eq!(world.tracker.save_recent(), UnsavedOutcomes::TooMuch);
}

#[test]
fn a_part_has_a_bound_and_more_than_that_needs_a_whole() {
    const MOST: usize = 65_536;
    let mut world = World::new([]);
    let mut trace = world.attempt(Some("a"), Some(HERE));
    for _ in 0..MOST {
        world.tracker.count(&mut trace, false, world.now);
    }
    let UnsavedOutcomes::Part(part) = world.tracker.save_recent() else {
        panic!("this many fit");
    };
    assert_eq!(part.len(), 24 + MOST * 49);
    for _ in 0..=MOST {
        world.tracker.count(&mut trace, false, world.now);
    }
    assert_eq!(world.tracker.save_recent(), UnsavedOutcomes::TooMuch);
}

#[test]
fn counts_are_restored_while_they_matter_and_the_clock_is_not_years_away() {
    let mut world = World::new([rule(Address, Counts::Failures, 600)]);
    let trace = world.attempt(None, Some(HERE));
    world.fail(None, Some(HERE));
    let whole = world.tracker.save();
    for (seconds, rows) in [(0, 1), (600, 1), (601, 0), (9_000, 0)] {
        world.tracker = restored(&world, &whole, &[], seconds).unwrap();
        assert_eq!(world.tracker.fill()[0].keys, rows, "after {seconds} s");
        assert_eq!(world.amounts(&trace), [rows as u32]);
    }
    // 2^38 ms.
    assert!(restored(&world, &whole, &[], 274_877_906).is_ok());
    assert!(restored(&world, &whole, &[], 274_877_907).is_err());
    world.now = Timestamp::from_millis(world.now.as_millis() + (1 << 38));
    assert!(restored(&world, &whole, &[], 0).is_ok());
}

#[test]
fn many_failures_of_one_name_do_not_push_out_another_name() {
    let tables = [
        vec![rule(Address, Counts::Accounts, 600)],
        vec![
            rule(Network, Counts::Accounts, 600),
            rule(Pair, Counts::Failures, 600),
        ],
    ];
    for table in tables {
        let mut world = World::new(table);
        world.fail(Some("b"), Some(HERE));
        for _ in 0..30 {
            world.fail(Some("a"), Some(HERE));
        }
        assert_eq!(world.fail(Some("a"), Some(HERE))[0], 2);
    }
}

#[test]
fn an_account_with_many_sources_in_an_ipv6_network_is_counted_for_all_of_it_and_not_in_ipv4() {
    let mut world = World::new([rule(Pair, Counts::Failures, 600)]);
    let v6 = |n: u32| format!("2001:db8:7:{n}::1");
    assert_eq!(world.fail(Some("a"), Some(&v6(1))), [1]);
    assert_eq!(world.fail(Some("a"), Some(&v6(2))), [1]);
    for n in 0..9 {
        world.succeed("a", &v6(n));
        world.succeed("a", &format!("203.0.113.{n}"));
    }
    let knows = |name, address: &str| {
        let address = address.parse().unwrap();
        world.tracker.knows(&account(name), address, world.now)
    };
    assert!(knows("a", &v6(20)) && !knows("b", &v6(20)));
    assert!(knows("a", "203.0.113.8") && !knows("a", "203.0.113.20"));
    assert_eq!(world.fail(Some("a"), Some(&v6(21))), [1]);
    assert_eq!(world.fail(Some("a"), Some(&v6(22))), [2]);
    assert_eq!(world.fail(Some("b"), Some(&v6(22))), [1]);
}
