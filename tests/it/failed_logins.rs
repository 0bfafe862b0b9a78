//! The commands around failed logins, by form and by chat line: attempt, check, failures, forget, allow, unallow,
//! allowed.

use std::sync::Arc;

use minidom::Element;
use portcullis::core::{Attempt, LoginOutcome, Policy, Subject};

use crate::support::bot::{ADMIN, Bot, MODERATOR, NS_DATA, form, note, submit};

const ALICE: &str = "alice@example.org";

async fn login(bot: &Bot, account: &str, address: &str, outcome: LoginOutcome, unknown: bool) {
    let attempt = Attempt {
        account: Subject::parse(account).unwrap().account().cloned(),
        address: address.parse().ok(),
        outcome,
        unknown,
        at: bot.world.engine.now(),
    };
    bot.world.admission.report(vec![attempt]).await.unwrap();
}

async fn fails(bot: &Bot, account: &str, address: &str, times: u32) {
    for _ in 0..times {
        login(bot, account, address, LoginOutcome::Failure, false).await;
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// Title and values of a form, one per line.
fn told(command: &Element) -> String {
    let x = form(command);
    let values = x.children().flat_map(|field| {
        let label = field.attr("label").unwrap_or_default().to_owned();
        let values = field.children().filter(|child| child.name() == "value");
        values.map(move |value| format!("{label}: {}", value.text()))
    });
    values.collect::<Vec<_>>().join("\n")
}

/// Asserts that the form comes back for correction, with this error.
#[track_caller]
fn is_same_form_again(command: &Element, error: &str) {
    assert_eq!(command.attr("status"), Some("executing"));
    assert_eq!(form(command).attr("type"), Some("form"));
    let title = form(command).get_child("title", NS_DATA).unwrap().text();
    assert!(title.starts_with("Error: "), "{title}");
    says(&note(command), &["Error: ", error]);
}

#[tokio::test(start_paused = true)]
async fn a_manual_attempt_counts_like_a_reported_one_and_reports_its_bans() {
    let bot = Bot::new();
    fails(&bot, ALICE, "203.0.113.7", 3).await;
    let text = bot
        .chat(ADMIN, "attempt alice@example.org 203.0.113.7")
        .await;
    says(
        &text,
        &[
            "Counted 1 failed login of alice@example.org from 203.0.113.7; no limit is reached.",
            "pair-failures: 4 of 5 failures within 10 minutes; at the limit alice@example.org from 203.0.113.7 is banned for 10 minutes",
        ],
    );
    let text = bot
        .chat(ADMIN, "attempt 203.0.113.7 alice@example.org 3")
        .await;
    assert!(
        text.starts_with(
            "Banned #1 alice@example.org from 203.0.113.7 until 2026-11-22 04:10 UTC (10 minutes) by the rule pair-failures, ban no. 1 of it: too many failed logins.\n"
        ),
        "{text}"
    );
    says(
        &text,
        &[
            "only the hook module",
            "Undo: undo #1",
            "Evidence: 5 failures within 10 minutes (limit 5)",
            "by hand",
        ],
    );
    let text = bot
        .chat(ADMIN, "attempt alice@example.org from 203.0.113.7")
        .await;
    says(&text, &["Not counted: ", "is already banned: #1"]);
    // The same by form with an address only; earlier bans make the new one longer.
    let filled = submit(&[("subject", &["203.0.113.9"]), ("times", &["5"])]);
    let done = bot.command(ADMIN, "node='attempt'", &filled).await;
    says(
        &note(&done),
        &[
            "Banned #2 203.0.113.9 until ",
            "(30 minutes) by the rule address-failures",
            "Undo: undo #2",
        ],
    );
    says(&told(&done), &["Evidence: 5 failures within 10 minutes"]);
    bot.pass(1_801);
    let text = bot.chat(ADMIN, "attempt 203.0.113.9 5").await;
    says(
        &text,
        &["(1 hour) by the rule address-failures, ban no. 2 of it"],
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_written_wrongly_or_not_allowed_count_nothing() {
    let bot = Bot::new();
    for (line, part) in [
        ("attempt", "Say whom"),
        ("attempt nobody", "neither an account nor an address"),
        (
            "attempt alice@example.org 203.0.113.0/24",
            "name an address, not a network",
        ),
        ("attempt a@example.org b@example.org", "Name one login"),
        ("attempt 203.0.113.9 0", "a number from 1 to 1000"),
        ("attempt 203.0.113.9 1001", "a number from 1 to 1000"),
        (
            "attempt 127.0.0.1",
            "is exempt from bans (network 127.0.0.0/8)",
        ),
        ("attempt #7", "There is no ban #7"),
    ] {
        let text = bot.chat(ADMIN, line).await;
        says(&text, &[part, "Nothing was done."]);
    }
    let again = bot
        .command(
            ADMIN,
            "node='attempt'",
            &submit(&[("subject", &["203.0.113.9"]), ("times", &["many"])]),
        )
        .await;
    is_same_form_again(&again, "a number from 1 to 1000");
    says(&told(&again), &["How often: many", "203.0.113.9"]);
    assert_eq!(
        bot.chat(ADMIN, "failures").await,
        "No failed logins since the start."
    );
}

#[tokio::test(start_paused = true)]
async fn a_rule_in_dry_run_reports_what_it_would_have_done() {
    let bot = Bot::new();
    let mut policy = Policy::clone(&bot.world.engine.policy());
    let rules = Arc::make_mut(&mut policy.rules);
    rules.table.retain(|rule| rule.name == "address-failures");
    rules.table[0].dry_run = true;
    bot.world.engine.set_policy(policy);
    let text = bot.chat(ADMIN, "attempt 203.0.113.9 4").await;
    says(
        &text,
        &["4 of 5 failures within 10 minutes (dry run); at the limit "],
    );
    let text = bot.chat(ADMIN, "attempt 203.0.113.9").await;
    says(
        &text,
        &["Dry run of address-failures: 203.0.113.9 would be banned until"],
    );
    let text = bot.chat(ADMIN, "status").await;
    says(
        &text,
        &[
            "Rules in force: none",
            "Rules in dry run: address-failures",
            "Addresses counted: 1 of 250000",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn check_explains_who_is_let_in_and_why() {
    let bot = Bot::new();
    login(&bot, ALICE, "192.0.2.1", LoginOutcome::Success, false).await;
    assert_eq!(
        bot.chat(ADMIN, "check alice@example.org 192.0.2.1").await,
        "alice@example.org from 192.0.2.1 would be let in.\nNothing stands against it.\n\
         Earlier logins: a known good pair: this account did, and strangers' bans do not touch it; 1 account logged in from there\n\
         Guard: down; the account is not under attack\n\
         Counters: nothing is counted at present"
    );
    bot.chat(ADMIN, "attempt alice@example.org 40").await;
    bot.chat(ADMIN, "attempt 192.0.2.1 5").await;
    let text = bot
        .chat(MODERATOR, "check alice@example.org 198.51.100.1")
        .await;
    says(
        &text,
        &[
            "portcullis would refuse alice@example.org from 198.51.100.1, but the server does NOT ENFORCE its ban.",
            "only the hook module can enforce a guard",
            "guard of alice@example.org is up: #1 until",
            "To end it: unban guard of alice@example.org",
            "no known good pair",
            "Guard: UP until 2026-11-22 04:15 UTC (#1)",
            "Evidence: 10 networks within 1 hour",
        ],
    );
    let text = bot
        .chat(MODERATOR, "check alice@example.org 192.0.2.1")
        .await;
    says(
        &text,
        &[
            "would be let in.",
            "It logged in from there before",
            "Also in force: 192.0.2.1 is banned: #2",
            "Also in force: guard of alice@example.org is up: #1",
        ],
    );
    let text = bot.chat(MODERATOR, "check 192.0.2.1").await;
    says(
        &text,
        &[
            "192.0.2.1 would be let in",
            "strangers are refused at the password only",
        ],
    );
    let text = bot.chat(MODERATOR, "check bob@example.org 192.0.2.1").await;
    says(
        &text,
        &[
            "the server does NOT ENFORCE its ban.",
            "192.0.2.1 is banned: #2 until",
            "by the rule address-failures",
        ],
    );
    let text = bot.chat(MODERATOR, "check alice@example.org").await;
    says(
        &text,
        &["portcullis would refuse alice@example.org, but the server does NOT ENFORCE its ban."],
    );
    let text = bot.chat(MODERATOR, "check bob@example.org 127.0.0.1").await;
    says(&text, &["would be let in.", "Exempt: network 127.0.0.0/8"]);
    // A ban by hand applies to everybody, and `check` counts nothing.
    bot.chat(ADMIN, "ban 198.51.100.0/24 1d abuse").await;
    let command = bot
        .command(
            MODERATOR,
            "node='check'",
            &submit(&[("subject", &["bob@example.org 198.51.100.9"])]),
        )
        .await;
    says(
        &note(&command),
        &[
            "the server does NOT ENFORCE its ban.",
            "198.51.100.0/24 is banned: #3",
            ", by admin@example.org: abuse.",
        ],
    );
    for wrong in ["", "10.0.0.0/8", "a@b c@d", "a@b 192.0.2.1 c@d"] {
        let again = bot
            .command(
                MODERATOR,
                "node='check' action='complete'",
                &submit(&[("subject", &[wrong])]),
            )
            .await;
        assert_eq!(again.attr("status"), Some("executing"), "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_listed_newest_first_and_filtered() {
    let bot = Bot::new();
    for n in 1..=12 {
        let account = format!("u{n}@example.org");
        login(&bot, &account, "203.0.113.7", LoginOutcome::Failure, n == 2).await;
        bot.pass(1);
    }
    fails(&bot, ALICE, "2001:db8::1", 1).await;
    bot.chat(ADMIN, "attempt bob@example.org 3").await;
    let text = bot.chat(MODERATOR, "failures").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Failed logins 1-10 of 14.");
    assert_eq!(
        lines[1],
        "2026-11-22 04:00:12 UTC: by hand, 3 times: bob@example.org from ?"
    );
    assert_eq!(
        lines[2],
        "2026-11-22 04:00:12 UTC: wrong password: alice@example.org from 2001:db8::1"
    );
    assert_eq!(
        lines[3],
        "2026-11-22 04:00:11 UTC: wrong password, now kept out by #1 address-failures: u12@example.org from 203.0.113.7"
    );
    assert_eq!(lines[11], "More: next, or failures 2");
    for (line, first) in [
        ("failures 2", "Failed logins 11-14 of 14."),
        (
            "failures u3@example.org",
            "Matching failed logins 1-1 of 1.",
        ),
        (
            "failures 203.0.113.0/24 2",
            "Matching failed logins 11-12 of 12.",
        ),
        (
            "failures rule:address-failures",
            "Matching failed logins 1-10 of 12.",
        ),
        ("failures unknown", "Matching failed logins 1-1 of 1."),
        ("failures by-hand", "Matching failed logins 1-1 of 1."),
        ("failures bob", "Matching failed logins 1-1 of 1."),
        ("failures 192.0.2.1", "No failed login matches."),
        ("failures since:now", "There is no filter “since:now”."),
        ("failures 9", "There are only 2 pages."),
    ] {
        let text = bot.chat(MODERATOR, line).await;
        assert!(text.starts_with(first), "{line}: {text}");
    }
    let fields: &[(&str, &[&str])] = &[("filter", &["unknown"]), ("table", &["1"])];
    let table = bot
        .command(MODERATOR, "node='failures'", &submit(fields))
        .await;
    let item = form(&table).get_child("item", NS_DATA).unwrap();
    let cells: Vec<String> = item
        .children()
        .flat_map(Element::children)
        .map(Element::text)
        .collect();
    says(&cells.join("|"), &["u2@example.org", "no such account"]);
}

#[tokio::test(start_paused = true)]
async fn an_exemption_lifts_bans_and_prevents_new_ones() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban 203.0.113.9 1d flood").await;
    bot.chat(ADMIN, "ban 198.51.100.1 1d flood").await;
    bot.chat(ADMIN, "attempt alice@example.org 203.0.113.7 5")
        .await;
    let text = bot.chat(ADMIN, "allow 203.0.113.0/24 30d the office").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "Exempt from bans: 203.0.113.0/24 until 2026-12-22 04:00 UTC (30 days): the office."
    );
    assert_eq!(
        lines[1],
        "It covers and so lifted 2 bans: #1 203.0.113.9, #3 alice@example.org from 203.0.113.7."
    );
    assert_eq!(lines.last(), Some(&"Undo: undo 203.0.113.0/24"));
    says(
        &bot.chat(ADMIN, "list").await,
        &["Bans 1-1 of 1.", "198.51.100.1"],
    );
    for line in [
        "ban 203.0.113.9 1d",
        "ban 203.0.0.0/16 1d",
        "ban alice@example.org from 203.0.113.9",
        "attempt 203.0.113.9 9",
    ] {
        let text = bot.chat(ADMIN, line).await;
        says(
            &text,
            &[
                "is exempt from bans (203.0.113.0/24, allowed by admin@example.org: the office). Give the command unallow first",
            ],
        );
    }
    fails(&bot, "bob@example.org", "203.0.113.7", 20).await;
    says(&bot.chat(ADMIN, "list").await, &["Bans 1-1 of 1."]);
    says(
        &bot.chat(ADMIN, "show 203.0.113.9").await,
        &["Exempt: 203.0.113.0/24, allowed by admin@example.org: the office"],
    );
    // Fields that are not given keep their values.
    assert_eq!(
        bot.chat(ADMIN, "allow 203.0.113.0/24 forever").await,
        "Changed the exemption of 203.0.113.0/24: was until 2026-12-22 04:00 UTC, now forever: the office.\n\
         Undo: undo 203.0.113.0/24"
    );
    assert_eq!(
        bot.chat(MODERATOR, "allowed").await,
        "Exemptions 1-3 of 3.\n\
         203.0.113.0/24: forever, by admin@example.org: the office.\n\
         127.0.0.0/8: forever, by the configuration.\n\
         ::1: forever, by the configuration."
    );
    for (line, first) in [
        ("allowed 203.0.113.77", "Matching exemptions 1-1 of 1."),
        ("allowed by:configuration", "Matching exemptions 1-2 of 2."),
        ("allowed office", "Matching exemptions 1-1 of 1."),
        ("allowed account", "No exemption matches."),
        ("allowed rule:x", "There is no filter"),
    ] {
        let text = bot.chat(MODERATOR, line).await;
        assert!(text.starts_with(first), "{line}: {text}");
    }
    assert_eq!(
        bot.chat(ADMIN, "unallow 203.0.113.0/24").await,
        "No longer exempt: 203.0.113.0/24.\nUndo: undo 203.0.113.0/24"
    );
    says(
        &bot.chat(ADMIN, "ban 203.0.113.9 1d").await,
        &["Banned #4 203.0.113.9"],
    );
    says(
        &bot.chat(ADMIN, "unallow 203.0.113.0/24").await,
        &["There is no exemption of 203.0.113.0/24"],
    );
    says(
        &bot.chat(ADMIN, "unallow 127.0.0.1").await,
        &["It is still exempt by the configuration (network 127.0.0.0/8)"],
    );
}

#[tokio::test(start_paused = true)]
async fn an_exemption_has_an_end_and_limits() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban alice@example.org 1d x").await;
    let text = bot.chat(ADMIN, "allow #1 1h by mistake").await;
    says(
        &text,
        &[
            "Exempt from bans: alice@example.org until 2026-11-22 05:00 UTC (1 hour): by mistake.",
            "lifted 1 ban: #1 alice@example.org",
            "They can log in again.",
            "guessers of its password are still refused",
        ],
    );
    says(
        &bot.chat(ADMIN, "ban alice@example.org").await,
        &["Give the command unallow first"],
    );
    bot.pass(3_600);
    says(
        &bot.chat(ADMIN, "ban alice@example.org").await,
        &["Banned #2"],
    );
    assert!(!bot.chat(ADMIN, "allowed").await.contains("alice"));
    let long = "x".repeat(501);
    for (line, part) in [
        ("allow", "Say whom".to_owned()),
        (
            "allow a@example.org b@example.org",
            "One at a time".to_owned(),
        ),
        ("allow a@example.org 5 strikes", "5 what?".to_owned()),
        (
            "allow a@example.org until 2020-01-01",
            "is in the past".to_owned(),
        ),
        (
            "allow alice@example.org from 192.0.2.1",
            "cannot be exempt".to_owned(),
        ),
        (
            &format!("allow a@example.org {long}"),
            "The comment is too long: at most 500".to_owned(),
        ),
    ] {
        let text = bot.chat(ADMIN, line).await;
        assert!(
            text.contains(&part) && text.contains("Nothing was done."),
            "{line}: {text}"
        );
    }
    let fields: &[(&str, &[&str])] = &[
        ("subject", &["a@example.org"]),
        ("duration", &["5"]),
        ("comment", &["kept"]),
    ];
    let again = bot.command(ADMIN, "node='allow'", &submit(fields)).await;
    is_same_form_again(&again, "5 what?");
    says(&told(&again), &["kept"]);
    // A wide network asks for confirmation once.
    let text = bot.chat(ADMIN, "allow 10.0.0.0/8 corporation").await;
    says(
        &text,
        &[
            "Nothing is done yet. Exempt 10.0.0.0/8 from bans forever: corporation.",
            "16777216 addresses",
            "Answer yes",
        ],
    );
    assert!(!bot.chat(ADMIN, "allowed").await.contains("10.0.0.0/8"));
    bot.chat(ADMIN, "allow 10.0.0.0/8 corporation").await;
    says(
        &bot.chat(ADMIN, "yes").await,
        &["Exempt from bans: 10.0.0.0/8 forever: corporation."],
    );
    let filled = submit(&[("subject", &["11.0.0.0/8"])]);
    let asked = bot.command(ADMIN, "node='allow'", &filled).await;
    assert_eq!(asked.attr("status"), Some("executing"));
    let id = asked.attr("sessionid").unwrap();
    let done = bot
        .command(
            ADMIN,
            &format!("node='allow' sessionid='{id}' action='complete'"),
            "",
        )
        .await;
    says(&note(&done), &["Exempt from bans: 11.0.0.0/8"]);
}

#[tokio::test(start_paused = true)]
async fn forget_lets_growth_start_anew_and_clears_counters() {
    let bot = Bot::new();
    bot.chat(ADMIN, "attempt 203.0.113.9 5").await;
    bot.pass(1_801);
    bot.chat(ADMIN, "attempt alice@example.org 203.0.113.9 2")
        .await;
    bot.pass(1);
    let text = bot.chat(ADMIN, "forget 203.0.113.9").await;
    says(
        &text,
        &[
            "Forgotten: 203.0.113.9; 1 ban no longer counts, and its next ban by a rule is its first.",
            "Counters cleared: address-failures (1 of 3), address-spray (1 of 5).",
            "What happened stays on record; to read it: show 203.0.113.9",
        ],
    );
    says(
        &bot.chat(ADMIN, "check alice@example.org 203.0.113.9").await,
        &["account-failures: 2 of 30"],
    );
    assert!(
        !bot.chat(ADMIN, "check alice@example.org 203.0.113.9")
            .await
            .contains("pair-failures")
    );
    bot.pass(1);
    // Wait until the end of the first ban is recorded; otherwise the second one would be decided on a stale version.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let text = bot.chat(ADMIN, "attempt 203.0.113.9 5").await;
    says(
        &text,
        &["Banned #2 203.0.113.9", "(30 minutes)", "ban no. 1 of it"],
    );
    let text = bot.chat(ADMIN, "forget 203.0.113.9").await;
    says(&text, &["The ban in force goes on: #2 until"]);
    let text = bot.chat(ADMIN, "show 203.0.113.9").await;
    says(
        &text,
        &[
            "its history counts no more by admin@example.org/desk (chat).",
            "banned until 2026-11-22 04:30 UTC by the rule address-failures",
            "Evidence: 5 failures within 10 minutes",
        ],
    );
    // The lockdown and pairs of an account are forgotten with it.
    bot.chat(ADMIN, "attempt bob@example.org 192.0.2.1 5").await;
    bot.chat(ADMIN, "attempt bob@example.org 40").await;
    bot.pass(3_700);
    // Wait until both ends are recorded; a decision before that would be stale.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let done = bot
        .command(
            ADMIN,
            "node='forget'",
            &submit(&[("subject", &["bob@example.org"])]),
        )
        .await;
    says(
        &note(&done),
        &[
            "Forgotten: bob@example.org; no earlier ban counted",
            "Forgotten with it: 2 bans of ",
        ],
    );
    says(
        &told(&done),
        &[
            "guard of bob@example.org: 1 ban no longer counts",
            "bob@example.org from 192.0.2.1: 1 ban no longer counts",
        ],
    );
    says(
        &bot.chat(ADMIN, "attempt bob@example.org 192.0.2.1 5").await,
        &["(10 minutes)", "ban no. 1 of it"],
    );
    says(
        &bot.chat(ADMIN, "attempt bob@example.org 40").await,
        &["(15 minutes)", "ban no. 1 of it"],
    );
    for (line, part) in [
        ("forget", "Say whom"),
        ("forget a@b c@d", "One at a time"),
        ("forget #99", "There is no ban #99"),
    ] {
        says(&bot.chat(ADMIN, line).await, &[part, "Nothing was done."]);
    }
}

#[tokio::test(start_paused = true)]
async fn moderators_look_and_admins_change() {
    let bot = Bot::new();
    for name in ["attempt", "allow", "unallow", "forget"] {
        let fault = bot
            .command_fault(MODERATOR, &format!("node='{name}'"), "")
            .await;
        assert_eq!(fault, "forbidden", "{name}");
        let text = bot.chat(MODERATOR, &format!("{name} 203.0.113.7")).await;
        says(
            &text,
            &["You need the role admin for that.", "Nothing was done."],
        );
    }
    for name in ["check", "failures", "allowed"] {
        assert_eq!(
            bot.command_fault(MODERATOR, &format!("node='{name}'"), "")
                .await,
            ""
        );
    }
}

#[tokio::test(start_paused = true)]
async fn pairs_and_guards_are_banned_shown_and_freed_by_name() {
    let bot = Bot::new();
    let text = bot
        .chat(
            ADMIN,
            "ban alice@example.org from 203.0.113.7 1h stolen laptop",
        )
        .await;
    says(
        &text,
        &[
            "Banned #1 alice@example.org from 203.0.113.7 until 2026-11-22 05:00 UTC (1 hour): stolen laptop.",
        ],
    );
    says(
        &bot.chat(ADMIN, "ban alice@example.org from 1.2.3.400 x")
            .await,
        &["is not a valid address", "Nothing was done."],
    );
    says(
        &bot.chat(ADMIN, "show alice@example.org from 203.0.113.7")
            .await,
        &["is banned: #1", "Origin: by hand"],
    );
    says(
        &bot.chat(ADMIN, "show alice@example.org").await,
        &["Still in force: alice@example.org from 203.0.113.7"],
    );
    let fields: &[(&str, &[&str])] = &[
        (
            "subject",
            &[
                "guard of bob@example.org",
                "bob@example.org from 192.0.2.0/24",
            ],
        ),
        ("duration", &["1h"]),
    ];
    let done = bot.command(ADMIN, "node='ban'", &submit(fields)).await;
    says(&note(&done), &["2 of 2 done.", "Undo: undo #2 #3"]);
    says(
        &bot.chat(ADMIN, "status").await,
        &["0 networks, 2 pairs, 1 guard"],
    );
    says(
        &bot.chat(
            ADMIN,
            "unban guard of bob@example.org bob@example.org from 192.0.2.0/24 sorry",
        )
        .await,
        &["2 of 2 done."],
    );
    says(
        &bot.chat(ADMIN, "unban alice@example.org from 203.0.113.7")
            .await,
        &["Un-banned #1 alice@example.org from 203.0.113.7."],
    );
    // An account with the same name on another host is not one's own.
    says(
        &bot.chat(ADMIN, "ban admin@example.org from 192.0.2.1")
            .await,
        &["your own account"],
    );
}

#[tokio::test(start_paused = true)]
async fn one_session_is_ended_alone_through_every_door() {
    let bot = Bot::new();
    let ended = |bot: &Bot| -> Vec<String> {
        let mut log = bot.world.server.done.lock().unwrap();
        std::mem::take(&mut *log)
    };
    let told = bot
        .chat(ADMIN, "kick Alice@Example.org/phone please log in again")
        .await;
    assert!(
        told.starts_with("alice@example.org/phone: 1 session was ended."),
        "{told}"
    );
    assert_eq!(ended(&bot), ["kick alice@example.org/phone"]);
    // A resource with spaces needs quotes, or its own line.
    bot.chat(
        ADMIN,
        "kick \"alice@example.org/my phone\" bob@example.org/desk",
    )
    .await;
    assert_eq!(
        ended(&bot),
        [
            "kick alice@example.org/my phone",
            "kick bob@example.org/desk"
        ]
    );
    // The kick of all sessions includes the named one.
    bot.chat(ADMIN, "kick alice@example.org/phone alice@example.org")
        .await;
    assert_eq!(ended(&bot), ["kick alice@example.org"]);
    let history = bot.chat(ADMIN, "show alice@example.org").await;
    assert!(
        history.contains("sessions ended by admin@example.org/desk (chat): only the session phone: please log in again."),
        "{history}"
    );
    let told = bot.chat(ADMIN, "kick admin@example.org/phone").await;
    assert!(
        told.contains("your own account"),
        "the same rules as always: {told}"
    );
    assert_eq!(ended(&bot), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn logins_that_fail_in_spite_of_a_ban_are_told() {
    let bot = Bot::new();
    fails(&bot, ALICE, "203.0.113.7", 1).await;
    bot.pass(5);
    bot.chat(ADMIN, "ban alice@example.org 1d x").await;
    for ask in ["check alice@example.org", "show alice@example.org"] {
        assert!(!bot.chat(ADMIN, ask).await.contains("since it began"));
    }
    bot.pass(5);
    fails(&bot, ALICE, "203.0.113.7", 2).await;
    fails(&bot, "bob@example.org", "203.0.113.7", 1).await;
    for ask in ["check alice@example.org", "show alice@example.org"] {
        says(
            &bot.chat(ADMIN, ask).await,
            &[
                "2 logins have failed since it began: the server looked at their passwords.",
                "failures alice@example.org",
            ],
        );
    }
    bot.chat(ADMIN, "ban 203.0.113.0/24 1d x").await;
    bot.pass(5);
    fails(&bot, "bob@example.org", "203.0.113.7", 1).await;
    let text = bot.chat(ADMIN, "show 203.0.113.0/24").await;
    says(&text, &["1 login has failed since it began"]);
}
