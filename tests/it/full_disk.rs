//! A full disk: bans by rules are in force in memory, are reported, and are written once there is space.

use std::sync::Arc;
use std::time::Duration;

use portcullis::admission::{Admission, AdmitAnswer};
use portcullis::core::policy::Whose;
use portcullis::core::{Account, Attempt, LoginOutcome, Policy, Subject, Verdict};
use portcullis::news::{News, watch_the_log};

use crate::support::bot::{ADMIN, Bot, MODERATOR};
use crate::support::{FakeServer, World};

fn account(name: &str) -> Account {
    let subject = Subject::parse(&format!("{name}@example.org")).unwrap();
    subject.account().unwrap().clone()
}

/// How many of these guesses, one after the other, reach the password.
async fn guesses(world: &World, name: &str, address: &str, tries: usize) -> usize {
    let mut reached = 0;
    for _ in 0..tries {
        let answer = world
            .admission
            .try_admit(&account(name), address.parse().unwrap());
        if matches!(answer, AdmitAnswer::Now(Verdict::LetIn)) {
            reached += 1;
            let failed = Attempt {
                account: Some(account(name)),
                address: address.parse().ok(),
                outcome: LoginOutcome::Failure,
                unknown: false,
                at: world.engine.now(),
            };
            let _ = world.admission.report(vec![failed]).await;
        }
    }
    reached
}

/// Starts the task that writes unwritten bans, as the program does.
fn persist(world: &World) {
    let (admission, stop) = (Arc::clone(&world.admission), world.stop.clone());
    tokio::spawn(async move { admission.persist(stop).await });
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

fn held(admission: &Admission) -> Option<usize> {
    let unwritten = admission.unwritten();
    unwritten.borrow().as_ref().map(|fault| fault.bans)
}

#[tokio::test(start_paused = true)]
async fn rules_go_on_banning_while_the_disk_is_full() {
    let world = World::new(FakeServer::new(true));
    let mut news = world.news.listen().unwrap();
    tokio::spawn(watch_the_log(
        world.admission.unwritten(),
        Arc::clone(&world.engine),
        Arc::clone(&world.news),
        world.stop.clone(),
    ));
    persist(&world);
    world.store.fill(true);
    assert_eq!(guesses(&world, "alice", "203.0.113.7", 60).await, 5);
    settle().await;
    assert_eq!(held(&world.admission), Some(1));
    assert_eq!(
        guesses(&world, "alice", "203.0.113.7", 60).await,
        0,
        "it goes on holding"
    );

    world.store.fill(false);
    settle().await;
    assert_eq!(held(&world.admission), None);
    let subject = Subject::parse("alice@example.org from 203.0.113.7").unwrap();
    let is_banned = world
        .engine
        .read(|ledger| ledger.bans().of(&subject).is_some());
    assert!(is_banned, "it was written when there was room");
    assert_eq!(guesses(&world, "alice", "203.0.113.7", 60).await, 0);
    let told: Vec<_> = std::iter::from_fn(|| news.now())
        .map(|one| one.news)
        .collect();
    let of_the_log = told.iter().filter(|one| matches!(one, News::Unwritten(_)));
    assert_eq!(of_the_log.count(), 2, "its begin and its end: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_only_people_find_full_is_told_until_it_takes_writes() {
    let bot = Bot::new();
    let world = &bot.world;
    let mut news = world.news.listen().unwrap();
    tokio::spawn(watch_the_log(
        world.admission.unwritten(),
        Arc::clone(&world.engine),
        Arc::clone(&world.news),
        world.stop.clone(),
    ));
    persist(world);
    settle().await;
    assert_eq!(held(&world.admission), None);
    world.store.fill(true);
    let text = bot.chat(ADMIN, "ban 203.0.113.7 1h").await;
    assert!(text.contains("NOT stored"), "{text}");
    settle().await;
    assert_eq!(held(&world.admission), Some(0));
    let text = bot.chat(ADMIN, "status").await;
    assert!(text.contains("THE STORE TAKES NO DECISIONS"), "{text}");
    assert!(text.contains("told to be full"), "{text}");
    world.store.fill(false);
    settle().await;
    assert_eq!(held(&world.admission), None);
    let text = bot.chat(ADMIN, "status").await;
    assert!(!text.contains("NO DECISIONS"), "{text}");
    let told = std::iter::from_fn(|| news.now());
    let of_the_log = told.filter(|one| matches!(one.news, News::Unwritten(_)));
    assert_eq!(of_the_log.count(), 2, "its begin and its end");
}

#[tokio::test(start_paused = true)]
async fn a_ban_that_was_never_written_ends_in_its_time() {
    let world = World::new(FakeServer::new(true));
    persist(&world);
    world.store.fill(true);
    assert_eq!(guesses(&world, "alice", "203.0.113.7", 9).await, 5);
    world.pass(Duration::from_secs(86_400));
    settle().await;
    assert_eq!(held(&world.admission), Some(0), "nothing is held");
    assert_eq!(
        guesses(&world, "alice", "203.0.113.7", 9).await,
        5,
        "a new day, a new limit"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_held_has_a_bound_and_the_last_one_still_holds() {
    let world = World::new(FakeServer::new(true));
    persist(&world);
    world.store.fill(true);
    for n in 0..12_000_u32 {
        let [_, _, a, b] = n.to_be_bytes();
        let address = format!("20.{a}.{b}.1");
        let failures = (0..5).map(|_| Attempt {
            account: Some(account(&format!("u{n}"))),
            address: address.parse().ok(),
            outcome: LoginOutcome::Failure,
            unknown: false,
            at: world.engine.now(),
        });
        let _ = world.admission.report(failures.collect()).await;
    }
    settle().await;
    let held = held(&world.admission).unwrap();
    assert!((5_000..=10_000).contains(&held), "{held}");
    let last = Some(account("u11999"));
    let verdict = world
        .admission
        .check(last.as_ref(), "20.46.223.1".parse().ok());
    assert!(matches!(verdict, Verdict::Refuse { .. }), "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ban_held_in_memory_is_named_and_ended_by_those_who_may() {
    let bot = Bot::new();
    let world = &bot.world;
    let at = |address: &str| {
        world
            .admission
            .check(Some(&account("alice")), address.parse().ok())
    };
    let pair = "alice@example.org from 203.0.113.7";
    world.store.fill(true);
    assert_eq!(guesses(world, "alice", "203.0.113.7", 9).await, 5);
    let text = bot.chat(ADMIN, &format!("check {pair}")).await;
    assert!(text.contains("portcullis would refuse"), "{text}");
    assert!(text.contains("in memory only"), "{text}");
    assert!(text.contains(&format!("unban {pair}")), "{text}");
    let mut policy = Policy::clone(&world.engine.policy());
    policy.moderators_change = Whose::Own;
    world.engine.set_policy(policy);
    for whom in [pair, "alice@example.org"] {
        let text = bot.chat(MODERATOR, &format!("unban {whom}")).await;
        assert!(
            text.contains("in memory only, was made by the rule pair-failures"),
            "{text}"
        );
        assert!(
            matches!(at("203.0.113.7"), Verdict::Refuse { .. }),
            "{whom}"
        );
    }
    let text = bot.chat(ADMIN, &format!("unban {pair}")).await;
    assert!(text.starts_with(&format!("Un-banned {pair}.")), "{text}");
    assert_eq!(at("203.0.113.7"), Verdict::LetIn);

    // By hand: counted once, told truly, not counted again.
    let text = bot.chat(ADMIN, "attempt 198.51.100.7 5").await;
    assert!(text.contains("in force in memory only"), "{text}");
    let text = bot.chat(ADMIN, "attempt 198.51.100.7 5").await;
    assert!(text.starts_with("Not counted"), "{text}");

    // An exemption that was stored ends what is only held.
    assert!(matches!(at("198.51.100.7"), Verdict::Refuse { .. }));
    world.store.fill(false);
    bot.chat(ADMIN, "allow 198.51.100.0/24 office").await;
    assert_eq!(at("198.51.100.7"), Verdict::LetIn);
}
