//! Forms whose command takes longer than a client waits.

use std::time::Duration;

use minidom::Element;
use portcullis::core::{Action, BanOrder, Intent};
use portcullis::front::work::{PATIENCE, UNSEEN};

use crate::support::bot::{ADMIN, Bot, actions, body_of, element, note, session, submit};
use crate::support::order;

/// Duration of one append in the slow store: longer than a form waits.
const SLOW: Duration = PATIENCE.saturating_add(Duration::from_secs(1));

/// A bot with this many bans, whose store is slow from now on.
async fn with_bans(number: usize) -> Bot {
    let bot = Bot::new();
    let ban = |n: usize| -> Intent {
        let what = Action::Ban(BanOrder::Impose {
            term: None,
            reason: Some("list".into()),
            note: None,
        });
        let (high, low) = (n / 250, n % 250 + 1);
        order(&format!("10.0.{high}.{low}"), what)
    };
    bot.world
        .engine
        .submit((0..number).map(ban).collect())
        .await;
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), number);
    bot.world.store.delay_appends(Some(SLOW));
    bot
}

/// Confirms the un-ban of everything.
async fn begun(bot: &Bot) -> Element {
    let all = submit(&[("filter", &["address list"])]);
    let ask = bot
        .command(ADMIN, "node='unban' action='complete'", &all)
        .await;
    assert_eq!(actions(&ask), "complete: prev complete");
    go_on(bot, &ask, "complete").await
}

async fn go_on(bot: &Bot, step: &Element, action: &str) -> Element {
    let attributes = format!(
        "node='unban' action='{action}' sessionid='{}'",
        session(step)
    );
    bot.command(ADMIN, &attributes, "").await
}

/// Messages that were sent without a request.
fn told(bot: &Bot, is_end: bool) -> Vec<String> {
    let (stanzas, _) = bot.notices.due(true, is_end);
    stanzas
        .into_iter()
        .map(|one| body_of(&element(one)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn long_work_reports_progress_and_then_the_result() {
    let bot = with_bans(9_000).await;
    let mut step = begun(&bot).await;
    assert_eq!(step.attr("status"), Some("executing"));
    assert_eq!(
        note(&step),
        "At work. It goes on by itself. Next looks again; if you do not look, a message tells you what came of it."
    );
    let mut looks = Vec::new();
    while step.attr("status") == Some("executing") {
        assert_eq!(actions(&step), "next: next");
        looks.push(note(&step));
        step = go_on(&bot, &step, "next").await;
    }
    let far = |look: &String| look.starts_with("At work: ") && look.contains(" of 9000 done.");
    assert!(looks.iter().any(far), "{looks:?}");
    assert_eq!(step.attr("status"), Some("completed"));
    assert!(
        note(&step).starts_with("Un-banned 9000 of 9000"),
        "{}",
        note(&step)
    );
    assert!(bot.world.engine.read(|ledger| ledger.bans().is_empty()));
    // It was displayed, so it is over.
    bot.pass(3_600);
    assert_eq!(told(&bot, true), Vec::<String>::new());
    let attributes = format!("node='unban' action='next' sessionid='{}'", session(&step));
    assert_eq!(
        bot.command_fault(ADMIN, &attributes, "").await,
        "not-allowed session-expired"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_the_result_comes_once_as_a_message() {
    for cancels in [false, true] {
        let bot = with_bans(9_000).await;
        let step = begun(&bot).await;
        if cancels {
            let over = go_on(&bot, &step, "cancel").await;
            assert_eq!(over.attr("status"), Some("canceled"));
            assert!(
                note(&over).contains("what it began goes on"),
                "{}",
                note(&over)
            );
        }
        bot.pass(3_600);
        assert_eq!(told(&bot, true), Vec::<String>::new(), "it is not done yet");
        while !bot.world.engine.read(|ledger| ledger.bans().is_empty()) {
            tokio::time::sleep(PATIENCE).await;
        }
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(
            told(&bot, false),
            Vec::<String>::new(),
            "they may still look"
        );
        assert_eq!(bot.notices.due(false, true).0.len(), 0, "the link is down");
        bot.pass(i64::try_from(UNSEEN.as_secs()).unwrap());
        let said = told(&bot, false);
        let [said] = &said[..] else {
            panic!("{said:?}")
        };
        assert!(
            said.starts_with("Your form “Un-ban”:\nUn-banned 9000 of 9000"),
            "{said}"
        );
        assert_eq!(told(&bot, true), Vec::<String>::new(), "once");
    }
}
