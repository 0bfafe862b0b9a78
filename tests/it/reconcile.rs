//! Records on the server are compared regularly, and repaired if they differ.

use std::sync::Arc;
use std::time::Duration;

use portcullis::core::{Account, EntryPoint, Origin, Subject};
use portcullis::delivery::ports::Recorded;
use tokio_util::sync::CancellationToken;

use crate::support::{FakeServer, World};

const EVERY: Duration = Duration::from_secs(600);

async fn a_round(world: &World) {
    let stop = CancellationToken::new();
    let patrol = tokio::spawn(Arc::clone(&world.delivery).reconcile(EVERY, stop.clone()));
    tokio::time::sleep(Duration::from_secs(30)).await;
    stop.cancel();
    patrol.await.unwrap();
}

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn account(text: &str) -> Account {
    Account::from_plain(text).unwrap()
}

fn recorded(reason: &str, is_ours: bool) -> Recorded {
    Recorded {
        reason: reason.into(),
        until: None,
        is_ours,
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_changed_is_written_again_and_the_others_are_left_alone() {
    let world = World::new(FakeServer::new(true));
    for who in ["a@example.org", "b@example.org", "203.0.113.7"] {
        world.ban(who, Some("1d")).await;
        world.settled(who).await;
    }
    let before = world.server.done().len();
    world
        .server
        .changed
        .lock()
        .unwrap()
        .push(subject("b@example.org"));
    a_round(&world).await;
    assert_eq!(world.server.done()[before..], ["ban #2 b@example.org"]);
}

#[tokio::test(start_paused = true)]
async fn a_ban_of_the_servers_own_is_taken_over_once_and_one_that_we_lifted_is_cleared_away() {
    let world = World::new(FakeServer::new(true));
    world.ban("old@example.org", None).await;
    world.lift("old@example.org").await;
    world.settled("old@example.org").await;
    let before = world.server.done().len();
    *world.server.its_own.lock().unwrap() = vec![
        (account("old@example.org"), recorded("spam", true)),
        (
            account("new@example.org"),
            recorded("by the operator", false),
        ),
    ];
    a_round(&world).await;
    world.server.its_own.lock().unwrap().remove(0);
    a_round(&world).await;
    let ban = world.engine.read(|ledger| {
        assert!(ledger.bans().of(&subject("old@example.org")).is_none());
        ledger
            .bans()
            .of(&subject("new@example.org"))
            .cloned()
            .unwrap()
    });
    assert_eq!(
        (&ban.origin, ban.by.door),
        (&Origin::Server, EntryPoint::Server)
    );
    assert_eq!(ban.reason, "by the operator");
    let mut done = world.server.done()[before..].to_vec();
    done.sort();
    assert_eq!(done, ["ban #2 new@example.org", "free old@example.org"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_at_while_the_server_is_away() {
    let world = World::new(FakeServer::new(false));
    *world.server.its_own.lock().unwrap() = vec![(account("new@example.org"), recorded("", false))];
    a_round(&world).await;
    assert!(world.engine.read(|ledger| ledger.bans().is_empty()));
    world.server.set_linked(true);
    a_round(&world).await;
    assert!(
        world
            .engine
            .read(|ledger| ledger.bans().of(&subject("new@example.org")).is_some())
    );
}
