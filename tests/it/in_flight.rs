//! Many guesses at the same moment: as many are let in to the password as may fail; the others wait for outcomes.

use std::sync::Arc;
use std::time::Duration;

use portcullis::admission::{Admission, AdmitAnswer, crowded};
use portcullis::core::{Account, Attempt, LoginOutcome, Subject, Verdict};
use tokio::task::JoinHandle;

use crate::support::{FakeServer, World};

/// The limits of the default rules.
const PAIR: usize = 5;
const HOLD: Duration = Duration::from_millis(250);

fn account(name: &str) -> Account {
    let subject = Subject::parse(&format!("{name}@example.org")).unwrap();
    subject.account().unwrap().clone()
}

fn came(world: &World, name: &str, address: &str, outcome: LoginOutcome) -> Attempt {
    Attempt {
        account: Some(account(name)),
        address: Some(address.parse().unwrap()),
        outcome,
        unknown: false,
        at: world.engine.now(),
    }
}

fn asks(world: &World, name: &str, address: &str) -> JoinHandle<Verdict> {
    let (admission, name, address) = (Arc::clone(&world.admission), account(name), address.parse());
    tokio::spawn(async move { admission.admit_within(&name, address.unwrap(), HOLD).await })
}

/// Number of logins that have their answer, and number of those that are let in.
async fn answered(all: &mut Vec<JoinHandle<Verdict>>) -> (usize, usize) {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let (done, waiting): (Vec<_>, Vec<_>) = all.drain(..).partition(JoinHandle::is_finished);
    *all = waiting;
    let mut let_in = 0;
    let answers = done.len();
    for one in done {
        let_in += usize::from(one.await.unwrap() == Verdict::LetIn);
    }
    (answers, let_in)
}

fn now(admission: &Admission, name: &str, address: &str) -> Option<Verdict> {
    match admission.try_admit(&account(name), address.parse().unwrap()) {
        AdmitAnswer::Now(verdict) => Some(verdict),
        AdmitAnswer::Later => None,
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_of_one_moment_stop_at_the_limit() {
    let world = World::new(FakeServer::new(true));
    // One account from one address; many accounts from one address; one account from many networks; many accounts
    // from many addresses of one network.
    let victim = |_| (String::from("alice"), String::from("198.51.100.7"));
    let spray = |n| (format!("s{n}"), String::from("198.51.100.8"));
    let botnet = |n| (String::from("bob"), format!("10.{n}.0.1"));
    let walk = |n| (format!("w{n}"), format!("203.0.113.{n}"));
    let tries = |attack: fn(usize) -> (String, String)| (1..=60).map(attack).collect::<Vec<_>>();
    let attacks = [
        (tries(victim), PAIR),
        (tries(spray), PAIR),
        (tries(botnet), 10),
        (tries(walk), 20),
    ];
    for (tries, limit) in attacks {
        let mut all: Vec<_> = tries
            .iter()
            .map(|(who, at)| asks(&world, who, at))
            .collect();
        assert_eq!(answered(&mut all).await, (limit, limit), "{:?}", tries[0]);
        for (who, at) in tries.iter().take(limit) {
            assert_eq!(answered(&mut all).await, (0, 0), "before the last outcome");
            let failed = came(&world, who, at, LoginOutcome::Failure);
            world.admission.report(vec![failed]).await.unwrap();
        }
        assert_eq!(answered(&mut all).await, (60 - limit, 0), "{:?}", tries[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_good_login_makes_room_for_one_more() {
    let world = World::new(FakeServer::new(true));
    let office = "203.0.113.7";
    let people: Vec<_> = (0..30).map(|n| format!("u{n}")).collect();
    let mut all: Vec<_> = people.iter().map(|who| asks(&world, who, office)).collect();
    let mut let_in = answered(&mut all).await.1;
    assert_eq!(let_in, PAIR);
    for who in &people {
        let success = came(&world, who, office, LoginOutcome::Success);
        world.admission.report(vec![success]).await.unwrap();
        let_in += answered(&mut all).await.1;
    }
    assert_eq!((let_in, all.len()), (30, 0));
    // A login from a trusted source waits only for its own pair, and one from a shared address for nobody.
    for who in &people {
        assert_eq!(now(&world.admission, who, office), Some(Verdict::LetIn));
    }
    assert_eq!(now(&world.admission, "new", office), Some(Verdict::LetIn));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_asked() {
    let world = World::new(FakeServer::new(true));
    let ask = |n: usize| asks(&world, &format!("u{n}"), "203.0.113.8");
    let mut all: Vec<_> = (0..9).map(ask).collect();
    assert_eq!(answered(&mut all).await, (5, 5));
    tokio::time::sleep(HOLD).await;
    assert_eq!(answered(&mut all).await, (4, 0));
    let told = crowded(world.engine.now());
    assert!(
        matches!(told, Verdict::Refuse { until: Some(until), .. } if until > world.engine.now())
    );
    // No outcome for so long means that there is none.
    let ninth = || now(&world.admission, "u9", "203.0.113.8");
    assert_eq!(ninth(), None);
    world.pass(Duration::from_secs(5));
    assert_eq!(ninth(), Some(Verdict::LetIn));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_no_try_and_an_error_does() {
    let world = World::new(FakeServer::new(true));
    let at = "203.0.113.7";
    for _ in 0..5 {
        assert!(now(&world.admission, "alice", at).is_some());
    }
    let refused = came(&world, "alice", at, LoginOutcome::Refused);
    world.admission.report(vec![refused]).await.unwrap();
    assert_eq!(now(&world.admission, "alice", at), None);
    let error = came(&world, "alice", at, LoginOutcome::Error);
    world.admission.report(vec![error]).await.unwrap();
    assert!(now(&world.admission, "alice", at).is_some());
    assert_eq!(now(&world.admission, "alice", at), None);
}

#[tokio::test(start_paused = true)]
async fn failures_before_leave_less_room() {
    let world = World::new(FakeServer::new(true));
    let at = "203.0.113.7";
    let failures = (0..3).map(|_| came(&world, "alice", at, LoginOutcome::Failure));
    world.admission.report(failures.collect()).await.unwrap();
    assert!(now(&world.admission, "alice", at).is_some());
    assert!(now(&world.admission, "alice", at).is_some());
    assert_eq!(now(&world.admission, "alice", at), None);
    // Outside their window they no longer count.
    world.pass(Duration::from_secs(601));
    for _ in 0..5 {
        assert!(now(&world.admission, "alice", at).is_some());
    }
    assert_eq!(now(&world.admission, "alice", at), None);
    // Exempt addresses have no such limit.
    for _ in 0..50 {
        assert!(now(&world.admission, "alice", "127.0.0.1").is_some());
    }
}
