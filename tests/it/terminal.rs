//! The local socket, and the command line program that uses it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use portcullis::command::{Grade, Outcome};
use portcullis::front::terminal::wire::{Question, RemoteAnswer, RemoteCall};
use portcullis::front::terminal::{self, Client, LONGEST_QUESTION, SOCKET};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::BareJid;

use crate::support::bot::{ADMIN, Bot};

/// The folder of a store with a portcullis behind its socket, and the configuration that names it.
struct House {
    folder: TempDir,
    bot: Bot,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bot = Bot::new();
        let listener = terminal::open(folder.path()).unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(terminal::serve(
            listener,
            folder.path().to_owned(),
            BareJid::new("portcullis.example.org").unwrap(),
            bot.context(),
            stop.clone(),
        ));
        let config = format!(
            "admins = [\"admin@example.org\"]\n[component]\ndomain = \"portcullis.example.org\"\n\
             server = \"127.0.0.1:5347\"\nsecret_file = \"not-readable\"\n[store]\npath = {:?}\n\
             [record]\nseal_key_file = \"not-readable\"\n",
            folder.path()
        );
        fs::write(folder.path().join("p.toml"), config).unwrap();
        House {
            folder,
            bot,
            stop,
            serving,
        }
    }

    async fn client(&self) -> Client {
        Client::connect(self.folder.path()).await.unwrap().unwrap()
    }

    async fn stream(&self) -> BufReader<UnixStream> {
        let path = self.folder.path().join(SOCKET);
        BufReader::new(UnixStream::connect(path).await.unwrap())
    }

    /// Runs the program to its end with this standard input.
    async fn run_with(&self, args: &[&str], input: &str) -> Told {
        let mut command = program(self.folder.path(), args);
        let input = input.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            // A program that does not read it has ended already.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        });
        Told::of(output.await.unwrap())
    }

    async fn run(&self, args: &[&str]) -> Told {
        self.run_with(args, "").await
    }
}

fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .current_dir(folder)
        .env("PORTCULLIS_CONFIG", "p.toml")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[derive(Debug)]
struct Told {
    code: i32,
    out: String,
    err: String,
}

impl Told {
    fn of(output: Output) -> Self {
        Told {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn says(&self, code: i32, out: &[&str], err: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for part in out {
            assert!(self.out.contains(part), "{part:?} is not in {self:#?}");
        }
        for part in err {
            assert!(self.err.contains(part), "{part:?} is not in {self:#?}");
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

fn call(command: &str, words: &[&str]) -> Question {
    Question::Call(RemoteCall {
        command: command.into(),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..RemoteCall::default()
    })
}

async fn line(stream: &mut BufReader<UnixStream>) -> Value {
    let mut text = String::new();
    stream.read_line(&mut text).await.unwrap();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[tokio::test]
async fn one_connection_asks_many_questions_and_a_wrong_one_does_not_end_it() {
    let house = House::new();
    let mut stream = house.stream().await;
    for (question, part) in [
        ("{\"v\":1,\"standing\":{}}", "linked"),
        ("{\"v\":2,\"standing\":{}}", "version 1 here, not 2"),
        ("{\"standing\":{}}", "issing field `v`"),
        ("nonsense", "This is no question"),
        ("{\"v\":1,\"dance\":{}}", "This is no question"),
        (
            "{\"v\":1,\"call\":{\"command\":\"list\",\"confirm\":true}}",
            "nknown field `confirm`",
        ),
        (
            "{\"v\":1,\"call\":{\"command\":\"ban\",\"values\":{\"who\":[\"a@b\"]}}}",
            "ban has no field “who”; it has subject, duration",
        ),
        (
            "{\"v\":1,\"call\":{\"command\":\"lsit\"}}",
            "Did you mean list?",
        ),
        (
            "{\"v\":1,\"call\":{\"command\":\"list\"}}",
            "No bans in force",
        ),
    ] {
        let bytes = format!("{question}\n");
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = line(&mut stream).await;
        assert_eq!(answer["v"], 1, "{question}");
        assert!(answer.to_string().contains(part), "{question}: {answer}");
    }
}

#[tokio::test]
async fn undo_in_a_shell_means_the_last_command_and_never_one_before() {
    let house = House::new();
    let mut client = house.client().await;
    for words in [
        &["note", "b@example.org", "first thing"][..],
        &["ban", "a@example.org", "3d", "test"],
    ] {
        client
            .ask(&call(words[0], &words[1..]), |_| {})
            .await
            .unwrap();
    }
    house.bot.chat(ADMIN, "unban a@example.org").await;
    let answer = client.ask(&call("undo", &[]), |_| {}).await.unwrap();
    let RemoteAnswer::Outcome(Outcome::Done(answer)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(answer.grade, Grade::Bad);
    let text = answer.lines.join("\n");
    assert!(
        text.contains("Your last command was the ban of a@example.org."),
        "{text}"
    );
    assert!(
        text.contains("un-banned by admin@example.org/desk (chat)"),
        "{text}"
    );
}

#[tokio::test]
async fn a_question_has_a_longest_length() {
    let house = House::new();
    let mut stream = house.stream().await;
    let long = vec![b'x'; LONGEST_QUESTION + 1];
    stream.write_all(&long).await.unwrap();
    let answer = line(&mut stream).await;
    let told = answer["wrong"].as_str().unwrap();
    assert!(told.contains("ask in several"), "{told}");
    assert_eq!(line(&mut stream).await, Value::Null, "it hangs up");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_alone_and_goes_with_the_program() {
    let house = House::new();
    let path = house.folder.path().join(SOCKET);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut idle = house.stream().await;
    // An answer proves that this client was admitted, not only queued.
    idle.write_all(b"{\"v\":1,\"standing\":{}}\n")
        .await
        .unwrap();
    assert_eq!(line(&mut idle).await["v"], 1);
    house.stop.cancel();
    house.serving.await.unwrap();
    assert!(!path.exists());
    assert_eq!(line(&mut idle).await, Value::Null);
    let client = Client::connect(house.folder.path()).await.unwrap();
    assert!(client.is_none());
}

#[tokio::test]
async fn a_bounded_number_of_clients_is_connected_and_the_others_are_refused() {
    let house = House::new();
    let mut open = Vec::new();
    let told = loop {
        let mut client = house.client().await;
        match client.ask(&Question::Standing {}, |_| {}).await.unwrap() {
            RemoteAnswer::Standing(_) => open.push(client),
            RemoteAnswer::Wrong(told) => break told,
            other => panic!("{other:?}"),
        }
        assert!(open.len() < 100, "no bound");
    };
    assert!(told.contains("Try again"), "{told}");
    open.clear();
    for _ in 0..50 {
        let mut client = house.client().await;
        if matches!(
            client.ask(&Question::Standing {}, |_| {}).await.unwrap(),
            RemoteAnswer::Standing(_)
        ) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the places did not become free");
}

#[tokio::test]
async fn long_work_says_that_it_goes_on() {
    let house = House::new();
    // The server never answers: the command waits two seconds before it says "not yet".
    house.bot.world.server.hold();
    let mut client = house.client().await;
    let mut beats = 0;
    let answer = client
        .ask(&call("ban", &["spam@example.org", "1d"]), |_| beats += 1)
        .await
        .unwrap();
    assert!(matches!(
        answer,
        RemoteAnswer::Outcome(Outcome::Done(told)) if told.grade == Grade::Warning
    ));
    assert!(beats >= 1, "no sign of life");
}

#[tokio::test]
async fn what_the_terminal_does_is_seen_in_the_chat() {
    let house = House::new();
    let told = house
        .run(&["ban", "spam@example.org", "3d", "spam in rooms"])
        .await;
    told.says(
        0,
        &[
            "Banned #1 spam@example.org until ",
            ": spam in rooms.",
            "Undo: portcullis undo '#1'",
        ],
        &[],
    );
    let text = house.bot.chat(ADMIN, "list").await;
    let user = uzers::get_user_by_uid(uzers::get_current_uid()).unwrap();
    let by = format!("by unix:{}: spam in rooms.", user.name().display());
    assert!(text.contains(&by), "{by:?} is not in {text}");
    let text = house.bot.chat(ADMIN, "show #1").await;
    assert!(text.contains("(terminal)"), "{text}");
    house.run(&["unban", "#1", "a", "mistake"]).await.says(
        0,
        &["Un-banned #1 spam@example.org."],
        &[],
    );
}

#[tokio::test]
async fn words_and_options_come_to_the_same() {
    let house = House::new();
    house
        .run(&["ban", "a@example.org", "2 weeks", "3d is too little"])
        .await
        .says(0, &["(14 days): 3d is too little."], &[]);
    house
        .run(&[
            "ban",
            "b@example.org",
            "--duration",
            "until 2030-01-01",
            "--reason",
            "spam",
            "--note",
            "from a list",
            "--force",
        ])
        .await
        .says(0, &["until 2030-01-01 00:00 UTC", ": spam."], &[]);
    house
        .run(&["show", "b@example.org"])
        .await
        .says(0, &["Private note:", "from a list"], &[]);
    house
        .run(&["ban", "a@example.org from 192.0.2.1", "c@example.org", "1h"])
        .await
        .says(0, &["2 of 2 done.", "a@example.org from 192.0.2.1"], &[]);
    house
        .run(&["ban", "c@example.org", "--reason", "x", "and", "more"])
        .await
        .says(
            2,
            &[],
            &[
                "I do not know what “and more” means here.",
                "portcullis ban --help",
            ],
        );
    house
        .run(&["list", "account", "by:unix", "--page", "1"])
        .await
        .says(0, &["Matching bans 1-3 of 3.", "Number  Subject"], &[]);
}

#[tokio::test]
async fn exit_codes_tell_how_it_went() {
    let house = House::new();
    house
        .run(&["list"])
        .await
        .says(0, &["No bans in force."], &[]);
    house.run(&["ban", "a@b", "3", "strikes"]).await.says(
        2,
        &[],
        &["needs a unit", "Nothing was done."],
    );
    house
        .run(&["ban"])
        .await
        .says(2, &[], &["Say whom", "'#17'"]);
    house
        .run(&["ban", "127.0.0.1"])
        .await
        .says(1, &[], &["exempt", "Nothing was done."]);
    house
        .run(&["ban", "a@b", "--perhaps"])
        .await
        .says(2, &[], &["--perhaps"]);
    house.run(&["bann", "a@b"]).await.says(2, &[], &["'ban'"]);
    let nowhere = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(house.folder.path().join("p.toml")).unwrap();
    let text = text.replace(&format!("{:?}", house.folder.path()), "\"nothing-here\"");
    fs::write(nowhere.path().join("p.toml"), text).unwrap();
    let output = program(nowhere.path(), &["list"]).output().unwrap();
    Told::of(output).says(
        1,
        &[],
        &["no portcullis runs on the store", "systemctl start"],
    );
    let output = program(nowhere.path(), &["list", "-c", "missing.toml"])
        .output()
        .unwrap();
    Told::of(output).says(2, &[], &["there is no such file"]);
}

#[tokio::test]
async fn what_hits_many_is_not_done_without_a_yes() {
    let house = House::new();
    house.run(&["ban", "10.0.0.0/8", "1d"]).await.says(
        1,
        &[],
        &["Really ban 10.0.0.0/8?", "16777216 addresses", "--yes"],
    );
    house
        .run(&["list"])
        .await
        .says(0, &["No bans in force."], &[]);
    let told = house.run(&["ban", "10.0.0.0/8", "1d", "--json"]).await;
    assert_eq!((told.code, told.json()["kind"].as_str()), (1, Some("ask")));
    house
        .run(&["ban", "10.0.0.0/8", "1d", "--yes"])
        .await
        .says(0, &["Banned #1 10.0.0.0/8"], &[]);
}

#[tokio::test]
async fn subjects_come_from_standard_input_in_portions() {
    let house = House::new();
    let many: String = (0..250).map(|n| format!("192.0.2.{n}\n")).collect();
    let told = house
        .run_with(&["ban", "-", "1h", "a", "list"], &many)
        .await;
    told.says(1, &[], &["These are 250 subjects.", "--yes"]);
    let told = house
        .run_with(&["ban", "-", "1h", "a", "list", "--yes", "--json"], &many)
        .await;
    assert_eq!(told.code, 0, "{told:#?}");
    let several = told.json();
    assert_eq!(several["kind"], "several");
    let subjects = |place: usize| {
        several["outcomes"][place]["subjects"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!([subjects(0), subjects(1)], [200, 50]);
    let all = house.run(&["list", "--all", "--json"]).await.json();
    assert_eq!(all["rows"].as_array().unwrap().len(), 250);
    house
        .run(&["list", "--all"])
        .await
        .says(0, &["All 250."], &[]);
    let undone = house.run(&["undo", "--yes"]).await;
    undone.says(0, &["250 of 250"], &[]);
    house
        .run(&["list"])
        .await
        .says(0, &["No bans in force"], &[]);
    house.run_with(&["ban", "-"], "# nobody\n").await.says(
        2,
        &[],
        &["standard input names nobody"],
    );
}

#[tokio::test]
async fn json_has_names_that_stay() {
    let house = House::new();
    let told = house
        .run(&["ban", "spam@example.org", "3d", "spam", "--json"])
        .await;
    let done = told.json();
    assert_eq!(done["kind"], "done");
    let standing = &done["subjects"][0];
    assert_eq!(standing["subject"], "spam@example.org");
    assert_eq!(standing["ban"]["number"], 1);
    let rows = house.run(&["list", "--json"]).await.json();
    let user = uzers::get_user_by_uid(uzers::get_current_uid()).unwrap();
    assert_eq!(
        rows,
        json!({
            "kind": "rows", "title": "Bans 1-1 of 1", "lines": [], "page": 1, "total": 1,
            "rows": [{
                "number": 1, "subject": "spam@example.org", "type": "account",
                "since": "2026-11-22T04:00:00Z", "until": "2026-11-25T04:00:00Z",
                "by": format!("unix:{}", user.name().display()), "origin": "hand", "reason": "spam",
            }],
        })
    );
    assert_eq!(standing["ban"], rows["rows"][0]);
    let told = house.run(&["unban", "#1", "#7", "--json"]).await;
    assert_eq!(told.code, 2);
    assert_eq!(told.json()["problems"][0]["field"], "subject");
}

/// Fails unless all these names are there with these values; names may be added.
#[track_caller]
fn has_facts(facts: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(facts.get(name), Some(value), "{name} in {facts}");
    }
}

/// The facts of an answer.
async fn facts(house: &House, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let mut told = house.run(&args).await.json();
    assert_eq!(told["kind"], "done", "{told}");
    told["facts"].take()
}

#[tokio::test]
async fn the_facts_of_show_and_check_have_names_that_stay() {
    let house = House::new();
    house
        .run(&[
            "ban",
            "spam@example.org",
            "3d",
            "spam",
            "--note",
            "ask alice",
        ])
        .await;
    let mut shown = facts(&house, &["show", "spam@example.org"]).await;
    let ban = shown["ban"].take();
    assert_eq!(
        (&ban["number"], &ban["type"]),
        (&json!(1), &json!("account"))
    );
    let by = ban["by"].clone();
    let name = by.as_str().unwrap();
    has_facts(
        &shown,
        &json!({
            "at": "2026-11-22T04:00:00Z", "subject": "spam@example.org", "ban": null, "last": null,
            "kept_out_by": [], "others": [],
            "beside": {"asked": true, "refused_by": [], "not_asked": [], "more_addresses": 0}, "exempt_by": null, "server": {"state": "enforced"},
            "counters": [], "times_banned": 1, "older": 0,
            "notes": [{"seq": 1, "at": "2026-11-22T04:00:00Z", "by": name, "text": "ask alice"}],
            "events": [{
                "seq": 1, "at": "2026-11-22T04:00:00Z", "change": "banned", "by": name,
                "via": "terminal", "origin": "hand", "rule": null, "reason": "spam",
                "until": "2026-11-25T04:00:00Z", "evidence": null,
            }],
        }),
    );
    house.run(&["attempt", "203.0.113.7", "2"]).await;
    let mut checked = facts(&house, &["check", "spam@example.org 203.0.113.7"]).await;
    assert_eq!(checked["ban"].take(), ban);
    assert_eq!(checked["counters"][0]["amount"], 2);
    assert_eq!(checked["counters"][0]["subject"], "203.0.113.7");
    checked["counters"].take();
    has_facts(
        &checked,
        &json!({
            "at": "2026-11-22T04:00:00Z", "subject": "spam@example.org from 203.0.113.7",
            "let_in": false, "refused_by": "account", "ban": null, "evidence": null, "others": [],
            "kept_out_by": [], "beside": {"asked": true, "refused_by": [], "not_asked": [], "more_addresses": 0},
            "exempt_by": null, "known": false, "accounts_there": 0, "shared": false,
            "counters": null,
        }),
    );
}

#[tokio::test]
async fn the_facts_of_status_and_policy_have_names_that_stay() {
    let house = House::new();
    house
        .run(&["ban", "spam@example.org", "203.0.113.7", "3d"])
        .await;
    let mut status = facts(&house, &["status"]).await;
    assert!(status["memory"].take().as_u64() > Some(0));
    assert_eq!(status["enforcement"].take()["level"], 1);
    assert_eq!(status["tables"].as_array().unwrap().len(), 5);
    assert_eq!(status["tables"][0]["kind"], "pair");
    status["tables"].take();
    assert_eq!(status["rules"].take()[0], "pair-failures");
    has_facts(
        &status,
        &json!({
            "at": "2026-11-22T04:00:00Z", "enforcement": null, "pending": 0, "tasks": [],
            "bans": {"account": 1, "address": 1, "network": 0, "pair": 0, "guard": 0},
            "unwritten": null, "rooms": [], "undelivered": null, "rules": null, "dry_run": [],
            "tables": null, "exemptions": 0, "decisions": 2, "recording": false, "memory": null,
            "started": "2026-11-21T03:00:00Z", "version": env!("CARGO_PKG_VERSION"),
        }),
    );
    let mut policy = facts(&house, &["policy"]).await;
    assert_eq!(policy["policy"]["rules"][0]["name"], "pair-failures");
    assert_eq!(policy["policy"]["rules"][0]["key"], "pair");
    policy["policy"]["rules"].take();
    let holders = &policy["holders"]["by_configuration"][0];
    assert_eq!(
        (&holders["role"], &holders["host"]),
        (&json!("admin"), &Value::Null)
    );
    policy["holders"].take();
    has_facts(
        &policy,
        &json!({
            "rights": "admin", "role": "admin", "holders": null,
            "policy": {
                "default_duration": null, "longest": null, "moderator_longest": 2592000,
                "grace": 300, "undo_for": 86400, "moderators_change": "any", "rules": null,
                "quiet": 3600, "unknown_weight": 2, "known_for": 7776000, "shared_accounts": 10,
                "ipv6_prefix": 64, "ranges": [],
            },
            "exempt_networks": {"number": 2, "names": ["127.0.0.0/8", "::1/128"]},
            "exempt_accounts": {"number": 0, "names": []},
            "proxies": {"number": 0, "names": []}, "allowed": 0, "asked_above": 5,
        }),
    );
}

#[tokio::test]
async fn whoever_stops_reading_has_read_enough() {
    let house = House::new();
    let mut command = program(house.folder.path(), &["list", "--json"]);
    let told = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        Told::of(child.wait_with_output().unwrap())
    });
    let told = told.await.unwrap();
    assert_eq!((told.code, told.err.as_str()), (0, ""));
}

#[test]
fn completions_and_the_manual_page_have_every_command_and_option() {
    let folder = tempfile::tempdir().unwrap();
    let print = |args: &[&str]| Told::of(program(folder.path(), args).output().unwrap());
    let page = print(&["man"]);
    let scripts = ["bash", "zsh", "fish"].map(|shell| print(&["completions", shell]));
    for told in scripts.iter().chain([&page]) {
        assert_eq!(told.code, 0);
    }
    for spec in portcullis::command::specs() {
        let name = spec.name;
        assert!(page.out.contains(&format!(".SS {name}\n")), "{name}");
        for script in &scripts {
            assert!(script.out.contains(name), "{name}");
        }
    }
    for option in [
        "duration", "reason", "note", "force", "page", "json", "yes", "all",
    ] {
        assert!(page.out.contains(&format!("\\-\\-{option}")), "{option}");
        assert!(scripts[0].out.contains(&format!("--{option}")), "{option}");
        assert!(scripts[1].out.contains(&format!("--{option}")), "{option}");
        assert!(scripts[2].out.contains(&format!("-l {option}")), "{option}");
    }
}
