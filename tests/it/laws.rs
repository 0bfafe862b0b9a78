//! Properties of the rules that hold for any sequence of steps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use portcullis::core::{
    Action, Actor, Ban, BanChange, BanId, BanOrder, BanRuling, Change, Changed, EntryPoint, Event,
    EventId, ExemptionOrder, HistoryOrder, Intent, Ledger, Order, Policy, Proposal, Role, Ruling,
    Seq, Subject, Term, Timestamp, Verdict, propose,
};
use proptest::prelude::*;

const START: i64 = 1_795_320_000_000;

/// A step of a person or the clock in the model.
#[derive(Debug, Clone)]
enum Step {
    Ban(usize, Option<u32>, Role),
    Insist(usize, Role),
    Lift(usize, Role),
    Extend(usize, u32, Role),
    Undo(usize, Role),
    Allow(usize, Option<u32>, Role),
    Unallow(usize, Role),
    Forget(usize, Role),
    Wait(u32),
    Tick,
}

/// Few subjects, so that steps interact: accounts, addresses inside networks, exempt ones.
fn subjects() -> Vec<Subject> {
    [
        "a@example.org",
        "b@example.org",
        "203.0.113.7",
        "203.0.113.0/24",
        "203.0.0.0/16",
        "2001:db8::/64",
        "2001:db8::1",
        "127.0.0.1",
        "admin@example.org",
        "root@example.org",
    ]
    .iter()
    .map(|text| Subject::parse(text).unwrap())
    .collect()
}

fn policy() -> Policy {
    Policy {
        moderator_longest: Some(Duration::from_secs(3_600)),
        exempt_networks: vec!["127.0.0.0/8".parse().unwrap()],
        exempt_accounts: vec![
            Subject::parse("root@example.org")
                .unwrap()
                .account()
                .unwrap()
                .clone(),
        ],
        ..Policy::default()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let role = prop_oneof![
        Just(Role::Stranger),
        Just(Role::Moderator),
        Just(Role::Admin)
    ];
    prop_oneof![
        4 => (0..10usize, proptest::option::of(1..7_200u32), role.clone())
            .prop_map(|(who, term, role)| Step::Ban(who, term, role)),
        1 => (0..10usize, role.clone()).prop_map(|(who, role)| Step::Insist(who, role)),
        2 => (0..10usize, role.clone()).prop_map(|(who, role)| Step::Lift(who, role)),
        1 => (0..10usize, 1..7_200u32, role.clone())
            .prop_map(|(who, by, role)| Step::Extend(who, by, role)),
        1 => (0..10usize, role.clone()).prop_map(|(who, role)| Step::Undo(who, role)),
        1 => (0..10usize, proptest::option::of(1..7_200u32), role.clone())
            .prop_map(|(who, term, role)| Step::Allow(who, term, role)),
        1 => (0..10usize, role.clone()).prop_map(|(who, role)| Step::Unallow(who, role)),
        1 => (0..10usize, role).prop_map(|(who, role)| Step::Forget(who, role)),
        2 => (0..4_000_000u32).prop_map(Step::Wait),
        1 => Just(Step::Tick),
    ]
}

struct World {
    ledger: Ledger,
    log: Vec<Event>,
    now: Timestamp,
    /// The forced bans.
    insisted: BTreeSet<BanId>,
}

impl World {
    fn new() -> Self {
        World {
            ledger: Ledger::default(),
            log: Vec::new(),
            now: Timestamp::from_millis(START),
            insisted: BTreeSet::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        let all = subjects();
        let seconds = |seconds: &u32| Term::For(Duration::from_secs(u64::from(*seconds)));
        let report = match step {
            Step::Wait(millis) => {
                self.now = self
                    .now
                    .saturating_add(Duration::from_millis(u64::from(*millis)));
                return;
            }
            Step::Tick => Intent::Tick {
                upto: Timestamp::from_millis(i64::MAX),
            },
            Step::Ban(who, term, role) => order(
                all[*who].clone(),
                *role,
                Action::Ban(BanOrder::Impose {
                    term: term.as_ref().map(seconds),
                    reason: None,
                    note: None,
                }),
            ),
            Step::Insist(who, role) => order(
                all[*who].clone(),
                *role,
                Action::Ban(BanOrder::Force {
                    term: None,
                    reason: None,
                    note: None,
                }),
            ),
            Step::Lift(who, role) => order(
                all[*who].clone(),
                *role,
                Action::Ban(BanOrder::Lift {
                    reason: String::new(),
                }),
            ),
            Step::Extend(who, by, role) => order(
                all[*who].clone(),
                *role,
                Action::Ban(BanOrder::Extend { by: seconds(by) }),
            ),
            Step::Undo(who, role) => {
                let change = self.ledger.version(&all[*who]);
                order(all[*who].clone(), *role, Action::Undo { change })
            }
            Step::Allow(who, term, role) => order(
                all[*who].clone(),
                *role,
                Action::Exemption(ExemptionOrder::Grant {
                    term: term.as_ref().map(seconds),
                    comment: String::from("office"),
                }),
            ),
            Step::Unallow(who, role) => order(
                all[*who].clone(),
                *role,
                Action::Exemption(ExemptionOrder::Revoke),
            ),
            Step::Forget(who, role) => order(
                all[*who].clone(),
                *role,
                Action::History(HistoryOrder::Forget),
            ),
        };
        let mut count = self.log.len() as u64;
        let proposal = propose(&self.ledger, &policy(), &report, self.now, &mut || {
            count += 1;
            let mut id = [0; 16];
            id[..8].copy_from_slice(&count.to_be_bytes());
            EventId(id)
        });
        if let Proposal::Events(events) = proposal {
            for event in events {
                self.log.push(event.clone());
                let (ruling, _) = self.ledger.fold(Seq(self.log.len() as u64), &event);
                assert_ne!(
                    ruling,
                    Ruling::Stale,
                    "decided and folded at once: never stale"
                );
                if let (
                    Change::Ban(BanChange::Forced { .. }),
                    Ruling::Ban(BanRuling::Banned(ban))
                    | Ruling::Ban(BanRuling::Amended { ban, .. }),
                ) = (&event.change, ruling)
                {
                    self.insisted.insert(ban.id);
                }
            }
        }
    }
}

fn order(subject: Subject, role: Role, what: Action) -> Intent {
    Intent::Order(
        Order::new(
            Actor::person("admin@example.org/x", role, EntryPoint::Chat),
            subject,
            what,
        )
        .own_account(
            Subject::parse("admin@example.org")
                .unwrap()
                .account()
                .cloned(),
        )
        .own_addresses(vec!["2001:db8::1".parse().unwrap()]),
    )
}

fn bans(ledger: &Ledger) -> Vec<Ban> {
    ledger.bans().newest_first().cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_bans_what_is_exempt_or_oneself(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            let is_insisted = |ban: &&Ban| world.insisted.contains(&ban.id);
            for ban in world.ledger.bans().newest_first().filter(|ban| !is_insisted(ban)) {
                prop_assert!(policy().exempts(&ban.subject).is_none());
                prop_assert_ne!(ban.subject.to_string(), "admin@example.org");
                let own: IpAddr = "2001:db8::1".parse().unwrap();
                prop_assert!(ban.subject.net().is_none_or(|net| !net.contains(&own)));
                // A subject with an `allow` has no ban, or is let in despite it.
                if let Some(exemption) = world.ledger.exemptions().covering(&ban.subject, world.now) {
                    prop_assert!(exemption.subject.net().is_some(), "{}", ban.subject);
                }
            }
            for exemption in world.ledger.exemptions().all().filter(|one| one.is_in_force(world.now)) {
                let address = exemption.subject.net().map(|net| Subject::address(net.addr()));
                if let Some(net) = exemption.subject.net()
                    && address.and_then(|one| world.ledger.bans().of(&one)).filter(is_insisted).is_none()
                {
                    let verdict = world.ledger.check(None, Some(net.addr()), || false, world.now);
                    prop_assert_eq!(verdict, Verdict::LetIn);
                }
            }
        }
    }

    #[test]
    fn the_same_log_gives_the_same_ledger(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        let mut again = Ledger::default();
        for (index, event) in world.log.iter().enumerate() {
            let bytes = event.to_bytes().unwrap();
            let event = Event::from_bytes(&bytes, Default::default()).unwrap();
            again.fold(Seq(index as u64 + 1), &event);
        }
        prop_assert_eq!(bans(&again), bans(&world.ledger));
        prop_assert_eq!(again.bans().next_end(), world.ledger.bans().next_end());
        for subject in subjects() {
            prop_assert_eq!(again.version(&subject), world.ledger.version(&subject));
            prop_assert_eq!(again.history(&subject), world.ledger.history(&subject));
            prop_assert_eq!(
                again.exemptions().covering(&subject, world.now),
                world.ledger.exemptions().covering(&subject, world.now)
            );
        }
    }

    #[test]
    fn check_agrees_with_a_plain_look_at_all_bans(
        steps in proptest::collection::vec(step(), 1..60),
        wait in 0..4_000_000u32,
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.take(&Step::Wait(wait));
        for account in ["a@example.org", "b@example.org", "c@example.org"] {
            for address in ["203.0.113.7", "203.0.9.9", "2001:db8::5", "192.0.2.1"] {
                let account = Subject::parse(account).unwrap();
                let address: IpAddr = address.parse().unwrap();
                let covers = |net: ipnet::IpNet| net.contains(&address);
                let is_exempt = world.ledger.exemptions().all()
                    .any(|one| one.is_in_force(world.now) && one.subject.net().is_some_and(covers));
                let expected = world.ledger.bans().newest_first().any(|ban| {
                    // On an exempt address only a forced ban of exactly this address applies.
                    let holds = !is_exempt
                        || ban.subject == Subject::address(address) && world.insisted.contains(&ban.id);
                    ban.is_in_force(world.now)
                        && (ban.subject == account || ban.subject.net().is_some_and(covers) && holds)
                });
                let verdict = world.ledger.check(account.account(), Some(address), || false, world.now);
                prop_assert_eq!(verdict != Verdict::LetIn, expected);
            }
        }
    }

    #[test]
    fn an_unban_ends_a_ban_and_a_tick_ends_expired_ones(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.take(&Step::Tick);
        let now = world.now;
        prop_assert!(world.ledger.bans().newest_first().all(|ban| ban.is_in_force(now)));
        for (who, subject) in subjects().iter().enumerate() {
            world.take(&Step::Lift(who, Role::Admin));
            prop_assert!(world.ledger.bans().of(subject).is_none());
        }
        prop_assert!(world.ledger.bans().is_empty());
        prop_assert_eq!(world.ledger.bans().next_end(), None);
    }

    #[test]
    fn a_moderator_never_goes_beyond_the_cap(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        for event in &world.log {
            if event.actor.role == Role::Moderator
                && let portcullis::core::Change::Ban(portcullis::core::BanChange::Imposed { until, .. })
                | portcullis::core::Change::Ban(portcullis::core::BanChange::Amended { until, .. }) = &event.change
            {
                let length = until.expect("moderators cannot ban forever").since(event.at);
                prop_assert!(length <= Duration::from_secs(3_600));
                prop_assert!(!matches!(event.subject, Subject::Network(_)));
            }
        }
    }

    #[test]
    fn no_text_panics_the_parsers(text in "\\PC{0,80}") {
        let _ = Subject::parse(&text).map(|subject| {
            let again = Subject::parse(&subject.to_string()).unwrap();
            assert_eq!(again, subject, "a normalised subject reads back as itself");
        });
        let _ = Term::parse(&text);
        let _ = Timestamp::parse(&text);
    }

    #[test]
    fn no_bytes_panic_the_event_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::from_bytes(&bytes, Default::default());
    }

    #[test]
    fn a_copy_that_asks_for_changes_sometimes_equals_the_active_bans(
        steps in proptest::collection::vec((step(), 0..4u8), 1..60),
        // The bans that one `allow` ends (three here) have the same position in the log and are reported together or
        // not at all.
        most in 3..6usize,
    ) {
        let mut world = World::new();
        let (mut copy, mut since, mut begun) = (BTreeMap::new(), Seq(0), Seq(0));
        let mut take = |ledger: &Ledger| {
            let page = ledger.bans().changes(since, begun, most, usize::MAX, ledger.folded()).unwrap();
            assert!(page.list.len() <= most);
            for changed in page.list {
                match changed {
                    Changed::Stands(ban) => copy.insert(ban.subject.clone(), ban),
                    Changed::Ended(subject) => copy.remove(&subject),
                };
            }
            (since, begun) = (page.upto, page.upto.max(begun));
            (page.more, copy.clone())
        };
        for (step, pages) in &steps {
            world.take(step);
            for _ in 1..*pages {
                take(&world.ledger);
            }
        }
        let held = loop {
            if let (false, held) = take(&world.ledger) {
                break held;
            }
        };
        let mut held: Vec<Ban> = held.into_values().collect();
        held.sort_by_key(|ban| std::cmp::Reverse(ban.id));
        let mut there = bans(&world.ledger);
        there.sort_by_key(|ban| std::cmp::Reverse(ban.id));
        prop_assert_eq!(held, there);
    }
}
