//! Undo, extend, note and kick, by form and by chat line: the answers, and the state afterwards.

use std::sync::Arc;
use std::time::Duration;

use portcullis::command::Context;
use portcullis::core::policy::Whose;
use portcullis::core::{Account, Policy, Rights, Role, Seq, Subject, Term};
use portcullis::front::{self, Roles};
use portcullis::journal::Replica as _;
use proptest::prelude::*;
use xmpp_parsers::jid::{BareJid, Jid};

use crate::support::bot::{ADMIN, Bot, DOMAIN, MODERATOR, note, submit};
use crate::support::{FakeServer, World};

const OTHER: &str = "other@example.org/desk";

/// A bot with two admins and a moderator.
fn bot() -> Bot {
    let bot = Bot::new();
    bot.bot.set_roles(three());
    bot
}

fn three() -> Roles {
    let account = |text| Account::from_jid(&Jid::new(text).unwrap()).unwrap();
    Roles::new([
        (account(ADMIN), Rights::everywhere(Role::Admin)),
        (account(OTHER), Rights::everywhere(Role::Admin)),
        (account(MODERATOR), Rights::everywhere(Role::Moderator)),
    ])
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// Everything the ledger holds about a subject, except the version and the trail.
fn known(bot: &Bot, subject: &str) -> String {
    let subject = Subject::parse(subject).unwrap();
    bot.world.engine.read(|ledger| {
        let ban = ledger.bans().of(&subject).map(|ban| {
            (
                ban.id,
                &ban.reason,
                ban.since,
                ban.until,
                &ban.by,
                ban.ordinal,
                &ban.origin,
            )
        });
        let history = ledger.history(&subject);
        let exempt = ledger.exemptions().of(&subject);
        format!("{ban:?} {history:?} {exempt:?}")
    })
}

#[tokio::test(start_paused = true)]
async fn each_change_can_be_undone_exactly_and_the_undo_undone() {
    let bot = bot();
    bot.chat(ADMIN, "note x@example.org seen before").await;
    let mut before = known(&bot, "x@example.org");
    for (line, undo) in [
        ("ban x@example.org 3d first", "undo #1"),
        ("unban x@example.org sorry", "undo #1"),
        ("ban x@example.org 1d second", "undo #2"),
        ("ban #2 2d", "undo #2"),
        ("extend #2 3d", "undo #2"),
        ("note #2 remember", "undo x@example.org"),
        ("forget x@example.org", "undo x@example.org"),
        ("allow x@example.org 30d fine", "undo x@example.org"),
        ("unallow x@example.org", "undo x@example.org"),
    ] {
        bot.pass(1);
        let done = bot.chat(ADMIN, line).await;
        assert!(done.contains(&format!("Undo: {undo}")), "{line}: {done}");
        let after = known(&bot, "x@example.org");
        bot.pass(1);
        let text = bot.chat(ADMIN, undo).await;
        assert!(text.starts_with("Undone: "), "{line}: {text}");
        assert_eq!(known(&bot, "x@example.org"), before, "{line}");
        bot.pass(1);
        // The undo can be undone by the person who made it.
        let text = bot.chat(ADMIN, "undo").await;
        says(&text, &["Undone: undo "]);
        assert_eq!(known(&bot, "x@example.org"), after, "{line}");
        before = after;
        bot.pass(11);
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_undo_says_what_was_undone_and_the_state_now() {
    let bot = bot();
    bot.chat(ADMIN, "ban x@example.org 3d spam").await;
    bot.pass(60);
    assert_eq!(
        bot.chat(ADMIN, "undo").await,
        "Undone: ban #1 x@example.org, by admin@example.org 2026-11-22 04:00 UTC.\n\
         As before, x@example.org is not banned; #1 is taken back.\n\
         They can log in again.\nUndo: undo #1"
    );
    assert_eq!(
        bot.chat(ADMIN, "undo #1").await,
        "Undone: undo #1 x@example.org, by admin@example.org 2026-11-22 04:01 UTC.\n\
         As before, x@example.org is banned: #1 until 2026-11-25 04:00 UTC (3 days): spam.\n\
         The server refuses them, and no session is open.\nUndo: undo #1"
    );
    let show = bot.chat(ADMIN, "show #1").await;
    says(
        &show,
        &["what is told below was undone by admin@example.org/desk (chat)."],
    );
    assert_eq!(
        bot.chat(OTHER, "undo").await,
        "There is nothing of yours to undo. What others did is undone by number or name: undo #17"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_since_is_not_undone_and_the_other_is_named() {
    let bot = bot();
    bot.chat(ADMIN, "ban x@example.org 3d spam").await;
    bot.pass(60);
    bot.chat(OTHER, "ban #1 5d").await;
    let before = known(&bot, "x@example.org");
    let text = bot.chat(ADMIN, "undo #1").await;
    says(
        &text,
        &[
            "x@example.org was changed since by other@example.org: change of the ban at 2026-11-22 04:01 UTC.",
            "Nothing was undone.",
            "undo #1 --others",
        ],
    );
    says(
        &bot.chat(ADMIN, "undo").await,
        &[
            "Your last command was the ban of x@example.org.",
            "Nothing was undone.",
        ],
    );
    assert_eq!(known(&bot, "x@example.org"), before);
    let text = bot.chat(ADMIN, "undo #1 --others").await;
    says(
        &text,
        &["Undone: change of the ban #1 x@example.org, by other@example.org"],
    );
    // A decision of a rule or the clock is nobody's, so nobody can undo it.
    bot.chat(ADMIN, "ban y@example.org 10s").await;
    bot.pass(11);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let text = bot.chat(ADMIN, "undo #2").await;
    says(
        &text,
        &[
            "y@example.org was changed since",
            "its time was over",
            "Nothing was undone.",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn undo_alone_means_the_last_command_and_never_one_before() {
    for others in [
        "unban a@example.org",
        "ban a@example.org 1d softer",
        "note a@example.org x",
    ] {
        let bot = bot();
        bot.chat(MODERATOR, "note b@example.org first thing").await;
        bot.pass(60);
        bot.chat(MODERATOR, "ban a@example.org 3d test").await;
        bot.pass(2);
        bot.chat(OTHER, others).await;
        let before = [known(&bot, "a@example.org"), known(&bot, "b@example.org")];
        let text = bot.chat(MODERATOR, "undo").await;
        says(
            &text,
            &[
                "Your last command was the ban of a@example.org. a@example.org was changed since, 2026-11-22 04:01:02 UTC: ",
                "by other@example.org/desk (chat)",
                "Nothing was undone.",
                "Before that you did the note of b@example.org; to take that back: undo b@example.org",
            ],
        );
        assert_eq!(
            [known(&bot, "a@example.org"), known(&bot, "b@example.org")],
            before
        );
        let text = bot.chat(MODERATOR, "undo b@example.org").await;
        says(
            &text,
            &[
                "Undone: note b@example.org",
                "The notes about b@example.org are as they were before.",
            ],
        );
        assert!(
            !text.contains("The server"),
            "a note is nothing to the server: {text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_changed_of_the_last_command_stays() {
    let bot = bot();
    bot.chat(ADMIN, "ban a@example.org 203.0.113.7 1d two")
        .await;
    bot.pass(10);
    bot.chat(OTHER, "unban a@example.org").await;
    let before = known(&bot, "a@example.org");
    let text = bot.chat(ADMIN, "undo").await;
    says(
        &text,
        &[
            "Undone: ban #2 203.0.113.7",
            "1 change of that command stay as they are: a@example.org was changed since",
        ],
    );
    assert_eq!(known(&bot, "a@example.org"), before);
    // The undo is the last command now, and can be undone.
    bot.pass(10);
    bot.chat(OTHER, "note a@example.org x").await;
    says(
        &bot.chat(ADMIN, "undo").await,
        &["Undone: undo #2 203.0.113.7"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_window_a_role_and_a_past_end_limit_undo() {
    let bot = bot();
    bot.chat(ADMIN, "ban x@example.org 30d spam").await;
    bot.chat(MODERATOR, "ban y@example.org 1d mine").await;
    let text = bot.chat(MODERATOR, "undo #1").await;
    says(
        &text,
        &["was done by admin@example.org", "needs the role admin"],
    );
    says(
        &bot.chat(MODERATOR, "undo").await,
        &["Undone: ban #2 y@example.org"],
    );
    bot.pass(86_401);
    let text = bot.chat(ADMIN, "undo #1").await;
    says(
        &text,
        &["That was done 2026-11-22 04:00 UTC; things can be undone for 1 day only."],
    );
    bot.chat(ADMIN, "ban z@example.org 1m short").await;
    bot.chat(ADMIN, "unban z@example.org").await;
    bot.pass(61);
    let text = bot.chat(ADMIN, "undo #3").await;
    says(&text, &["Ban #3 would stand until", "which is over"]);
    // A subject that was exempted meanwhile stays exempt.
    bot.chat(ADMIN, "ban 203.0.113.7 1d x").await;
    bot.pass(11);
    bot.chat(ADMIN, "unban 203.0.113.7").await;
    bot.chat(OTHER, "allow 203.0.113.0/24 office").await;
    let text = bot.chat(ADMIN, "undo #4").await;
    says(
        &text,
        &["is exempt from bans (203.0.113.0/24, allowed by other@example.org: office)"],
    );
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_reaches_far_asks_first_as_a_ban_does() {
    let bot = bot();
    bot.chat(ADMIN, "ban 10.0.0.0/8 1d wide").await;
    says(&bot.chat(ADMIN, "yes").await, &["Banned #1 10.0.0.0/8"]);
    bot.pass(11);
    bot.chat(ADMIN, "unban 10.0.0.0/8").await;
    for line in ["undo", "undo #1", "undo 10.0.0.0/8"] {
        bot.pass(11);
        says(
            &bot.chat(ADMIN, line).await,
            &[
                "Nothing is done yet. Undo 1 thing?",
                "10.0.0.0/8 is wide: 16777216 addresses.",
            ],
        );
        says(&bot.chat(ADMIN, "list").await, &["No bans"]);
    }
    bot.pass(11);
    bot.chat(ADMIN, "undo").await;
    says(&bot.chat(ADMIN, "yes").await, &["10.0.0.0/8 is banned: #1"]);
    // What ends a ban, or changes one that stands, does not ask.
    bot.pass(11);
    bot.chat(ADMIN, "note 10.0.0.0/8 looked at").await;
    says(&bot.chat(ADMIN, "undo").await, &["Undone: note"]);
    bot.pass(11);
    bot.chat(ADMIN, "unban 10.0.0.0/8").await;
    // One exemption that lifted many bans is one change, and its undo bans them all.
    for number in 1..=6 {
        bot.pass(11);
        bot.chat(ADMIN, &format!("ban 203.0.113.{number} 1d x"))
            .await;
    }
    bot.chat(ADMIN, "allow 203.0.113.0/24 office").await;
    bot.pass(11);
    says(
        &bot.chat(ADMIN, "undo").await,
        &["Undo 1 thing?", "6 other subjects go back with it"],
    );
    says(&bot.chat(ADMIN, "list").await, &["No bans"]);
    bot.pass(11);
    bot.chat(ADMIN, "undo").await;
    says(
        &bot.chat(ADMIN, "yes").await,
        &["203.0.113.0/24 is not exempt any more."],
    );
    says(&bot.chat(ADMIN, "list").await, &["Bans 1-6 of 6."]);
}

#[tokio::test(start_paused = true)]
async fn an_exemption_goes_back_with_the_bans_it_had_lifted() {
    let bot = bot();
    for line in [
        "ban 203.0.113.7 1d a",
        "ban 203.0.113.8 2d b",
        "ban 203.0.113.9 3d c",
    ] {
        bot.chat(ADMIN, line).await;
        bot.pass(1);
    }
    let before = known(&bot, "203.0.113.7");
    bot.chat(ADMIN, "allow 203.0.113.0/24 the office").await;
    bot.pass(11);
    // One of them was changed meanwhile and keeps its current state.
    bot.chat(ADMIN, "note 203.0.113.9 looked at").await;
    bot.pass(1);
    let text = bot.chat(ADMIN, "undo 203.0.113.0/24").await;
    says(
        &text,
        &[
            "Undone: exemption 203.0.113.0/24",
            "203.0.113.0/24 is not exempt any more.",
        ],
    );
    assert_eq!(known(&bot, "203.0.113.7"), before);
    says(
        &bot.chat(ADMIN, "list").await,
        &["Bans 1-2 of 2.", "#2 203.0.113.8", "#1 203.0.113.7"],
    );
    bot.pass(1);
    says(
        &bot.chat(ADMIN, "undo").await,
        &["is exempt forever: the office."],
    );
    says(&bot.chat(ADMIN, "list").await, &["No bans"]);
}

#[tokio::test(start_paused = true)]
async fn one_command_is_undone_as_a_whole() {
    let bot = bot();
    bot.chat(ADMIN, "ban a@example.org 1d one").await;
    bot.pass(30);
    let text = bot
        .chat(ADMIN, "ban b@example.org 203.0.113.7 1d two")
        .await;
    says(&text, &["Undo: undo #2 #3"]);
    bot.pass(30);
    let text = bot.chat(ADMIN, "undo").await;
    says(
        &text,
        &[
            "2 of 2 done.",
            "Undone: ban #2 b@example.org",
            "Undone: ban #3 203.0.113.7",
        ],
    );
    says(
        &bot.chat(ADMIN, "list").await,
        &["Bans 1-1 of 1.", "a@example.org"],
    );
    bot.pass(30);
    bot.chat(ADMIN, "ban c@example.org d@example.org e@example.org f@example.org g@example.org h@example.org 1d x").await;
    bot.chat(ADMIN, "yes").await;
    bot.pass(30);
    says(&bot.chat(ADMIN, "undo").await, &["Undo 6 things?"]);
    says(&bot.chat(ADMIN, "yes").await, &["6 of 6 done."]);
}

#[tokio::test(start_paused = true)]
async fn an_un_ban_of_many_is_undone_at_once() {
    let bot = bot();
    for number in 1..=12 {
        bot.chat(
            ADMIN,
            &format!("ban buyer{number}@example.org 7d bought list"),
        )
        .await;
        bot.pass(11);
    }
    let before = known(&bot, "buyer3@example.org");
    says(
        &bot.chat(ADMIN, "unban all account bought").await,
        &["End 12 bans"],
    );
    let done = bot.chat(ADMIN, "yes").await;
    assert!(done.contains("\nUndo: undo command:"), "{done}");
    bot.pass(1);
    says(&bot.chat(ADMIN, "undo").await, &["Undo 12 things?"]);
    says(&bot.chat(ADMIN, "yes").await, &["12 of 12 done."]);
    assert_eq!(known(&bot, "buyer3@example.org"), before);
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_stays_so_after_a_restart_and_can_be_undone_again() {
    let bot = bot();
    bot.chat(ADMIN, "ban x@example.org 3d spam").await;
    bot.pass(1);
    bot.chat(ADMIN, "unban x@example.org").await;
    bot.pass(1);
    let banned = bot.chat(ADMIN, "undo").await;
    says(&banned, &["x@example.org is banned: #1"]);
    let before = known(&bot, "x@example.org");
    let now = bot.world.engine.now().as_millis();
    let world = World::on(
        Arc::clone(&bot.world.store),
        FakeServer::new(true),
        now + 1_000,
    );
    let context = Context::new(&world.whole, world.engine.now());
    let again = front::Bot::new(BareJid::new(DOMAIN).unwrap(), context, three());
    let again = Bot::over(world, again);
    assert_eq!(known(&again, "x@example.org"), before);
    says(
        &again.chat(ADMIN, "undo").await,
        &["Undone: undo #1", "is not banned"],
    );
    assert_eq!(bot.world.store.read(Seq(1), 100).unwrap().len(), 4);
    let text = again.chat(ADMIN, "list state:ended").await;
    says(&text, &["#1 x@example.org"]);
}

#[tokio::test(start_paused = true)]
async fn extend_makes_longer_and_never_shorter() {
    let bot = bot();
    bot.chat(ADMIN, "ban x@example.org 3d spam").await;
    assert_eq!(
        bot.chat(ADMIN, "extend #1 3d").await,
        "Extended #1 x@example.org: was until 2026-11-25 04:00 UTC, now until 2026-11-28 04:00 UTC (6 days): spam.\n\
         The server refuses them.\nUndo: undo #1"
    );
    for (line, part) in [
        ("extend #1", "Say for how much longer: 3d"),
        ("extend #1 3", "3 what? A duration needs a unit"),
        (
            "extend #1 until 2026-11-25",
            "That is no later than 2026-11-28 04:00 UTC, when ban #1 ends now, and extend never shortens. To shorten it: ban #1 DURATION",
        ),
        (
            "extend y@example.org 3d",
            "y@example.org is not banned, so there is nothing to extend.",
        ),
        ("extend #9 3d", "There is no ban #9"),
    ] {
        bot.pass(11);
        says(&bot.chat(ADMIN, line).await, &[part]);
    }
    says(
        &bot.chat(ADMIN, "extend #1 until 2030-01-01").await,
        &["now until 2030-01-01 00:00 UTC"],
    );
    says(
        &bot.chat(ADMIN, "extend #1 forever").await,
        &["was until 2030-01-01 00:00 UTC, now forever"],
    );
    says(
        &bot.chat(ADMIN, "extend #1 1d").await,
        &["Ban #1 is permanent already."],
    );
    let filled = submit(&[("subject", &["#1"]), ("duration", &["1d"])]);
    let form = bot.command(ADMIN, "node='extend'", &filled).await;
    assert_eq!(form.attr("status"), Some("executing"));
    // A moderator cannot make a ban longer than a moderator may.
    bot.chat(MODERATOR, "ban z@example.org 20d x").await;
    says(
        &bot.chat(MODERATOR, "extend z@example.org 9d").await,
        &["(29 days)"],
    );
    says(
        &bot.chat(MODERATOR, "extend z@example.org 9d").await,
        &["the longest ban for the role moderator is 30 days"],
    );
}

#[tokio::test(start_paused = true)]
async fn notes_are_added_replaced_taken_away_and_shown() {
    let bot = bot();
    let filled = submit(&[
        ("subject", &["x@example.org"]),
        ("duration", &["1d"]),
        ("note", &["from the form"]),
    ]);
    bot.command(ADMIN, "node='ban'", &filled).await;
    bot.pass(60);
    assert_eq!(
        bot.chat(MODERATOR, "note #1 ask 203.0.113.7, then un-ban")
            .await,
        "Noted of x@example.org: ask 203.0.113.7, then un-ban\nUndo: undo x@example.org"
    );
    let shown = |text: &str| -> Vec<String> {
        let notes = text
            .lines()
            .filter(|line| line.starts_with("Private note: "));
        notes.map(str::to_owned).collect()
    };
    let first = "Private note: from the form (admin@example.org, 2026-11-22 04:00 UTC)";
    let second =
        "Private note: ask 203.0.113.7, then un-ban (mod@example.org, 2026-11-22 04:01 UTC)";
    assert_eq!(shown(&bot.chat(ADMIN, "show #1").await), [second, first]);
    says(
        &bot.chat(ADMIN, "show #1").await,
        &["noted something by mod@example.org/phone (chat)."],
    );
    for (line, part) in [
        (
            "note #1",
            "Write the note: note #17 TEXT. To take the notes away: note #17 --remove",
        ),
        ("note #1 --remove but why", "A note or --remove, not both"),
        ("note", "Say whom"),
    ] {
        bot.pass(11);
        says(&bot.chat(ADMIN, line).await, &[part]);
    }
    bot.chat(ADMIN, "note #1 --replace settled").await;
    assert_eq!(shown(&bot.chat(ADMIN, "show #1").await).len(), 1);
    bot.pass(11);
    says(
        &bot.chat(ADMIN, "note #1 --remove").await,
        &["The notes of x@example.org are taken away."],
    );
    assert!(shown(&bot.chat(ADMIN, "show #1").await).is_empty());
    says(
        &bot.chat(ADMIN, "note #1 --remove").await,
        &["There is no note of x@example.org."],
    );
    bot.pass(11);
    bot.chat(ADMIN, "undo").await;
    bot.pass(1);
    assert_eq!(
        shown(&bot.chat(ADMIN, "show #1").await),
        ["Private note: settled (admin@example.org, 2026-11-22 04:01:33 UTC)"]
    );
    // The ban still ends at its time.
    bot.pass(86_400);
    tokio::time::sleep(Duration::from_secs(6)).await;
    says(
        &bot.chat(ADMIN, "show #1").await,
        &["x@example.org is not banned. Its last ban, #1, ended"],
    );
    let entries = bot.world.store.read(Seq(1), 100).unwrap();
    assert_eq!(entries.len(), 6, "the end is written down once");
}

#[tokio::test(start_paused = true)]
async fn a_kick_ends_sessions_and_bans_nobody() {
    let bot = bot();
    *bot.world.server.sessions.lock().unwrap() = Some(2);
    assert_eq!(
        bot.chat(MODERATOR, "kick x@example.org log in again, please")
            .await,
        "x@example.org: 2 sessions were ended.\nThey are not banned and can log in again at once."
    );
    assert_eq!(bot.world.server.done(), ["kick x@example.org"]);
    says(
        &bot.chat(ADMIN, "show x@example.org").await,
        &[
            "x@example.org is not banned and never was.",
            "sessions ended by mod@example.org/phone (chat): log in again, please.",
        ],
    );
    *bot.world.server.sessions.lock().unwrap() = Some(0);
    says(
        &bot.chat(ADMIN, "kick 203.0.113.7").await,
        &["nobody was connected, as far as the server tells."],
    );
    *bot.world.server.sessions.lock().unwrap() = None;
    says(
        &bot.chat(ADMIN, "kick y@example.org").await,
        &["it does not tell how many"],
    );
    for (who, line, part) in [
        (
            MODERATOR,
            "kick 203.0.113.0/24",
            "Ending the sessions of a network needs the role admin.",
        ),
        (ADMIN, "kick admin@example.org", "your own account"),
        (
            ADMIN,
            "kick guard of x@example.org",
            "has no sessions to end",
        ),
        (ADMIN, "kick 10.0.0.0/8", "End the sessions of 10.0.0.0/8?"),
    ] {
        bot.pass(11);
        says(&bot.chat(who, line).await, &[part]);
    }
    bot.world
        .server
        .failures
        .store(1, std::sync::atomic::Ordering::SeqCst);
    says(
        &bot.chat(ADMIN, "kick x@example.org").await,
        &["x@example.org: NOT done. the server said no"],
    );
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 0);
}

fn change_policy(bot: &Bot, change: impl FnOnce(&mut Policy)) {
    let mut policy = Policy::clone(&bot.world.engine.policy());
    change(&mut policy);
    bot.world.engine.set_policy(policy);
}

#[tokio::test(start_paused = true)]
async fn moderators_change_their_own_bans_only_where_that_is_set() {
    let bot = bot();
    change_policy(&bot, |policy| policy.moderators_change = Whose::Own);
    bot.chat(ADMIN, "ban x@example.org 1d x").await;
    bot.chat(ADMIN, "attempt 203.0.113.7 5").await;
    bot.chat(MODERATOR, "ban y@example.org 1d x").await;
    for line in [
        "unban #1",
        "extend #1 1d",
        "note #1 hello",
        "ban #1 1m",
        "undo #1",
    ] {
        bot.pass(11);
        let text = bot.chat(MODERATOR, line).await;
        says(&text, &["admin@example.org", "needs the role admin"]);
    }
    says(
        &bot.chat(MODERATOR, "unban #2").await,
        &["Ban #2 was made by the rule address-failures."],
    );
    bot.pass(11);
    for line in [
        "extend #3 1d",
        "note #3 mine",
        "ban #3 3d",
        "unban #3",
        "undo",
    ] {
        bot.pass(11);
        let text = bot.chat(MODERATOR, line).await;
        assert!(!text.contains("needs the role"), "{line}: {text}");
    }
    // A moderator cannot shorten a ban that an admin made longer than a moderator may.
    change_policy(&bot, |policy| policy.moderators_change = Whose::Any);
    bot.chat(ADMIN, "ban z@example.org 90d x").await;
    let text = bot.chat(MODERATOR, "ban z@example.org 1m").await;
    says(
        &text,
        &[
            "Ending or changing what an admin banned for longer than a moderator may needs the role admin.",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn for_ever_is_asked_about_where_it_is_not_the_default() {
    let bot = bot();
    says(
        &bot.chat(ADMIN, "ban a@example.org forever x").await,
        &["Banned #1"],
    );
    change_policy(&bot, |policy| {
        policy.default_term = Term::parse("30d").unwrap()
    });
    says(
        &bot.chat(ADMIN, "ban b@example.org x").await,
        &["(30 days)"],
    );
    let text = bot.chat(ADMIN, "ban c@example.org forever x").await;
    says(
        &text,
        &[
            "Nothing is done yet. Ban c@example.org forever: x.",
            "It has no end",
        ],
    );
    says(
        &bot.chat(ADMIN, "yes").await,
        &["Banned #3 c@example.org forever"],
    );
    says(
        &bot.chat(ADMIN, "extend #2 forever").await,
        &["Nothing is done yet."],
    );
    says(&bot.chat(ADMIN, "yes").await, &["now forever"]);
}

#[tokio::test(start_paused = true)]
async fn an_admin_can_force_a_ban_of_somebody_exempt_after_a_question() {
    let bot = bot();
    change_policy(&bot, |policy| {
        let exempt = |text: &str| Subject::parse(text).unwrap().account().unwrap().clone();
        policy.exempt_accounts = ["boss", "admin", "other"]
            .map(|name| exempt(&format!("{name}@example.org")))
            .to_vec();
    });
    let text = bot.chat(ADMIN, "ban boss@example.org 1d x").await;
    let why = "boss@example.org is exempt from bans ([exempt] accounts).";
    says(&text, &[why, "add --force"]);
    let text = bot.chat(ADMIN, "ban other@example.org 1d x").await;
    let why = "other@example.org is exempt from bans (an admin).";
    says(&text, &[why, "add --force"]);
    for line in [
        "ban boss@example.org 1d x",
        "ban boss@example.org 1d x --force",
    ] {
        assert_eq!(
            bot.chat(MODERATOR, line).await,
            "boss@example.org is exempt from bans (account). Only an admin can change that; policy names them.\nNothing was done."
        );
    }
    let text = bot.chat(ADMIN, "ban admin@example.org 1d x --force").await;
    says(&text, &["your own account"]);
    let text = bot.chat(ADMIN, "ban boss@example.org 1d x --force").await;
    says(
        &text,
        &[
            "Nothing is done yet.",
            "boss@example.org is EXEMPT from bans ([exempt] accounts)",
        ],
    );
    bot.pass(11);
    let text = bot.chat(ADMIN, "yes").await;
    says(&text, &["Banned #1 boss@example.org", "Undo: undo #1"]);
    says(
        &bot.chat(ADMIN, "show #1").await,
        &["banned by force, until"],
    );
    says(&bot.chat(ADMIN, "undo").await, &["is not banned"]);
    // Exempt by `allow`: one account or address can be banned by force, a network that contains them cannot.
    bot.chat(ADMIN, "allow ok@example.org fine").await;
    bot.chat(ADMIN, "allow 203.0.113.0/28 fine").await;
    bot.pass(11);
    says(
        &bot.chat(ADMIN, "ban 203.0.113.0/24 1d --force").await,
        &["Give the command unallow first if you mean it."],
    );
    says(
        &bot.chat(ADMIN, "ban 203.0.113.7 1d").await,
        &["unallow first if you mean it, or add --force (in the form:"],
    );
    bot.chat(ADMIN, "ban ok@example.org 1d --force").await;
    says(&bot.chat(ADMIN, "yes").await, &["Banned #2 ok@example.org"]);
    let who = Subject::parse("ok@example.org").unwrap();
    let verdict = bot.world.admission.check(who.account(), None);
    assert!(matches!(verdict, portcullis::core::Verdict::Refuse { .. }));
    let is_refused = |address: &str| {
        let verdict = bot.world.admission.check(None, address.parse().ok());
        matches!(verdict, portcullis::core::Verdict::Refuse { .. })
    };
    bot.pass(11);
    says(
        &bot.chat(ADMIN, "ban 203.0.113.7 1d --force").await,
        &["203.0.113.7 is EXEMPT from bans (203.0.113.0/28, allowed by"],
    );
    says(&bot.chat(ADMIN, "yes").await, &["Banned #3 203.0.113.7"]);
    assert!(is_refused("203.0.113.7"), "the ban holds");
    assert!(!is_refused("203.0.113.8"), "its neighbours stay allowed");
    bot.pass(11);
    // A later `allow` takes precedence.
    bot.chat(ADMIN, "allow 203.0.113.7 fine after all").await;
    assert!(!is_refused("203.0.113.7"));
}

#[tokio::test(start_paused = true)]
async fn a_restored_exemption_covers_bans_made_meanwhile_except_forced_ones() {
    let bot = bot();
    let is_refused = |address: &str| {
        let verdict = bot.world.admission.check(None, address.parse().ok());
        matches!(verdict, portcullis::core::Verdict::Refuse { .. })
    };
    bot.chat(ADMIN, "allow 203.0.113.0/28 office").await;
    bot.pass(11);
    bot.chat(ADMIN, "ban 203.0.113.6 1d --force").await;
    bot.chat(ADMIN, "yes").await;
    bot.pass(11);
    bot.chat(ADMIN, "unallow 203.0.113.0/28").await;
    bot.chat(OTHER, "ban 203.0.113.7 1d in between").await;
    assert!(is_refused("203.0.113.6") && is_refused("203.0.113.7"));
    bot.pass(11);
    let text = bot.chat(ADMIN, "undo").await;
    says(&text, &["203.0.113.0/28 is exempt forever: office"]);
    assert!(is_refused("203.0.113.6"), "that was insisted on");
    assert!(!is_refused("203.0.113.7"), "that was not");
    // A ban with the same terms and `--force` applies again.
    bot.chat(OTHER, "ban 203.0.113.7 --force").await;
    bot.chat(OTHER, "yes").await;
    assert!(is_refused("203.0.113.7"));
    bot.pass(11);
    bot.chat(OTHER, "undo").await;
    assert!(!is_refused("203.0.113.7"));
}

#[tokio::test(start_paused = true)]
async fn loopback_proxies_and_configured_networks_cannot_be_banned_by_force() {
    let bot = bot();
    change_policy(&bot, |policy| {
        let net = |text: &str| text.parse().unwrap();
        policy.exempt_networks = vec![net("127.0.0.0/8"), net("192.0.2.0/24")];
        std::sync::Arc::make_mut(&mut policy.rules).proxies = vec![net("198.51.100.1/32")];
    });
    for whom in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "192.0.2.9",
        "192.0.0.0/16",
        "198.51.100.1",
    ] {
        let text = bot.chat(ADMIN, &format!("ban {whom} 1d --force")).await;
        says(
            &text,
            &[
                "exempt from bans by the configuration",
                "Take it out of [exempt]",
            ],
        );
        bot.pass(11);
    }
    says(&bot.chat(ADMIN, "list").await, &["No bans in force."]);
}

#[tokio::test(start_paused = true)]
async fn two_admins_through_two_doors_get_one_clear_outcome() {
    let bot = bot();
    bot.world
        .store
        .delay_appends(Some(Duration::from_millis(50)));
    let filled = submit(&[
        ("subject", &["x@example.org"]),
        ("duration", &["1d"]),
        ("reason", &["form"]),
    ]);
    let (form, chat) = tokio::join!(bot.command(ADMIN, "node='ban'", &filled), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        bot.chat(OTHER, "ban x@example.org 7d chat").await
    },);
    says(&note(&form), &["Banned #1 x@example.org", "form"]);
    says(
        &chat,
        &[
            "x@example.org: NOT done: admin@example.org was first, with the ban #1 2026-11-22 04:00 UTC.",
        ],
    );
    says(
        &bot.chat(ADMIN, "list").await,
        &["until 2026-11-23 04:00 UTC (1 day), by admin@example.org: form."],
    );
}

#[tokio::test(start_paused = true)]
async fn an_un_ban_clears_counters_and_gives_a_grace_time_which_undo_takes_back() {
    let bot = bot();
    says(
        &bot.chat(ADMIN, "attempt 203.0.113.7 5").await,
        &["Banned #1", "Undo: undo #1"],
    );
    bot.pass(1);
    bot.chat(ADMIN, "unban #1").await;
    bot.pass(1);
    // Five minutes of grace, in which no rule bans again.
    says(
        &bot.chat(ADMIN, "attempt 203.0.113.7 9").await,
        &["no limit is reached"],
    );
    bot.pass(301);
    says(
        &bot.chat(ADMIN, "attempt 203.0.113.7 5").await,
        &["Banned #2", "(1 hour)"],
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_fast_script_did_by_many_commands_is_undone_command_by_command() {
    let bot = bot();
    for name in ["a", "b c", "d"] {
        let subjects = name.replace(' ', "@example.org ");
        bot.chat(ADMIN, &format!("ban {subjects}@example.org 1d x"))
            .await;
    }
    let text = bot.chat(ADMIN, "undo").await;
    says(&text, &["Undone: ban #4 d@example.org"]);
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 3);
    // So the last thing to undo is the undo.
    says(&bot.chat(ADMIN, "undo").await, &["Undone: undo #4"]);
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 4);
}

/// A command line by one of two admins, about some of a few accounts.
fn line() -> impl Strategy<Value = (bool, u8, Vec<usize>)> {
    (
        any::<bool>(),
        0..8u8,
        proptest::sample::subsequence(vec![0, 1, 2, 3, 4, 5, 6, 7], 1..6),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever two people do, even at the same instant: the undo of one command restores the earlier state of every
    /// subject that was not changed since, and touches nothing else.
    #[test]
    fn a_command_is_undone_as_a_whole_and_nothing_else_is(
        lines in proptest::collection::vec(line(), 1..12),
        which in any::<proptest::sample::Index>(),
        waits in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let bot = bot();
            let names: Vec<String> = (0..8).map(|n| format!("u{n}@example.org")).collect();
            let state = || names.iter().map(|name| known(&bot, name)).collect::<Vec<_>>();
            let version = |name: &String| {
                let subject = Subject::parse(name).unwrap();
                bot.world.engine.read(|ledger| ledger.version(&subject))
            };
            for name in &names {
                bot.chat(MODERATOR, &format!("note {name} heard of")).await;
                bot.pass(1);
            }
            let mut told = Vec::new();
            for (is_other, kind, whom) in &lines {
                let (before, from) = (state(), Seq(bot.world.engine.read(|ledger| ledger.folded().0)));
                let all: Vec<&str> = whom.iter().map(|n| names[*n].as_str()).collect();
                let text = match kind {
                    0..=2 => format!("ban {} {}d x", all.join(" "), kind + 1),
                    3 => format!("unban {}", all.join(" ")),
                    4 => format!("extend {} 1d", all.join(" ")),
                    5 => format!("allow {} 1d x", all[0]),
                    6 => format!("forget {}", all[0]),
                    _ => format!("note {} x", all[0]),
                };
                let who = if *is_other { OTHER } else { ADMIN };
                bot.chat(who, &text).await;
                bot.chat(who, "yes").await;
                told.push((before, from, Seq(bot.world.engine.read(|ledger| ledger.folded().0))));
                if waits {
                    bot.pass(1);
                }
            }
            let (before, from, upto) = &told[which.index(told.len())];
            let now = state();
            let is_its = |name: &String| (from.next()..=*upto).contains(&version(name));
            let mut entries = bot.world.store.read(from.next(), (upto.0 - from.0) as usize).unwrap();
            let want: Vec<String> = names
                .iter()
                .enumerate()
                .map(|(n, name)| if is_its(name) { before[n].clone() } else { now[n].clone() })
                .collect();
            let Some(entry) = entries.pop() else {
                return;
            };
            let command = entry.event.command.unwrap();
            // Wait, so that the rate limit does not apply.
            bot.pass(60);
            bot.chat(ADMIN, &format!("undo {command}")).await;
            bot.chat(ADMIN, "yes").await;
            assert_eq!(state(), want);
        });
    }
}
