//! Orders and their rulings, folded as the engine does it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::core::actor::{EntryPoint, Role};
use crate::core::event::Seq;
use crate::core::ledger::{Effect, Verdict};
use crate::core::refusal::Refusal;
use crate::core::term::Term;
use crate::core::{
    Action, BanChange, BanOrder, BanRuling, ExemptionChange, HistoryChange, HistoryOrder,
};

/// One ledger, one policy, and a clock that moves only when a test moves it.
struct World {
    ledger: Ledger,
    policy: Policy,
    now: Timestamp,
    seq: u64,
}

impl World {
    fn new() -> Self {
        World {
            ledger: Ledger::default(),
            policy: Policy {
                moderator_longest: Some(Duration::from_secs(30 * 86_400)),
                exempt_networks: vec!["127.0.0.0/8".parse().unwrap()],
                ..Policy::default()
            },
            now: Timestamp::parse("2026-11-22T12:00Z").unwrap(),
            seq: 0,
        }
    }

    fn order(&mut self, role: Role, subject: &str, what: Action) -> Ruling {
        let order = Order::new(
            Actor::person("admin@example.org/x", role, EntryPoint::Chat),
            Subject::parse(subject).unwrap(),
            what,
        )
        .own_account(
            Subject::parse("admin@example.org")
                .unwrap()
                .account()
                .cloned(),
        )
        .own_addresses(vec!["198.51.100.9".parse().unwrap()]);
        self.submit(&Intent::Order(order)).unwrap()
    }

    fn submit(&mut self, intent: &Intent) -> Option<Ruling> {
        let mut n = self.seq as u8;
        let mut fresh = || {
            n = n.wrapping_add(1);
            EventId([n; 16])
        };
        match propose(&self.ledger, &self.policy, intent, self.now, &mut fresh) {
            Proposal::Answer(ruling) => Some(ruling),
            Proposal::Events(events) => {
                let mut last = None;
                for event in &events {
                    self.seq += 1;
                    last = Some(self.ledger.fold(Seq(self.seq), event).0);
                }
                last
            }
        }
    }

    fn ban(&mut self, subject: &str, term: Option<&str>, reason: Option<&str>) -> Ruling {
        let what = Action::Ban(BanOrder::Impose {
            term: term.map(|term| Term::parse(term).unwrap()),
            reason: reason.map(str::to_owned),
            note: None,
        });
        self.order(Role::Admin, subject, what)
    }

    fn lift(&mut self, subject: &str) -> Ruling {
        let what = Action::Ban(BanOrder::Lift {
            reason: String::new(),
        });
        self.order(Role::Admin, subject, what)
    }

    fn verdict(&self, account: &str, address: &str) -> Verdict {
        let account = Subject::parse(account).unwrap();
        self.ledger
            .check(account.account(), address.parse().ok(), || false, self.now)
    }
}

#[test]
fn a_ban_of_somebody_forgotten_meanwhile_ends_at_its_time() {
    let mut world = World::new();
    world.ban("spam@example.org", Some("1h"), None);
    world.order(
        Role::Admin,
        "spam@example.org",
        Action::History(HistoryOrder::Forget),
    );
    world.now = world.now.saturating_add(Duration::from_secs(3_600));
    let ended = world.submit(&Intent::Tick { upto: world.now });
    assert!(
        matches!(ended, Some(Ruling::Ban(BanRuling::Lifted(_)))),
        "{ended:?}"
    );
    assert_eq!(world.ledger.bans().next_end(), None);
}

#[test]
fn a_ban_holds_until_it_is_lifted_and_history_counts_on() {
    let mut world = World::new();
    let Ruling::Ban(BanRuling::Banned(ban)) = world.ban("spam@example.org", None, Some("spam"))
    else {
        panic!()
    };
    assert_eq!((ban.id.0, ban.ordinal, ban.until), (1, 1, None));
    assert!(matches!(
        world.verdict("spam@example.org", "192.0.2.1"),
        Verdict::Refuse { .. }
    ));
    assert!(matches!(
        world.lift("spam@example.org"),
        Ruling::Ban(BanRuling::Lifted(_))
    ));
    assert_eq!(
        world.verdict("spam@example.org", "192.0.2.1"),
        Verdict::LetIn
    );
    let Ruling::Ban(BanRuling::NotBanned(_, Some(past))) = world.lift("spam@example.org") else {
        panic!()
    };
    assert_eq!(past.id.0, 1);
    let Ruling::Ban(BanRuling::Banned(again)) = world.ban("spam@example.org", None, None) else {
        panic!()
    };
    assert_eq!((again.id.0, again.ordinal), (2, 2));
}

#[test]
fn a_ban_ends_at_its_millisecond_even_before_the_tick() {
    let mut world = World::new();
    world.ban("spam@example.org", Some("10s"), None);
    world.now = world.now.saturating_add(Duration::from_millis(9_999));
    assert!(matches!(
        world.verdict("spam@example.org", "192.0.2.1"),
        Verdict::Refuse { .. }
    ));
    assert_eq!(world.submit(&Intent::Tick { upto: world.now }), None);
    world.now = world.now.saturating_add(Duration::from_millis(1));
    assert_eq!(
        world.verdict("spam@example.org", "192.0.2.1"),
        Verdict::LetIn
    );
    // Banned again before the clock recorded the end: this is a second ban, not a change of the first.
    let Ruling::Ban(BanRuling::Banned(ban)) = world.ban("spam@example.org", Some("1h"), None)
    else {
        panic!()
    };
    assert_eq!(ban.ordinal, 2);
    world.now = ban.until.unwrap();
    assert!(matches!(
        world.submit(&Intent::Tick { upto: world.now }),
        Some(Ruling::Ban(BanRuling::Lifted(_)))
    ));
    assert_eq!(world.ledger.bans().next_end(), None);
}

#[test]
fn other_terms_change_the_ban_and_the_same_terms_do_not() {
    let mut world = World::new();
    world.ban("spam@example.org", Some("until 2030-01-01"), Some("spam"));
    assert!(matches!(
        world.ban("spam@example.org", None, None),
        Ruling::Ban(BanRuling::Already(_))
    ));
    assert!(matches!(
        world.ban("spam@example.org", Some("until 2030-01-01"), Some("spam")),
        Ruling::Ban(BanRuling::Already(_))
    ));
    let Ruling::Ban(BanRuling::Amended { ban, before, .. }) =
        world.ban("spam@example.org", Some("forever"), None)
    else {
        panic!()
    };
    assert_eq!((ban.id.0, ban.ordinal, ban.until), (1, 1, None));
    assert_eq!(
        (ban.reason.as_str(), before),
        ("spam", Timestamp::parse("2030-01-01"))
    );
    world.now = Timestamp::parse("2031-01-01").unwrap();
    assert!(matches!(
        world.verdict("spam@example.org", "192.0.2.1"),
        Verdict::Refuse { .. }
    ));
}

#[test]
fn addresses_and_networks_cover_what_lies_in_them() {
    let mut world = World::new();
    world.ban("203.0.113.0/24", Some("1h"), None);
    world.ban("203.0.113.7", Some("2h"), None);
    world.ban("2001:db8::/64", None, None);
    let refused = |world: &World, address: &str| match world.verdict("a@example.org", address) {
        Verdict::Refuse { ban, .. } => Some(ban.0),
        Verdict::LetIn => None,
    };
    assert_eq!(
        refused(&world, "203.0.113.7"),
        Some(2),
        "the longest one is told"
    );
    assert_eq!(refused(&world, "::ffff:203.0.113.8"), Some(1));
    assert_eq!(refused(&world, "203.0.114.1"), None);
    assert_eq!(refused(&world, "2001:db8::ffff"), Some(3));
    assert_eq!(refused(&world, "2001:db8:0:1::1"), None);
    world.lift("203.0.113.0/24");
    assert_eq!(refused(&world, "203.0.113.8"), None);
    assert_eq!(refused(&world, "203.0.113.7"), Some(2));
}

#[test]
fn nobody_bans_themselves_or_what_is_exempt() {
    let mut world = World::new();
    let refusal = |ruling| match ruling {
        Ruling::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refusal(world.ban("Admin@example.org/x", None, None)),
        Refusal::OwnAccount(_)
    ));
    assert!(matches!(
        refusal(world.ban("198.51.100.0/24", None, None)),
        Refusal::OwnAddress(..)
    ));
    assert!(matches!(
        refusal(world.ban("127.0.0.1", None, None)),
        Refusal::Exempt(..)
    ));
    assert!(matches!(
        refusal(world.ban("0.0.0.0/0", None, None)),
        Refusal::Exempt(..)
    ));
    assert!(matches!(
        refusal(world.ban("spam@example.org", Some("until 2020-01-01"), None)),
        Refusal::EndsInThePast(_)
    ));
}

#[test]
fn a_moderator_has_a_longest_term_and_no_networks() {
    let mut world = World::new();
    let ban = |term: Option<&str>| {
        Action::Ban(BanOrder::Impose {
            term: term.map(|term| Term::parse(term).unwrap()),
            reason: None,
            note: None,
        })
    };
    let lift = || {
        Action::Ban(BanOrder::Lift {
            reason: String::new(),
        })
    };
    let refused = |ruling| matches!(ruling, Ruling::Refused(_));
    let role = Role::Moderator;
    assert!(refused(world.order(
        role,
        "spam@example.org",
        ban(Some("31d"))
    )));
    assert!(refused(world.order(
        role,
        "spam@example.org",
        ban(Some("forever"))
    )));
    assert!(refused(world.order(
        role,
        "203.0.113.0/24",
        ban(Some("1d"))
    )));
    let Ruling::Ban(BanRuling::Banned(ban_)) = world.order(role, "spam@example.org", ban(None))
    else {
        panic!()
    };
    assert_eq!(
        ban_.until.unwrap().since(world.now),
        Duration::from_secs(30 * 86_400)
    );
    assert!(matches!(
        world.order(role, "spam@example.org", lift()),
        Ruling::Ban(BanRuling::Lifted(_))
    ));
    world.ban("other@example.org", None, None);
    assert!(refused(world.order(role, "other@example.org", lift())));
    assert!(refused(world.order(
        Role::Stranger,
        "third@example.org",
        ban(Some("1m"))
    )));
}

#[test]
fn an_event_decided_on_an_old_version_changes_nothing() {
    let mut world = World::new();
    let mut ids = 0;
    let mut fresh = || {
        ids += 1;
        EventId([ids; 16])
    };
    let order = |reason: &str| {
        Intent::Order(Order::new(
            Actor::person("a@example.org", Role::Admin, EntryPoint::Chat),
            Subject::parse("spam@example.org").unwrap(),
            Action::Ban(BanOrder::Impose {
                term: None,
                reason: Some(reason.into()),
                note: None,
            }),
        ))
    };
    let mut events = Vec::new();
    for reason in ["first", "second"] {
        match propose(
            &world.ledger,
            &world.policy,
            &order(reason),
            world.now,
            &mut fresh,
        ) {
            Proposal::Events(mut proposed) => events.append(&mut proposed),
            Proposal::Answer(answer) => panic!("{answer:?}"),
        }
    }
    let (ruling, effects) = world.ledger.fold(Seq(1), &events[0]);
    assert!(matches!(ruling, Ruling::Ban(BanRuling::Banned(_))));
    assert_eq!(effects, [Effect::Settle(events[0].subject.clone())]);
    assert_eq!(
        world.ledger.fold(Seq(2), &events[1]),
        (Ruling::Stale, vec![])
    );
    assert_eq!(
        world.ledger.bans().of(&events[0].subject).unwrap().reason,
        "first"
    );
}

#[test]
fn a_ban_taken_over_from_elsewhere_says_so_and_never_shortens_one_that_stands() {
    let mut world = World::new();
    let adopt = |world: &mut World, subject: &str, until: Option<&str>| {
        let what = Action::Ban(BanOrder::Import {
            reason: "from the list".into(),
            note: None,
            term: until.map_or(Term::Forever, |until| Term::parse(until).unwrap()),
            origin: Origin::Imported,
        });
        world.order(Role::Admin, subject, what)
    };
    let Ruling::Ban(BanRuling::Banned(ban)) = adopt(&mut world, "a@b.c", Some("2026-12-01")) else {
        panic!("not banned");
    };
    assert_eq!(ban.origin, Origin::Imported);
    let again = adopt(&mut world, "a@b.c", Some("2026-12-01"));
    assert!(matches!(again, Ruling::Ban(BanRuling::Already(_))));
    let shorter = adopt(&mut world, "a@b.c", Some("2026-11-30"));
    assert!(matches!(shorter, Ruling::Ban(BanRuling::Already(_))));
    let longer = adopt(&mut world, "a@b.c", None);
    assert!(matches!(longer, Ruling::Ban(BanRuling::Amended { ban, .. }) if ban.until.is_none()));
    let span = adopt(&mut world, "e@b.c", Some("2d"));
    assert!(matches!(span, Ruling::Ban(BanRuling::Banned(_))));
    world.now = world.now.saturating_add(Duration::from_secs(3_600));
    let again = adopt(&mut world, "e@b.c", Some("2d"));
    assert!(
        matches!(again, Ruling::Ban(BanRuling::Already(_))),
        "each time it became longer"
    );
    let longer = adopt(&mut world, "e@b.c", Some("3d"));
    assert!(matches!(longer, Ruling::Ban(BanRuling::Amended { .. })));
    let over = adopt(&mut world, "d@b.c", Some("2026-11-01"));
    assert!(matches!(over, Ruling::Refused(Refusal::EndsInThePast(_))));
    let exempt = adopt(&mut world, "127.0.0.9", None);
    assert!(matches!(exempt, Ruling::Refused(Refusal::Exempt(..))));
}

#[test]
fn a_decision_recalled_keeps_its_author_and_time_and_comes_in_its_place_or_not_at_all() {
    let mut world = World::new();
    let event = |byte, at: &str, change| {
        Event::decided(
            EventId([byte; 16]),
            Timestamp::parse(at).unwrap(),
            Actor::person("old@example.org/x", Role::Moderator, EntryPoint::Chat),
            Subject::parse("a@b.c").unwrap(),
            Seq(77),
            change,
        )
    };
    let recall = |world: &mut World, event: Event| {
        world.submit(&Intent::Recall(Box::new(event), Role::Admin))
    };
    let imposed = |until| {
        Change::Ban(BanChange::Imposed {
            reason: "then".into(),
            until,
        })
    };
    let then = event(200, "2025-01-01", imposed(Timestamp::parse("2025-01-09")));
    let Some(Ruling::Ban(BanRuling::Banned(ban))) = recall(&mut world, then) else {
        panic!("not taken in");
    };
    let since = Timestamp::parse("2025-01-01").unwrap();
    assert_eq!(
        (ban.since, ban.by.name.as_str()),
        (since, "old@example.org/x")
    );
    let end = event(201, "2025-01-09", Change::Ban(BanChange::Expired));
    assert!(matches!(
        recall(&mut world, end),
        Some(Ruling::Ban(BanRuling::Lifted(_)))
    ));
    assert_eq!(world.ledger.history(&ban.subject).bans, 1);
    let between = event(203, "2025-01-05", Change::History(HistoryChange::Forgotten));
    assert_eq!(recall(&mut world, between), Some(Ruling::Stale));
    world.policy.exempt_accounts = vec![ban.subject.account().unwrap().clone()];
    let now = event(202, "2025-02-01", imposed(None));
    assert!(matches!(
        recall(&mut world, now),
        Some(Ruling::Refused(Refusal::Exempt(..)))
    ));
}

#[test]
fn what_the_configuration_exempts_is_refused_from_elsewhere_only_if_it_would_still_stand() {
    let world = World::new();
    let end = world.now.saturating_add(Duration::from_secs(60));
    let by_hand = Change::Ban(BanChange::Imposed {
        reason: String::new(),
        until: Some(end),
    });
    let by_rule = Change::Ban(BanChange::ImposedByRule {
        reason: String::new(),
        until: end,
        ordinal: 1,
    });
    for (now, is_refused) in [(59, true), (60, false), (61, false)] {
        for change in [&by_hand, &by_rule] {
            let event = Event::decided(
                EventId([9; 16]),
                world.now,
                Actor::rules(),
                Subject::parse("127.0.0.9").unwrap(),
                Seq(0),
                change.clone(),
            );
            let intent = Intent::Recall(Box::new(event), Role::Admin);
            let now = world.now.saturating_add(Duration::from_secs(now));
            let fresh = &mut EventId::default;
            let proposal = propose(&world.ledger, &world.policy, &intent, now, fresh);
            let refused = matches!(proposal, Proposal::Answer(Ruling::Refused(_)));
            assert_eq!(refused, is_refused, "{change:?} at {now}");
        }
    }
}

/// What an imported decision about a subject is answered, of an instant before or after now in milliseconds; `None`:
/// it is taken in.
fn recalled(world: &World, subject: &str, after: i64, change: Change) -> Option<Ruling> {
    let event = Event::decided(
        EventId([9; 16]),
        Timestamp::from_millis(world.now.as_millis() + after),
        Actor::person("there@example.org", Role::Admin, EntryPoint::Chat),
        Subject::parse(subject).unwrap(),
        Seq(0),
        change,
    );
    let intent = Intent::Recall(Box::new(event), Role::Admin);
    let fresh = &mut EventId::default;
    match propose(&world.ledger, &world.policy, &intent, world.now, fresh) {
        Proposal::Answer(ruling) => Some(ruling),
        Proposal::Events(_) => None,
    }
}

#[test]
fn a_decision_from_elsewhere_may_do_no_more_than_an_order_here() {
    let mut world = World::new();
    let account = |text: &str| Subject::parse(text).unwrap().account().cloned().unwrap();
    world.policy.exempt_accounts = vec![account("boss@example.org")];
    world.policy.hosts = vec![String::from("example.org")];
    world.policy.longest = Some(Duration::from_secs(86_400));
    let end = |seconds: i64| {
        Some(Timestamp::from_millis(
            world.now.as_millis() + seconds * 1_000,
        ))
    };
    let (reason, hour) = (String::new, end(3_600));
    let imposed = |until| {
        Change::Ban(BanChange::Imposed {
            reason: reason(),
            until,
        })
    };
    let forced = |until| {
        Change::Ban(BanChange::Forced {
            reason: reason(),
            until,
        })
    };
    let exempt = |until| {
        Change::Exemption(ExemptionChange::Granted {
            comment: reason(),
            until,
        })
    };
    for (subject, change, is_taken) in [
        ("a@example.org", imposed(hour), true),
        ("a@example.org", forced(hour), true),
        ("a@example.org", imposed(None), false),
        ("a@example.org", forced(None), false),
        ("a@elsewhere.example", imposed(hour), false),
        ("a@elsewhere.example", imposed(end(-1)), true),
        ("boss@example.org", forced(hour), false),
        ("127.0.0.1", forced(hour), false),
        ("127.0.0.1", forced(end(-1)), true),
        ("127.0.0.0/24", forced(hour), false),
        ("a@example.org", exempt(None), true),
        ("a@elsewhere.example", exempt(None), false),
        ("guard of a@example.org", exempt(None), false),
    ] {
        let answer = recalled(&world, subject, -1_000, change.clone());
        assert_eq!(
            answer.is_none(),
            is_taken,
            "{subject} {change:?}: {answer:?}"
        );
        assert!(
            is_taken || matches!(answer, Some(Ruling::Refused(_))),
            "{answer:?}"
        );
    }
    let mut world = World::new();
    let watch = Change::Subscribed {
        watch: Some(crate::core::Watch::default()),
    };
    assert_eq!(recalled(&world, "a@b.c", 0, watch.clone()), None);
    for number in 0..crate::core::subscriptions::MOST_WATCHES {
        let what = Action::Subscribe(Some(crate::core::Watch::default()));
        world.order(Role::Admin, &format!("a{number}@b.c"), what);
    }
    let one_more = recalled(&world, "a@b.c", 0, watch);
    assert!(matches!(one_more, Some(Ruling::Refused(_))), "{one_more:?}");
}

#[test]
fn a_decision_from_elsewhere_ends_no_ban_that_goes_on_here() {
    let mut world = World::new();
    world.ban("203.0.113.7", None, None);
    let expired = Change::Ban(BanChange::Expired);
    let over = recalled(&world, "203.0.113.7", 1_000, expired);
    assert_eq!(over, Some(Ruling::Stale));
    let granted = |until| {
        Change::Exemption(ExemptionChange::Granted {
            comment: String::new(),
            until,
        })
    };
    let ended = granted(Some(world.now));
    let answer = recalled(&world, "203.0.113.0/24", -1_000, ended.clone());
    assert!(
        matches!(answer, Some(Ruling::Refused(Refusal::EndsInThePast(_)))),
        "{answer:?}"
    );
    assert_eq!(recalled(&world, "203.0.114.0/24", -1_000, ended), None);
}

#[test]
fn a_decision_from_the_future_is_refused() {
    let world = World::new();
    let skew = crate::core::time::CLOCK_SKEW.as_millis() as i64;
    for change in [Change::History(HistoryChange::Forgotten), Change::Undone] {
        assert_eq!(recalled(&world, "a@b.c", skew, change.clone()), None);
        let answer = recalled(&world, "a@b.c", skew + 1, change);
        assert!(
            matches!(answer, Some(Ruling::Refused(Refusal::FromTheFuture(..)))),
            "{answer:?}"
        );
    }
}

#[test]
fn a_text_may_be_exactly_as_long_as_the_limit_and_no_longer() {
    use crate::core::policy::{NOTE_MAX, REASON_MAX};
    let mut world = World::new();
    let mut ban = |subject: &str, reason: usize, note: usize| {
        let what = Action::Ban(BanOrder::Impose {
            term: None,
            reason: Some("ä".repeat(reason)),
            note: Some("ö".repeat(note)),
        });
        world.order(Role::Admin, subject, what)
    };
    let longest = ban("a@b.c", REASON_MAX, NOTE_MAX);
    assert!(matches!(longest, Ruling::Ban(BanRuling::Banned(_))));
    let too_long = |ruling| match ruling {
        Ruling::Refused(Refusal::TextTooLong(what, most)) => (what, most),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        too_long(ban("b@b.c", REASON_MAX + 1, 1)),
        ("reason", REASON_MAX)
    );
    assert_eq!(too_long(ban("b@b.c", 1, NOTE_MAX + 1)), ("note", NOTE_MAX));
}

#[test]
fn what_stands_is_changed_by_a_later_end_a_note_or_the_first_reason() {
    let mut world = World::new();
    let extend = |world: &mut World, by: &str| {
        let by = Term::parse(by).unwrap();
        world.order(Role::Admin, "a@b.c", Action::Ban(BanOrder::Extend { by }))
    };
    world.ban("a@b.c", Some("until 2026-12-01"), None);
    let same = extend(&mut world, "until 2026-12-01");
    assert!(matches!(same, Ruling::Refused(Refusal::NotLonger(..))));
    let noted = Action::Ban(BanOrder::Impose {
        term: None,
        reason: None,
        note: Some("ask alice".into()),
    });
    let noted = world.order(Role::Admin, "a@b.c", noted);
    assert!(matches!(noted, Ruling::Ban(BanRuling::Amended { .. })));
    let import = |world: &mut World, reason: &str, until: &str| {
        let what = Action::Ban(BanOrder::Import {
            reason: reason.into(),
            note: None,
            term: Term::parse(until).unwrap(),
            origin: Origin::Imported,
        });
        match world.order(Role::Admin, "a@b.c", what) {
            Ruling::Ban(BanRuling::Amended { ban, .. }) => Some(ban.reason),
            Ruling::Ban(BanRuling::Already(_)) => None,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(import(&mut world, "from a list", "until 2026-12-01"), None);
    let first = import(&mut world, "from a list", "until 2026-12-02");
    assert_eq!(first.as_deref(), Some("from a list"));
    let second = import(&mut world, "from another", "until 2026-12-03");
    assert_eq!(second.as_deref(), Some("from a list"), "it has one already");
    extend(&mut world, "forever");
    assert_eq!(import(&mut world, "from a list", "until 2027-01-01"), None);
}
