//! Replies (XEP-0461), quotes, corrections (XEP-0308) and quick responses (XEP-0439).

use minidom::Element;
use portcullis::core::{Attempt, LoginOutcome, Subject};
use portcullis::news::NotificationFeed;

use crate::support::bot::{ADMIN, Bot, MODERATOR, element};

const NS: &str = "jabber:component:accept";
const NS_QUICK: &str = "urn:xmpp:tmp:quick-response";

/// A message of ours: its id, its text and the commands it offers.
struct Ours {
    id: String,
    text: String,
    quick: Vec<String>,
}

fn read(element: &Element) -> Ours {
    let quick = element
        .children()
        .filter(|one| one.is("response", NS_QUICK));
    Ours {
        id: element.attr("id").unwrap().to_owned(),
        text: element.get_child("body", NS).unwrap().text(),
        quick: quick
            .filter_map(|one| one.attr("value").map(str::to_owned))
            .collect(),
    }
}

/// Sends a message with more elements than a body; returns the only answer.
async fn say(bot: &Bot, from: &str, id: &str, text: &str, more: &str) -> Ours {
    let message = format!(
        "<message type='chat' id='{id}' from='{from}' to='bot@gate.example.org'><body>{text}</body>{more}</message>"
    );
    read(&bot.all(&message).await[0])
}

async fn reply(bot: &Bot, from: &str, to: &Ours, text: &str) -> String {
    let more = format!("<reply xmlns='urn:xmpp:reply:0' id='{}'/>", to.id);
    say(bot, from, "r1", text, &more).await.text
}

/// Lets a rule ban a guesser, and returns the notice about it.
async fn guesser(bot: &Bot, hearing: &mut NotificationFeed, address: &str) -> Ours {
    for _ in 0..5 {
        let attempt = Attempt {
            account: Subject::parse("alice@example.org")
                .unwrap()
                .account()
                .cloned(),
            address: address.parse().ok(),
            outcome: LoginOutcome::Failure,
            unknown: false,
            at: bot.world.engine.now(),
        };
        bot.world.admission.report(vec![attempt]).await.unwrap();
    }
    let news: Vec<_> = std::iter::from_fn(|| hearing.now()).collect();
    let stanza = bot.notices.offer(&news, &[], true).remove(0);
    read(&element(stanza))
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_a_notice_acts_on_its_subject() {
    let bot = Bot::new();
    let mut hearing = bot.world.news.listen().unwrap();
    bot.chat(ADMIN, "watch bans").await;
    let notice = guesser(&bot, &mut hearing, "203.0.113.7").await;
    let text = reply(&bot, ADMIN, &notice, "show").await;
    assert!(text.contains("is banned: #1"), "{text}");
    let text = reply(&bot, ADMIN, &notice, "1 week guessing again").await;
    assert!(
        text.starts_with("Changed #1 alice@example.org from 203.0.113.7: was until 2026-11-22 04:10 UTC, now until 2026-11-29 04:00 UTC (7 days): guessing again."),
        "{text}"
    );
    // A reply with only a duration does the same as the last line of the notice.
    assert_eq!(notice.quick[2], "extend #1 1w");
    let longer = "Extended #1 alice@example.org from 203.0.113.7: was until 2026-11-29 04:00 UTC, now until 2026-12-06 04:00 UTC (14 days): guessing again.";
    let text = reply(&bot, ADMIN, &notice, "1 week").await;
    assert!(text.starts_with(longer), "{text}");
    bot.chat(ADMIN, "undo").await;
    let text = bot.chat(ADMIN, &notice.quick[2]).await;
    assert!(text.starts_with(longer), "{text}");
    let text = reply(&bot, ADMIN, &notice, "ban 2d").await;
    assert!(text.contains("now until 2026-11-24 04:00 UTC"), "{text}");
    let text = reply(&bot, ADMIN, &notice, "unban sorry, her phone").await;
    assert!(
        text.starts_with("Un-banned #1 alice@example.org from 203.0.113.7."),
        "{text}"
    );
    let text = reply(&bot, ADMIN, &notice, "1d").await;
    assert!(
        text.starts_with("Banned #2 alice@example.org from 203.0.113.7"),
        "there is nothing to make longer: {text}"
    );
    bot.chat(ADMIN, "undo").await;
    let text = reply(&bot, ADMIN, &notice, "allow").await;
    assert!(
        text.contains("cannot be exempt"),
        "the same rules as always: {text}"
    );
    // A subject in the line takes precedence over the message that is replied to.
    let text = reply(&bot, ADMIN, &notice, "ban eve@example.org 1d").await;
    assert!(text.starts_with("Banned #3 eve@example.org"), "{text}");
    let text = reply(&bot, ADMIN, &notice, "3").await;
    assert!(text.contains("Nothing was done"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_an_answer_acts_on_its_subject() {
    let bot = Bot::new();
    let banned = say(&bot, ADMIN, "m1", "ban eve@example.org 1d spam", "").await;
    assert!(banned.text.starts_with("Banned #1"), "{}", banned.text);
    let text = reply(&bot, ADMIN, &banned, "unban").await;
    assert!(text.starts_with("Un-banned #1 eve@example.org."), "{text}");
    let help = say(&bot, ADMIN, "m2", "help", "").await;
    let text = reply(&bot, ADMIN, &help, "unban").await;
    assert!(text.contains("about several, or about nobody"), "{text}");
    let text = reply(&bot, ADMIN, &banned, "unban all by:nobody").await;
    assert!(!text.contains("#1"), "not only this one: {text}");
    let both = say(&bot, ADMIN, "m3", "ban a@example.org b@example.org 1d", "").await;
    let text = reply(&bot, ADMIN, &both, "unban").await;
    assert!(text.contains("Nothing was done. Write: unban"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_a_message_for_somebody_else_or_to_none_has_no_subject() {
    let bot = Bot::new();
    let banned = say(&bot, ADMIN, "m1", "ban eve@example.org 1d spam", "").await;
    let text = reply(&bot, MODERATOR, &banned, "unban").await;
    assert!(
        text.contains("I no longer know what that message was about"),
        "{text}"
    );
    let never = Ours {
        id: "0123".into(),
        ..banned
    };
    let text = reply(&bot, ADMIN, &never, "unban").await;
    assert!(text.contains("I no longer know"), "{text}");
    let text = reply(&bot, ADMIN, &never, "unban #1").await;
    assert!(
        text.starts_with("Un-banned #1"),
        "it is complete in itself: {text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quote_is_enough_where_it_is_clear() {
    let bot = Bot::new();
    let banned = say(&bot, ADMIN, "m1", "ban eve@example.org 1d spam", "").await;
    let first = banned.text.lines().next().unwrap();
    let text = say(&bot, ADMIN, "m2", &format!("&gt; {first}\nunban"), "")
        .await
        .text;
    assert!(text.starts_with("Un-banned #1"), "{text}");
    let text = say(&bot, ADMIN, "m3", "&gt; Banned #1 eve\nban 1d", "")
        .await
        .text;
    assert!(
        text.contains("Nothing was done"),
        "not a whole line of ours: {text}"
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_line_without_effect_can_be_corrected() {
    let bot = Bot::new();
    let banned = say(&bot, ADMIN, "m0", "ban eve@example.org 1d spam", "").await;
    let corrects = |id: &str| format!("<replace xmlns='urn:xmpp:message-correct:0' id='{id}'/>");
    let replied = format!("<reply xmlns='urn:xmpp:reply:0' id='{}'/>", banned.id);
    // A mistyped reply, and its correction without the reply element.
    let text = say(&bot, ADMIN, "m1", "ubnan", &replied).await.text;
    assert!(text.contains("Did you mean unban?"), "{text}");
    let text = say(&bot, ADMIN, "m2", "unban", &corrects("m1")).await.text;
    assert!(text.starts_with("Un-banned #1"), "{text}");
    let text = say(&bot, ADMIN, "m3", "ban eve@example.org", &corrects("m1"))
        .await
        .text;
    assert!(text.contains("does not run again"), "{text}");
    let text = say(&bot, ADMIN, "m4", "unban a@example.org", &corrects("m0"))
        .await
        .text;
    assert!(text.contains("does not run again"), "{text}");
    // A question: nothing is done yet, and the correction drops it, so its yes has no effect.
    let asked = say(&bot, ADMIN, "m5", "ban 10.0.0.0/8 1d", "").await;
    assert_eq!(asked.quick, ["yes", "no"]);
    let text = say(&bot, ADMIN, "m6", "ban 10.9.9.0/24 1d", &corrects("m5"))
        .await
        .text;
    assert!(text.starts_with("Banned #2 10.9.9.0/24"), "{text}");
    let text = say(&bot, ADMIN, "m7", "yes", "").await.text;
    assert!(text.contains("There is nothing to say yes to"), "{text}");
    // Refused by the rules, so nothing was done either.
    let text = say(&bot, MODERATOR, "n1", "ban bob@example.org 99d", "")
        .await
        .text;
    assert!(text.contains("too long"), "{text}");
    let text = say(
        &bot,
        MODERATOR,
        "n2",
        "ban bob@example.org 9d",
        &corrects("n1"),
    )
    .await
    .text;
    assert!(text.starts_with("Banned #3"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_users_wrote_opens_no_span() {
    let bot = Bot::new();
    let message = "<message type='chat' id='m' from='admin@example.org/desk' to='bot@gate.example.org'><body>ban eve@example.org 1d *bold* `x`</body></message>";
    let answer = bot.all(message).await.remove(0);
    assert!(answer.has_child("unstyled", "urn:xmpp:styling:0"));
}
