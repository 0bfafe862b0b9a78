//! Forms and chat lines with everything behind them except the network: stanzas in, stanzas out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use minidom::Element;
use portcullis::core::{Policy, Role, Seq};
use portcullis::delivery::ports::{Enforcement, Gap};
use proptest::prelude::*;
use tokio_xmpp::Stanza;

use crate::support::FakeServer;

use crate::support::bot::*;

#[tokio::test(start_paused = true)]
async fn a_ban_by_chat_says_what_happened_and_how_to_undo_it() {
    let bot = Bot::new();
    assert_eq!(
        bot.chat(ADMIN, "ban Spam@Example.org/phone 3d spam in rooms")
            .await,
        "Banned #1 spam@example.org until 2026-11-25 04:00 UTC (3 days): spam in rooms.\n\
         The server refuses them, and no session is open.\nUndo: undo #1"
    );
    assert_eq!(bot.world.server.done(), ["ban #1 spam@example.org"]);
    assert_eq!(
        bot.chat(ADMIN, "unban #1").await,
        "Un-banned #1 spam@example.org.\nThey can log in again.\n\
         Undo: undo #1"
    );
    assert_eq!(
        bot.chat(ADMIN, "unban spam@example.org").await,
        "spam@example.org is not banned. Its last ban, #1, ended 2026-11-22 04:00 UTC."
    );
    assert_eq!(
        bot.chat(ADMIN, "show new@example.org").await,
        "new@example.org is not banned and never was.\nTimes banned: 0"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ban_of_the_banned_shows_or_changes_it() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban a@example.org 3d spam").await;
    assert_eq!(
        bot.chat(ADMIN, "ban a@example.org").await,
        "a@example.org is already banned: #1 until 2026-11-25 04:00 UTC (3 days), by admin@example.org: spam.\n\
         The server refuses them.\nTo change it: ban #1 DURATION REASON. To end it: unban #1"
    );
    assert_eq!(
        bot.chat(ADMIN, "ban #1 forever").await,
        "Changed #1 a@example.org: was until 2026-11-25 04:00 UTC, now forever: spam.\n\
         The server refuses them.\nUndo: undo #1"
    );
    let text = bot.chat(ADMIN, "ban #1 \"again and again\"").await;
    assert!(text.starts_with("Changed #1 a@example.org: still forever, reason now: again and again.\nThe server refuses them.\nThe reason was: spam.\nUndo: undo #1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn several_subjects_have_a_line_each_and_duplicates_are_one() {
    let bot = Bot::new();
    assert_eq!(
        bot.chat(
            ADMIN,
            "ban a@example.org, b@example.org A@example.org 203.0.113.7 1h flood"
        )
        .await,
        "3 of 3 done.\n2 of 3: The server refuses them, and no session is open.\n\
         1 of 3: Stored and checked, but on this server only the hook module can enforce address bans; it is not installed.\n\
         Banned #1 a@example.org until 2026-11-22 05:00 UTC (1 hour): flood.\n\
         Banned #2 b@example.org until 2026-11-22 05:00 UTC (1 hour): flood.\n\
         Banned #3 203.0.113.7 until 2026-11-22 05:00 UTC (1 hour): flood.\n\
         Undo: undo #1 #2 #3"
    );
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 3);
    bot.chat(ADMIN, "unban #1 #2 #3").await;
    assert!(bot.world.engine.read(|ledger| ledger.bans().is_empty()));
}

#[tokio::test(start_paused = true)]
async fn all_mistakes_are_reported_together_and_nothing_is_done() {
    let bot = Bot::new();
    *bot.world.server.unknown.lock().unwrap() = vec![
        portcullis::core::Subject::parse("new@example.org")
            .unwrap()
            .account()
            .unwrap()
            .clone(),
    ];
    *bot.world.server.admin_addresses.lock().unwrap() = vec!["198.51.100.9".parse().unwrap()];
    let text = bot.chat(ADMIN, "ban ok@example.org 1.2.3.400 @x 3d").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "\"1.2.3.400\" is not a valid address; write for example 203.0.113.7 or 2001:db8::7."
    );
    assert!(lines[1].starts_with("\"@x\" is not a valid JID"), "{text}");
    assert_eq!(
        lines[2],
        "Nothing was done. Write: ban SUBJECT… [DURATION] [REASON…]"
    );
    let text = bot
        .chat(
            ADMIN,
            "ban ok@example.org admin@example.org 127.0.0.1 198.51.100.0/24 new@example.org",
        )
        .await;
    for part in [
        "is your own account",
        "is exempt from bans",
        "where you are connected from",
        "no account new@example.org",
        "Nothing was done.",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(bot.world.engine.read(|ledger| ledger.bans().is_empty()));
    let imported = portcullis::core::Subject::parse("imported@example.org").unwrap();
    let imported = imported.account().unwrap().clone();
    *bot.world.server.traceless.lock().unwrap() = vec![imported];
    assert_eq!(
        bot.chat(ADMIN, "ban imported@example.org").await,
        "The server has seen imported@example.org neither log in nor register. If the account exists, or to ban the name before anybody takes it, add --force (in the form: “Even if unknown or exempt”).\nNothing was done."
    );
    let text = bot.chat(ADMIN, "ban new@example.org --force").await;
    assert!(
        text.starts_with("Banned #1 new@example.org forever."),
        "{text}"
    );
    for (line, part) in [
        ("ban a@example.org until 2020-01-01", "is in the past"),
        ("ban a@example.org 5", "5 what?"),
        ("ban", "Say whom"),
        ("ban #99", "There is no ban #99"),
        ("bann a@example.org", "Did you mean ban?"),
        ("a@example.org", "ban a@example.org"),
        ("list origin:mars", "There is no filter"),
        ("list 9", "only one page"),
        ("help bann", "Did you mean ban?"),
        ("show a@b c@d", "One at a time"),
        ("status now", "“now”"),
        ("yes", "nothing to say yes to"),
    ] {
        let text = bot.chat(ADMIN, line).await;
        assert!(text.contains(part), "{line}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moderator_has_limits_and_a_stranger_gets_one_sentence() {
    let bot = Bot::new();
    let text = bot.chat(MODERATOR, "ban a@example.org 31d").await;
    assert!(
        text.contains("the longest ban for the role moderator is 30 days"),
        "{text}"
    );
    let text = bot.chat(MODERATOR, "ban 203.0.113.0/24 1d").await;
    assert!(text.contains("needs the role admin"), "{text}");
    let text = bot.chat(MODERATOR, "ban a@example.org").await;
    assert!(text.contains("(30 days)"), "{text}");
    let text = bot.chat(STRANGER, "ban admin@example.org").await;
    assert!(text.starts_with("This is portcullis"), "{text}");
    assert_eq!(bot.chat(STRANGER, "help").await, "");
    bot.pass(3_601);
    assert_ne!(bot.chat(STRANGER, "help").await, "");
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 1);
}

#[tokio::test(start_paused = true)]
async fn risky_bans_ask_and_the_yes_is_for_one_person_one_thing_and_two_minutes() {
    let bot = Bot::new();
    let text = bot.chat(ADMIN, "ban 10.0.0.0/8 1d flood").await;
    assert_eq!(
        text,
        "Nothing is done yet. Ban 10.0.0.0/8 until 2026-11-23 04:00 UTC (1 day): flood.\n\
         10.0.0.0/8 is wide: 16777216 addresses.\n\
         Answer yes within 2 minutes to do it; anything else drops it."
    );
    assert!(
        bot.chat("admin@example.org/other", "yes")
            .await
            .contains("nothing to say yes to")
    );
    bot.chat(ADMIN, "ban 10.0.0.0/8 1d flood").await;
    bot.pass(121);
    assert!(
        bot.chat(ADMIN, "yes")
            .await
            .contains("nothing to say yes to")
    );
    bot.chat(ADMIN, "ban 10.0.0.0/8 1d flood").await;
    bot.chat(ADMIN, "list").await;
    assert!(
        bot.chat(ADMIN, "yes")
            .await
            .contains("nothing to say yes to")
    );
    bot.chat(ADMIN, "ban 10.0.0.0/8 1d flood").await;
    assert!(bot.chat(ADMIN, "no").await.contains("Dropped"));
    bot.chat(ADMIN, "ban 10.0.0.0/8 1d flood").await;
    let text = bot.chat(ADMIN, "Yes.").await;
    assert!(text.starts_with("Banned #1 10.0.0.0/8"), "{text}");
    assert!(
        bot.chat(ADMIN, "yes")
            .await
            .contains("nothing to say yes to")
    );
    let six: String = (0..6).map(|n| format!("u{n}@example.org ")).collect();
    let text = bot.chat(ADMIN, &format!("ban {six} 1d")).await;
    assert!(text.contains("These are 6 subjects at once."), "{text}");
    bot.bot.set_roles(roles(&[], &[]));
    assert!(
        bot.chat(ADMIN, "yes")
            .await
            .starts_with("This is portcullis")
    );
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 1);
}

#[tokio::test(start_paused = true)]
async fn unfinished_work_is_reported_by_the_answer_show_and_list() {
    let server = FakeServer::new(true);
    server.failures.store(1_000, Ordering::SeqCst);
    let bot = Bot::with(server);
    let text = bot.chat(ADMIN, "ban a@example.org 1d x").await;
    assert!(
        text.contains("The server has not carried it out yet: the server said no; I keep trying."),
        "{text}"
    );
    let text = bot.chat(ADMIN, "show #1").await;
    assert!(
        text.contains("On the server: Not carried out yet"),
        "{text}"
    );
    assert!(
        bot.chat(ADMIN, "list")
            .await
            .contains("(not carried out yet)")
    );
    let text = bot.chat(ADMIN, "status").await;
    assert!(text.contains("Unfinished work: 1 subject"), "{text}");
}

/// A server that is down says nothing of what it lets us do, and the hook module goes on without us.
#[tokio::test(start_paused = true)]
async fn without_a_connection_no_rights_are_said_to_be_missing() {
    let server = FakeServer::new(true);
    server
        .standing
        .send_replace(Arc::new(Enforcement::default()));
    let bot = Bot::with(server);
    for line in ["ban a@example.org 1d x", "show a@example.org", "status"] {
        let text = bot.chat(ADMIN, line).await;
        assert!(!text.contains("level 0"), "{text}");
        assert!(!text.contains("NOTHING IS ENFORCED"), "{text}");
        assert!(
            text.contains("no connection to the server at present"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn level_0_says_loudly_that_nothing_is_enforced() {
    let server = FakeServer::new(true);
    server.standing.send_replace(Arc::new(Enforcement {
        linked: true,
        probed: true,
        level: 0,
        server: "ejabberd 26.07".into(),
        has: vec![],
        gaps: vec![Gap {
            what: "no grant for jabber:iq:private".into(),
            effect: "bans cannot be written to accounts".into(),
            remedy: "modules:\n  mod_privilege: {}\n".into(),
        }],
        conflict: None,
        ..Enforcement::default()
    }));
    let bot = Bot::with(server);
    let text = bot.chat(ADMIN, "ban a@example.org 1d x").await;
    assert!(text.contains("NOT ENFORCED"), "{text}");
    let text = bot.chat(ADMIN, "status").await;
    assert!(text.starts_with("NOTHING IS ENFORCED (level 0)"), "{text}");
    assert!(
        text.contains("To add:\n```\nmodules:\n  mod_privilege: {}\n```"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_store_gives_a_reference_and_never_success() {
    let bot = Bot::new();
    bot.world.store.fail_on(1);
    let text = bot.chat(ADMIN, "ban a@example.org 1d x").await;
    assert!(
        text.contains("NOT stored") && text.contains("reference"),
        "{text}"
    );
    assert!(!text.contains("Banned"), "{text}");
    bot.world.store.fail_on(1);
    let command = bot
        .command(
            ADMIN,
            "node='ban'",
            &submit(&[("subject", &["a@example.org"])]),
        )
        .await;
    assert_eq!(command.attr("status"), Some("completed"));
    assert_eq!(
        command.get_child("note", NS_COMMANDS).unwrap().attr("type"),
        Some("error")
    );
}

#[tokio::test(start_paused = true)]
async fn notes_are_for_show_alone() {
    let bot = Bot::new();
    let fields: &[(&str, &[&str])] = &[
        ("subject", &["a@example.org"]),
        ("reason", &["spam \u{202e}gnp"]),
        ("note", &["seen by", "  two moderators  "]),
    ];
    let command = bot
        .command(ADMIN, "node='ban' action='complete'", &submit(fields))
        .await;
    assert!(!note(&command).contains("moderators"));
    assert!(note(&command).contains(": spam gnp."), "{}", note(&command));
    let command = bot
        .command(MODERATOR, "node='show'", &submit(&[("subject", &["#1"])]))
        .await;
    assert_eq!(
        values(&command, "note1"),
        [
            "seen by",
            "two moderators (admin@example.org, 2026-11-22 04:00 UTC)"
        ]
    );
    assert!(!bot.chat(ADMIN, "list").await.contains("moderators"));
}

#[tokio::test(start_paused = true)]
async fn lists_have_pages_filters_and_tables() {
    let bot = Bot::new();
    for n in 1..=12 {
        let line = format!("ban u{n}@example.org 1d reason{}", n % 2);
        bot.chat(if n == 5 { MODERATOR } else { ADMIN }, &line)
            .await;
        bot.pass(11);
    }
    bot.chat(ADMIN, "ban 203.0.113.0/24 1d net").await;
    let text = bot.chat(ADMIN, "list").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Bans 1-10 of 13.");
    assert!(
        lines[1].starts_with("#13 203.0.113.0/24: until "),
        "{}",
        lines[1]
    );
    assert_eq!(lines[11], "More: next, or list 2");
    let text = bot.chat(ADMIN, "list 2").await;
    assert!(text.starts_with("Bans 11-13 of 13."), "{text}");
    assert!(
        bot.chat(ADMIN, "list by:mod")
            .await
            .starts_with("Matching bans 1-1 of 1.")
    );
    assert!(
        bot.chat(ADMIN, "list reason1 account")
            .await
            .starts_with("Matching bans 1-6 of 6.")
    );
    assert!(bot.chat(ADMIN, "list 203.0.113.77").await.contains("#13 "));
    assert!(
        bot.chat(ADMIN, "list #3..4")
            .await
            .starts_with("Matching bans 1-2 of 2.")
    );
    assert_eq!(bot.chat(ADMIN, "list nothing").await, "No ban matches.");
    let command = bot
        .command(
            ADMIN,
            "node='list'",
            &submit(&[("filter", &["network"]), ("table", &["1"])]),
        )
        .await;
    let x = form(&command);
    assert_eq!(x.attr("type"), Some("result"));
    let reported = x.get_child("reported", NS_DATA).unwrap();
    let item = x.get_child("item", NS_DATA).unwrap();
    assert_eq!(reported.children().count(), item.children().count());
    let fields: Vec<_> = x
        .children()
        .filter(|child| child.name() == "field")
        .collect();
    assert!(
        fields
            .iter()
            .all(|field| field.attr("type") == Some("hidden"))
    );
    let command = bot
        .command(ADMIN, "node='list' action='complete'", "")
        .await;
    assert_eq!(note(&command), "Bans 1-10 of 13. More on page 2.");
    assert_eq!(values(&command, "ban13").len(), 1);
    bot.pass(2 * 86_400);
    assert_eq!(bot.chat(ADMIN, "list").await, "No bans in force.");
}

// 050.2, 050.10, 004.1: fill in and send is the shortest way; a second submit finds the session closed.
#[tokio::test(start_paused = true)]
async fn a_form_is_filled_in_and_done_once() {
    let bot = Bot::new();
    let first = bot.command(ADMIN, "node='ban' action='execute'", "").await;
    assert_eq!(first.attr("status"), Some("executing"));
    assert_eq!(actions(&first), "complete: complete");
    assert_eq!(values(&first, "FORM_TYPE"), ["urn:portcullis:command:1"]);
    assert_eq!(values(&first, "duration"), ["default"]);
    let go = format!(
        "node='ban' sessionid='{}' action='complete'",
        session(&first)
    );
    let filled = submit(&[
        ("subject", &["a@example.org", "", "b@example.org"]),
        ("duration", &["3d"]),
        ("other_duration", &[" "]),
        ("reason", &["x"]),
    ]);
    let done = bot.command(ADMIN, &go, &filled).await;
    assert_eq!(done.attr("status"), Some("completed"));
    assert_eq!(actions(&done), "");
    assert_eq!(
        note(&done),
        "2 of 2 done. The server refuses them, and no session is open. Undo: undo #1 #2"
    );
    assert_eq!(
        bot.command_fault(ADMIN, &go, &filled).await,
        "not-allowed session-expired"
    );
    assert_eq!(bot.world.server.done().len(), 2);
}

// 050.10
#[tokio::test(start_paused = true)]
async fn two_submits_at_once_do_the_work_once() {
    let bot = Bot::new();
    let first = bot.command(ADMIN, "node='ban'", "").await;
    let attributes = format!("node='ban' sessionid='{}'", session(&first));
    let filled = submit(&[("subject", &["a@example.org"])]);
    let iq = format!(
        "<iq type='set' id='q' from='{ADMIN}' to='{DOMAIN}'><command xmlns='{NS_COMMANDS}' {attributes}>{filled}</command></iq>"
    );
    let one = bot.router.receive(&received(&iq));
    let two = bot.router.receive(&received(&iq));
    assert!(one.now.is_empty() && one.later.is_some());
    assert_eq!(
        condition(&element(two.now.into_iter().next().unwrap())),
        "not-allowed session-expired"
    );
    assert_eq!(one.later.unwrap().await.len(), 1);
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 1);
}

// Clients show an IQ error as "completed", and each client shows another one of title, instructions and note.
#[tokio::test(start_paused = true)]
async fn wrong_input_brings_the_same_form_again_with_the_error_in_three_places() {
    let bot = Bot::new();
    let first = bot.command(ADMIN, "node='ban'", "").await;
    let go = format!("node='ban' sessionid='{}'", session(&first));
    let filled = submit(&[
        ("subject", &["a@example.org", "nobody"]),
        ("duration", &["5"]),
        ("reason", &["kept"]),
        ("force", &["1"]),
        ("unknown", &["x"]),
    ]);
    let again = bot.command(ADMIN, &go, &filled).await;
    assert_eq!(again.attr("status"), Some("executing"));
    assert_eq!(session(&again), session(&first));
    let title = form(&again).get_child("title", NS_DATA).unwrap().text();
    assert!(title.starts_with("Error: \"nobody\" is neither"), "{title}");
    let instructions = form(&again)
        .get_child("instructions", NS_DATA)
        .unwrap()
        .text();
    assert!(
        instructions.starts_with("Error: ") && instructions.contains("5 what?"),
        "{instructions}"
    );
    assert!(
        instructions.starts_with(&note(&again)),
        "the note is not in {instructions}"
    );
    assert_eq!(values(&again, "subject"), ["a@example.org", "nobody"]);
    assert_eq!(values(&again, "reason"), ["kept"]);
    assert_eq!(values(&again, "force"), ["1"]);
    assert_eq!(
        (values(&again, "duration"), values(&again, "other_duration")),
        (vec!["default".into()], vec!["5".into()])
    );
    let fixed = submit(&[
        ("subject", &["a@example.org"]),
        ("duration", &["default"]),
        ("other_duration", &["5m"]),
    ]);
    let done = bot.command(ADMIN, &go, &fixed).await;
    assert!(note(&done).contains("(5 minutes)"), "{}", note(&done));
}

// 050.6, 050.12: two stages, and prev leads back with the values.
#[tokio::test(start_paused = true)]
async fn one_step_takes_any_duration_and_asks_when_it_is_risky() {
    let bot = Bot::new();
    let filled = submit(&[("subject", &["a@example.org"]), ("duration", &["1d12h"])]);
    let done = bot
        .command(ADMIN, "node='ban' action='execute'", &filled)
        .await;
    assert!(note(&done).contains("(1 day 12 hours)"), "{}", note(&done));
    let filled = submit(&[
        ("subject", &["10.0.0.0/8"]),
        ("duration", &["1d"]),
        ("reason", &["x"]),
    ]);
    let asked = bot
        .command(ADMIN, "node='ban' action='complete'", &filled)
        .await;
    assert_eq!(asked.attr("status"), Some("executing"));
    assert_eq!(actions(&asked), "complete: prev complete");
    assert_eq!(
        form(&asked).get_child("title", NS_DATA).unwrap().text(),
        "Really ban 10.0.0.0/8?"
    );
    let with = |action: &str| {
        format!(
            "node='ban' sessionid='{}' action='{action}'",
            session(&asked)
        )
    };
    let back = bot.command(ADMIN, &with("prev"), "").await;
    assert_eq!(values(&back, "subject"), ["10.0.0.0/8"]);
    assert_eq!(values(&back, "reason"), ["x"]);
    assert_eq!(
        bot.command_fault(ADMIN, &with("prev"), "").await,
        "bad-request bad-action"
    );
    let asked = bot.command(ADMIN, &with("next"), &filled).await;
    assert_eq!(actions(&asked), "complete: prev complete");
    let sneaky = submit(&[("subject", &["0.0.0.0/0"])]);
    let done = bot.command(ADMIN, &with("execute"), &sneaky).await;
    assert!(
        note(&done).starts_with("Banned #2 10.0.0.0/8"),
        "{}",
        note(&done)
    );
}

// 050.6, 050.7
#[tokio::test(start_paused = true)]
async fn a_cancelled_form_changes_nothing_and_is_over() {
    let bot = Bot::new();
    for action in ["", "action='execute'"] {
        let first = bot
            .command(ADMIN, &format!("node='unban' {action}"), "")
            .await;
        let cancel = format!(
            "node='unban' sessionid='{}' action='cancel'",
            session(&first)
        );
        let over = bot
            .command(ADMIN, &cancel, "<x xmlns='jabber:x:data' type='cancel'/>")
            .await;
        assert_eq!(
            (over.attr("status"), actions(&over).as_str()),
            (Some("canceled"), "")
        );
        assert!(over.get_child("x", NS_DATA).is_none());
        assert_eq!(
            bot.command_fault(ADMIN, &cancel, "").await,
            "not-allowed session-expired"
        );
    }
}

// 050.1, 050.3, 050.4
#[tokio::test(start_paused = true)]
async fn faults_of_protocol_have_the_conditions_of_the_standard() {
    let bot = Bot::new();
    let first = bot.command(ADMIN, "node='ban'", "").await;
    let id = session(&first);
    let x = "<x xmlns='jabber:x:data' type='submit'/>";
    for (from, attributes, inside, expected) in [
        (ADMIN, "node='nope'".to_owned(), "", "item-not-found"),
        (ADMIN, "node='help'".to_owned(), "", "item-not-found"),
        (STRANGER, "node='ban'".to_owned(), "", "forbidden"),
        (STRANGER, "node='nope'".to_owned(), "", "item-not-found"),
        (ADMIN, String::new(), "", "bad-request"),
        (
            ADMIN,
            "node='ban' action='explode'".to_owned(),
            "",
            "bad-request malformed-action",
        ),
        (
            ADMIN,
            "node='ban' action='next'".to_owned(),
            "",
            "bad-request bad-action",
        ),
        (
            ADMIN,
            format!("node='ban' sessionid='{id}' action='prev'"),
            "",
            "bad-request bad-action",
        ),
        (
            ADMIN,
            format!("node='ban' sessionid='{id}'"),
            &x.repeat(2),
            "bad-request bad-payload",
        ),
        (
            ADMIN,
            "node='ban' sessionid='guess'".to_owned(),
            "",
            "bad-request bad-sessionid",
        ),
        (
            ADMIN,
            format!("node='unban' sessionid='{id}'"),
            "",
            "bad-request bad-sessionid",
        ),
        (
            "admin@example.org/other",
            format!("node='ban' sessionid='{id}'"),
            "",
            "bad-request bad-sessionid",
        ),
        (
            MODERATOR,
            format!("node='ban' sessionid='{id}'"),
            "",
            "bad-request bad-sessionid",
        ),
    ] {
        assert_eq!(
            bot.command_fault(from, &attributes, inside).await,
            expected,
            "{from} {attributes}"
        );
    }
    bot.bot.set_roles(roles(&[], &[]));
    assert_eq!(
        bot.command_fault(ADMIN, &format!("node='ban' sessionid='{id}'"), "")
            .await,
        "forbidden"
    );
    bot.bot.set_roles(roles(&["admin@example.org"], &[]));
    bot.pass(15 * 60);
    assert_eq!(
        bot.command_fault(ADMIN, &format!("node='ban' sessionid='{id}'"), "")
            .await,
        "not-allowed session-expired"
    );
}

// 612.1, 612.2, 612.3, 612.9
#[tokio::test(start_paused = true)]
async fn every_request_is_answered_and_nothing_else() {
    let bot = Bot::new();
    for (type_, to, payload, expected) in [
        ("get", DOMAIN, "<ping xmlns='urn:xmpp:ping'/>", ""),
        (
            "get",
            "bot@gate.example.org",
            "<ping xmlns='urn:xmpp:ping'/>",
            "",
        ),
        (
            "get",
            "nobody@gate.example.org",
            "<ping xmlns='urn:xmpp:ping'/>",
            "service-unavailable",
        ),
        (
            "get",
            DOMAIN,
            "<query xmlns='jabber:iq:roster'/>",
            "service-unavailable",
        ),
        (
            "set",
            DOMAIN,
            "<block xmlns='urn:xmpp:blocking'/>",
            "service-unavailable",
        ),
        (
            "set",
            DOMAIN,
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "feature-not-implemented",
        ),
        (
            "get",
            DOMAIN,
            "<command xmlns='http://jabber.org/protocol/commands' node='ban'/>",
            "bad-request",
        ),
        (
            "set",
            DOMAIN,
            "<note xmlns='http://jabber.org/protocol/commands'/>",
            "bad-request",
        ),
        (
            "get",
            DOMAIN,
            "<wrong xmlns='urn:xmpp:ping'/>",
            "bad-request",
        ),
        (
            "get",
            DOMAIN,
            "<query xmlns='http://jabber.org/protocol/disco#info' node='nope'/>",
            "item-not-found",
        ),
        (
            "get",
            DOMAIN,
            "<query xmlns='http://jabber.org/protocol/disco#items' node='nope'/>",
            "item-not-found",
        ),
        ("get", DOMAIN, "<time xmlns='urn:xmpp:time'/>", ""),
        ("get", DOMAIN, "<query xmlns='jabber:iq:version'/>", ""),
        ("get", DOMAIN, "<query xmlns='jabber:iq:last'/>", ""),
    ] {
        assert_eq!(
            bot.fault(type_, STRANGER, to, payload).await,
            expected,
            "{payload}"
        );
    }
    for silent in [
        format!("<iq type='result' id='1' from='{ADMIN}' to='{DOMAIN}'/>"),
        format!("<iq type='error' id='1' from='{ADMIN}' to='{DOMAIN}'><error type='cancel'/></iq>"),
        format!(
            "<message type='error' id='1' from='{ADMIN}' to='{DOMAIN}'><body>list</body></message>"
        ),
        format!(
            "<message type='error' id='1' from='{ADMIN}' to='x@{DOMAIN}'><body>list</body></message>"
        ),
        format!("<presence from='{ADMIN}' to='{DOMAIN}'/>"),
        format!("<presence type='error' from='{ADMIN}' to='{DOMAIN}'/>"),
        format!("<presence type='subscribe' from='{ADMIN}' to='x@{DOMAIN}'/>"),
    ] {
        assert!(bot.all(&silent).await.is_empty(), "{silent}");
    }
}

// 030.2
#[tokio::test(start_paused = true)]
async fn commands_are_shown_to_those_who_may_run_them() {
    let bot = Bot::new();
    let items = |node: &str| {
        format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{node}'/>")
    };
    let info = |node: &str| {
        format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>")
    };
    for (who, role) in [
        (ADMIN, Role::Admin),
        (MODERATOR, Role::Moderator),
        (STRANGER, Role::Stranger),
    ] {
        let answer = bot.iq("get", who, DOMAIN, &items(NS_COMMANDS)).await;
        let shown: Vec<String> = answer
            .children()
            .flat_map(Element::children)
            .filter_map(|item| item.attr("node").map(str::to_owned))
            .collect();
        let all = portcullis::command::forms(Role::Admin);
        let may: Vec<&str> = all
            .filter(|spec| spec.needs <= role)
            .map(|spec| spec.name)
            .collect();
        assert_eq!(shown, may, "{who}");
        // And a command that is not shown cannot be run.
        for node in nodes().into_iter().filter(|node| !may.contains(node)) {
            let fault = bot.command_fault(who, &format!("node='{node}'"), "").await;
            assert_eq!(fault, "forbidden", "{who} {node}");
        }
    }
    assert_eq!(bot.fault("get", ADMIN, DOMAIN, &info("ban")).await, "");
    assert_eq!(
        bot.fault("get", STRANGER, DOMAIN, &info("ban")).await,
        "forbidden"
    );
    assert_eq!(
        bot.fault("get", STRANGER, DOMAIN, &items("ban")).await,
        "forbidden"
    );
}

#[tokio::test(start_paused = true)]
async fn the_hash_in_the_presence_is_the_one_that_can_be_asked_for() {
    let bot = Bot::new();
    for to in [DOMAIN, "bot@gate.example.org"] {
        let answers = bot
            .all(&format!(
                "<presence type='subscribe' from='admin@example.org' to='{to}'/>"
            ))
            .await;
        assert_eq!(answers[0].attr("type"), Some("subscribed"));
        let caps = answers[1]
            .get_child("c", "http://jabber.org/protocol/caps")
            .unwrap();
        let node = format!(
            "{}#{}",
            caps.attr("node").unwrap(),
            caps.attr("ver").unwrap()
        );
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
        let answer = bot.iq("get", ADMIN, to, &query).await;
        assert_eq!(answer.children().next().unwrap().attr("node"), Some(&*node));
        let other = if to == DOMAIN {
            "bot@gate.example.org"
        } else {
            DOMAIN
        };
        assert_eq!(
            bot.fault("get", ADMIN, other, &query).await,
            "item-not-found"
        );
    }
    let refused = bot
        .all(&format!(
            "<presence type='subscribe' from='{STRANGER}' to='{DOMAIN}'/>"
        ))
        .await;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].attr("type"), Some("unsubscribed"));
    assert_eq!(bot.bot.greeting().len(), 2);
    assert_eq!(bot.bot.farewell().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_corrected_line_runs_only_if_the_first_did_nothing() {
    let bot = Bot::new();
    let say = |id: &str, text: &str, replace: &str| {
        format!(
            "<message type='chat' id='{id}' from='{ADMIN}' to='{DOMAIN}'><body>{text}</body>{replace}</message>"
        )
    };
    let replace = "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>";
    let told = |answers: Vec<Element>| answers.iter().map(body_of).collect::<String>();
    assert!(
        told(bot.all(&say("m1", "bann a@example.org", "")).await).contains("Did you mean ban?")
    );
    assert!(told(bot.all(&say("m2", "ban a@example.org", replace)).await).starts_with("Banned #1"));
    assert!(
        told(bot.all(&say("m3", "ban b@example.org", replace)).await)
            .contains("does not run again")
    );
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 1);
    let asking = say("m4", "list", "<request xmlns='urn:xmpp:receipts'/>");
    let answers = bot.all(&asking).await;
    assert_eq!(answers.len(), 2);
    assert!(answers[0].has_child("received", "urn:xmpp:receipts"));
    let secret = say(
        "m5",
        "[This message is OMEMO encrypted]",
        "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>",
    );
    assert!(told(bot.all(&secret).await).contains("cannot read encrypted messages"));
}

#[tokio::test(start_paused = true)]
async fn lines_of_one_person_run_in_order_and_a_bounded_number_waits() {
    let bot = Bot::new();
    let say = |text: &str| {
        received(&format!(
            "<message type='chat' id='m' from='{ADMIN}' to='{DOMAIN}'><body>{text}</body></message>"
        ))
    };
    let first = bot
        .router
        .receive(&say("ban a@example.org 1d x"))
        .later
        .unwrap();
    let second = bot
        .router
        .receive(&say("unban a@example.org"))
        .later
        .unwrap();
    let (second, first) = tokio::join!(second, first);
    let text = |answers: Vec<Stanza>| body_of(&element(answers.into_iter().next().unwrap()));
    assert!(text(first).starts_with("Banned #1"));
    assert!(text(second).starts_with("Un-banned #1"));
    let mut waiting = Vec::new();
    for n in 0..portcullis::front::router::AT_ONCE {
        let iq = format!(
            "<iq type='set' id='{n}' from='{ADMIN}' to='{DOMAIN}'><command xmlns='{NS_COMMANDS}' node='status'/></iq>"
        );
        waiting.push(bot.router.receive(&received(&iq)).later.unwrap());
    }
    assert_eq!(
        bot.command_fault(ADMIN, "node='status'", "").await,
        "resource-constraint"
    );
    assert!(
        bot.chat(ADMIN, "list")
            .await
            .contains("Too much is waiting")
    );
    drop(waiting);
    assert!(bot.chat(ADMIN, "list").await.contains("No bans"));
}

/// Any content in any field of any form, and any line, gets exactly one answer (an error form or a result) and never
/// a panic.
// 004.2: no var, no type, unknown fields, repeated ones, far too long ones.
#[test]
fn no_form_and_no_line_makes_it_panic_or_keep_silent() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let vars = [
        "subject",
        "duration",
        "other_duration",
        "reason",
        "note",
        "force",
        "filter",
        "page",
        "table",
        "times",
        "comment",
        "kind",
        "state",
        "origin",
        "change",
        "accountjids",
        "max_items",
        "FORM_TYPE",
        "",
    ];
    let value = prop_oneof![
        "\\PC{0,30}",
        "[0-9a-f:./@#dhm -]{0,20}",
        Just("a@example.org".to_owned()),
        Just("10.0.0.0/8".to_owned()),
        Just("#1".to_owned()),
        Just("1".to_owned()),
        Just("x".repeat(20_000)),
        Just("a@example.org ".repeat(500)),
    ];
    let field = (0..vars.len(), prop::collection::vec(value.clone(), 0..4));
    let call = (
        0..nodes().len(),
        prop::collection::vec(field, 0..8),
        0..6_usize,
        value,
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(&call, |(node, fields, action, line)| {
            let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
            let node = nodes()[node];
            let action = ["", "action='execute'", "action='complete'", "action='next'", "action='prev'", "action='cancel'"][action];
            let fields: String = fields
                .iter()
                .map(|(var, values)| {
                    let values: String = values.iter().map(|v| format!("<value>{}</value>", escape(v))).collect();
                    let var = match vars[*var] { "" => String::new(), var => format!("var='{var}'") };
                    format!("<field {var}>{values}</field>")
                })
                .collect();
            let x = format!("<x xmlns='{NS_DATA}' type='submit'>{fields}</x>");
            runtime.block_on(async {
                let bot = Bot::new();
                let open = bot.command(ADMIN, &format!("node='{node}'"), "").await;
                bot.fault("set", ADMIN, DOMAIN, &format!("<command xmlns='{NS_COMMANDS}' node='{node}' {action}>{x}</command>")).await;
                let id = session(&open);
                bot.fault("set", ADMIN, DOMAIN, &format!("<command xmlns='{NS_COMMANDS}' node='{node}' sessionid='{id}' {action}>{x}</command>")).await;
                let line = escape(&line);
                if !line.trim().is_empty() {
                    for line in [line.clone(), format!("{node} {line}")] {
                        let message = format!("<message type='chat' id='m' from='{ADMIN}' to='{DOMAIN}'><body>{line}</body></message>");
                        let answers = bot.all(&message).await.len();
                        prop_assert!(answers == 1 || line.trim_start().starts_with('>'), "{line:?}");
                    }
                }
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_account_of_another_server_is_refused_with_what_to_do_and_leaves_nothing_behind() {
    let bot = Bot::new();
    let policy = Policy {
        hosts: vec![String::from("example.org")],
        ..(*bot.world.engine.policy()).clone()
    };
    bot.world.engine.set_policy(policy);
    for line in [
        "ban bob@exmaple.org 1d spam",
        "ban bob@exmaple.org from 203.0.113.7 1d",
        "allow bob@exmaple.org",
        "kick bob@exmaple.org",
    ] {
        let text = bot.chat(ADMIN, line).await;
        assert!(
            text.contains("exmaple.org is not on this server"),
            "{line}: {text}"
        );
        assert!(
            text.contains("Did you mean bob@example.org?"),
            "{line}: {text}"
        );
    }
    assert_eq!(bot.world.engine.read(|ledger| ledger.folded()), Seq(0));
    assert!(bot.world.delivery.tasks().is_empty());
    // An admin may insist, for a virtual host that will exist later.
    let text = bot.chat(ADMIN, "ban bob@exmaple.org 1d spam --force").await;
    assert!(text.contains("NOT on this server"), "{text}");
    let text = bot.chat(ADMIN, "yes").await;
    assert!(text.contains("Banned #1 bob@exmaple.org"), "{text}");
}
