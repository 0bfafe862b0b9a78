//! A room played by the test, over a link that is a pipe: what an occupant sees of us. Time is paused.

use std::sync::Arc;
use std::time::Duration;

use minidom::Element;
use portcullis::command::Context;
use portcullis::core::{Account, Attempt, LoginOutcome, Role, Timestamp};
use portcullis::front::rooms::{RoleGrants, SILENCE, Settings};
use portcullis::front::{Bot, Notices, Router};
use portcullis::xmpp::iq::{Asker, Routed};
use portcullis::xmpp::link::{Incoming, Link};
use portcullis::xmpp::wire::Wire;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::{BareJid, Jid};

use crate::support::bot::roles;
use crate::support::scripted::{DOMAIN, Peer, Scripted, settings};
use crate::support::{FakeServer, START, World};

const ROOM: &str = "ops@conference.example.org";
const ME: &str = "bot@portcullis.example.org/portcullis";
const NS_INFO: &str = "http://jabber.org/protocol/disco#info";
const NS_MUC: &str = "http://jabber.org/protocol/muc";
const NS_USER: &str = "http://jabber.org/protocol/muc#user";
const NS_STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// The bot with one room, and the server with that room.
struct Stage {
    world: World,
    bot: Arc<Bot>,
    server: Scripted,
    peer: Peer,
    began: Instant,
    stop: CancellationToken,
    ids: u32,
}

fn ops(audit: bool) -> Settings {
    Settings {
        room: BareJid::new(ROOM).unwrap(),
        nick: "portcullis".into(),
        password: None,
        grants: RoleGrants {
            owner: Role::Admin,
            admin: Role::Moderator,
            member: Role::Viewer,
        },
        audit,
    }
}

impl Stage {
    /// Runs until the bot asks the room for its features.
    async fn new(rooms: Vec<Settings>) -> Stage {
        let (mut server, dial) = Scripted::pipes();
        let (link, wire, mut incoming) = Link::over(settings(), dial);
        let asker = Asker::new(wire.clone());
        let world = World::new(FakeServer::new(true));
        let started = Timestamp::from_millis(START);
        let context = Context::new(&world.whole, started);
        let roles = roles(&["admin@example.org"], &["mod@example.org"]);
        let bot = Bot::new(DOMAIN.parse().unwrap(), context, roles);
        bot.rooms().configure(rooms);
        let stop = CancellationToken::new();
        tokio::spawn(link.run(stop.clone()));
        tokio::spawn(Arc::clone(bot.rooms()).run(wire.clone(), asker.clone(), stop.clone()));
        tokio::spawn({
            let bot = Arc::clone(&bot);
            let router = Router::new(Arc::clone(&bot), Notices::new(Arc::clone(&bot)));
            async move {
                while let Some(arrived) = incoming.recv().await {
                    match arrived {
                        Incoming::Unreadable { .. } => {}
                        Incoming::Up => bot.rooms().link_up(),
                        Incoming::Down { .. } => bot.rooms().link_down(),
                        Incoming::Stanza(received, _) => {
                            if let Routed::NotMine(received) = asker.route(received) {
                                let reply = router.receive(&received);
                                send(&wire, reply.now).await;
                                if let Some(later) = reply.later {
                                    send(&wire, later.await).await;
                                }
                            }
                        }
                    }
                }
            }
        });
        let peer = server.admit().await;
        Stage {
            world,
            bot,
            server,
            peer,
            began: Instant::now(),
            stop,
            ids: 0,
        }
    }

    /// The next stanza to a room. The bot's clock advances with the paused one meanwhile.
    async fn hear(&mut self) -> Element {
        loop {
            let heard = timeout(Duration::from_millis(500), self.peer.element()).await;
            let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
            let now = START + passed;
            self.world
                .time
                .store(now, std::sync::atomic::Ordering::SeqCst);
            match heard {
                // Pings of the link to itself.
                Ok(heard) if heard.attr("to").is_some_and(|to| to.contains("nobody")) => {}
                Ok(heard) if heard.attr("id") == Some("ping") => {
                    let answer = format!(
                        "<iq type='result' id='ping' from='{}' to='{}'/>",
                        heard.attr("to").unwrap(),
                        heard.attr("from").unwrap()
                    );
                    self.peer.say(&answer).await;
                }
                Ok(heard) => return heard,
                Err(_) if passed < 4_000_000 => {}
                Err(_) => panic!("nothing was said for an hour"),
            }
        }
    }

    /// Asserts that nothing arrives for a while.
    async fn quiet(&mut self) {
        let heard = timeout(Duration::from_secs(1), self.peer.element()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Answers the request for the room's features.
    async fn looked_at(&mut self, features: &[&str]) {
        let asked = self.hear().await;
        assert!(asked.has_child("query", NS_INFO), "{asked:?}");
        assert_eq!(asked.attr("to"), Some(ROOM));
        assert_eq!(asked.attr("from"), Some(ME));
        let id = asked.attr("id").unwrap();
        let features: String = features
            .iter()
            .map(|name| format!("<feature var='{name}'/>"))
            .collect();
        let answer = format!(
            "<iq type='result' id='{id}' from='{ROOM}' to='{ME}'><query xmlns='{NS_INFO}'>{features}</query></iq>"
        );
        self.peer.say(&answer).await;
    }

    /// Waits for the presence that enters the room; returns the nick.
    async fn knocks(&mut self) -> String {
        let presence = self.hear().await;
        assert_eq!(presence.name(), "presence", "{presence:?}");
        assert_eq!(presence.attr("type"), None, "{presence:?}");
        assert_eq!(presence.attr("from"), Some(ME));
        let x = presence.get_child("x", NS_MUC).unwrap();
        let history = x.get_child("history", NS_MUC).unwrap();
        assert_eq!(history.attr("maxstanzas"), Some("0"));
        let to = presence.attr("to").unwrap();
        to.strip_prefix(&format!("{ROOM}/")).unwrap().to_owned()
    }

    async fn presence(&mut self, nick: &str, type_: &str, inside: &str) {
        let type_ = if type_.is_empty() {
            String::new()
        } else {
            format!(" type='{type_}'")
        };
        let stanza = format!("<presence from='{ROOM}/{nick}' to='{ME}'{type_}>{inside}</presence>");
        self.peer.say(&stanza).await;
    }

    async fn occupant(&mut self, nick: &str, jid: &str, affiliation: &str) {
        let jid = if jid.is_empty() {
            String::new()
        } else {
            format!(" jid='{jid}'")
        };
        let x = format!(
            "<x xmlns='{NS_USER}'><item affiliation='{affiliation}' role='participant'{jid}/></x>"
        );
        self.presence(nick, "", &x).await;
    }

    async fn self_presence(&mut self, nick: &str) {
        let x = format!(
            "<x xmlns='{NS_USER}'><item affiliation='member' role='participant'/><status code='110'/></x>"
        );
        self.presence(nick, "", &x).await;
    }

    /// A room with an admin by configuration, an owner, a member, a stranger and an occupant with a hidden JID.
    async fn inside(audit: bool) -> Stage {
        let mut stage = Stage::new(vec![ops(audit)]).await;
        stage.looked_at(&["muc_membersonly"]).await;
        assert_eq!(stage.knocks().await, "portcullis");
        stage
            .occupant("Ada", "admin@example.org/desk", "none")
            .await;
        stage
            .occupant("Olaf", "olaf@elsewhere.example/x", "owner")
            .await;
        stage
            .occupant("Mia", "mia@elsewhere.example/x", "member")
            .await;
        stage.occupant("Eve", "eve@evil.example/x", "none").await;
        stage.occupant("Ghost", "", "owner").await;
        stage.self_presence("portcullis").await;
        stage
    }

    async fn says(&mut self, nick: &str, type_: &str, text: &str) {
        self.ids += 1;
        let stanza = format!(
            "<message from='{ROOM}/{nick}' to='{ME}' type='{type_}' id='m{}'><body>{text}</body></message>",
            self.ids
        );
        self.peer.say(&stanza).await;
    }

    /// Receiver, type and text of the next message.
    async fn told(&mut self) -> (String, String, String) {
        let message = self.hear().await;
        assert_eq!(message.name(), "message", "{message:?}");
        let from = message.attr("from").unwrap();
        let one_to_one = !message.attr("to").unwrap().starts_with(ROOM);
        assert_eq!(from == ME, !one_to_one, "{message:?}");
        let body = message
            .children()
            .find(|child| child.name() == "body")
            .unwrap();
        let attr = |name| message.attr(name).unwrap_or_default().to_owned();
        (attr("type"), attr("to"), body.text())
    }

    /// The text of the next message to the room.
    async fn room_told(&mut self) -> String {
        let (type_, to, text) = self.told().await;
        assert_eq!((type_.as_str(), to.as_str()), ("groupchat", ROOM));
        text
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn send(wire: &Wire, stanzas: Vec<tokio_xmpp::Stanza>) {
    for stanza in stanzas {
        wire.send(stanza).await.unwrap();
    }
}

fn error(condition: &str) -> String {
    format!("<error type='cancel'><{condition} xmlns='{NS_STANZAS}'/></error>")
}

#[tokio::test(start_paused = true)]
async fn orders_are_taken_from_whom_they_may_be_taken_and_answered_by_nick() {
    let mut stage = Stage::inside(false).await;
    stage
        .says(
            "Ada",
            "groupchat",
            "portcullis: ban spam@example.org 3d spam",
        )
        .await;
    let text = stage.room_told().await;
    assert!(
        text.starts_with("Ada: Banned #1 spam@example.org"),
        "{text}"
    );
    assert!(text.ends_with("\nUndo: !undo #1"), "works here: {text}");
    stage
        .says("Olaf", "groupchat", "!unban #1 my mistake")
        .await;
    let text = stage.room_told().await;
    assert!(
        text.starts_with("Olaf: Un-banned #1 spam@example.org"),
        "{text}"
    );
    // A member may look, and learns which role more would need.
    stage.says("Mia", "groupchat", "@portcullis list").await;
    let text = stage.room_told().await;
    assert!(text.starts_with("Mia: No bans in force"), "{text}");
    stage
        .says("Mia", "groupchat", "portcullis, ban spam@example.org")
        .await;
    let text = stage.room_told().await;
    assert!(
        text.starts_with("Mia: ") && text.contains("Nothing was done"),
        "{text}"
    );
    // The history names the real person and the occupant.
    stage.says("Ada", "chat", "show spam@example.org").await;
    let (type_, to, text) = stage.told().await;
    assert_eq!((type_.as_str(), to), ("chat", format!("{ROOM}/Ada")));
    assert!(
        text.contains("by admin@example.org/desk (room ops@conference.example.org/Ada)"),
        "{text}"
    );
    assert!(
        text.contains("by olaf@elsewhere.example/x (room ops@conference.example.org/Olaf)"),
        "{text}"
    );
    // `policy` lists who has a role through the room.
    stage.says("Ada", "chat", "policy").await;
    let (_, _, text) = stage.told().await;
    assert!(text.contains("Moderators: mod@example.org\n"), "{text}");
    assert!(
        text.contains("By the room ops@conference.example.org: its owners are admins here, its admins are moderators here, its members are viewers here; now there: "),
        "{text}"
    );
    assert!(text.contains("olaf@elsewhere.example (admin)"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn undo_in_a_room_means_the_last_command_and_never_one_before() {
    let mut stage = Stage::inside(false).await;
    for line in [
        "!note b@example.org first thing",
        "!ban a@example.org 3d test",
    ] {
        stage.says("Ada", "groupchat", line).await;
        stage.room_told().await;
    }
    stage
        .says("Olaf", "groupchat", "!unban a@example.org")
        .await;
    stage.room_told().await;
    stage.says("Ada", "groupchat", "!undo").await;
    let text = stage.room_told().await;
    for part in [
        "Ada: Your last command was the ban of a@example.org.",
        "un-banned by olaf@elsewhere.example/x (room ops@conference.example.org/Olaf)",
        "Nothing was undone.",
        "the note of b@example.org; to take that back: !undo b@example.org",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_line_to_type_is_addressed_to_us_there_and_plain_in_private() {
    let mut stage = Stage::inside(false).await;
    // Without a list before it, `!next` may be meant for another bot.
    stage.says("Ada", "groupchat", "!next").await;
    for names in [
        ["a1", "a2", "a3", "a4"],
        ["b1", "b2", "b3", "b4"],
        ["c1", "c2", "c3", "c4"],
    ] {
        let whom = names.map(|name| format!("{name}@example.org")).join(" ");
        stage
            .says("Ada", "groupchat", &format!("!ban {whom} 1d x"))
            .await;
        let text = stage.room_told().await;
        assert!(text.starts_with("Ada: 4 of 4 done."), "{text}");
    }
    let said = [
        ("!list", "\nMore: !next, or !list 2"),
        (
            "!next",
            "\n#1 a1@example.org: until 2026-11-23 04:00 UTC (1 day), by admin@example.org: x.",
        ),
        (
            "!show #99",
            "There is no ban #99; !list shows the numbers.\nNothing was done. Write: !show SUBJECT|#N",
        ),
        (
            "!ban a1@example.org 1d x",
            "\nTo change it: !ban #1 DURATION REASON. To end it: !unban #1",
        ),
        (
            "!extend #1 until 2026-11-23",
            "To shorten it: !ban #1 DURATION\nNothing was done.",
        ),
        (
            "!unban all",
            "Every ban there is: !unban all #1..\nNothing was done. Write: !unban SUBJECT…|all FILTER [REASON…]",
        ),
        (
            "portcullis: a1@example.org",
            "Write !show a1@example.org, !ban a1@example.org or !unban a1@example.org. Nothing was done.",
        ),
        (
            "portcullis: what",
            "There is no command “what”. !help lists them. Nothing was done.",
        ),
        (
            "!undo #99 --others",
            "!list shows the numbers.\nNothing was done. Write: !undo [#N|SUBJECT…|command:ID]",
        ),
    ];
    for (line, end) in said {
        stage.says("Ada", "groupchat", line).await;
        let text = stage.room_told().await;
        assert!(
            text.starts_with("Ada: ") && text.ends_with(end),
            "{line}: {text}"
        );
    }
    stage.says("Ada", "chat", "list").await;
    let (_, _, text) = stage.told().await;
    assert!(text.ends_with("\nMore: next, or list 2"), "{text}");
    // The long answer is sent in private; the commands in it have the form for that place.
    stage.says("Ada", "groupchat", "!help").await;
    let text = stage.room_told().await;
    assert!(text.starts_with("Ada: !ban SUBJECT"), "{text}");
    let (_, _, text) = stage.told().await;
    assert!(text.starts_with("ban SUBJECT"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_role_is_reported_once_and_other_talk_is_ignored() {
    let mut stage = Stage::inside(false).await;
    for text in [
        "ban spam@example.org",
        "portcullis is great",
        "yes",
        "!weather",
    ] {
        stage.says("Ada", "groupchat", text).await;
    }
    stage.quiet().await;
    stage
        .says("Eve", "groupchat", "portcullis: ban admin@example.org")
        .await;
    let text = stage.room_told().await;
    assert!(
        text.starts_with("Eve: You need the role moderator for that. I take orders from"),
        "{text}"
    );
    stage.says("Eve", "groupchat", "portcullis: help").await;
    stage
        .says("Ghost", "groupchat", "portcullis: ban spam@example.org")
        .await;
    let text = stage.room_told().await;
    assert!(
        text.starts_with("Ghost: I cannot see who you are"),
        "{text}"
    );
    stage
        .says("Ghost", "groupchat", "portcullis: ban spam@example.org")
        .await;
    stage
        .says("Nobody", "groupchat", "portcullis: ban spam@example.org")
        .await;
    stage.quiet().await;
    assert_eq!(stage.world.engine.read(|ledger| ledger.bans().len()), 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_person_who_was_asked_can_say_yes_and_only_there() {
    let mut stage = Stage::inside(false).await;
    stage
        .says("Ada", "groupchat", "portcullis: ban 198.51.0.0/16 1h")
        .await;
    let text = stage.room_told().await;
    assert!(text.contains("Answer yes within"), "{text}");
    stage.says("Olaf", "groupchat", "yes").await;
    stage.quiet().await;
    stage.says("Olaf", "groupchat", "portcullis: yes").await;
    let text = stage.room_told().await;
    assert!(
        text.starts_with("Olaf: There is nothing to say yes to"),
        "{text}"
    );
    stage.says("Ada", "groupchat", "let me think").await;
    stage.says("Ada", "groupchat", "yes").await;
    let text = stage.room_told().await;
    assert!(text.starts_with("Ada: Banned #1 198.51.0.0/16"), "{text}");
    // A yes in private does not answer a question asked in the room.
    stage
        .says("Ada", "groupchat", "portcullis: ban 198.52.0.0/16 1h")
        .await;
    stage.room_told().await;
    stage.says("Ada", "chat", "yes").await;
    let (_, _, text) = stage.told().await;
    assert!(text.starts_with("There is nothing to say yes to"), "{text}");
    assert_eq!(stage.world.engine.read(|ledger| ledger.bans().len()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_correction_runs_only_when_the_first_line_did_nothing() {
    let mut stage = Stage::inside(false).await;
    stage
        .says("Ada", "groupchat", "portcullis: bann spam@example.org")
        .await;
    assert!(stage.room_told().await.contains("Did you mean ban?"));
    let corrected = |id: &str| {
        format!(
            "<message from='{ROOM}/Ada' to='{ME}' type='groupchat' id='c'><body>portcullis: ban spam@example.org</body>\
             <replace xmlns='urn:xmpp:message-correct:0' id='{id}'/></message>"
        )
    };
    stage.peer.say(&corrected("m1")).await;
    assert!(stage.room_told().await.starts_with("Ada: Banned #1"));
    stage.peer.say(&corrected("m1")).await;
    let text = stage.room_told().await;
    assert!(text.contains("corrected"), "{text}");
    // A line that was addressed to others is not run when a correction addresses it to us.
    stage.says("Ada", "groupchat", "ban bob@example.org").await;
    stage.quiet().await;
    let aimed = corrected("m2").replace("spam@", "bob@");
    stage.peer.say(&aimed).await;
    let text = stage.room_told().await;
    assert!(text.contains("was not said to me"), "{text}");
    stage.says("Ada", "chat", "list").await;
    let (_, _, text) = stage.told().await;
    assert!(!text.contains("bob@example.org"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_person_with_a_role_invites_to_a_configured_room_and_to_no_other() {
    let mut stage = Stage::new(vec![ops(false)]).await;
    stage.looked_at(&["muc_membersonly"]).await;
    stage.knocks().await;
    stage
        .presence("portcullis", "error", &error("registration-required"))
        .await;
    let invites = |from: &str, room: &str| {
        format!(
            "<message from='{from}' to='bot@{DOMAIN}'><body>come in</body><x xmlns='jabber:x:conference' jid='{room}'/></message>"
        )
    };
    for (from, room) in [
        ("eve@evil.example/x", ROOM),
        ("admin@example.org/x", "other@conference.example.org"),
        ("admin@example.org/x", "no room@"),
    ] {
        stage.peer.say(&invites(from, room)).await;
        stage.quiet().await;
    }
    stage.peer.say(&invites("admin@example.org/x", ROOM)).await;
    let asked = stage.hear().await;
    assert!(asked.has_child("query", NS_INFO), "{asked:?}");
    assert_eq!(asked.attr("to"), Some(ROOM));
}

#[tokio::test(start_paused = true)]
async fn a_wall_is_sent_to_the_asker_alone() {
    let mut stage = Stage::inside(false).await;
    stage.says("Ada", "groupchat", "portcullis: help").await;
    let text = stage.room_told().await;
    assert!(
        text.lines().count() <= 3 && text.contains("in private"),
        "{text}"
    );
    let (type_, to, text) = stage.told().await;
    assert_eq!((type_.as_str(), to), ("chat", format!("{ROOM}/Ada")));
    assert!(text.lines().count() > 12, "{text}");
}

#[tokio::test(start_paused = true)]
async fn changes_made_elsewhere_are_reported_to_audit_rooms() {
    let mut stage = Stage::inside(true).await;
    let chat = format!(
        "<message from='mod@example.org/phone' to='bot@{DOMAIN}' type='chat'><body>ban spam@example.org 1d spam</body></message>"
    );
    stage.peer.say(&chat).await;
    let (first, second) = (stage.told().await, stage.told().await);
    let (direct, told) = if first.0 == "chat" {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(direct.1, "mod@example.org/phone");
    assert_eq!((told.0.as_str(), told.1.as_str()), ("groupchat", ROOM));
    assert!(
        told.2.starts_with(
            "ban by mod@example.org/phone (moderator, chat): Banned #1 spam@example.org"
        ),
        "{}",
        told.2
    );
    // So is what is done by the nodes of XEP-0133.
    let form = format!(
        "<iq from='mod@example.org/phone' to='{DOMAIN}' type='set' id='node'>\
         <command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#end-user-session' action='execute'>\
         <x xmlns='jabber:x:data' type='submit'><field var='accountjids'><value>spam@example.org</value></field></x></command></iq>"
    );
    stage.peer.say(&form).await;
    let both = [stage.hear().await, stage.hear().await];
    let told = both.iter().find(|heard| heard.name() == "message").unwrap();
    let told = told.children().find(|child| child.name() == "body");
    let told = told.unwrap().text();
    assert!(
        told.starts_with("kick by mod@example.org/phone (moderator, form)"),
        "{told}"
    );
    // Commands that only look are not reported, and neither are those given in this room.
    stage
        .peer
        .say(&chat.replace("ban spam@example.org 1d spam", "list"))
        .await;
    assert_eq!(stage.told().await.0, "chat");
    stage.says("Ada", "groupchat", "!unban #1").await;
    assert!(stage.room_told().await.starts_with("Ada: Un-banned #1"));
    stage.quiet().await;
    // The others in the room do not see a private message, so it is reported.
    stage
        .says("Ada", "chat", "ban spam@example.org 1d again")
        .await;
    let (one, other) = (stage.told().await, stage.told().await);
    let told = if one.0 == "chat" { other } else { one };
    assert!(
        told.2.contains(
            "by admin@example.org/desk (admin, room ops@conference.example.org/Ada): Banned #2"
        ),
        "{}",
        told.2
    );
}

#[tokio::test(start_paused = true)]
async fn a_taken_nick_makes_another_and_a_kick_no_end() {
    let mut stage = Stage::new(vec![ops(false)]).await;
    stage.looked_at(&["muc_membersonly"]).await;
    assert_eq!(stage.knocks().await, "portcullis");
    stage
        .presence("portcullis", "error", &error("conflict"))
        .await;
    assert_eq!(stage.knocks().await, "portcullis-2");
    stage.self_presence("portcullis-2").await;
    stage
        .occupant("Ada", "admin@example.org/desk", "owner")
        .await;
    stage.says("Ada", "groupchat", "portcullis: list").await;
    stage.quiet().await;
    stage.says("Ada", "groupchat", "portcullis-2: list").await;
    assert!(stage.room_told().await.starts_with("Ada: No bans"));
    let kicked = format!(
        "<x xmlns='{NS_USER}'><item affiliation='none' role='none'/><status code='110'/><status code='307'/></x>"
    );
    let before = stage.began.elapsed();
    stage.presence("portcullis-2", "unavailable", &kicked).await;
    stage.looked_at(&["muc_membersonly"]).await;
    assert!(
        stage.began.elapsed() - before > Duration::from_secs(10),
        "not at once"
    );
    assert_eq!(stage.knocks().await, "portcullis");
}

#[tokio::test(start_paused = true)]
async fn a_silent_loss_is_found_and_a_new_link_enters_again() {
    let mut stage = Stage::inside(false).await;
    let ping = stage.hear().await;
    assert!(stage.began.elapsed() >= SILENCE);
    assert!(ping.has_child("ping", "urn:xmpp:ping"), "{ping:?}");
    assert_eq!(ping.attr("to"), Some(format!("{ROOM}/portcullis").as_str()));
    let id = ping.attr("id").unwrap();
    let answer = format!(
        "<iq type='error' id='{id}' from='{ROOM}/portcullis' to='{ME}'>{}</iq>",
        error("not-acceptable")
    );
    stage.peer.say(&answer).await;
    stage.looked_at(&[]).await;
    stage.knocks().await;
    stage.self_presence("portcullis").await;
    stage.peer = {
        let gone = std::mem::replace(&mut stage.peer, Peer::new(tokio::io::duplex(64).0));
        drop(gone);
        stage.server.admit().await
    };
    stage.looked_at(&[]).await;
    stage.knocks().await;
    let rooms = stage.bot.rooms();
    assert_eq!(
        rooms.joined(),
        [] as [BareJid; 0],
        "not before the room says so"
    );
    stage.self_presence("portcullis").await;
    stage
        .occupant("Ada", "admin@example.org/desk", "none")
        .await;
    stage.says("Ada", "groupchat", "!list").await;
    stage.room_told().await;
    assert_eq!(stage.bot.rooms().joined(), [BareJid::new(ROOM).unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn status_shows_why_a_room_refuses_and_new_settings_apply_at_once() {
    let mut stage = Stage::new(vec![ops(false)]).await;
    stage.looked_at(&["muc_membersonly"]).await;
    stage.knocks().await;
    stage
        .presence("portcullis", "error", &error("registration-required"))
        .await;
    let status = format!(
        "<message from='admin@example.org/x' to='bot@{DOMAIN}' type='chat'><body>status</body></message>"
    );
    stage.peer.say(&status).await;
    let (_, _, text) = stage.told().await;
    assert!(text.contains("I cannot enter 1 room"), "{text}");
    assert!(text.contains("NOT IN ROOM ops@conference.example.org: It is for members only; make this component's bot a member of it. Next try in"), "{text}");
    // Another room replaces it: the bot leaves the old one and enters the new one at once.
    let mut other = ops(false);
    other.room = BareJid::new("desk@conference.example.org").unwrap();
    stage.bot.rooms().configure(vec![other]);
    let asked = stage.hear().await;
    assert_eq!(asked.attr("to"), Some("desk@conference.example.org"));
}

#[tokio::test(start_paused = true)]
async fn rooms_are_left_when_the_program_stops_or_they_are_configured_no_more() {
    let mut stage = Stage::inside(false).await;
    stage.says("Ada", "groupchat", "!list").await;
    stage.room_told().await;
    stage.bot.rooms().configure(Vec::new());
    let presence = stage.hear().await;
    assert_eq!(presence.attr("type"), Some("unavailable"));
    assert_eq!(
        presence.attr("to"),
        Some(format!("{ROOM}/portcullis").as_str())
    );
    let mut stage = Stage::inside(false).await;
    stage.says("Ada", "groupchat", "!list").await;
    stage.room_told().await;
    let farewell: Vec<Element> = stage
        .bot
        .farewell()
        .into_iter()
        .map(crate::support::bot::element)
        .collect();
    let left = farewell
        .iter()
        .find(|presence| presence.attr("to") == Some(format!("{ROOM}/portcullis").as_str()));
    assert_eq!(left.unwrap().attr("type"), Some("unavailable"));
    assert_eq!(stage.bot.rooms().joined(), [] as [BareJid; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_person_of_the_same_name_outside_of_the_room_has_not_its_rights() {
    let mut stage = Stage::inside(false).await;
    // The room's owner is a stranger in a direct chat.
    let chat = format!(
        "<message from='olaf@elsewhere.example/x' to='bot@{DOMAIN}' type='chat'><body>list</body></message>"
    );
    stage.peer.say(&chat).await;
    let (_, _, text) = stage.told().await;
    assert!(
        text.contains("takes orders from the server's admins only"),
        "{text}"
    );
    // A form submitted through the room: the room itself has no role.
    stage.peer.say(&format!(
        "<iq type='set' id='f1' from='{ROOM}/Olaf' to='{ME}'><command xmlns='http://jabber.org/protocol/commands' node='list'/></iq>"
    )).await;
    let answer = stage.hear().await;
    assert_eq!(answer.attr("type"), Some("error"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_moderator_by_the_room_locks_out_no_admin_and_no_admin_by_the_room_is_locked_out() {
    let mut stage = Stage::inside(false).await;
    stage
        .occupant("Mo", "mo@elsewhere.example/x", "admin")
        .await;
    stage.occupant("Rita", "rita@example.org/x", "owner").await;
    for (account, address) in [
        ("admin@example.org", "203.0.113.9"),
        ("rita@example.org", "203.0.113.10"),
    ] {
        let login = Attempt {
            account: Account::from_jid(&Jid::new(account).unwrap()),
            address: address.parse().ok(),
            outcome: LoginOutcome::Success,
            unknown: false,
            at: stage.world.engine.now(),
        };
        stage.world.admission.report(vec![login]).await.unwrap();
    }
    for line in [
        "!ban admin@example.org 1d x",
        "!ban admin@example.org from 192.0.2.1 1d x",
        "!ban 203.0.113.9 1d x",
        "!kick admin@example.org",
        "!ban rita@example.org 1d x",
        "!ban rita@example.org from 192.0.2.1 1d x",
        "!ban 203.0.113.10 1d x",
        "!kick rita@example.org",
    ] {
        tokio::time::sleep(Duration::from_secs(11)).await;
        stage.says("Mo", "groupchat", line).await;
        let text = stage.room_told().await;
        assert!(text.contains("needs the role admin"), "{line}: {text}");
    }
    assert_eq!(stage.world.engine.read(|ledger| ledger.folded().0), 0);
    // Outside of the room nothing makes her an admin.
    let left = format!("<x xmlns='{NS_USER}'><item affiliation='owner' role='none'/></x>");
    stage.presence("Rita", "unavailable", &left).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    stage
        .says("Mo", "groupchat", "!ban rita@example.org 1d x")
        .await;
    let text = stage.room_told().await;
    assert!(text.contains("Banned #1 rita@example.org"), "{text}");
}
