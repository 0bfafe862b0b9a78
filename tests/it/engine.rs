//! The whole core with a store in memory and a scripted server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis::admission::Admission;
use portcullis::core::{
    Action, Attempt, BanOrder, BanRuling, By, Intent, LoginOutcome, Ruling, Seq, Subject, Term,
    Verdict,
};
use portcullis::delivery::ports::{Held, Outbox as _};
use portcullis::delivery::{STOP_WAIT, Settled};
use portcullis::journal::{Journal as _, Replica as _};

use crate::support::{FakeServer, MemoryStore, START, World, order};

fn is_let_in(admission: &Admission, account: &str) -> bool {
    let subject = Subject::parse(account).unwrap();
    admission.check(subject.account(), None) == Verdict::LetIn
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_in_force_when_it_is_acknowledged_and_then_on_the_server() {
    let world = World::new(FakeServer::new(true));
    assert!(matches!(
        world.ban("spam@example.org", None).await,
        Ruling::Ban(BanRuling::Banned(_))
    ));
    assert!(!is_let_in(&world.admission, "spam@example.org"));
    assert_eq!(
        world.settled("spam@example.org").await,
        Settled::Done(Held::Enforced)
    );
    assert_eq!(world.server.done(), ["ban #1 spam@example.org"]);
    assert!(matches!(
        world.lift("spam@example.org").await,
        Ruling::Ban(BanRuling::Lifted(_))
    ));
    assert_eq!(
        world.settled("spam@example.org").await,
        Settled::Done(Held::Enforced)
    );
    assert_eq!(world.server.done()[1..], ["free spam@example.org"]);
    assert!(world.delivery.tasks().is_empty());
    let subject = Subject::parse("spam@example.org").unwrap();
    let history = world.engine.history(&subject).await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0].event.personal.note.as_deref(), Some("private"));
}

#[tokio::test(start_paused = true)]
async fn only_the_module_enforces_bans_of_addresses() {
    let world = World::new(FakeServer::new(true));
    world.ban("203.0.113.7", None).await;
    assert_eq!(
        world.settled("203.0.113.7").await,
        Settled::Done(Held::NeedsModule)
    );
}

#[tokio::test(start_paused = true)]
async fn work_waits_for_a_server_that_is_away_and_says_so() {
    let world = World::new(FakeServer::new(false));
    world.ban("spam@example.org", None).await;
    let Settled::Pending(Some(why)) = world.settled("spam@example.org").await else {
        panic!()
    };
    assert!(why.contains("no connection"), "{why}");
    assert_eq!(world.delivery.tasks().len(), 1);
    world.server.set_linked(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.server.done(), ["ban #1 spam@example.org"]);
    assert!(world.delivery.tasks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_shown_tried_again_and_survives_a_restart() {
    let world = World::new(FakeServer::new(true));
    world.server.failures.store(2, Ordering::SeqCst);
    world.ban("spam@example.org", None).await;
    assert_eq!(
        world.settled("spam@example.org").await,
        Settled::Pending(Some("the server said no".into()))
    );
    let subject = Subject::parse("spam@example.org").unwrap();
    assert_eq!(world.delivery.task(&subject).unwrap().tries, 1);
    world.stop.cancel();
    let again = World::on(
        Arc::clone(&world.store),
        Arc::clone(&world.server),
        START + 60_000,
    );
    assert_eq!(
        again.delivery.task(&subject).unwrap().tries,
        1,
        "kept in the outbox"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(again.delivery.task(&subject).unwrap().tries, 2);
    again.pass(Duration::from_secs(10));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(again.server.done(), ["ban #1 spam@example.org"]);
    assert!(again.delivery.tasks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_work_in_flight_but_not_forever() {
    let mut world = World::new(FakeServer::new(true));
    world.server.takes.store(1_000, Ordering::SeqCst);
    world.ban("spam@example.org", None).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.server.done(), [""; 0], "it is in flight");
    let took = world.stop_delivery().await;
    assert!(took < Duration::from_millis(901), "{took:?}");
    assert_eq!(world.server.done(), ["ban #1 spam@example.org"]);
    assert!(world.store.load().unwrap().1.is_empty());

    let mut world = World::new(FakeServer::new(true));
    world.server.hold();
    world.ban("spam@example.org", None).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let took = world.stop_delivery().await;
    let most = STOP_WAIT + Duration::from_millis(1);
    assert!(took >= STOP_WAIT && took <= most, "{took:?}");
    assert_eq!(
        world.store.load().unwrap().1.len(),
        1,
        "carried out after the next start"
    );
}

#[tokio::test(start_paused = true)]
async fn effects_lost_between_log_and_outbox_are_taken_in_again() {
    let world = World::new(FakeServer::new(false));
    world.ban("spam@example.org", None).await;
    world.stop.cancel();
    // As after a crash right behind the append: the event is in the log, the task is not in the outbox.
    let subject = Subject::parse("spam@example.org").unwrap();
    let entries = world.store.read(Seq(1), 10).unwrap();
    let crashed = Arc::new(MemoryStore::new());
    let events: Vec<_> = entries.into_iter().map(|entry| entry.event).collect();
    crashed.append(&events).await.unwrap();
    let again = World::on(crashed, FakeServer::new(true), START);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(again.server.done(), ["ban #1 spam@example.org"]);
    assert!(again.delivery.task(&subject).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_newer_decision_replaces_work_that_waits() {
    let world = World::new(FakeServer::new(false));
    world.ban("spam@example.org", None).await;
    world.lift("spam@example.org").await;
    assert_eq!(world.delivery.tasks().len(), 1);
    world.server.set_linked(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.server.done(), ["free spam@example.org"]);
}

#[tokio::test(start_paused = true)]
async fn a_ban_ends_at_its_time_also_when_that_passed_during_downtime() {
    let world = World::new(FakeServer::new(true));
    world.ban("spam@example.org", Some("10s")).await;
    world.ban("late@example.org", Some("1h")).await;
    world.settled("late@example.org").await;
    world.pass(Duration::from_millis(9_999));
    assert!(!is_let_in(&world.admission, "spam@example.org"));
    world.pass(Duration::from_millis(1));
    assert!(is_let_in(&world.admission, "spam@example.org"));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(
        world
            .server
            .done()
            .contains(&"free spam@example.org".to_owned())
    );
    world.stop.cancel();
    let later = START + 3_700_000;
    let again = World::on(Arc::clone(&world.store), Arc::clone(&world.server), later);
    assert!(is_let_in(&again.admission, "late@example.org"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        again
            .server
            .done()
            .contains(&"free late@example.org".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_store_did_not_take_did_not_happen() {
    let world = World::new(FakeServer::new(true));
    world.store.fail_on(1);
    let what = Action::Ban(BanOrder::Impose {
        term: None,
        reason: None,
        note: None,
    });
    let failed = world
        .engine
        .submit_one(order("spam@example.org", what))
        .await;
    assert!(failed.is_err());
    assert!(is_let_in(&world.admission, "spam@example.org"));
    assert!(matches!(
        world.ban("spam@example.org", None).await,
        Ruling::Ban(BanRuling::Banned(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn two_admins_at_once_get_one_clear_outcome_in_either_order() {
    let by = |name: &str, what: Action| {
        let Intent::Order(mut order) = order("spam@example.org", what) else {
            unreachable!()
        };
        order.actor.name = name.into();
        Intent::Order(order)
    };
    let ban = |term| {
        Action::Ban(BanOrder::Impose {
            term: Some(Term::parse(term).unwrap()),
            reason: Some(term.into()),
            note: None,
        })
    };
    for first in 0..2 {
        let world = World::new(FakeServer::new(true));
        world.store.delay_appends(Some(Duration::from_millis(50)));
        let orders = [
            by("a@example.org/x", ban("1h")),
            by("b@example.org/y", ban("2h")),
        ];
        let (winner, loser) = (orders[first].clone(), orders[1 - first].clone());
        let (won, lost) = tokio::join!(world.engine.submit_one(winner), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            world.engine.submit_one(loser).await
        });
        let Ruling::Ban(BanRuling::Banned(ban)) = won.unwrap() else {
            panic!("the first one bans")
        };
        let Ruling::Overtaken(entry) = lost.unwrap() else {
            panic!("the second one is told")
        };
        assert_eq!((entry.number, &*entry.by), (Some(ban.id), &ban.by));
        assert_eq!(entry.at, ban.since);
        world.engine.read(|ledger| {
            let stands = ledger.bans().of(&ban.subject).unwrap();
            assert_eq!((stands.until, &stands.reason), (ban.until, &ban.reason));
            assert_eq!(
                ledger.subjects().trail(&ban.subject).len(),
                1,
                "the stale one changed nothing"
            );
        });
    }
}

#[tokio::test(start_paused = true)]
async fn an_un_ban_and_a_longer_term_at_once_leave_one_of_them() {
    for first in 0..2 {
        let world = World::new(FakeServer::new(true));
        world.ban("spam@example.org", Some("1h")).await;
        world.store.delay_appends(Some(Duration::from_millis(50)));
        let lift = Action::Ban(BanOrder::Lift {
            reason: String::new(),
        });
        let extend = Action::Ban(BanOrder::Extend {
            by: Term::parse("1d").unwrap(),
        });
        let orders = [("a@example.org/x", lift), ("b@example.org/y", extend)];
        let orders = orders.map(|(name, what)| {
            let Intent::Order(mut order) = order("spam@example.org", what) else {
                unreachable!()
            };
            order.actor.name = name.into();
            Intent::Order(order)
        });
        let (winner, loser) = (orders[first].clone(), orders[1 - first].clone());
        let (won, lost) = tokio::join!(world.engine.submit_one(winner), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            world.engine.submit_one(loser).await
        });
        match (first, won.unwrap(), lost.unwrap()) {
            (0, Ruling::Ban(BanRuling::Lifted(_)), Ruling::Ban(BanRuling::NotBanned(..))) => {
                assert_eq!(world.engine.read(|ledger| ledger.bans().len()), 0);
            }
            (1, Ruling::Ban(BanRuling::Amended { .. }), Ruling::Overtaken(entry)) => {
                assert_eq!(entry.by.name, "b@example.org/y");
                assert_eq!(world.engine.read(|ledger| ledger.bans().len()), 1);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn login(name: &str, address: &str, outcome: LoginOutcome, world: &World) -> Attempt {
    Attempt {
        account: Subject::parse(name).unwrap().account().cloned(),
        address: Some(address.parse().unwrap()),
        outcome,
        unknown: false,
        at: world.engine.now(),
    }
}

fn guess(world: &World) -> Attempt {
    login(
        "alice@example.org",
        "203.0.113.7",
        LoginOutcome::Failure,
        world,
    )
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_failures_bans_once_and_is_in_force_when_it_is_answered() {
    let world = World::new(FakeServer::new(true));
    let batch: Vec<_> = (0..20).map(|_| guess(&world)).collect();
    let rulings = world.admission.report(batch).await.unwrap();
    let [Ruling::Ban(BanRuling::Banned(ban))] = &rulings[..] else {
        panic!("{rulings:?}")
    };
    assert_eq!(
        ban.subject.to_string(),
        "alice@example.org from 203.0.113.7"
    );
    let account = Subject::parse("alice@example.org").unwrap();
    let from = |address: &str| {
        world
            .admission
            .check(account.account(), address.parse().ok())
    };
    assert!(matches!(
        from("203.0.113.7"),
        Verdict::Refuse { by: By::Pair, .. }
    ));
    assert_eq!(from("203.0.113.8"), Verdict::LetIn);
    let history = world.engine.history(&ban.subject).await.unwrap();
    let evidence = history[0].event.personal.evidence.as_deref().unwrap();
    assert!(
        evidence.starts_with("5 failures within 10 minutes (limit 5); the last at "),
        "{evidence}"
    );
    assert_eq!(world.admission.failures().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_ban_the_store_did_not_take_is_in_force_and_written_later() {
    let world = World::new(FakeServer::new(true));
    let subject = Subject::parse("alice@example.org from 203.0.113.7").unwrap();
    let is_written = || {
        world
            .engine
            .read(|ledger| ledger.bans().of(&subject).is_some())
    };
    for _ in 0..4 {
        world.admission.report(vec![guess(&world)]).await.unwrap();
    }
    world.store.fail_on(1);
    assert!(world.admission.report(vec![guess(&world)]).await.is_err());
    let account = subject.whose();
    let verdict = world.admission.check(account, "203.0.113.7".parse().ok());
    assert!(matches!(verdict, Verdict::Refuse { .. }), "{verdict:?}");
    assert!(!is_written());
    let (admission, stop) = (Arc::clone(&world.admission), world.stop.clone());
    tokio::spawn(async move { admission.persist(stop).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_written());
}

#[tokio::test(start_paused = true)]
async fn counters_survive_a_stop_and_a_crash_loses_only_the_last_seconds() {
    for clean in [true, false] {
        let world = World::new(FakeServer::new(true));
        let keeper = {
            let (admission, stop) = (Arc::clone(&world.admission), world.stop.clone());
            tokio::spawn(async move { admission.persist(stop).await })
        };
        let home = || {
            login(
                "alice@example.org",
                "198.51.100.1",
                LoginOutcome::Success,
                &world,
            )
        };
        world.admission.report(vec![home()]).await.unwrap();
        world.admission.report(vec![guess(&world)]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        for _ in 0..2 {
            world.admission.report(vec![guess(&world)]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        world.admission.report(vec![guess(&world)]).await.unwrap();
        match clean {
            true => {
                world.stop.cancel();
                keeper.await.unwrap();
            }
            false => keeper.abort(),
        }
        let again = World::on(Arc::clone(&world.store), FakeServer::new(true), START);
        let alice = Subject::parse("alice@example.org").unwrap();
        let place = Subject::parse("203.0.113.7").unwrap().net();
        let explanation = again.admission.explain(alice.account(), place);
        let of_the_pair =
            |one: &&portcullis::core::explain::Counting| matches!(one.subject, Subject::Pair(..));
        let failures = explanation
            .counting
            .iter()
            .find(of_the_pair)
            .unwrap()
            .amount;
        assert_eq!(failures, if clean { 4 } else { 3 });
        let home = Subject::parse("198.51.100.1").unwrap().net();
        assert!(again.admission.explain(alice.account(), home).is_known);
    }
}
