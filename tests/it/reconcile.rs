//! Records on the server are compared regularly, and repaired if they differ.

use std::sync::Arc;
use std::time::Duration;

use portcullis::core::{
    Account, BanId, BanRuling, EntryPoint, Ledger, Origin, Rights, Role, Ruling, Subject, Timestamp,
};
use portcullis::delivery::ports::Recorded;
use portcullis::front::Roles;
use tokio_util::sync::CancellationToken;

use crate::support::bot::{ADMIN, Bot, MODERATOR};
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
        ban: is_ours.then_some(BanId(1)),
        needs_server: false,
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

/// The store was put back to a backup: mod was banned, un-banned, then (after the backup) banned again.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_newer_than_the_store_is_taken_over_and_no_number_is_given_twice() {
    let world = World::new(FakeServer::new(true));
    world.ban("mod@example.org", None).await;
    world.lift("mod@example.org").await;
    world.settled("mod@example.org").await;
    let newer = Recorded {
        ban: Some(BanId(238)),
        ..recorded("after the backup", true)
    };
    *world.server.its_own.lock().unwrap() = vec![(account("mod@example.org"), newer)];
    a_round(&world).await;
    let ban = world.engine.read(|ledger| {
        let ban = ledger.bans().of(&subject("mod@example.org"));
        ban.cloned().unwrap()
    });
    assert_eq!(
        (ban.id, &ban.reason[..]),
        (BanId(1_239), "after the backup")
    );
    let is_noticed = |ledger: &Ledger| ledger.put_backs().last().is_some();
    assert!(world.engine.read(is_noticed));
    a_round(&world).await;
    match world.ban("other@example.org", None).await {
        Ruling::Ban(BanRuling::Banned(ban)) => assert_eq!(ban.id, BanId(1_240)),
        other => panic!("{other:?}"),
    }
    let of = |id| {
        world
            .engine
            .read(|ledger| ledger.subjects().by_number(id).cloned())
    };
    assert_eq!(of(BanId(1)), Some(subject("mod@example.org")));
    assert_eq!(of(BanId(238)), None);
    // Nobody is believed beyond a bound.
    let about = subject("mod@example.org");
    let told = world.engine.was_put_back(&about, BanId(u64::MAX)).await;
    assert!(told.unwrap());
    let next = world.engine.read(|ledger| ledger.subjects().next_ban());
    assert_eq!(next, BanId(1_241 + 1_000_000 - 1_237), "a million in all");
    let again = world.engine.was_put_back(&about, BanId(u64::MAX)).await;
    assert!(!again.unwrap(), "claims without an end cost nothing more");
}

/// The server keeps somebody out by a record that the store does not know of.
#[tokio::test(start_paused = true)]
async fn an_unban_looks_at_the_record_although_nobody_is_banned_here() {
    let server = FakeServer::new(true);
    let bot = Bot::with(Arc::clone(&server));
    let until = Timestamp::parse("2030-01-01T00:00:00Z");
    let newer = Recorded {
        ban: Some(BanId(239)),
        until,
        ..recorded("after the backup", true)
    };
    let own = recorded("by the operator", false);
    *server.its_own.lock().unwrap() = vec![
        (account("mod@example.org"), newer),
        (account("own@example.org"), own),
    ];
    let held = "mod@example.org is not banned here, but the server holds a record of ours, #239 until 2030-01-01 00:00 UTC: after the backup. To lift it: unban mod@example.org";
    for command in ["show", "check"] {
        let said = bot.chat(ADMIN, &format!("{command} mod@example.org")).await;
        assert!(said.contains(held), "{said}");
    }
    let said = bot.chat(MODERATOR, "unban mod@example.org").await;
    assert!(
        said.contains("It is longer than you may end; an admin can."),
        "{said}"
    );
    assert!(server.done().is_empty());
    let said = bot.chat(ADMIN, "unban mod@example.org").await;
    assert_eq!(
        said,
        "mod@example.org was not banned here, but the server held a record of ours, #239 until 2030-01-01 00:00 UTC: after the backup. It was lifted. They can log in again."
    );
    let said = bot
        .chat(ADMIN, "unban own@example.org nobody@example.org")
        .await;
    assert!(
        said.contains("the server held a ban of its own: by the operator. It was lifted."),
        "{said}"
    );
    assert!(
        said.contains("nobody@example.org is not banned and never was."),
        "{said}"
    );
    assert_eq!(
        server.done(),
        ["free mod@example.org", "free own@example.org"]
    );
    // The record named a number that was not given yet.
    let said = bot.chat(ADMIN, "ban other@example.org 1d").await;
    assert!(said.starts_with("Banned #1240 other@example.org"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_ban_that_only_the_server_can_lift_is_answered_with_the_line_and_leaves_no_work() {
    let bot = Bot::new();
    let own = Recorded {
        needs_server: true,
        ..recorded("by hand", false)
    };
    *bot.world.server.its_own.lock().unwrap() = vec![(account("spam@example.org"), own)];
    let line = "To end it, on the server: `ejabberdctl unban_account spam example.org`.";
    let held =
        "spam@example.org is not banned here, but the server holds a ban of its own: by hand.";
    assert_eq!(
        bot.chat(ADMIN, "unban spam@example.org").await,
        format!(
            "{held} Only the server can lift it, since it keeps the password of the account. {line}"
        )
    );
    assert!(bot.world.delivery.tasks().is_empty());
    assert!(bot.world.server.done().is_empty());
    let shown = bot.chat(ADMIN, "show spam@example.org").await;
    assert!(shown.contains(&format!("{held} {line}")), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_host_is_lifted_by_the_role_held_there() {
    let server = FakeServer::new(true);
    let bot = Bot::with(Arc::clone(&server));
    bot.bot.set_roles(Roles::new([
        (
            account("mod@example.org"),
            Rights::everywhere(Role::Moderator),
        ),
        (
            account("mod@example.org"),
            Rights::on(Role::Admin, ["a.example"]),
        ),
    ]));
    *server.its_own.lock().unwrap() = ["eve@a.example", "eve@b.example"]
        .map(|eve| (account(eve), recorded("by the operator", false)))
        .to_vec();
    let said = bot.chat(MODERATOR, "unban eve@b.example").await;
    assert!(said.contains("An admin can end it."), "{said}");
    assert!(server.done().is_empty(), "{:?}", server.done());
    let said = bot.chat(MODERATOR, "unban eve@a.example").await;
    assert!(said.contains("It was lifted."), "{said}");
    assert_eq!(server.done(), ["free eve@a.example"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_begins_a_round_at_once() {
    let world = World::new(FakeServer::new(true));
    world.ban("a@example.org", Some("1d")).await;
    world.settled("a@example.org").await;
    let stop = CancellationToken::new();
    let patrol = tokio::spawn(Arc::clone(&world.delivery).reconcile(EVERY, stop.clone()));
    // What was carried out just before a connection is lost is carried out again anyway.
    tokio::time::sleep(EVERY / 2).await;
    let before = world.server.done().len();
    let changed = subject("a@example.org");
    world.server.changed.lock().unwrap().push(changed);
    for linked in [false, true] {
        world.server.set_linked(linked);
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    stop.cancel();
    patrol.await.unwrap();
    assert_eq!(world.server.done()[before..], ["ban #1 a@example.org"]);
}
