//! Export and import: one instance imports what another exported, exactly once.

use std::sync::Arc;
use std::time::Duration;

use portcullis::command::Context;
use portcullis::core::{
    Action, Actor, EntryPoint, ExemptionOrder, HistoryOrder, Origin, Policy, Role, Subject, Term,
};
use portcullis::exchange::export::{ExportSelection, Piece, export_piece};
use portcullis::exchange::import::{ImportTally, Importer, import_all};
use portcullis::exchange::{Format, Reading, read};

use crate::support::{FakeServer, UnknownAppend, World, order};

const ALL: ExportSelection = ExportSelection {
    bans: true,
    exemptions: true,
    history: true,
    personal: true,
};

fn context(world: &World) -> Context {
    Context::new(&world.whole, world.engine.now())
}

async fn given(world: &World, wanted: ExportSelection) -> String {
    let context = context(world);
    let mut text = String::new();
    let mut piece = Some(Piece::Head);
    while let Some(this) = piece {
        let (lines, next) = export_piece(wanted, this, &context).await.unwrap();
        for line in lines {
            text += &line.to_text();
            text.push('\n');
        }
        piece = next;
    }
    text
}

async fn taken(world: &World, format: Format, text: &str, dry_run: bool) -> ImportTally {
    let reading = Reading {
        now: world.engine.now(),
        host: None,
        history: true,
    };
    let read = read(format, text, &reading);
    assert_eq!(read.bad, []);
    let actor = Actor::person("root", Role::Admin, EntryPoint::Terminal);
    let importer = Importer {
        actor,
        command: None,
    };
    import_all(read, &importer, dry_run, &context(world)).await
}

/// Bans in force and history, without numbers and positions.
async fn known(world: &World) -> Vec<String> {
    let lines = given(world, ALL).await;
    let mut lines: Vec<String> = lines
        .lines()
        .skip(1)
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("number");
            // Both instances may record the same expiry.
            if line["change"] == "Expired" {
                line.as_object_mut().unwrap().remove("id");
            }
            line.to_string()
        })
        .collect();
    lines.sort();
    lines
}

async fn lived(world: &World) {
    world.ban("a@example.org", Some("1d")).await;
    world.ban("203.0.113.7", Some("1h")).await;
    world.lift("a@example.org").await;
    world.pass(Duration::from_secs(10));
    world.ban("a@example.org", Some("3d")).await;
    world.ban("b@example.org from 203.0.113.9", None).await;
    world.pass(Duration::from_secs(7_200));
    // Wait until the end of the one-hour ban is recorded.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let allow = Action::Exemption(ExemptionOrder::Grant {
        term: Some(Term::For(Duration::from_secs(86_400))),
        comment: "office".into(),
    });
    world
        .engine
        .submit_one(order("192.0.2.0/24", allow))
        .await
        .unwrap();
    world.ban("a@example.org", Some("5d")).await;
}

#[tokio::test(start_paused = true)]
async fn what_one_instance_gives_another_takes_whole_and_once() {
    let here = World::new(FakeServer::new(true));
    lived(&here).await;
    let text = given(&here, ALL).await;
    let later = here.engine.now().as_millis();

    let there = World::on(Arc::default(), FakeServer::new(true), later);
    let foreseen = taken(&there, Format::Portcullis, &text, true).await;
    assert!(
        there.engine.read(|ledger| ledger.bans().is_empty()),
        "a dry run did something"
    );
    let tally = taken(&there, Format::Portcullis, &text, false).await;
    assert_eq!(tally.recalled + tally.known, 8, "{tally:?}");
    assert_eq!((tally.refused.len(), tally.older), (0, 0));
    assert!(foreseen.recalled >= 7, "{foreseen:?}");
    assert_eq!(known(&there).await, known(&here).await);
    let a = Subject::parse("a@example.org").unwrap();
    there.engine.read(|ledger| {
        assert_eq!(ledger.history(&a).bans, 2);
        assert_eq!(ledger.bans().of(&a).unwrap().ordinal, 2);
    });

    let again = taken(&there, Format::Portcullis, &text, false).await;
    assert!(!again.changes(), "{again:?}");
    assert_eq!((again.known, again.standing, again.exempt), (8, 2, 1));
    assert_eq!(known(&there).await, known(&here).await);
}

#[tokio::test(start_paused = true)]
async fn where_a_history_ends_is_named_before_and_after() {
    let here = World::new(FakeServer::new(true));
    lived(&here).await;
    let allow = Action::Exemption(ExemptionOrder::Grant {
        term: None,
        comment: "mine".into(),
    });
    for whom in ["198.51.100.0/24", "198.51.100.0/25"] {
        let granted = order(whom, allow.clone());
        here.engine.submit_one(granted).await.unwrap();
    }
    let text = given(&here, ALL).await;
    let later = here.engine.now().as_millis();
    let there = World::on(Arc::default(), FakeServer::new(true), later - 20_000_000);
    there.ban("198.51.100.7", None).await;
    there.pass(Duration::from_secs(20_000));
    let foreseen = taken(&there, Format::Portcullis, &text, true).await.ends;
    let done = taken(&there, Format::Portcullis, &text, false).await.ends;
    assert_eq!(foreseen, done);
    let names = |ends: &std::collections::BTreeMap<String, _>| -> Vec<String> {
        ends.keys().cloned().collect()
    };
    // The ban of 203.0.113.7 is over.
    let bans = ["a@example.org", "b@example.org from 203.0.113.9"];
    assert_eq!(names(&done.bans), bans);
    let exempt = ["192.0.2.0/24", "198.51.100.0/24", "198.51.100.0/25"];
    assert_eq!(names(&done.exemptions), exempt);
    assert_eq!(done.freed.first, ["198.51.100.7"], "both end it");
    assert_eq!(done.freed.number, 1);
}

/// A kick is in the history but changes no version of its subject.
#[tokio::test(start_paused = true)]
async fn a_kick_that_is_here_already_is_not_taken_again() {
    let here = World::new(FakeServer::new(true));
    here.ban("a@example.org", Some("1d")).await;
    here.pass(Duration::from_secs(10));
    for whom in ["a@example.org", "b@example.org"] {
        let reason = String::from("log in again");
        let kick = Action::History(HistoryOrder::Kick { reason });
        here.engine.submit_one(order(whom, kick)).await.unwrap();
    }
    let text = given(&here, ALL).await;
    let again = taken(&here, Format::Portcullis, &text, false).await;
    assert_eq!((again.known, again.recalled), (3, 0), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn an_imported_history_is_continued_and_yields_to_newer_decisions() {
    let here = World::new(FakeServer::new(true));
    lived(&here).await;
    let text = given(&here, ALL).await;
    let there = World::on(
        Arc::default(),
        FakeServer::new(true),
        here.engine.now().as_millis(),
    );
    taken(&there, Format::Portcullis, &text, false).await;
    here.pass(Duration::from_secs(5));
    here.lift("a@example.org").await;
    here.ban("c@example.org", None).await;
    let more = given(&here, ALL).await;
    there.pass(Duration::from_secs(9));
    there.ban("c@example.org", Some("1d")).await;

    let tally = taken(&there, Format::Portcullis, &more, false).await;
    // The un-ban is new. The ban of c is older than the decision about c there, and longer.
    assert_eq!(
        (tally.recalled, tally.older, tally.known),
        (1, 1, 8),
        "{tally:?}"
    );
    assert_eq!((tally.banned, tally.prolonged), (0, 1));
    let stands = |world: &World, subject: &str| {
        let subject = Subject::parse(subject).unwrap();
        world
            .engine
            .read(|ledger| ledger.bans().of(&subject).cloned())
    };
    assert_eq!(stands(&there, "a@example.org"), None);
    assert_eq!(stands(&there, "c@example.org").unwrap().until, None);
}

#[tokio::test(start_paused = true)]
async fn lists_of_other_programs_become_bans_and_rejected_lines_are_reported() {
    let world = World::new(FakeServer::new(true));
    world.ban("203.0.113.7", Some("30d")).await;
    let list = "203.0.113.7 1d shorter\n203.0.113.8 1d spam\n127.0.0.1 1d no\nspam@example.org";
    let foreseen = taken(&world, Format::Plain, list, true).await;
    let tally = taken(&world, Format::Plain, list, false).await;
    assert_eq!(foreseen, tally);
    assert_eq!(
        (tally.banned, tally.standing, tally.refused.len()),
        (2, 1, 1)
    );
    assert_eq!(tally.refused[0].subject, "127.0.0.1");
    assert!(tally.refused[0].why.contains("exempt"), "{tally:?}");
    world.engine.read(|ledger| {
        let spam = Subject::parse("spam@example.org").unwrap();
        assert_eq!(ledger.bans().of(&spam).unwrap().origin, Origin::Imported);
        let seven = Subject::parse("203.0.113.7").unwrap();
        assert_eq!(ledger.bans().of(&seven).unwrap().reason, "spam");
    });
    let again = taken(&world, Format::Plain, list, false).await;
    assert_eq!((again.changes(), again.standing), (false, 3));
}

#[tokio::test(start_paused = true)]
async fn an_export_without_personal_data_has_no_notes() {
    let world = World::new(FakeServer::new(true));
    lived(&world).await;
    assert!(given(&world, ALL).await.contains("\"note\":\"private\""));
    let wanted = ExportSelection {
        personal: false,
        ..ALL
    };
    let text = given(&world, wanted).await;
    assert!(!text.contains("private") && text.contains("\"kind\":\"event\""));
    let only = ExportSelection {
        history: false,
        exemptions: false,
        ..ALL
    };
    let text = given(&world, only).await;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("\"note\":\"private\""));
}

#[tokio::test(start_paused = true)]
async fn many_bans_are_taken_in_few_appends() {
    let world = World::new(FakeServer::new(true));
    let list: String = (0..5_000)
        .map(|n| format!("10.1.{}.{} 1d\n", n / 250, n % 250))
        .collect();
    let tally = taken(&world, Format::Plain, &list, false).await;
    assert_eq!(tally.banned, 5_000);
}

#[tokio::test(start_paused = true)]
async fn an_import_that_the_log_does_not_answer_is_no_internal_failure() {
    let world = World::new(FakeServer::new(true));
    for _ in 0..100 {
        world.store.lose_answer(UnknownAppend::Lost);
    }
    let tally = taken(&world, Format::Plain, "a@example.org 1h spam\n", false).await;
    assert_eq!(tally.banned, 0);
    let why = &tally.refused[0].why;
    assert!(why.contains("not known yet"), "{why}");
    assert!(why.contains("Import the same file again later."), "{why}");
    assert!(!why.contains("reference"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_names_wide_networks_and_accounts_that_nobody_has() {
    let world = World::new(FakeServer::new(true));
    let account = |text| Subject::parse(text).unwrap().account().cloned().unwrap();
    let (unknown, traceless) = (&world.server.unknown, &world.server.traceless);
    unknown.lock().unwrap().push(account("nobody@example.org"));
    traceless.lock().unwrap().push(account("old@example.org"));
    let text = "2000::/3\n198.51.100.0/24\n10.0.0.0/8 1d lab\nnobody@example.org 1d\nold@example.org 1d\nsomebody@example.org 1d\n";
    let foreseen = taken(&world, Format::Plain, text, true).await;
    assert_eq!((foreseen.banned, foreseen.wide.number), (6, 2));
    assert_eq!(
        foreseen.wide.first,
        [
            "2000::/3 (2305843009213693952 sites (/64))",
            "10.0.0.0/8 (16777216 addresses)"
        ]
    );
    assert_eq!(foreseen.unknown.first, ["nobody@example.org"]);
    assert_eq!(foreseen.no_trace.first, ["old@example.org"]);
    assert_eq!(foreseen.endless, 0, "forever is the usual here");
    let done = taken(&world, Format::Plain, text, false).await;
    assert_eq!(done.banned, 6);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_names_what_is_wide_in_exemptions_and_history_and_bans_without_an_end() {
    let here = World::new(FakeServer::new(true));
    here.ban("10.0.0.0/8", Some("1d")).await;
    let allow = Action::Exemption(ExemptionOrder::Grant {
        term: None,
        comment: "a provider".into(),
    });
    here.engine
        .submit_one(order("2000::/3", allow))
        .await
        .unwrap();
    let nothing = ExportSelection {
        bans: false,
        exemptions: false,
        history: false,
        personal: true,
    };
    let there = World::new(FakeServer::new(true));
    for (wanted, wide) in [
        (
            ExportSelection {
                bans: true,
                ..nothing
            },
            vec!["10.0.0.0/8"],
        ),
        (
            ExportSelection {
                exemptions: true,
                ..nothing
            },
            vec!["2000::/3"],
        ),
        (
            ExportSelection {
                history: true,
                ..nothing
            },
            vec!["10.0.0.0/8", "2000::/3"],
        ),
    ] {
        let text = given(&here, wanted).await;
        let foreseen = taken(&there, Format::Portcullis, &text, true).await;
        let names = foreseen.wide.first.iter();
        let names: Vec<&str> = names.map(|name| name.split(' ').next().unwrap()).collect();
        assert_eq!(names, wide, "{text}");
        assert_eq!(foreseen.wide.number, wide.len());
    }
    let mut policy = Policy::clone(&there.engine.policy());
    policy.default_term = Term::For(Duration::from_secs(86_400));
    there.engine.set_policy(policy);
    let text = "a@example.org forever spam\nb@example.org 1d spam\n";
    let foreseen = taken(&there, Format::Plain, text, true).await;
    assert_eq!((foreseen.banned, foreseen.endless), (2, 1));
}
