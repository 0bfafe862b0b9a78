//! Judged logins and orders, recorded and rehearsed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis::core::{
    Action, Actor, Attempt, Ban, BanOrder, BanRuling, EntryPoint, ExemptionOrder, HistoryOrder,
    HistoryRuling, LoginOutcome, Order, Role, Ruling, Signal, Subject, Term,
};
use portcullis::store::recording::{self, Settings};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{FakeServer, World, policy};

/// A world that is recorded, and the bans it decided, in the form that `rehearse` prints.
struct Recorded {
    world: World,
    bans: Vec<Value>,
    stop: CancellationToken,
    recording: JoinHandle<()>,
}

impl Recorded {
    fn new(settings: Settings) -> Self {
        let world = World::new(FakeServer::new(true));
        let stop = CancellationToken::new();
        let weighings = world.tap.listen().unwrap();
        Recorded {
            recording: tokio::spawn(recording::keep(settings, weighings, stop.clone())),
            world,
            bans: Vec::new(),
            stop,
        }
    }

    fn pass(&self, millis: u64) {
        self.world.pass(Duration::from_millis(millis));
    }

    fn tell(&mut self, rulings: Vec<Ruling>) -> Vec<Ruling> {
        for ruling in &rulings {
            if let Ruling::Ban(BanRuling::Banned(ban))
            | Ruling::Ban(BanRuling::Amended { ban, .. }) = ruling
            {
                self.bans.push(told(ban));
            }
        }
        rulings
    }

    async fn login(&mut self, outcome: LoginOutcome, account: &str, address: &str) {
        let attempt = Attempt {
            account: Subject::parse(account).unwrap().account().cloned(),
            address: Some(address.parse().unwrap()),
            outcome,
            unknown: account.starts_with("nobody"),
            at: self.world.engine.now(),
        };
        let rulings = self.world.admission.report(vec![attempt]).await.unwrap();
        self.tell(rulings);
        self.pass(1_250);
    }

    async fn fail(&mut self, account: &str, address: &str) {
        self.login(LoginOutcome::Failure, account, address).await;
    }

    async fn attempt(&mut self, subject: &str, times: u32) -> Vec<Ruling> {
        let signal = Signal::ByHand {
            actor: actor(Role::Admin),
            subject: Subject::parse(subject).unwrap(),
            times,
        };
        let (rulings, _) = self.world.admission.by_hand(&signal).await.unwrap();
        self.tell(rulings)
    }

    async fn order(&mut self, role: Role, subject: &str, what: Action) -> Ruling {
        let order = Order::new(actor(role), Subject::parse(subject).unwrap(), what);
        let ruling = self.world.engine.submit_one(order).await.unwrap();
        let ruling = self.tell(vec![ruling]).remove(0);
        self.pass(777);
        ruling
    }

    /// Stops the world; returns the bans it decided.
    async fn end(self) -> Vec<Value> {
        self.stop.cancel();
        self.recording.await.unwrap();
        self.bans
    }
}

fn actor(role: Role) -> Actor {
    Actor::person("somebody@example.org/x", role, EntryPoint::Chat)
}

fn told(ban: &Ban) -> Value {
    json!({
        "kind": "ban",
        "subject": ban.subject.to_string(),
        "from": ban.since.to_exact(),
        "until": ban.until.map(|end| end.to_exact()),
        "ordinal": ban.ordinal,
        "rule": ban.origin.rule(),
    })
}

fn ban(term: Option<&str>) -> Action {
    Action::Ban(BanOrder::Impose {
        term: term.map(|term| Term::parse(term).unwrap()),
        reason: Some("spam\nand \"more\"".into()),
        note: Some("the private note".into()),
    })
}

fn lift() -> Action {
    Action::Ban(BanOrder::Lift {
        reason: String::new(),
    })
}

/// The bans that a rehearsal of the recording decides.
fn rehearsed(recording: &str) -> Vec<Value> {
    let mut out = Vec::new();
    portcullis::rehearse::run(policy(), recording.as_bytes(), &mut out, |_| Ok(())).unwrap();
    let out = String::from_utf8(out).unwrap();
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|change: &Value| change["kind"] == "ban")
        .collect()
}

fn settings(folder: &Path) -> Settings {
    Settings {
        file: folder.join("attempts.jsonl"),
        max_size: 2_000,
        keep: 100,
    }
}

/// Number of files, and their content, oldest first.
fn all(settings: &Settings) -> (usize, String) {
    let mut text = String::new();
    let mut files = 1;
    for number in (1..=100).rev() {
        let old = format!("{}.{number}", settings.file.display());
        if let Ok(old) = fs::read_to_string(old) {
            files += 1;
            text += &old;
        }
    }
    text += &fs::read_to_string(&settings.file).unwrap();
    (files, text)
}

#[tokio::test(start_paused = true)]
async fn a_recorded_story_rehearses_to_the_same_bans() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut story = Recorded::new(settings.clone());

    story
        .login(LoginOutcome::Success, "bob@example.org", "198.51.100.9")
        .await;
    for _ in 0..7 {
        story.fail("alice@example.org", "203.0.113.7").await;
        story.fail("bob@example.org", "198.51.100.9").await;
    }
    for number in 0..12 {
        let account = format!("nobody{number}@example.org");
        story.fail(&account, "2001:db8:1:2::3").await;
        story
            .login(LoginOutcome::Error, &account, "192.0.2.77")
            .await;
        story
            .login(LoginOutcome::Refused, &account, "192.0.2.78")
            .await;
    }
    story.attempt("192.0.2.5", 3).await;
    story.pass(1);
    story.attempt("carol@example.org from 192.0.2.6", 9).await;

    // A moderator's default term is shorter than an admin's, and the recording does not say who gave the order.
    story
        .order(Role::Moderator, "spam@example.org", ban(None))
        .await;
    story
        .order(Role::Admin, "spam@example.org", ban(Some("1d12h")))
        .await;
    story
        .order(Role::Admin, "198.51.100.0/24", ban(Some("forever")))
        .await;
    story.order(Role::Admin, "198.51.100.0/24", lift()).await;
    story
        .order(
            Role::Admin,
            "eve@example.org",
            ban(Some("until 2030-01-01")),
        )
        .await;
    let refused = story
        .order(Role::Stranger, "dave@example.org", ban(None))
        .await;
    assert!(matches!(refused, Ruling::Refused(_)));
    story.order(Role::Admin, "dave@example.org", lift()).await;

    let allow = Action::Exemption(ExemptionOrder::Grant {
        term: Some(Term::parse("2h").unwrap()),
        comment: "the office".into(),
    });
    story.order(Role::Admin, "203.0.113.8", allow).await;
    for _ in 0..6 {
        story.fail("frank@example.org", "203.0.113.8").await;
    }
    story
        .order(
            Role::Admin,
            "203.0.113.8",
            Action::Exemption(ExemptionOrder::Revoke),
        )
        .await;
    for _ in 0..6 {
        story.fail("frank@example.org", "203.0.113.8").await;
    }

    story.pass(3 * 86_400_000);
    for _ in 0..6 {
        story.fail("alice@example.org", "203.0.113.7").await;
    }
    story.pass(3 * 86_400_000);
    let forget = story
        .order(
            Role::Admin,
            "alice@example.org",
            Action::History(HistoryOrder::Forget),
        )
        .await;
    assert!(matches!(
        forget,
        Ruling::History(HistoryRuling::Forgotten { .. })
    ));
    // Wait until the end of the previous ban is recorded.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for _ in 0..6 {
        story.fail("alice@example.org", "203.0.113.7").await;
    }

    let bans = story.end().await;
    let (files, text) = all(&settings);
    assert!(files > 3, "it was moved on: {files}");
    assert_eq!(rehearsed(&text), bans);

    // The recording must contain bans by rules, or the test proves nothing.
    let rules: Vec<_> = bans.iter().filter_map(|ban| ban["rule"].as_str()).collect();
    for rule in ["pair-failures", "address-spray"] {
        assert!(rules.contains(&rule), "{rule}: {rules:?}");
    }
    let of_alice: Vec<_> = bans
        .iter()
        .filter(|ban| ban["subject"] == "alice@example.org from 203.0.113.7")
        .map(|ban| ban["ordinal"].clone())
        .collect();
    assert_eq!(of_alice, [1, 2, 1]);
    for absent in ["private", "somebody", "dave", "192.0.2.77", "192.0.2.78"] {
        assert!(!text.contains(absent), "{absent}");
    }
    for kind in [
        "failure", "success", "attempt", "ban", "unban", "allow", "unallow", "forget",
    ] {
        assert!(text.contains(&format!("\"kind\":\"{kind}\"")), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_cannot_be_written_costs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        file: folder.path().join("no/such/folder"),
        ..settings(folder.path())
    };
    let mut story = Recorded::new(settings);
    for _ in 0..5 {
        story.fail("alice@example.org", "203.0.113.7").await;
    }
    let bans = story.end().await;
    assert_eq!(bans.len(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_recording_follows_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let theirs = folder.path().join("theirs");
    // An empty file is one that a recording could go on in.
    fs::write(&theirs, "").unwrap();
    std::os::unix::fs::symlink(&theirs, &settings.file).unwrap();
    let mut story = Recorded::new(settings);
    for _ in 0..5 {
        story.fail("alice@example.org", "203.0.113.7").await;
    }
    assert_eq!(story.end().await.len(), 1);
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "");
}
