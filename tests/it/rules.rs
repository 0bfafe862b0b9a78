//! Properties of counting, growth and memory that hold for any sequence of steps, and the effect of orders on them.

use std::sync::Arc;
use std::time::Duration;

use portcullis::core::rules::{Counts, Growth, Milli, Rule, RuleKey};
use portcullis::core::{
    Action, Actor, Attempt, BanChange, BanOrder, BanRuling, Bounds, By, Change, EntryPoint,
    ExemptionOrder, ExemptionRuling, HistoryChange, HistoryOrder, Intent, LoginOutcome, Role,
    Rules, Ruling, Signal, Subject, Term, Timestamp, Tracker, Verdict,
};
use proptest::prelude::*;

use crate::support::lab::{Lab, Seen, account, policy};

/// Any rule, with limits small enough to be reached.
fn any_rule() -> impl Strategy<Value = Rule> {
    let what = prop_oneof![
        Just((RuleKey::Address, Counts::Failures)),
        Just((RuleKey::Address, Counts::Accounts)),
        Just((RuleKey::Network, Counts::Addresses)),
        Just((RuleKey::Network, Counts::Failures)),
        Just((RuleKey::Account, Counts::Networks)),
        Just((RuleKey::Account, Counts::Failures)),
        Just((RuleKey::Pair, Counts::Failures)),
    ];
    (
        what,
        1..6u32,
        1..600u64,
        1..60u64,
        any_growth(),
        proptest::bool::weighted(0.2),
    )
        .prop_map(
            |((key, counts), limit, window, ban, growth, dry_run)| Rule {
                name: format!("{key:?}-{counts:?}"),
                key,
                counts,
                limit,
                window: Duration::from_secs(window),
                ban: Duration::from_secs(ban),
                growth: Some(growth),
                dry_run,
            },
        )
}

fn any_growth() -> impl Strategy<Value = Growth> {
    let steps = proptest::collection::vec(0..20_000u64, 0..5);
    (0..9_000u64, steps, 60..9_000u64, 0..500u64, any::<bool>()).prop_map(
        |(factor, mut steps, cap, jitter, known_bad_weight)| {
            steps.sort_unstable();
            Growth {
                factor: Milli(factor),
                multipliers: steps.into_iter().map(Milli).collect(),
                cap: Duration::from_secs(cap),
                jitter: Duration::from_secs(jitter),
                known_bad_weight,
                memory: None,
                decay: None,
            }
        },
    )
}

#[derive(Debug, Clone)]
enum Step {
    Login(u8, u8, bool),
    ByHand(u8, u32),
    Forget(u8),
    /// Exempts a subject, for a number of seconds or forever.
    Allow(u8, Option<u64>),
    Unallow(u8),
    Lift(u8),
    Ban(u8),
    Wait(u64),
    Back(u64),
    Restart,
}

const PLACES: [&str; 9] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.3",
    "203.0.114.1",
    "198.51.100.7",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:0:1::1",
    "192.0.2.1",
];
const SUBJECTS: [&str; 7] = [
    "203.0.113.1",
    "203.0.113.0/24",
    "2001:db8::/64",
    "u1@example.org",
    "u2@example.org from 203.0.113.2",
    "guard of u1@example.org",
    "192.0.2.0/24",
];

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..6u8, 0..9u8, proptest::bool::weighted(0.2)).prop_map(|(who, from, right)| Step::Login(who, from, right)),
        1 => (0..7u8, 1..9u32).prop_map(|(whom, times)| Step::ByHand(whom, times)),
        1 => (0..7u8).prop_map(Step::Forget),
        1 => (0..7u8, proptest::option::of(1..600u64)).prop_map(|(whom, term)| Step::Allow(whom, term)),
        1 => (0..7u8).prop_map(Step::Unallow),
        1 => (0..7u8).prop_map(Step::Lift),
        1 => (0..7u8).prop_map(Step::Ban),
        3 => (0..700_000u64).prop_map(Step::Wait),
        1 => (0..700_000u64).prop_map(Step::Back),
        1 => Just(Step::Restart),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(any_step(), 1..120)
}

fn rules(mut table: Vec<Rule>) -> Rules {
    for (number, rule) in table.iter_mut().enumerate() {
        // Names are unique; the configuration enforces it.
        rule.name = format!("{}-{number}", rule.name);
    }
    Rules {
        table,
        grace: Duration::from_secs(20),
        ..Rules::default()
    }
}

fn take(lab: &mut Lab, step: &Step) {
    let ban = Action::Ban(BanOrder::Impose {
        term: Some(Term::For(Duration::from_secs(30))),
        reason: None,
        note: None,
    });
    match step {
        Step::Login(who, from, right) => {
            lab.login(&format!("u{who}"), PLACES[*from as usize], *right);
        }
        Step::ByHand(whom, times) => {
            by_hand(lab, SUBJECTS[*whom as usize], *times);
        }
        Step::Forget(whom) => {
            lab.order(
                SUBJECTS[*whom as usize],
                Action::History(HistoryOrder::Forget),
            );
        }
        Step::Allow(whom, term) => {
            let term = term.map(|seconds| Term::For(Duration::from_secs(seconds)));
            let comment = "office".into();
            lab.order(
                SUBJECTS[*whom as usize],
                Action::Exemption(ExemptionOrder::Grant { term, comment }),
            );
        }
        Step::Unallow(whom) => {
            lab.order(
                SUBJECTS[*whom as usize],
                Action::Exemption(ExemptionOrder::Revoke),
            );
        }
        Step::Lift(whom) => {
            let reason = String::new();
            lab.order(
                SUBJECTS[*whom as usize],
                Action::Ban(BanOrder::Lift { reason }),
            );
        }
        Step::Ban(whom) => {
            lab.order(SUBJECTS[*whom as usize], ban);
        }
        Step::Wait(millis) => lab.pass(*millis),
        Step::Back(millis) => {
            lab.now = Timestamp::from_millis(lab.now.as_millis() - *millis as i64);
        }
        Step::Restart => lab.restart(),
    }
    lab.submit(&Intent::Tick {
        upto: Timestamp::from_millis(i64::MAX),
    });
}

/// Found by [`an_owner_who_is_known_is_never_locked_out_by_strangers`].
#[test]
fn a_clock_put_back_makes_no_ban_of_a_rule_one_that_was_insisted_on() {
    let rule = Rule {
        name: "address-failures".into(),
        key: RuleKey::Address,
        counts: Counts::Failures,
        limit: 1,
        window: Duration::from_secs(9),
        ban: Duration::from_secs(60),
        growth: None,
        dry_run: false,
    };
    let mut lab = Lab::with(policy(rules(vec![rule])), Bounds::default());
    lab.login("u1", "203.0.113.1", true);
    for step in [
        Step::Allow(0, Some(22)),
        Step::Wait(22_000),
        Step::Login(2, 0, false),
        Step::Back(21),
    ] {
        take(&mut lab, &step);
    }
    assert_eq!(lab.bans().len(), 1);
    let home = lab.verdict(&account("u1@example.org"), "203.0.113.1".parse().unwrap());
    assert_eq!(home, Verdict::LetIn);
}

fn by_hand(lab: &mut Lab, subject: &str, times: u32) -> Ruling {
    let signal = Signal::ByHand {
        actor: Actor::person("admin@example.org/x", Role::Admin, EntryPoint::Chat),
        subject: Subject::parse(subject).unwrap(),
        times,
    };
    lab.judge(&signal)
        .into_iter()
        .next()
        .unwrap_or(Ruling::Noted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Exempt by the configuration or by `allow`: 192.0.2.0/24 and 198.51.100.7.
    #[test]
    fn no_sequence_of_events_bans_an_exempt_source(
        table in proptest::collection::vec(any_rule(), 1..5),
        steps in steps(),
    ) {
        let mut policy = policy(rules(table));
        policy.exempt_networks = vec!["192.0.2.0/24".parse().unwrap()];
        let mut lab = Lab::with(policy, Bounds::default());
        lab.order("198.51.100.7", Action::Exemption(ExemptionOrder::Grant { term: None, comment: "office".into() }));
        let mut seen = lab.log.len();
        for step in &steps {
            take(&mut lab, step);
            for ban in lab.bans() {
                for exempt in ["192.0.2.1", "198.51.100.7"] {
                    let exempt: std::net::IpAddr = exempt.parse().unwrap();
                    prop_assert!(!ban.subject.place().is_some_and(|net| net.contains(&exempt)), "{}", ban.subject);
                }
            }
            // Exemptions by `allow` come and go; no rule bans a subject that is exempt at that moment.
            for event in &lab.log[seen..] {
                let Change::Ban(BanChange::ImposedByRule { .. }) = event.change else { continue };
                let hit = lab.ledger.exemptions().covering(&event.subject, lab.now);
                prop_assert!(hit.is_none_or(|by| by.subject.net().is_none()), "{}", event.subject);
            }
            seen = lab.log.len();
            let who = account("nobody@example.org");
            prop_assert_eq!(lab.verdict(&who, "198.51.100.7".parse().unwrap()), Verdict::LetIn);
        }
    }

    #[test]
    fn growth_never_exceeds_its_cap_and_never_shrinks(
        growth in any_growth(),
        first in 1..60u64,
        chances in proptest::collection::vec(any::<u64>(), 2..40),
    ) {
        let rule = Rule {
            name: "x".into(),
            key: RuleKey::Address,
            counts: Counts::Failures,
            limit: 3,
            window: Duration::from_secs(9),
            ban: Duration::from_secs(first),
            growth: Some(growth.clone()),
            dry_run: false,
        };
        // fail2ban's multipliers may be below 1; then the second ban is shorter than the first.
        let below_one = growth.multipliers.get(1).or(growth.multipliers.last()).is_some_and(|step| {
            step.0.saturating_mul(growth.factor.0) < 1_000_000
        });
        let mut before = None;
        for (count, chance) in chances.iter().enumerate() {
            let term = rule.term(count as u32, before, *chance);
            prop_assert!(term <= growth.cap);
            if count > 0 && !(count == 1 && below_one) {
                prop_assert!(term >= before.unwrap(), "{term:?} after {before:?}");
            }
            before = Some(term);
        }
    }

    #[test]
    fn terms_of_the_log_keep_to_the_cap_and_grow_until_forgotten(
        table in proptest::collection::vec(any_rule(), 1..3),
        steps in steps(),
    ) {
        let mut lab = Lab::with(policy(rules(table)), Bounds::default());
        for step in &steps {
            take(&mut lab, step);
        }
        let mut last = std::collections::HashMap::new();
        for event in &lab.log {
            match &event.change {
                Change::Ban(BanChange::ImposedByRule { until, ordinal, .. }) => {
                    let rules = &lab.policy.rules.table;
                    let rule = rules.iter().find(|rule| event.origin.rule() == Some(&rule.name)).unwrap();
                    let term = until.since(event.at);
                    prop_assert!(term <= rule.growth.as_ref().unwrap().cap);
                    let before = last.insert(event.subject.clone(), *ordinal).unwrap_or(0);
                    prop_assert_eq!(*ordinal, before + 1);
                }
                Change::Ban(BanChange::Imposed { .. }) => *last.entry(event.subject.clone()).or_default() += 1,
                Change::History(HistoryChange::Forgotten) => { last.insert(event.subject.clone(), 0); }
                _ => {}
            }
        }
    }

    /// Whatever strangers do, under any rules, an account still gets in from its trusted source. (Only bans by people
    /// and failures of the pair itself stop it.)
    #[test]
    fn an_owner_who_is_known_is_never_locked_out_by_strangers(
        table in proptest::collection::vec(any_rule(), 1..5),
        steps in steps(),
    ) {
        let mut lab = Lab::with(policy(rules(table)), Bounds::default());
        prop_assert_eq!(lab.login("u1", "203.0.113.1", true), Seen::In);
        for step in &steps {
            let at_home = matches!(step, Step::Login(1, 0, _));
            if at_home || matches!(step, Step::Ban(_)) {
                continue;
            }
            take(&mut lab, step);
            let home = lab.verdict(&account("u1@example.org"), "203.0.113.1".parse().unwrap());
            prop_assert_eq!(home, Verdict::LetIn);
        }
    }

    /// Assumes a clock that never goes back: a failure from the future counts as one from now when it is read, and a
    /// restart reads all of them.
    #[test]
    fn a_replayed_log_and_restored_counters_say_the_same(steps in steps(), more in steps()) {
        let goes_on = |step: &&Step| !matches!(step, Step::Back(_));
        let mut one = Lab::new();
        for step in steps.iter().filter(goes_on) {
            take(&mut one, step);
        }
        let mut other = Lab::new();
        other.log = one.log.clone();
        (other.now, other.ids) = (one.now, one.ids);
        other.replay();
        let rules = Arc::clone(&other.policy.rules);
        other.tracker = Tracker::restore(&[one.tracker.save()], rules, Bounds::default(), one.now).unwrap();
        for step in more.iter().filter(goes_on) {
            take(&mut one, step);
            take(&mut other, step);
        }
        prop_assert_eq!(one.bans(), other.bans());
        prop_assert_eq!(one.log.len(), other.log.len());
    }

    #[test]
    fn no_bytes_panic_the_reader_of_snapshots(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..400usize) {
        let mut lab = Lab::new();
        lab.login("u1", "203.0.113.1", true);
        lab.login("u2", "203.0.113.1", false);
        let now = lab.now;
        let restore = |bytes: Vec<u8>| Tracker::restore(&[bytes], Arc::default(), Bounds::default(), now);
        let mut saved = lab.tracker.save();
        prop_assert!(restore(saved.clone()).is_ok());
        prop_assert!(restore(bytes).is_err());
        saved.truncate(cut.min(saved.len() - 1));
        prop_assert!(restore(saved).is_err());
    }
}

#[test]
fn memory_stays_under_its_bound_whatever_comes_and_a_flood_lifts_no_ban() {
    let bounds = Bounds {
        keys: 2_000,
        known: 2_000,
    };
    let mut lab = Lab::with(policy(Rules::default()), bounds);
    for _ in 0..5 {
        lab.login("alice", "203.0.113.7", false);
    }
    // Four of the five failures that ban: close to the limit, so the row survives the flood.
    for _ in 0..4 {
        lab.login("bob", "203.0.113.8", false);
    }
    for n in 0..60_000u128 {
        let address = std::net::Ipv6Addr::from_bits((0x2000 << 112) | n << 80);
        let attempt = Attempt {
            account: Some(account(&format!("u{n}@example.org"))),
            address: Some(address.into()),
            outcome: if n % 3 == 0 {
                LoginOutcome::Success
            } else {
                LoginOutcome::Failure
            },
            unknown: false,
            at: lab.now,
        };
        lab.judge(&Signal::Login(attempt));
    }
    for fill in lab.tracker.fill() {
        assert!(fill.keys <= fill.most, "{fill:?}");
        assert!(fill.bytes <= fill.most * 160 + 40_000, "{fill:?}");
        assert!(fill.evicted > 10_000, "{fill:?}");
    }
    assert_eq!(
        lab.login("alice", "203.0.113.7", true),
        Seen::Refused(By::Pair)
    );
    assert_eq!(lab.login("bob", "203.0.113.8", false), Seen::Wrong);
    assert_eq!(
        lab.login("bob", "203.0.113.8", false),
        Seen::Refused(By::Pair)
    );
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let mut table = Rules::default().table;
    for rule in &mut table {
        rule.dry_run = true;
    }
    let mut lab = Lab::with(policy(rules(table)), Bounds::default());
    for _ in 0..10 {
        assert_eq!(lab.login("alice", "203.0.113.7", false), Seen::Wrong);
    }
    assert!(lab.log.is_empty());
    let dry: Vec<_> = lab.notes.iter().filter(|note| note.contains("dry run of pair-failures-0: alice@example.org from 203.0.113.7 would be banned until")).collect();
    assert_eq!(dry.len(), 2, "{:?}", lab.notes);
}

#[test]
fn an_attempt_by_hand_has_all_the_consequences() {
    let mut lab = Lab::new();
    assert_eq!(by_hand(&mut lab, "203.0.113.7", 4), Ruling::Noted);
    let Ruling::Ban(BanRuling::Banned(ban)) = by_hand(&mut lab, "203.0.113.7", 100) else {
        panic!()
    };
    assert_eq!(
        (ban.ordinal, ban.origin.rule()),
        (1, Some("address-failures"))
    );
    assert_eq!(ban.by.name, "admin@example.org/x");
    assert!(matches!(
        by_hand(&mut lab, "203.0.113.7", 1),
        Ruling::Ban(BanRuling::Already(_))
    ));
    // The known-bad weight: 3 failures are enough now.
    lab.now = ban.until.unwrap();
    let Ruling::Ban(BanRuling::Banned(ban)) = by_hand(&mut lab, "203.0.113.7", 3) else {
        panic!()
    };
    assert_eq!(ban.ordinal, 2);
    for (subject, times, kind) in [
        ("bob@example.org", 30, "guard"),
        ("carol@example.org from 192.0.2.1", 5, "pair"),
        ("198.51.100.0/24", 20, "network"),
        ("2001:db8::/64", 5, "network"),
    ] {
        let Ruling::Ban(BanRuling::Banned(ban)) = by_hand(&mut lab, subject, times) else {
            panic!("{subject}")
        };
        assert_eq!(ban.subject.kind(), kind, "{subject}");
    }
    lab.policy.exempt_networks = vec!["192.0.2.0/24".parse().unwrap()];
    assert!(matches!(
        by_hand(&mut lab, "192.0.2.9", 100),
        Ruling::Refused(_)
    ));
}

#[test]
fn failures_of_a_network_are_entered_by_admins_only() {
    let mut lab = Lab::new();
    for (subject, role) in [
        ("203.0.113.0/24", Role::Admin),
        ("203.0.113.7", Role::Moderator),
    ] {
        let mut enters = |role| {
            lab.judge(&Signal::ByHand {
                actor: Actor::person("m@example.org/x", role, EntryPoint::Chat),
                subject: Subject::parse(subject).unwrap(),
                times: 1,
            })
        };
        assert_eq!(enters(role), [Ruling::Noted]);
        let lower = match role {
            Role::Admin => Role::Moderator,
            _ => Role::Viewer,
        };
        assert!(matches!(enters(lower)[..], [Ruling::Refused(_)]));
    }
}

#[test]
fn allow_lifts_covered_bans_and_unallow_ends_the_exemption() {
    let mut lab = Lab::new();
    by_hand(&mut lab, "203.0.113.7", 5);
    by_hand(&mut lab, "203.0.114.7", 5);
    by_hand(&mut lab, "bob@example.org from 203.0.113.9", 5);
    let allow = || {
        Action::Exemption(ExemptionOrder::Grant {
            term: Some(Term::For(Duration::from_secs(3_600))),
            comment: "office".into(),
        })
    };
    let Ruling::Exemption(ExemptionRuling::Granted { exemption, lifted }) =
        lab.order("203.0.113.0/24", allow())
    else {
        panic!()
    };
    assert_eq!(exemption.comment, "office");
    let lifted: Vec<_> = lifted.iter().map(|ban| ban.subject.to_string()).collect();
    assert_eq!(lifted, ["203.0.113.7", "bob@example.org from 203.0.113.9"]);
    assert_eq!(lab.bans().len(), 1);
    let ban = || {
        Action::Ban(BanOrder::Impose {
            term: None,
            reason: None,
            note: None,
        })
    };
    assert!(matches!(
        lab.order("203.0.113.7", ban()),
        Ruling::Refused(_)
    ));
    assert!(matches!(
        lab.order("203.0.0.0/16", ban()),
        Ruling::Refused(_)
    ));
    for _ in 0..20 {
        assert_eq!(lab.login("bob", "203.0.113.7", false), Seen::Wrong);
    }
    lab.pass(3_600_000);
    for _ in 0..5 {
        assert_eq!(
            lab.login("bob", "203.0.113.7", false),
            Seen::Wrong,
            "it ended: they count"
        );
    }
    assert_eq!(
        lab.login("bob", "203.0.113.7", false),
        Seen::Refused(By::Pair)
    );
    lab.order("198.51.100.1", allow());
    assert!(matches!(
        lab.order("198.51.100.1", Action::Exemption(ExemptionOrder::Revoke)),
        Ruling::Exemption(ExemptionRuling::Revoked(_))
    ));
    assert!(matches!(
        lab.order("198.51.100.1", Action::Exemption(ExemptionOrder::Revoke)),
        Ruling::Exemption(ExemptionRuling::NotExempt(_))
    ));
    assert!(matches!(
        lab.order("198.51.100.1", ban()),
        Ruling::Ban(BanRuling::Banned(_))
    ));
}

#[test]
fn an_exempt_account_is_never_banned_itself_but_its_guessers_are() {
    let mut lab = Lab::new();
    lab.policy.exempt_accounts = vec![account("admin@example.org")];
    let mut checked = 0;
    for _ in 0..60 {
        checked += usize::from(lab.login("admin", "203.0.113.7", false) == Seen::Wrong);
    }
    assert_eq!(checked, 5);
    assert_eq!(lab.login("admin", "198.51.100.1", true), Seen::In);
}

#[test]
fn after_an_unban_counters_are_clear_and_rules_wait_for_the_grace_time() {
    let mut lab = Lab::new();
    by_hand(&mut lab, "203.0.113.7", 5);
    lab.pass(60_000);
    lab.order(
        "203.0.113.7",
        Action::Ban(BanOrder::Lift {
            reason: String::new(),
        }),
    );
    for n in 0..8 {
        assert_eq!(
            lab.login(&format!("u{n}"), "203.0.113.7", false),
            Seen::Wrong
        );
    }
    lab.pass(300_000);
    for n in 10..13 {
        assert_eq!(
            lab.login(&format!("u{n}"), "203.0.113.7", false),
            Seen::Wrong
        );
    }
    assert_eq!(
        lab.login("u20", "203.0.113.7", false),
        Seen::Refused(By::Address)
    );
    assert_eq!(lab.bans()[0].ordinal, 2, "the history was kept");
}

/// Otherwise everybody could guess for as long as the grace lasts.
#[test]
fn after_the_un_ban_of_an_account_guesses_at_it_are_counted_at_once() {
    let mut lab = Lab::new();
    let ban = BanOrder::Impose {
        term: None,
        reason: None,
        note: None,
    };
    lab.order("alice@example.org", Action::Ban(ban));
    lab.pass(1_000);
    lab.order(
        "alice@example.org",
        Action::Ban(BanOrder::Lift {
            reason: String::new(),
        }),
    );
    let tries = (0..6).map(|_| lab.login("alice", "203.0.113.7", false));
    let seen: Vec<Seen> = tries.collect();
    assert_eq!(seen[..5], [Seen::Wrong; 5]);
    assert_eq!(seen[5], Seen::Refused(By::Pair));
}

#[test]
fn windows_are_exact() {
    let rule = Rule {
        name: "x".into(),
        key: RuleKey::Address,
        counts: Counts::Failures,
        limit: 3,
        window: Duration::from_secs(10),
        ban: Duration::from_secs(5),
        growth: None,
        dry_run: false,
    };
    let banned_at = |times: &[u64]| {
        let mut lab = Lab::with(policy(rules(vec![rule.clone()])), Bounds::default());
        let start = lab.now;
        for at in times {
            lab.now = start.saturating_add(Duration::from_millis(*at));
            lab.login("alice", "203.0.113.7", false);
            if !lab.log.is_empty() {
                return Some(*at);
            }
        }
        None
    };
    assert_eq!(banned_at(&[0, 5_000, 10_000]), Some(10_000));
    assert_eq!(banned_at(&[0, 5_000, 10_001]), None);
    assert_eq!(banned_at(&[0, 5_000, 10_001, 15_000]), Some(15_000));
    // fail2ban's estimate of a rate would ban at the third.
    assert_eq!(banned_at(&[0, 9_000, 18_000, 27_000, 36_000]), None);
}

#[test]
fn a_clock_that_was_wrong_for_a_while_is_harmless() {
    let mut lab = Lab::new();
    let right = lab.now;
    lab.now = right.saturating_add(Duration::from_secs(3_600 * 24 * 365 * 3));
    for _ in 0..4 {
        lab.login("alice", "203.0.113.7", false);
    }
    lab.now = right;
    assert_eq!(lab.login("alice", "203.0.113.7", false), Seen::Wrong);
    assert_eq!(
        lab.login("alice", "203.0.113.7", false),
        Seen::Refused(By::Pair)
    );
    // A late report counts at its own time. One from before the end of the last ban does not count.
    let mut late = Lab::new();
    let then = late.now;
    late.pass(3 * 3_600_000);
    for n in 0..30 {
        let attempt = Attempt {
            account: Some(account(&format!("u{n}@example.org"))),
            address: Some("203.0.113.7".parse().unwrap()),
            outcome: LoginOutcome::Failure,
            unknown: false,
            at: then,
        };
        late.judge(&Signal::Login(attempt));
    }
    assert!(late.log.is_empty());
}

#[test]
fn sources_with_nothing_in_common_are_not_taken_for_one_another() {
    let mut lab = Lab::new();
    for n in 0..20_000u128 {
        let attempt = Attempt {
            account: Some(account(&format!("user{n}@example.org"))),
            address: Some(std::net::Ipv6Addr::from_bits((0x2000 << 112) | n << 80).into()),
            outcome: LoginOutcome::Failure,
            unknown: false,
            at: lab.now,
        };
        lab.judge(&Signal::Login(attempt));
    }
    let wrong: Vec<_> = lab
        .log
        .iter()
        .map(|event| (event.subject.to_string(), event.origin.to_string()))
        .take(3)
        .collect();
    assert_eq!(wrong, []);
    for fill in lab
        .tracker
        .fill()
        .iter()
        .filter(|fill| fill.what != "known")
    {
        assert_eq!(fill.keys, 20_000, "{fill:?}");
    }
}
