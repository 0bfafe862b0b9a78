//! What of the server itself, and of other bans here, keeps somebody out: told by show, check, unban and allow.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis::core::{Attempt, LoginOutcome, Subject, Timestamp};
use portcullis::delivery::ports::{Enforcement, Gap, HostLevel};
use portcullis::delivery::refusals::{ServerAsked, ServerRefusal, ServerRefusals};

use crate::support::FakeServer;
use crate::support::bot::{ADMIN, Bot};

fn refuses(server: &FakeServer, found: Vec<ServerRefusal>) {
    *server.refusals.lock().unwrap() = ServerRefusals {
        asked: ServerAsked::Yes,
        found,
        ..ServerRefusals::default()
    };
}

fn asked(server: &FakeServer, asked: ServerAsked) {
    *server.refusals.lock().unwrap() = ServerRefusals {
        asked,
        ..ServerRefusals::default()
    };
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[track_caller]
fn says_not(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(!text.contains(part), "{part:?} is in\n{text}");
    }
}

/// Sentences that promise for the server.
const PROMISES: [&str; 5] = [
    "can log in again",
    "let in again",
    "lets them in again",
    "would be let in",
    "Nothing stands against",
];

#[tokio::test(start_paused = true)]
async fn a_ban_by_ejabberd_itself_is_named_with_the_line_that_ends_it() {
    let server = FakeServer::new(true);
    let bot = Bot::with(Arc::clone(&server));
    refuses(
        &server,
        vec![ServerRefusal::OwnBan {
            reason: "by hand".into(),
        }],
    );
    let line = "To end it, on the server: `ejabberdctl unban_account dave example.org`";
    for ask in [
        "show dave@example.org",
        "check dave@example.org",
        "check dave@example.org 203.0.113.7",
        "unban dave@example.org",
    ] {
        let text = bot.chat(ADMIN, ask).await;
        says(
            &text,
            &[
                "ejabberd's own ban of dave@example.org stands.",
                line,
                "Its reason: By hand.",
            ],
        );
        says_not(&text, &PROMISES);
    }
    bot.chat(ADMIN, "ban dave@example.org 1d x").await;
    let text = bot.chat(ADMIN, "unban dave@example.org").await;
    says(
        &text,
        &[
            "Un-banned #1",
            line,
            "The server knows that this ban is over.",
        ],
    );
    says_not(&text, &PROMISES);
    refuses(&server, Vec::new());
    bot.chat(ADMIN, "ban dave@example.org 1d x").await;
    let text = bot.chat(ADMIN, "unban dave@example.org").await;
    says(&text, &["They can log in again."]);
    let text = bot.chat(ADMIN, "check dave@example.org").await;
    says(&text, &["would be let in", "Nothing stands against it."]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_not_asked_is_promised_nothing_for() {
    let server = FakeServer::new(true);
    let bot = Bot::with(Arc::clone(&server));
    for (state, why) in [
        (ServerAsked::NoModule, "that needs the hook module"),
        (ServerAsked::TooOld, "is too old for the question"),
        (ServerAsked::Silent, "the hook module did not answer"),
    ] {
        asked(&server, state);
        bot.chat(ADMIN, "ban a@example.org 1d x").await;
        for ask in [
            "unban a@example.org",
            "show a@example.org",
            "check a@example.org",
        ] {
            let text = bot.chat(ADMIN, ask).await;
            let not_asked = ["The server was not asked whether it refuses this login itself"];
            if state == ServerAsked::NoModule && !ask.starts_with("check") {
                // status, doctor and check say it, not each answer of a server without the module.
                says_not(&text, &not_asked);
            } else {
                says(&text, &[not_asked[0], why]);
            }
            says_not(&text, &PROMISES);
        }
    }
    *server.refusals.lock().unwrap() = ServerRefusals {
        asked: ServerAsked::Yes,
        found: Vec::new(),
        left_out: vec!["access".into(), "mod_firewall".into()],
        more_addresses: 2,
    };
    let text = bot.chat(ADMIN, "check a@example.org").await;
    says(
        &text,
        &[
            "Could not be checked on the server: what its access rules say, what mod_firewall does.",
            "2 more addresses of earlier logins were not asked about.",
        ],
    );
    says_not(&text, &PROMISES);
}

#[tokio::test(start_paused = true)]
async fn mod_fail2ban_is_named_and_lets_go_what_is_unbanned_or_allowed() {
    let server = FakeServer::new(true);
    let bot = Bot::with(Arc::clone(&server));
    let held = ServerRefusal::Fail2ban {
        address: "203.0.113.7".parse().unwrap(),
        until: Timestamp::parse("2030-01-01T12:00:00Z"),
    };
    refuses(&server, vec![held]);
    let text = bot.chat(ADMIN, "check bob@example.org 203.0.113.7").await;
    says(
        &text,
        &[
            "portcullis would let bob@example.org from 203.0.113.7 in.",
            "mod_fail2ban of ejabberd holds 203.0.113.7 until 2030-01-01 12:00 UTC",
            "To end it: unban 203.0.113.7",
        ],
    );
    says_not(&text, &PROMISES);
    refuses(&server, Vec::new());
    server.fail2ban.store(1, Ordering::SeqCst);
    for (order, net) in [
        ("unban 203.0.113.7", "203.0.113.7/32"),
        ("allow 203.0.113.7 30d office", "203.0.113.7/32"),
    ] {
        let text = bot.chat(ADMIN, order).await;
        says(
            &text,
            &["mod_fail2ban of ejabberd held it too, and has let it go."],
        );
        let unblocked = std::mem::take(&mut *server.unblocked.lock().unwrap());
        assert_eq!(unblocked, [net.parse().unwrap()], "{order}");
    }
    bot.chat(ADMIN, "ban 198.51.100.0/24 1d x").await;
    bot.chat(ADMIN, "ban 198.51.100.7 1d x").await;
    bot.chat(ADMIN, "unban all 198.51.100.0/24").await;
    let text = bot.chat(ADMIN, "yes").await;
    says(
        &text,
        &["mod_fail2ban of ejabberd held 2 addresses of these, and has let them go."],
    );
    says_not(&text, &["The server lets them in again"]);
    let mut unblocked = std::mem::take(&mut *server.unblocked.lock().unwrap());
    unblocked.sort();
    assert_eq!(unblocked.len(), 2, "{unblocked:?}");
    // An account is at no address that could be let go.
    bot.chat(ADMIN, "unban bob@example.org").await;
    assert!(server.unblocked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_record_of_an_earlier_ban_is_told() {
    let server = FakeServer::new(true);
    let bot = Bot::with(Arc::clone(&server));
    let record = ServerRefusal::OurRecord {
        ban: portcullis::core::BanId(239),
    };
    refuses(&server, vec![record]);
    let text = bot.chat(ADMIN, "show mod2@example.org").await;
    says(
        &text,
        &[
            "The server still refuses mod2@example.org by the record of #239",
            "To end it: unban mod2@example.org",
        ],
    );
    // It cannot be read, else un-ban would lift it (tests/it/reconcile.rs).
    let text = bot.chat(ADMIN, "unban mod2@example.org").await;
    says(&text, &["by the record of #239"]);
    says_not(&text, &PROMISES);
    // The record of a ban in force is no news.
    bot.chat(ADMIN, "ban mod2@example.org 1d x").await;
    let text = bot.chat(ADMIN, "show mod2@example.org").await;
    says_not(&text, &["#239"]);
}

async fn fails(bot: &Bot, account: &str, address: &str, times: usize) {
    log_in(bot, account, address, LoginOutcome::Failure, times).await;
}

async fn log_in(bot: &Bot, account: &str, address: &str, outcome: LoginOutcome, times: usize) {
    for _ in 0..times {
        let attempt = Attempt {
            account: Subject::parse(account).unwrap().account().cloned(),
            address: address.parse().ok(),
            outcome,
            unknown: false,
            at: bot.world.engine.now(),
        };
        bot.world.admission.report(vec![attempt]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_keeps_somebody_out_is_named_whatever_was_typed() {
    let bot = Bot::new();
    let erin = "erin@example.org";
    log_in(&bot, erin, "203.0.113.7", LoginOutcome::Success, 1).await;
    fails(&bot, erin, "203.0.113.7", 5).await;
    let pair = "erin@example.org from 203.0.113.7";
    for ask in [
        "unban erin@example.org",
        "show erin@example.org",
        "check erin@example.org",
    ] {
        let text = bot.chat(ADMIN, ask).await;
        says(
            &text,
            &[
                &format!("Still in force: {pair} is banned: #1"),
                &format!("To end it: unban {pair}"),
            ],
        );
        says_not(&text, &["Nothing stands against", "can log in again"]);
    }
    let text = bot.chat(ADMIN, "unban 203.0.113.7").await;
    says(&text, &[&format!("To end it: unban {pair}")]);
    bot.chat(ADMIN, &format!("unban {pair}")).await;
    // A network around the place where she logged in before, by a person: it holds for everybody.
    bot.chat(ADMIN, "ban 203.0.113.0/28 1d flood").await;
    for ask in [
        "unban erin@example.org",
        "show erin@example.org",
        "unban 203.0.113.7",
    ] {
        let text = bot.chat(ADMIN, ask).await;
        says(
            &text,
            &[
                "203.0.113.0/28 is banned: #2",
                "To end it: unban 203.0.113.0/28",
            ],
        );
    }
    let text = bot.chat(ADMIN, "unban 203.0.113.0/28").await;
    says_not(&text, &["Still in force"]);
    // The guard.
    bot.chat(ADMIN, "ban erin@example.org 1d x").await;
    for place in 1..=60 {
        fails(&bot, erin, &format!("198.51.100.{place}"), 3).await;
    }
    let text = bot.chat(ADMIN, "unban erin@example.org").await;
    if bot
        .chat(ADMIN, "list guard")
        .await
        .contains("guard of erin")
    {
        says(&text, &["To end it: unban guard of erin@example.org"]);
        says_not(&text, &["can log in again"]);
    }
}

#[tokio::test(start_paused = true)]
async fn status_names_what_works_against_it_and_hosts_that_are_below() {
    let server = FakeServer::new(true);
    server.standing.send_replace(Arc::new(Enforcement {
        linked: true,
        probed: true,
        level: 2,
        warnings: vec![Gap {
            what: "mod_fail2ban runs beside portcullis".into(),
            effect: "it counts by itself".into(),
            remedy: "take it out".into(),
        }],
        hosts: [("example.org", 2), ("second.test", 0)]
            .map(|(host, level)| HostLevel {
                host: host.into(),
                level,
            })
            .into(),
        ..Enforcement::default()
    }));
    let bot = Bot::with(server);
    let text = bot.chat(ADMIN, "status").await;
    says(
        &text,
        &[
            "Level 2 on example.org, 0 on second.test",
            "mod_fail2ban runs beside portcullis.",
            "WARNING: mod_fail2ban runs beside portcullis. It counts by itself.",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_told_once() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban a@example.org from 203.0.113.7 1d")
        .await;
    for ask in ["check", "show"] {
        for whom in ["a@example.org", "203.0.113.7"] {
            let text = bot.chat(ADMIN, &format!("{ask} {whom}")).await;
            let told = text.matches("a@example.org from 203.0.113.7 is banned");
            assert_eq!(told.count(), 1, "{ask} {whom}: {text}");
        }
    }
}
