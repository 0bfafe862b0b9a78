//! `watch`: who receives which notifications, and that subscriptions survive a restart.

use crate::support::bot::{ADMIN, Bot, MODERATOR, note, submit};

#[tokio::test(start_paused = true)]
async fn everybody_chooses_for_themselves_and_admins_for_rooms() {
    let bot = Bot::new();
    let text = bot.chat(ADMIN, "watch").await;
    assert!(
        text.starts_with("You hear of: guards, networks, unbans, "),
        "{text}"
    );
    assert!(
        text.contains("(the usual).\nTo change it: watch all"),
        "{text}"
    );
    assert!(
        text.contains("bans: no; a rule banned an address"),
        "{text}"
    );
    assert_eq!(
        bot.chat(ADMIN, "watch guards bans").await,
        "You hear of: guards, bans."
    );
    assert_eq!(
        bot.chat(ADMIN, "watch -bans quiet 22-7").await,
        "You hear of: guards, not 22:00-07:00 UTC.\nBetween 22:00-07:00 UTC nothing is told; what happened then is told at their end."
    );
    let text = bot.chat(MODERATOR, "watch").await;
    assert!(text.starts_with("You hear of: nothing."), "{text}");
    let room = "room@conference.example.org";
    let text = bot.chat(MODERATOR, &format!("watch {room} all")).await;
    assert!(text.contains("needs the role admin"), "{text}");
    let text = bot.chat(ADMIN, &format!("watch {room} all")).await;
    assert_eq!(text, format!("{room} hears of: everything."));
    let filled = submit(&[("topics", &["usual"]), ("whose", &[room])]);
    let done = bot.command(ADMIN, "node='watch'", &filled).await;
    assert!(
        note(&done).contains("an admin hears the usual then"),
        "{}",
        note(&done)
    );
    let text = bot.chat(ADMIN, "watch everything").await;
    assert!(
        text.contains("nothing to hear of. There are guards"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_an_event_and_shows_in_the_history() {
    let bot = Bot::new();
    bot.chat(ADMIN, "watch off").await;
    let text = bot.chat(ADMIN, "show admin@example.org").await;
    assert!(
        text.contains("hears nothing by admin@example.org"),
        "{text}"
    );
    // Folded again, as after a restart.
    let again = crate::support::World::on(
        std::sync::Arc::clone(&bot.world.store),
        std::sync::Arc::clone(&bot.world.server),
        crate::support::START,
    );
    let subject = portcullis::core::Subject::parse("admin@example.org").unwrap();
    let watch = again
        .engine
        .read(|ledger| ledger.subscriptions().of(&subject).cloned());
    assert!(watch.is_some_and(|watch| watch.is_off()));
}
