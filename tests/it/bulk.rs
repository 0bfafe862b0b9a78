//! Many orders submitted together have the same results as one by one.

use std::time::Duration;

use portcullis::core::{
    Action, BanOrder, BanRuling, ExemptionOrder, ExemptionRuling, Intent, Refusal, Ruling, Subject,
    Term,
};
use portcullis::journal::LogFault;
use proptest::prelude::*;

use crate::support::bot::{ADMIN, Bot, MODERATOR};
use crate::support::{FakeServer, UnknownAppend, World, order};

fn ban(subject: &str, term: &str) -> Intent {
    let what = Action::Ban(BanOrder::Impose {
        term: Some(Term::parse(term).unwrap()),
        reason: Some("spam".into()),
        note: None,
    });
    order(subject, what)
}

fn lift(subject: &str) -> Intent {
    let reason = String::new();
    order(subject, Action::Ban(BanOrder::Lift { reason }))
}

fn allow(subject: &str) -> Intent {
    let comment = "office".into();
    order(
        subject,
        Action::Exemption(ExemptionOrder::Grant {
            term: None,
            comment,
        }),
    )
}

/// One word for each ruling.
fn words(answers: &[Result<Ruling, LogFault>]) -> Vec<&'static str> {
    let word = |answer: &Result<Ruling, LogFault>| match answer {
        Ok(Ruling::Ban(BanRuling::Banned(_))) => "banned",
        Ok(Ruling::Ban(BanRuling::Amended { .. })) => "amended",
        Ok(Ruling::Ban(BanRuling::Lifted(_))) => "lifted",
        Ok(Ruling::Ban(BanRuling::Already(_))) => "already",
        Ok(Ruling::Ban(BanRuling::NotBanned(..))) => "not banned",
        Ok(Ruling::Exemption(ExemptionRuling::Granted { .. })) => "allowed",
        Ok(Ruling::Refused(_)) => "refused",
        Ok(Ruling::Noted) => "noted",
        Ok(Ruling::Overtaken(_)) => "overtaken",
        Ok(_) => "other",
        Err(_) => "fault",
    };
    answers.iter().map(word).collect()
}

#[tokio::test(start_paused = true)]
async fn answers_stand_in_order_and_a_later_order_knows_an_earlier_one() {
    let world = World::new(FakeServer::new(true));
    let list = vec![
        ban("a@example.org", "1h"),
        ban("b@example.org", "1h"),
        ban("a@example.org", "2h"),
        ban("a@example.org", "2h"),
        lift("a@example.org"),
        lift("c@example.org"),
        ban("192.0.2.7", "1h"),
        allow("192.0.2.0/24"),
        ban("192.0.2.8", "1h"),
        ban("127.0.0.1", "1h"),
        Intent::Tick {
            upto: portcullis::core::Timestamp::from_millis(i64::MAX),
        },
    ];
    let answers = world.engine.submit(list).await;
    let want = [
        "banned",
        "banned",
        "amended",
        "already",
        "lifted",
        "not banned",
        "banned",
        "allowed",
        "refused",
        "refused",
        "noted",
    ];
    assert_eq!(words(&answers), want);
    let Ok(Ruling::Refused(Refusal::Allowed(..))) = answers[8] else {
        panic!("{:?}", answers[8])
    };
    assert_eq!(world.engine.read(|ledger| ledger.bans().len()), 1);
    assert!(world.engine.submit(Vec::new()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn more_than_one_append_takes_are_made_and_lifted_and_the_server_learns_of_each() {
    const MANY: usize = 5_000;
    let world = World::new(FakeServer::new(true));
    let name = |n: usize| format!("u{n}@example.org");
    let bans = (0..MANY).map(|n| ban(&name(n), "forever")).collect();
    let made = world.engine.submit(bans).await;
    assert!(words(&made).iter().all(|word| *word == "banned"));
    let lifts = (0..MANY).map(|n| lift(&name(n))).collect();
    let lifted = world.engine.submit(lifts).await;
    for (n, answer) in lifted.iter().enumerate() {
        let Ok(Ruling::Ban(BanRuling::Lifted(ban))) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(ban.subject.to_string(), name(n));
    }
    assert!(world.engine.read(|ledger| ledger.bans().is_empty()));
    for n in [0, MANY - 1] {
        let subject = Subject::parse(&name(n)).unwrap();
        world
            .delivery
            .settled(&subject, Duration::from_secs(600))
            .await;
    }
    assert!(world.server.done().contains(&format!("free {}", name(0))));
}

#[tokio::test(start_paused = true)]
async fn what_was_appended_together_fails_together_and_nothing_else() {
    let world = World::new(FakeServer::new(true));
    world.store.fail_on(1);
    // The second order about the same subject begins another append.
    let list = vec![
        ban("a@example.org", "1h"),
        ban("b@example.org", "1h"),
        ban("a@example.org", "2h"),
    ];
    let answers = world.engine.submit(list).await;
    assert_eq!(words(&answers), ["fault", "fault", "banned"]);
    assert_eq!(world.engine.read(|ledger| ledger.bans().len()), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_somebody_was_faster_with_is_proposed_again() {
    let world = World::new(FakeServer::new(true));
    world.store.delay_appends(Some(Duration::from_millis(100)));
    let many = vec![ban("a@example.org", "1h"), ban("b@example.org", "1h")];
    let mut all = Box::pin(world.engine.submit(many));
    assert!(futures::poll!(&mut all).is_pending());
    world.store.delay_appends(Some(Duration::from_millis(1)));
    let first = world.engine.submit_one(ban("a@example.org", "2h")).await;
    assert_eq!(words(&[first]), ["banned"]);
    assert_eq!(words(&all.await), ["amended", "banned"]);
}

/// The same order, given by another admin.
fn by_another(intent: Intent) -> Intent {
    let Intent::Order(mut order) = intent else {
        panic!("no order")
    };
    order.actor.name = "other@example.org/y".into();
    Intent::Order(order)
}

#[tokio::test(start_paused = true)]
async fn a_stale_order_among_many_is_answered_like_a_single_one() {
    let world = World::new(FakeServer::new(true));
    let names = ["a@example.org", "b@example.org", "c@example.org"];
    world
        .engine
        .submit(names.map(|name| ban(name, "1h")).into())
        .await;
    world.store.delay_appends(Some(Duration::from_millis(100)));
    let mut lifts = Box::pin(world.engine.submit(names.map(lift).into()));
    assert!(futures::poll!(&mut lifts).is_pending());
    world.store.delay_appends(Some(Duration::from_millis(1)));
    let longer = by_another(ban("b@example.org", "2h"));
    assert_eq!(words(&[world.engine.submit_one(longer).await]), ["amended"]);
    assert_eq!(words(&lifts.await), ["lifted", "overtaken", "lifted"]);
    assert_eq!(world.engine.read(|ledger| ledger.bans().len()), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_after_the_list_was_made_is_not_overruled() {
    let world = World::new(FakeServer::new(true));
    let names = ["a@example.org", "b@example.org", "c@example.org"];
    world
        .engine
        .submit(names.map(|name| ban(name, "1h")).into())
        .await;
    let seen = world.engine.read(|ledger| ledger.folded());
    let from_the_list = |name| match lift(name) {
        Intent::Order(order) => Intent::Order(order.chosen_at(seen)),
        other => other,
    };
    // One order by another admin, and one by the same admin, who knows of the first.
    let longer = by_another(ban("b@example.org", "2h"));
    world
        .engine
        .submit(vec![longer, ban("c@example.org", "3h")])
        .await;
    let answers = world.engine.submit(names.map(from_the_list).into()).await;
    assert_eq!(words(&answers), ["lifted", "overtaken", "lifted"]);
}

#[tokio::test(start_paused = true)]
async fn unban_all_leaves_what_somebody_changed_after_the_question() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban a@example.org b@example.org 1d spam --force")
        .await;
    let asked = bot.chat(ADMIN, "unban all spam").await;
    assert!(asked.contains("End 2 bans in force"), "{asked}");
    bot.chat(MODERATOR, "extend b@example.org 1d").await;
    let told = bot.chat(ADMIN, "yes").await;
    assert!(told.contains("Un-banned 1 of 2."), "{told}");
    assert!(
        told.contains("1 FAILED (b@example.org): mod@example.org was first"),
        "{told}"
    );
    let shown = bot.chat(ADMIN, "show b@example.org").await;
    assert!(shown.contains("b@example.org is banned"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn unban_all_ends_nothing_that_was_not_shown() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban c@example.org 121m x --force").await;
    bot.chat(ADMIN, "ban d@example.org 1h x --force").await;
    let asked = bot.chat(ADMIN, "unban all expiring:2h").await;
    assert!(asked.contains("End 1 ban in force"), "{asked}");
    bot.pass(100);
    let told = bot.chat(ADMIN, "yes").await;
    assert!(told.contains("Un-banned 1 of 1."), "{told}");
    let shown = bot.chat(ADMIN, "show c@example.org").await;
    assert!(shown.contains("c@example.org is banned"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_about_many_is_no_internal_failure() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban a@example.org b@example.org 1d spam --force")
        .await;
    bot.chat(ADMIN, "unban all spam").await;
    for _ in 0..100 {
        bot.world.store.lose_answer(UnknownAppend::Lost);
    }
    let told = bot.chat(ADMIN, "yes").await;
    assert!(told.contains("Un-banned 0 of 2."), "{told}");
    assert!(
        told.contains("2 FAILED (b@example.org, a@example.org): not known yet."),
        "{told}"
    );
    assert!(
        told.contains("it may still happen. Look with list"),
        "{told}"
    );
    assert!(!told.contains("reference"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn unban_all_asks_again_if_more_bans_match_than_it_showed() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban e@example.org 1d x --force").await;
    bot.chat(ADMIN, "ban f@example.org 1d junk --force").await;
    let asked = bot.chat(ADMIN, "unban all junk").await;
    assert!(asked.contains("End 1 ban in force"), "{asked}");
    bot.chat(MODERATOR, "ban e@example.org 1d junk").await;
    let again = bot.chat(ADMIN, "yes").await;
    assert!(
        again.contains("1 matched when you were asked, 2 do now."),
        "{again}"
    );
    assert!(again.contains("End 2 bans in force"), "{again}");
    let told = bot.chat(ADMIN, "yes").await;
    assert!(told.contains("Un-banned 2 of 2."), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn many_orders_together_have_the_same_result_as_one_by_one(
        steps in proptest::collection::vec((0..4_u8, 0..6_u8), 1..40),
    ) {
        let report = |(what, whom): &(u8, u8)| {
            let account = format!("u{whom}@example.org");
            let address = format!("192.0.2.{whom}");
            match what {
                0 => ban(&account, &format!("{}h", whom + 1)),
                1 => lift(&account),
                2 => ban(&address, "1h"),
                _ if *whom < 2 => allow("192.0.2.0/30"),
                _ => order("192.0.2.0/30", Action::Exemption(ExemptionOrder::Revoke)),
            }
        };
        let list: Vec<Intent> = steps.iter().map(report).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (alone, together) = (
                World::new(FakeServer::new(false)),
                World::new(FakeServer::new(false)),
            );
            let mut one_by_one = Vec::new();
            for report in &list {
                one_by_one.push(alone.engine.submit_one(report.clone()).await);
            }
            let at_once = together.engine.submit(list).await;
            prop_assert_eq!(format!("{one_by_one:?}"), format!("{at_once:?}"));
            let standing = |world: &World| {
                world.engine.read(|ledger| ledger.bans().newest_first().cloned().collect::<Vec<_>>())
            };
            prop_assert_eq!(standing(&alone), standing(&together));
            Ok(())
        })?;
    }
}
