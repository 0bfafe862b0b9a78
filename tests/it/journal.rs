//! A log with unknown outcomes: callers are told the truth, and no event is applied twice.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use portcullis::core::{Action, BanOrder, BanRuling, Ruling, Seq, Subject};
use portcullis::journal::{LogFault, Replica as _};

use crate::support::{FakeServer, UnknownAppend, World, order};

const WHO: &str = "spam@example.org";

fn world() -> World {
    World::new(FakeServer::new(false))
}

async fn ban(world: &World) -> Result<Ruling, LogFault> {
    let what = Action::Ban(BanOrder::Impose {
        term: None,
        reason: None,
        note: None,
    });
    world.engine.submit_one(order(WHO, what)).await
}

fn is_banned(world: &World) -> bool {
    let subject = Subject::parse(WHO).unwrap();
    world
        .engine
        .read(|ledger| ledger.bans().of(&subject).is_some())
}

/// How many times the event is in the log, and how many times it was applied.
fn entries(world: &World) -> (usize, usize) {
    let subject = Subject::parse(WHO).unwrap();
    let log = world.store.read(Seq(1), 1_000).unwrap();
    let applied = world
        .engine
        .read(|ledger| ledger.subjects().trail(&subject).len());
    (log.len(), applied)
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_without_an_answer_is_answered_when_it_is_folded() {
    let world = world();
    world.store.lose_answer(UnknownAppend::Stored);
    let began = tokio::time::Instant::now();
    assert!(matches!(
        ban(&world).await,
        Ok(Ruling::Ban(BanRuling::Banned(_)))
    ));
    assert!(began.elapsed() < Duration::from_millis(250));
    assert_eq!(entries(&world), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_offered_again() {
    let world = world();
    for _ in 0..3 {
        world.store.lose_answer(UnknownAppend::Lost);
    }
    assert!(matches!(
        ban(&world).await,
        Ok(Ruling::Ban(BanRuling::Banned(_)))
    ));
    assert_eq!(entries(&world), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_arrives_late_and_was_offered_again_meanwhile_is_applied_once() {
    let world = world();
    let late = Duration::from_secs(3);
    world.store.lose_answer(UnknownAppend::Late(late));
    assert!(matches!(
        ban(&world).await,
        Ok(Ruling::Ban(BanRuling::Banned(_)))
    ));
    tokio::time::sleep(late).await;
    assert_eq!(entries(&world), (2, 1));
    let subject = Subject::parse(WHO).unwrap();
    assert_eq!(world.engine.read(|ledger| ledger.history(&subject).bans), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_second_offer_says_nothing_about_the_first() {
    let world = world();
    let late = Duration::from_millis(400);
    world.store.lose_answer(UnknownAppend::Late(late));
    world.store.fail_on(1);
    assert!(matches!(
        ban(&world).await,
        Ok(Ruling::Ban(BanRuling::Banned(_)))
    ));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(entries(&world).1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_hears_after_a_while_that_it_is_not_known_and_it_may_still_happen() {
    let world = world();
    let late = Duration::from_secs(30);
    world.store.lose_answer(UnknownAppend::Late(late));
    for _ in 0..100 {
        world.store.lose_answer(UnknownAppend::Lost);
    }
    let began = tokio::time::Instant::now();
    let answer = ban(&world).await;
    assert!(matches!(answer, Err(LogFault::Unknown(_))), "{answer:?}");
    assert!((10..12).contains(&began.elapsed().as_secs()));
    assert!(!is_banned(&world));
    tokio::time::sleep(late).await;
    assert!(is_banned(&world));
    assert_eq!(entries(&world), (1, 1));
}
