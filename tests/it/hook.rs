//! The whole program against a scripted server, with the test as its hook module.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use minidom::Element;
use portcullis::xmpp::payload::hook::NS_HOOK;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::scripted::{DOMAIN, Peer, SECRET, Scripted};

const MODULE: &str = "example.org/portcullis";
const ADMIN: &str = "admin@example.org/desk";
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, its scripted server, and everything it sent to the module.
struct Stage {
    folder: TempDir,
    child: Child,
    server: Scripted,
    address: String,
    peer: Peer,
    ids: u32,
    /// Requests to the module: `kick`, `news`, `hash`.
    orders: Vec<Element>,
    /// Answers to the admin.
    said: Vec<String>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(path: &Path, text: &str) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn run(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "-c"])
        .arg(folder.join("portcullis.toml"))
        .env_remove("NOTIFY_SOCKET")
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Stage {
    async fn new(limit: u32) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, address) = Scripted::tcp().await;
        let keys = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("keygen")
            .output();
        let keys = String::from_utf8(keys.unwrap().stdout).unwrap();
        write(&folder.path().join("seal.key"), &keys);
        let config = format!(
            "admins = ['admin@example.org']\n\
             [component]\ndomain = '{DOMAIN}'\nserver = '{address}'\nsecret = '{SECRET}'\n\
             [store]\npath = 'store'\n\
             [record]\nseal_key_file = 'seal.key'\n\
             [hook]\nhosts = ['second.example']\n\
             [[rules]]\nname = 'pairs'\nkey = 'pair'\ncounts = 'failures'\nlimit = {limit}\nwindow = '1h'\nban = '1h'\n"
        );
        write(&folder.path().join("portcullis.toml"), &config);
        let child = run(folder.path());
        let peer = timeout(PATIENCE, server.admit()).await.unwrap();
        Stage {
            folder,
            child,
            server,
            address: address.to_string(),
            peer,
            ids: 0,
            orders: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Restarts the program as after `kill -9`, on the same store.
    async fn again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = run(self.folder.path());
        self.peer = timeout(PATIENCE, self.server.admit()).await.unwrap();
    }

    /// Sends a request as a module does, and returns the answer.
    async fn ask(&mut self, from: &str, type_: &str, payload: &str) -> Element {
        self.ids += 1;
        let id = format!("t{}", self.ids);
        let iq = format!("<iq type='{type_}' id='{id}' from='{from}' to='{DOMAIN}'>{payload}</iq>");
        self.peer.say(&iq).await;
        loop {
            let heard = self.hear().await;
            if heard.attr("id") == Some(&id) {
                assert_eq!(heard.attr("to"), Some(from));
                return heard;
            }
        }
    }

    /// Sends a request as our module, and returns the payload of the answer.
    async fn module(&mut self, type_: &str, name: &str, rest: &str) -> Element {
        let (attributes, inside) = rest.split_once('>').unwrap_or((rest, ""));
        let payload = format!("<{name} xmlns='{NS_HOOK}' {attributes}>{inside}</{name}>");
        let answer = self.ask(MODULE, type_, &payload).await;
        assert_eq!(
            answer.attr("type"),
            Some("result"),
            "{}",
            String::from(&answer)
        );
        answer
            .children()
            .next()
            .cloned()
            .unwrap_or_else(|| Element::bare("empty", NS_HOOK))
    }

    async fn check(&mut self, who: &str) -> String {
        let verdict = self.module("get", "check", who).await;
        match verdict.attr("action").unwrap() {
            "allow" => String::from("allow"),
            _ => format!(
                "{}: {}",
                verdict.attr("by").unwrap(),
                verdict.children().next().unwrap().text()
            ),
        }
    }

    async fn hello(&mut self) -> (String, u64) {
        let hello =
            "software='ejabberd' version='26.07' module='1.0.0' node='n1' health='ok' bans='0'";
        let welcome = self.module("set", "hello", hello).await;
        assert!(welcome.is("welcome", NS_HOOK) && welcome.attr("version") == Some("1"));
        let seq = welcome.attr("seq").unwrap().parse().unwrap();
        (welcome.attr("epoch").unwrap().to_owned(), seq)
    }

    /// `(seq, more, fresh, changes)` of one page of a sync.
    async fn sync(&mut self, since: &str) -> (u64, bool, bool, Vec<String>) {
        let page = self.module("get", "sync", since).await;
        let flag = |name| page.attr(name) == Some("true");
        let list = page.children().map(|one| {
            let attr = |name| one.attr(name).unwrap_or("");
            format!(
                "{} {} {}{}",
                one.name(),
                attr("kind"),
                attr("subject"),
                attr("address")
            )
        });
        let seq = page.attr("seq").unwrap().parse().unwrap();
        (seq, flag("more"), flag("fresh"), list.collect())
    }

    /// The next stanza for the test; answers the program's own requests meanwhile.
    async fn hear(&mut self) -> Element {
        let heard = timeout(PATIENCE, self.peer.element()).await.unwrap();
        let attr = |name| heard.attr(name).unwrap_or("").to_owned();
        if heard.name() == "message" {
            let text = |name| {
                heard
                    .children()
                    .find(|child| child.name() == name)
                    .map(Element::text)
            };
            // A notice has no thread; an answer has that of its question.
            if text("thread") == Some(format!("t{}", self.ids)) {
                self.said.extend(text("body"));
            }
        }
        if heard.name() == "iq" && matches!(heard.attr("type"), Some("get" | "set")) {
            let order = heard.children().next().unwrap();
            let (id, to, from) = (attr("id"), attr("from"), attr("to"));
            let answer = if order.has_ns(NS_HOOK) {
                self.orders.push(order.clone());
                let inside = match order.name() {
                    "kick" => format!("<kicked xmlns='{NS_HOOK}' count='1'/>"),
                    _ => String::new(),
                };
                format!("<iq type='result' id='{id}' from='{from}' to='{to}'>{inside}</iq>")
            } else {
                format!(
                    "<iq type='error' id='{id}' from='{from}' to='{to}'><error type='cancel'>\
                     <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
                )
            };
            self.peer.say(&answer).await;
        }
        heard
    }

    /// Waits for this request to the module.
    async fn order(&mut self, name: &str) -> Element {
        loop {
            if let Some(at) = self.orders.iter().position(|order| order.name() == name) {
                return self.orders.remove(at);
            }
            self.hear().await;
        }
    }

    /// The answer to `status` once the server was probed.
    async fn probed_status(&mut self) -> String {
        let asked = tokio::time::Instant::now();
        loop {
            let status = self.admin("status").await;
            if !status.contains("still being asked") {
                return status;
            }
            assert!(asked.elapsed() < PATIENCE, "{status}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Sends a chat line as the admin, and returns the answer.
    async fn admin(&mut self, line: &str) -> String {
        self.said.clear();
        self.ids += 1;
        let message = format!(
            "<message type='chat' id='m{0}' from='{ADMIN}' to='{DOMAIN}'><body>{line}</body><thread>t{0}</thread></message>",
            self.ids
        );
        self.peer.say(&message).await;
        while self.said.is_empty() {
            self.hear().await;
        }
        self.said.remove(0)
    }
}

/// One failure from each of these addresses, of one account.
fn failures(from: usize, to: usize) -> String {
    let login = |n: usize| {
        let (a, b) = (n / 250, n % 250);
        format!(
            "<login account='u{n}@example.org' address='203.0.{a}.{b}' mechanism='PLAIN' outcome='failure'/>"
        )
    };
    (from..to).map(login).collect()
}

fn condition(answer: &Element) -> String {
    let error = answer.children().find(|child| child.name() == "error");
    let condition = error.and_then(|error| error.children().find(|child| child.name() != "text"));
    condition
        .map(|condition| condition.name().to_owned())
        .unwrap_or_default()
}

#[tokio::test]
async fn only_modules_of_this_server_are_accepted() {
    let mut stage = Stage::new(3).await;
    let requests = [
        ("set", "<hello xmlns='urn:portcullis:hook:1' node='n'/>"),
        (
            "get",
            "<check xmlns='urn:portcullis:hook:1' address='203.0.113.7'/>",
        ),
        ("get", "<sync xmlns='urn:portcullis:hook:1'/>"),
        (
            "set",
            "<report xmlns='urn:portcullis:hook:1'><login address='203.0.113.7' outcome='failure'/></report>",
        ),
    ];
    for from in [
        "evil.example/portcullis",
        "evil.example",
        "user@example.org/portcullis",
        "admin@example.org/portcullis",
        "example.org/other",
        "example.org.evil.example/portcullis",
        "conference.example.org",
    ] {
        // A grant from a foreign domain adds no virtual host.
        let grant = format!(
            "<message from='{from}' to='{DOMAIN}'><privilege xmlns='urn:xmpp:privilege:2'>\
             <perm access='iq'><namespace ns='jabber:iq:private' type='both'/></perm></privilege></message>"
        );
        stage.peer.say(&grant).await;
        for (type_, request) in requests {
            let answer = stage.ask(from, type_, request).await;
            assert_eq!(
                condition(&answer),
                "service-unavailable",
                "{from} {request}"
            );
        }
    }
    for from in [
        "example.org",
        "example.org/portcullis",
        "second.example/portcullis",
    ] {
        for (type_, request) in requests {
            let answer = stage.ask(from, type_, request).await;
            assert_eq!(answer.attr("type"), Some("result"), "{from} {request}");
        }
    }
    for (type_, request, says) in [
        ("set", requests[1].1, "bad-request"),
        ("get", requests[3].1, "bad-request"),
        (
            "get",
            "<check xmlns='urn:portcullis:hook:1'/>",
            "bad-request",
        ),
        (
            "get",
            "<other xmlns='urn:portcullis:hook:1'/>",
            "feature-not-implemented",
        ),
    ] {
        let answer = stage.ask(MODULE, type_, request).await;
        assert_eq!(condition(&answer), says, "{request}");
    }
}

#[tokio::test]
async fn times_are_told_and_a_clock_that_differs_is_warned_of() {
    let mut stage = Stage::new(3).await;
    let now_of = |element: &Element| {
        let now = element.attr("now").map(str::to_owned);
        assert!(
            now.as_deref().is_some_and(|now| now.len() == 24),
            "{}",
            String::from(element)
        );
        now.unwrap()
    };
    let hello = |now: &str| format!("node='n1' software='ejabberd' health='ok' now='{now}'");
    let welcome = stage
        .module("set", "hello", &hello("2001-01-01T00:00:00Z"))
        .await;
    let ours = now_of(&welcome);
    now_of(&stage.module("get", "sync", "").await);
    let plain = "account='alice@example.org' address='203.0.113.7'";
    now_of(&stage.module("get", "check", plain).await);
    // A refusal, and a question outside the plain form.
    stage.admin("ban alice@example.org spam").await;
    now_of(&stage.module("get", "check", plain).await);
    now_of(
        &stage
            .module("get", "check", &format!("{plain} other='x'"))
            .await,
    );

    let status = stage.probed_status().await;
    assert!(
        status.contains("The clocks of n1 and of portcullis differ") && status.contains("behind"),
        "{status}"
    );
    stage.module("set", "hello", &hello(&ours)).await;
    let status = stage.admin("status").await;
    assert!(!status.contains("The clocks"), "{status}");
}

/// What a client wrote is of any length, and costs neither the report nor the answer.
#[tokio::test]
async fn a_mechanism_of_any_length_is_counted_and_answered() {
    let mut stage = Stage::new(3).await;
    let who = "account='alice@example.org' address='203.0.113.7'";
    let long = "A".repeat(17_000);
    let check = format!("{who} mechanism='{long}'");
    assert_eq!(stage.check(&check).await, "allow");
    let failure = format!("<login {who} mechanism='PLAIN' outcome='failure'/>");
    let strange = format!("<login {who} mechanism='{long}' outcome='error'/>");
    let report = failure.repeat(2) + &strange + &failure.repeat(2);
    stage
        .module("set", "report", &format!("node='n' batch='1'>{report}"))
        .await;
    assert!(stage.check(&check).await.starts_with("pair"));
    assert!(stage.check(who).await.starts_with("pair"));
}

/// Prosody has names that the jid crate does not know.
#[tokio::test]
async fn a_name_with_new_characters_counts_like_any_other() {
    let mut stage = Stage::new(3).await;
    let who = "account='😀@example.org' address='203.0.113.7'";
    let failure = format!("<login {who} mechanism='PLAIN' outcome='failure'/>");
    let report = format!("node='n' batch='1'>{}", failure.repeat(4));
    stage.module("set", "report", &report).await;
    assert!(stage.check(who).await.starts_with("pair"));
    let (_, _, _, list) = stage.sync("").await;
    assert_eq!(list, ["ban pair 😀@example.org203.0.113.7"]);
    let listed = stage.admin("list").await;
    assert!(listed.contains("😀@example.org"), "{listed}");
    stage.again().await;
    assert!(stage.check(who).await.starts_with("pair"));
    let lifted = stage.admin("unban #1").await;
    assert!(lifted.starts_with("Un-banned"), "{lifted}");
    assert_eq!(stage.check(who).await, "allow");
}

#[tokio::test]
async fn a_guesser_is_refused_and_the_module_learns_of_it() {
    let mut stage = Stage::new(3).await;
    let (epoch, seq) = stage.hello().await;
    let who = "account='alice@example.org' address='203.0.113.7' mechanism='PLAIN'";
    let failure = "<login account='alice@example.org' address='::ffff:203.0.113.7' mechanism='PLAIN' outcome='failure' condition='not-authorized'/>";
    let never = "<login account='alice@example.org' address='203.0.113.7' mechanism='EXTERNAL' outcome='failure'/>\
                 <login account='alice@example.org' address='203.0.113.7' mechanism='PLAIN' outcome='refused'/>\
                 <login account='alice@example.org' address='203.0.113.7' mechanism='PLAIN' outcome='error'/>\
                 <login account='alice@elsewhere.example' address='203.0.113.7' mechanism='PLAIN' outcome='failure'/>\
                 <login account='alice@example.org' outcome='gone'/><other/>";
    stage
        .module(
            "set",
            "report",
            &format!("node='n1'>{never}{failure}{failure}"),
        )
        .await;
    assert_eq!(stage.check(who).await, "allow");
    stage
        .module("set", "report", &format!("node='n1' batch='b1'>{failure}"))
        .await;
    let refused = stage.check(who).await;
    assert!(
        refused.starts_with("pair: Logins to this account from here are refused until 2"),
        "{refused}"
    );
    assert_eq!(
        stage
            .check("account='alice@example.org' address='203.0.113.8'")
            .await,
        "allow"
    );
    assert_eq!(
        stage
            .check("account='bob@example.org' address='203.0.113.7'")
            .await,
        "allow"
    );
    assert_eq!(stage.check("address='203.0.113.7'").await, "allow");
    let news = stage.order("news").await;
    assert_eq!(news.attr("epoch"), Some(epoch.as_str()));
    assert!(news.attr("seq").unwrap().parse::<u64>().unwrap() > seq);
    let (now, more, fresh, list) = stage.sync(&format!("epoch='{epoch}' since='{seq}'")).await;
    assert_eq!(list, ["ban pair alice@example.org203.0.113.7"]);
    assert!(!more && !fresh && now > seq);

    let lifted = stage.admin("unban #1").await;
    assert!(lifted.starts_with("Un-banned"), "{lifted}");
    assert_eq!(stage.check(who).await, "allow");
    let (_, _, fresh, list) = stage.sync(&format!("epoch='{epoch}' since='{now}'")).await;
    assert_eq!(
        (fresh, list),
        (
            false,
            vec![String::from("lift pair alice@example.org203.0.113.7")]
        )
    );
}

#[tokio::test]
async fn a_ban_by_hand_ends_streams_with_the_reason_and_holds_at_the_door() {
    let mut stage = Stage::new(3).await;
    let (epoch, _) = stage.hello().await;
    let banned = stage.admin("ban 203.0.113.0/24 1h spam relay").await;
    assert!(banned.starts_with("Banned #1"), "{banned}");
    let kick = stage.order("kick").await;
    assert_eq!(kick.attr("network"), Some("203.0.113.0/24"));
    let text = kick.children().next().unwrap().text();
    assert!(
        text.starts_with("You are banned until 2") && text.ends_with(": spam relay"),
        "{text}"
    );
    assert!(
        stage
            .check("address='203.0.113.200'")
            .await
            .starts_with("network: You are banned until")
    );
    let banned = stage
        .admin("ban mallory@example.org forever off you go")
        .await;
    assert!(banned.starts_with("Banned #2"), "{banned}");
    assert_eq!(
        stage.order("kick").await.attr("account"),
        Some("mallory@example.org")
    );
    assert_eq!(
        stage
            .check("account='Mallory@EXAMPLE.org' address='192.0.2.1'")
            .await,
        "account: You are banned: off you go"
    );
    let page = stage
        .module("get", "sync", &format!("epoch='{epoch}' since='0'"))
        .await;
    let door = |child: &Element| child.attr("door").map(str::to_owned);
    assert_eq!(
        page.children().map(door).collect::<Vec<_>>(),
        [Some("start".into()), None]
    );
    assert!(page.children().nth(1).unwrap().attr("until").is_none());
    let status = stage.admin("status").await;
    assert!(
        status.contains("hook module 1.0.0 answers on n1 (ejabberd 26.07)"),
        "{status}"
    );
}

#[tokio::test]
async fn a_full_sync_has_pages_and_reports_bans_that_end_meanwhile() {
    let mut stage = Stage::new(1).await;
    let (epoch, _) = stage.hello().await;
    for part in 0..3 {
        stage
            .module(
                "set",
                "report",
                &format!("batch='{part}'>{}", failures(part * 150, part * 150 + 150)),
            )
            .await;
    }
    let mut held = std::collections::BTreeSet::new();
    let (mut since, mut pages) = (String::new(), 0);
    loop {
        let (seq, more, fresh, list) = stage.sync(&since).await;
        assert!(list.len() <= 200, "{}", list.len());
        assert_eq!(fresh, pages == 0);
        for one in list {
            match one.split_once(' ').unwrap() {
                ("ban", what) => held.insert(what.to_owned()),
                (_, what) => held.remove(what),
            };
        }
        pages += 1;
        since = format!("epoch='{epoch}' since='{seq}'");
        if pages == 1 {
            let lifted = stage.admin("unban #4").await;
            assert!(lifted.starts_with("Un-banned"), "{lifted}");
        }
        if !more {
            break;
        }
    }
    assert_eq!((held.len(), pages), (449, 3));
    assert!(!held.contains("pair u3@example.org203.0.0.3"));
    assert_eq!(stage.sync(&since).await.3, Vec::<String>::new());
    let (_, _, fresh, _) = stage.sync("epoch='another' since='3'").await;
    assert!(fresh, "another store");
    let (_, _, fresh, _) = stage
        .sync(&format!("epoch='{epoch}' since='99999999'"))
        .await;
    assert!(fresh, "a place that is not there");
}

#[tokio::test]
async fn other_rules_hold_after_sighup() {
    let mut stage = Stage::new(50).await;
    stage.hello().await;
    let who = "account='u1@example.org' address='203.0.0.1'";
    stage
        .module("set", "report", &format!("batch='1'>{}", failures(1, 2)))
        .await;
    assert_eq!(stage.check(who).await, "allow");
    let path = stage.folder.path().join("portcullis.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    write(&path, &text.replace("limit = 50", "limit = 2"));
    let pid = stage.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
    // The failure before the reload counts too: the next one is over the limit as soon as the new rules apply.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut batch = 1;
    while stage.check(who).await == "allow" {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
        batch += 1;
        let login = failures(1, 2);
        stage
            .module("set", "report", &format!("batch='{batch}'>{login}"))
            .await;
    }
}

#[tokio::test]
async fn after_a_crash_the_module_goes_on_where_it_was() {
    let mut stage = Stage::new(1).await;
    let (epoch, _) = stage.hello().await;
    stage
        .module("set", "report", &format!("batch='1'>{}", failures(0, 3)))
        .await;
    let (seq, _, fresh, list) = stage.sync("").await;
    assert_eq!((fresh, list.len()), (true, 3));
    stage.again().await;
    assert_eq!(stage.hello().await, (epoch.clone(), seq));
    assert_eq!(
        stage.sync(&format!("epoch='{epoch}' since='{seq}'")).await,
        (seq, false, false, vec![])
    );
    assert!(
        stage
            .check("account='u1@example.org' address='203.0.0.1'")
            .await
            .starts_with("pair: ")
    );
    assert!(!stage.address.is_empty());
}

/// A module knows a position that the log has not reached: the store was put back to a backup.
#[tokio::test]
async fn a_store_that_is_older_than_its_module_is_noticed_and_the_module_fetches_everything() {
    let mut stage = Stage::new(3).await;
    let (epoch, _) = stage.hello().await;
    stage.admin("ban one@example.org forever").await;
    let known = |seq: u64, epoch: &str| {
        format!("software='ejabberd' node='n1' health='ok' epoch='{epoch}' seq='{seq}' bans='3'")
    };
    assert_eq!(stage.sync("").await.0, 1);
    let unchanged = stage.module("set", "hello", &known(1, &epoch)).await;
    assert_eq!(unchanged.attr("epoch"), Some(&epoch[..]));
    // The number of a run is no position.
    let run = stage.module("set", "hello", &known(1 << 52, &epoch)).await;
    assert_eq!(run.attr("epoch"), Some(&epoch[..]));
    let welcome = stage.module("set", "hello", &known(239, &epoch)).await;
    let now = welcome.attr("epoch").unwrap().to_owned();
    assert_ne!(now, epoch);
    // News of the ban may still be on their way, under the old epoch.
    while stage.order("news").await.attr("epoch") != Some(&now[..]) {}
    let (_, _, fresh, changes) = stage.sync(&format!("epoch='{epoch}' since='239'")).await;
    assert!(fresh);
    assert_eq!(changes, ["ban account one@example.org"]);
    let said = stage.admin("ban two@example.org 1d").await;
    assert!(said.starts_with("Banned #1240 two@example.org"), "{said}");
    let status = stage.probed_status().await;
    assert!(status.contains("PUT BACK to an older copy"), "{status}");
    // It is noticed once, and stays known after a restart.
    let again = stage.module("set", "hello", &known(239, &epoch)).await;
    assert_eq!(again.attr("epoch"), Some(&now[..]));
    stage.again().await;
    assert_eq!(stage.hello().await.0, now);
}

/// The store was put back twice: the second copy is older than the event that told of the first time.
#[tokio::test]
async fn a_store_that_is_put_back_again_gets_an_epoch_that_it_never_had() {
    let mut stage = Stage::new(3).await;
    let (first, _) = stage.hello().await;
    let hello = |seq: u64, epoch: &str| {
        format!("software='ejabberd' node='n1' health='ok' epoch='{epoch}' seq='{seq}' bans='3'")
    };
    // This log's, of an event that it has not got: numbers were 500 ahead of positions then.
    let lost = format!("{first}.{}.500", "ab".repeat(16));
    let welcome = stage.module("set", "hello", &hello(7, &lost)).await;
    let second = welcome.attr("epoch").unwrap().to_owned();
    assert!(second.starts_with(&format!("{first}.")) && second != lost);
    let news = stage.order("news").await;
    assert_eq!(news.attr("epoch"), Some(&second[..]));
    let said = stage.admin("ban one@example.org 1d").await;
    assert!(said.starts_with("Banned #1508 one@example.org"), "{said}");
    // Another module that held the same proves nothing new; nor does the log before it was put back, a position in
    // place of the event, or another log.
    let other_log = format!("{}.{}.500", "0".repeat(32), "cd".repeat(16));
    for held in [&lost, &first, &format!("{first}.41"), &other_log] {
        let welcome = stage.module("set", "hello", &hello(7, held)).await;
        assert_eq!(welcome.attr("epoch"), Some(&second[..]), "{held}");
    }
    let (_, _, fresh, list) = stage.sync(&format!("epoch='{lost}' since='7'")).await;
    assert!(fresh && list.len() == 1);
}

/// The store is a new one, and the module holds the bans of the one that was lost.
#[tokio::test]
async fn a_new_store_in_place_of_another_is_noticed_and_gives_no_number_twice() {
    let mut stage = Stage::new(3).await;
    let (epoch, _) = stage.hello().await;
    let hello = |seq: u64, epoch: &str| {
        format!("software='ejabberd' node='n1' health='ok' epoch='{epoch}' seq='{seq}' bans='3'")
    };
    let other = "0".repeat(32);
    let put_back = format!("{other}.{}.500", "cd".repeat(16));
    // A module that holds nothing, or the number of a run, says nothing of another store.
    for seq in [0, 1 << 52] {
        let welcome = stage.module("set", "hello", &hello(seq, &other)).await;
        assert_eq!(welcome.attr("epoch"), Some(&epoch[..]), "{seq}");
    }
    let welcome = stage.module("set", "hello", &hello(7, &other)).await;
    let now = welcome.attr("epoch").unwrap().to_owned();
    assert!(now.starts_with(&format!("{epoch}.")), "{now}");
    let said = stage.admin("ban one@example.org 1d").await;
    assert!(said.starts_with("Banned #1008 one@example.org"), "{said}");
    let status = stage.probed_status().await;
    assert!(status.contains("a new one in place of another"), "{status}");
    // Another module of the other store proves nothing new, unless later bans were numbered there.
    let welcome = stage.module("set", "hello", &hello(7, &put_back)).await;
    assert_eq!(welcome.attr("epoch"), Some(&now[..]));
    let welcome = stage.module("set", "hello", &hello(900, &put_back)).await;
    assert_ne!(welcome.attr("epoch"), Some(&now[..]));
    let said = stage.admin("ban two@example.org 1d").await;
    assert!(said.starts_with("Banned #2401 two@example.org"), "{said}");
}

/// The store was put back, and had grown beyond what its module knows before the module said so.
#[tokio::test]
async fn a_store_that_has_outgrown_its_module_since_it_was_put_back_is_noticed() {
    let mut stage = Stage::new(3).await;
    let (epoch, _) = stage.hello().await;
    for name in ["one", "two", "three"] {
        stage.admin(&format!("ban {name}@example.org 1d")).await;
    }
    // Positions 1 to 3 were given to nobody by this program.
    let (seq, _, fresh, list) = stage.sync(&format!("epoch='{epoch}' since='2'")).await;
    assert!(fresh && seq > 3);
    assert_eq!(list.len(), 3);
    let (now, _) = stage.hello().await;
    assert_ne!(now, epoch);
    let said = stage.admin("ban four@example.org 1d").await;
    assert!(said.starts_with("Banned #1005 four@example.org"), "{said}");
    // What was given is nothing new, also after a restart.
    let more = format!("epoch='{now}' since='{seq}'");
    let (later, _, fresh, list) = stage.sync(&more).await;
    assert_eq!((fresh, list.len()), (false, 1));
    stage.again().await;
    let more = format!("epoch='{now}' since='{later}'");
    assert_eq!(stage.sync(&more).await, (later, false, false, vec![]));
    assert_eq!(stage.hello().await.0, now);
}
