//! Notifications: from the engine through the bot to stanzas.

use std::sync::atomic::Ordering;
use std::time::Duration;

use minidom::Element;
use portcullis::core::{
    Actor, Attempt, BanChange, Change, Event, EventId, LoginOutcome, Origin, Policy, Seq, Subject,
    Timestamp, Topic,
};
use portcullis::delivery::ports::{Finding, Gap, RecordState};
use portcullis::front::notices::Settings;
use portcullis::journal::Journal as _;
use portcullis::news::{News, NotificationFeed};

use crate::support::bot::{ADMIN, Bot, MODERATOR, element};
use crate::support::{FakeServer, START, World};

const NS_QUICK: &str = "urn:xmpp:tmp:quick-response";

/// A bot, and the notifications it receives.
struct Tower {
    bot: Bot,
    hearing: NotificationFeed,
}

/// A message from us.
struct Notice {
    to: String,
    text: String,
    quick: Vec<String>,
    element: Element,
}

impl Tower {
    fn new() -> Self {
        let bot = Bot::new();
        bot.notices.set(Settings {
            digest: Duration::from_secs(600),
            most: 3,
        });
        let hearing = bot.world.news.listen().unwrap();
        Tower { bot, hearing }
    }

    /// Messages that are due now; `can` says whether the link is up.
    fn told(&mut self, can: bool) -> Vec<Notice> {
        let news: Vec<_> = std::iter::from_fn(|| self.hearing.now()).collect();
        let missed: Vec<_> = self.hearing.missed().collect();
        let mut stanzas = self.bot.notices.offer(&news, &missed, can);
        stanzas.extend(self.bot.notices.due(can, false).0);
        stanzas.into_iter().map(|one| read(element(one))).collect()
    }

    async fn fail(&self, account: &str, address: &str, times: u32) {
        for _ in 0..times {
            let attempt = Attempt {
                account: Subject::parse(account).unwrap().account().cloned(),
                address: address.parse().ok(),
                outcome: LoginOutcome::Failure,
                unknown: false,
                at: self.bot.world.engine.now(),
            };
            self.bot
                .world
                .admission
                .report(vec![attempt])
                .await
                .unwrap();
        }
    }
}

fn read(element: Element) -> Notice {
    let ns = "jabber:component:accept";
    let quick = element
        .children()
        .filter(|one| one.is("response", NS_QUICK));
    Notice {
        to: element.attr("to").unwrap().to_owned(),
        text: element.get_child("body", ns).unwrap().text(),
        quick: quick
            .filter_map(|one| one.attr("value").map(str::to_owned))
            .collect(),
        element,
    }
}

#[track_caller]
fn only(mut all: Vec<Notice>) -> Notice {
    let texts: Vec<_> = all.iter().map(|one| one.text.clone()).collect();
    assert_eq!(all.len(), 1, "{texts:#?}");
    all.remove(0)
}

#[tokio::test(start_paused = true)]
async fn the_notice_of_a_banned_guesser_has_evidence_and_commands() {
    let mut tower = Tower::new();
    tower.bot.chat(ADMIN, "watch all").await;
    tower.fail("alice@example.org", "203.0.113.7", 5).await;
    let notice = only(tower.told(true));
    assert_eq!(notice.to, "admin@example.org");
    assert_eq!(
        notice.text,
        "Banned #1 alice@example.org from 203.0.113.7 until 2026-11-22 04:10 UTC (10 minutes) by the rule pair-failures, ban no. 1 of it: too many failed logins.\n\
         Evidence: 5 failures within 10 minutes (limit 5); the last at 2026-11-22 04:00 UTC: alice@example.org from 203.0.113.7\n\
         It was never banned before.\n\
         unban #1\nshow #1\nextend #1 1w"
    );
    assert_eq!(notice.quick, ["unban #1", "show #1", "extend #1 1w"]);
    let message = &notice.element;
    assert_eq!(message.attr("type"), Some("chat"));
    assert_eq!(message.attr("from"), Some("bot@gate.example.org"));
    assert!(message.attr("id").is_some_and(|id| id.len() == 16));
    assert!(message.has_child("request", "urn:xmpp:receipts"));
    assert!(message.has_child("unstyled", "urn:xmpp:styling:0"));
    assert!(message.has_child("store", "urn:xmpp:hints"));
    // The next one refers to the first.
    tower.bot.pass(601);
    tower.fail("alice@example.org", "203.0.113.7", 5).await;
    let all = tower.told(true);
    assert!(
        all[0].text.contains("(20 minutes)")
            && all[0]
                .text
                .contains("Banned 2 times in all; the ban before, #1, ended 2026-11-22 04:10 UTC."),
        "{}",
        all[0].text
    );
}

#[tokio::test(start_paused = true)]
async fn by_default_admins_get_important_notices_and_moderators_none() {
    let mut tower = Tower::new();
    tower.fail("alice@example.org", "203.0.113.7", 5).await;
    assert_eq!(tower.told(true).len(), 0, "a single guesser is no news");
    for network in 0..10 {
        let address = format!("198.{network}.1.1");
        tower.fail("alice@example.org", &address, 1).await;
    }
    let guard = only(tower.told(true));
    assert!(
        guard
            .text
            .starts_with("alice@example.org is UNDER ATTACK: its guard #2 is up until "),
        "{}",
        guard.text
    );
    tower.bot.chat(MODERATOR, "watch unbans orders").await;
    tower.bot.chat(ADMIN, "ban eve@example.org 1d spam").await;
    let order = only(tower.told(true));
    assert_eq!(order.to, "mod@example.org", "who did it is not told");
    assert!(order.text.starts_with("Banned #3 eve@example.org until 2026-11-23 04:00 UTC (1 day): spam.\nBy admin@example.org (chat).\nIt was never banned before.\nunban #3"), "{}", order.text);
    tower.bot.chat(MODERATOR, "unban #3 sorry").await;
    let undone = only(tower.told(true));
    assert_eq!(undone.to, "admin@example.org");
    assert!(
        undone
            .text
            .starts_with("Un-banned #3 eve@example.org.\nBy mod@example.org (chat)."),
        "{}",
        undone.text
    );
    assert!(
        undone
            .quick
            .contains(&"ban #3 until 2026-11-23T04:00:00Z \"spam\"".to_owned()),
        "{:?}",
        undone.quick
    );
    tower.bot.chat(ADMIN, "allow 198.51.100.0/24 office").await;
    let allowed = only(tower.told(true));
    assert!(
        allowed
            .text
            .starts_with("Exempt from bans: 198.51.100.0/24 forever: office."),
        "{}",
        allowed.text
    );
    assert_eq!(
        allowed.quick,
        ["show 198.51.100.0/24"],
        "not what a moderator may not do"
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_a_few_notices_and_then_one_line() {
    let mut tower = Tower::new();
    tower.bot.chat(ADMIN, "watch bans").await;
    for network in 0..3 {
        for host in 1..15 {
            let address = format!("198.51.{network}.{host}");
            tower
                .fail(&format!("u{host}@example.org"), &address, 5)
                .await;
        }
    }
    let all = tower.told(true);
    assert_eq!(all.len(), 3, "the first ones at once");
    assert_eq!(tower.told(true).len(), 0);
    tower.bot.pass(599);
    assert_eq!(tower.told(true).len(), 0);
    tower.bot.pass(1);
    let sum = only(tower.told(true));
    let bans = tower
        .bot
        .world
        .engine
        .read(|ledger| ledger.bans().newest_first().count());
    assert_eq!(
        sum.text,
        format!(
            "{} more bans by the rule pair-failures from 3 networks in 10 minutes: list rule:pair-failures",
            bans - 3
        )
    );
    assert!(sum.quick.is_empty());
    tower.bot.pass(1_200);
    tower.fail("x@example.org", "192.0.2.1", 5).await;
    assert_eq!(only(tower.told(true)).quick.len(), 3, "quiet again");
}

#[tokio::test(start_paused = true)]
async fn undeliverable_notices_wait_and_are_not_lost() {
    let mut tower = Tower::new();
    tower.bot.chat(ADMIN, "watch bans quiet 3-5").await;
    tower.fail("a@example.org", "203.0.113.7", 5).await;
    assert_eq!(tower.told(true).len(), 0, "it is four in the morning");
    tower.bot.pass(3_600);
    assert!(
        only(tower.told(true)).text.contains("\nBanned #1"),
        "five o'clock"
    );
    tower.fail("b@example.org", "203.0.113.8", 5).await;
    assert_eq!(tower.told(false).len(), 0, "there is no link");
    assert!(only(tower.told(true)).text.starts_with("Banned #2"));
    tower.bot.chat(ADMIN, "watch off").await;
    tower.fail("c@example.org", "203.0.113.9", 5).await;
    tower.bot.pass(86_400);
    assert_eq!(tower.told(true).len(), 0);
}

/// Otherwise the task that sends them asks again at once, for as long as the link is down.
#[tokio::test(start_paused = true)]
async fn what_is_due_and_cannot_be_sent_is_no_reason_to_ask_at_once() {
    let mut tower = Tower::new();
    tower.bot.chat(ADMIN, "watch bans").await;
    for host in 1..6 {
        let (account, address) = (format!("u{host}@example.org"), format!("198.51.{host}.1"));
        tower.fail(&account, &address, 5).await;
    }
    assert_eq!(tower.told(true).len(), 3);
    tower.bot.pass(601);
    assert_eq!(tower.bot.notices.due(false, false).1, None);
    assert_eq!(tower.told(true).len(), 1, "the sum of the others");
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_is_not_filled_and_a_sign_of_life_brings_the_rest() {
    let mut tower = Tower::new();
    tower.bot.chat(ADMIN, "watch bans").await;
    let mut told = 0;
    for n in 0..60 {
        tower
            .fail(&format!("u{n}@example.org"), &format!("198.{n}.1.1"), 5)
            .await;
        told += tower.told(true).len();
        tower.bot.pass(600);
        told += tower.told(true).len();
    }
    assert_eq!(told, 20);
    let receipt = "<message type='chat' from='admin@example.org/desk' to='bot@gate.example.org'><received xmlns='urn:xmpp:receipts' id='1'/></message>";
    assert_eq!(tower.bot.all(receipt).await.len(), 0);
    let rest = tower.told(true);
    assert!(
        rest.iter()
            .any(|one| one.text.contains("37 more bans by the rule pair-failures")),
        "{:?}",
        rest.iter().map(|one| &one.text).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn dry_run_work_records_rights_outages_and_rooms_have_notices() {
    let mut tower = Tower::new();
    tower.bot.chat(ADMIN, "watch all").await;
    let mut policy = Policy::clone(&tower.bot.world.engine.policy());
    let rules = std::sync::Arc::make_mut(&mut policy.rules);
    rules.table.retain(|rule| rule.name == "address-failures");
    rules.table[0].dry_run = true;
    tower.bot.world.engine.set_policy(policy);
    tower.bot.chat(ADMIN, "attempt 203.0.113.9 5").await;
    let dry = only(tower.told(true));
    assert!(
        dry.text
            .starts_with("Dry run of address-failures: 203.0.113.9 would be banned until"),
        "{}",
        dry.text
    );
    assert_eq!(dry.quick, ["show 203.0.113.9", "ban 203.0.113.9 1d"]);
    let world = &tower.bot.world;
    let tell = |news| world.news.announce(news, world.engine.now());
    let account = Subject::parse("eve@example.org")
        .unwrap()
        .account()
        .cloned()
        .unwrap();
    tell(News::Found(Finding {
        account,
        ban: None,
        found: RecordState::Forged,
    }));
    tell(News::Rights {
        before: 2,
        now: 1,
        lost: vec![Gap {
            what: "no hook module answers".into(),
            effect: "logins are not asked about".into(),
            remedy: String::new(),
        }],
        back: Vec::new(),
    });
    tell(News::Room {
        room: "ops@rooms.example.org".into(),
        why: Some("it is members-only".into()),
    });
    let texts: Vec<String> = tower.told(true).into_iter().map(|one| one.text).collect();
    assert!(
        texts[0].starts_with("The ban record of eve@example.org on the server had been forged"),
        "{texts:?}"
    );
    assert!(texts[1].starts_with("The server lets portcullis do LESS than before: level 1 instead of 2.\nNo hook module answers."), "{texts:?}");
    assert_eq!(
        texts[2],
        "The room ops@rooms.example.org cannot be joined: It is members-only.\nstatus"
    );
}

#[tokio::test(start_paused = true)]
async fn stuck_work_has_one_notice_and_its_completion_another() {
    let mut tower = Tower::new();
    let server = std::sync::Arc::clone(&tower.bot.world.server);
    server.failures.store(7, Ordering::SeqCst);
    tower.bot.chat(ADMIN, "ban eve@example.org 1d spam").await;
    for second in 0..400 {
        tower.bot.pass(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        if second == 20 {
            assert_eq!(tower.told(true).len(), 0, "not yet");
        }
    }
    let all = tower.told(true);
    let texts: Vec<_> = all.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts[0].contains("\nThe ban #1 of eve@example.org is NOT carried out on the server after 5 tries, since 2026-11-22 04:00 UTC; I keep trying. The server said no.\nshow eve@example.org\nstatus"), "{texts:#?}");
    assert!(texts[1].contains("\nCarried out at last"), "{texts:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_has_a_notice_once_it_is_over() {
    let mut tower = Tower::new();
    let stop = tokio_util::sync::CancellationToken::new();
    let watching = tokio::spawn({
        let whole = tower.bot.world.whole.clone();
        let server = std::sync::Arc::clone(whole.delivery.server());
        portcullis::news::watch_the_server(server, whole.engine, whole.news, stop.clone())
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    tower.bot.world.server.set_linked(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    tower.bot.pass(125);
    assert_eq!(tower.told(false).len(), 0);
    tower.bot.world.server.set_linked(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let outage = only(tower.told(true));
    assert!(outage.text.starts_with("The link to the server was down for 2 minutes 5 seconds, from 2026-11-22 04:00 UTC to 2026-11-22 04:02:05 UTC."), "{}", outage.text);
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn decisions_just_before_a_stop_have_notices_after_the_start() {
    let tower = Tower::new();
    tower.bot.chat(ADMIN, "ban eve@example.org 1d spam").await;
    let store = std::sync::Arc::clone(&tower.bot.world.store);
    // Everything was folded and saved, so nothing is sent again.
    let again = World::on(store, FakeServer::new(true), START);
    let mut hearing = again.news.listen().unwrap();
    assert!(hearing.now().is_none());
    // A decision that reached the log but nobody else, because the program was killed.
    let store = std::sync::Arc::new(crate::support::MemoryStore::new());
    let killed = Event::decided(
        EventId([1; 16]),
        Timestamp::from_millis(START),
        Actor::rules(),
        Subject::parse("guard of alice@example.org").unwrap(),
        Seq(0),
        Change::Ban(BanChange::ImposedByRule {
            reason: String::new(),
            until: Timestamp::from_millis(START + 60_000),
            ordinal: 1,
        }),
    )
    .with_origin(Origin::Automatic {
        rule: "account-networks".into(),
    });
    store.append(&[killed]).await.unwrap();
    let again = World::on(store, FakeServer::new(true), START + 1_000);
    let mut hearing = again.news.listen().unwrap();
    let told = hearing.now().unwrap();
    assert_eq!(told.news.topic(), Some(Topic::Guards));
    assert!(hearing.now().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_comes_back_is_counted_where_an_admin_looks() {
    let mut tower = Tower::new();
    tower.bot.chat(ADMIN, "watch all").await;
    let status = tower.bot.chat(ADMIN, "status").await;
    assert!(!status.contains("Came back unread"), "{status}");
    tower.fail("alice@example.org", "203.0.113.7", 5).await;
    let notice = only(tower.told(true));
    let id = notice.element.attr("id").unwrap();
    let back = |from: &str, id: &str| {
        format!(
            "<message type='error' id='{id}' from='{from}' to='bot@gate.example.org'><body>x</body><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
    };
    // A receipt for a message that we did not send, or not to this person, is ignored.
    for (from, id) in [("admin@example.org", "other"), ("eve@evil.example", id)] {
        assert!(tower.bot.all(&back(from, id)).await.is_empty());
    }
    let status = tower.bot.chat(ADMIN, "status").await;
    assert!(!status.contains("Came back unread"), "{status}");
    assert!(
        tower
            .bot
            .all(&back("admin@example.org", id))
            .await
            .is_empty()
    );
    let status = tower.bot.chat(ADMIN, "status").await;
    assert!(
        status.contains(
            "Came back unread: 1 message, the last for admin@example.org at 2026-11-22 04:00 UTC"
        ),
        "{status}"
    );
}
