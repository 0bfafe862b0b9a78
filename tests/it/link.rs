//! The link against a scripted server.

use std::time::Duration;

use minidom::Element;
use portcullis::xmpp::guard::{STANZA_BYTES, STRANGER_BYTES, Sender, Trust};
use portcullis::xmpp::iq::{Asker, IqRequest, Routed, Unanswered, Verb};
use portcullis::xmpp::link::{
    Cause, Fatal, INCOMING, INCOMING_BYTES, Incoming, Link, Settings, Tls,
};
use portcullis::xmpp::stanza::{Received, StanzaKind};
use portcullis::xmpp::wire::{Unsent, Wire};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::message::{Lang, Message};

use crate::support::scripted::{DOMAIN, Heard, PIPE, Peer, Scripted, settings};

struct Scene {
    server: Scripted,
    wire: Wire,
    incoming: mpsc::Receiver<Incoming>,
    shutdown: CancellationToken,
    run: JoinHandle<Result<(), Fatal>>,
}

fn scene() -> Scene {
    scene_with(settings())
}

fn scene_with(settings: Settings) -> Scene {
    let (server, dial) = Scripted::pipes();
    let (link, wire, incoming) = Link::over(settings, dial);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(link.run(shutdown.clone()));
    Scene {
        server,
        wire,
        incoming,
        shutdown,
        run,
    }
}

impl Scene {
    /// Waits until the link is up on both sides.
    async fn up(&mut self) -> Peer {
        let peer = self.server.admit().await;
        assert!(matches!(self.next().await, Incoming::Up));
        peer
    }

    async fn next(&mut self) -> Incoming {
        timeout(Duration::from_secs(3600), self.incoming.recv())
            .await
            .expect("nothing came in")
            .expect("the link ended")
    }

    async fn stanza(&mut self) -> Received {
        loop {
            match self.next().await {
                Incoming::Stanza(received, _) => return received,
                Incoming::Unreadable { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn down(&mut self) -> Cause {
        match self.next().await {
            Incoming::Down { why } => why,
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that the link works: a stanza sent now arrives next.
    async fn check_alive(&mut self, peer: &mut Peer) {
        peer.say("<message from='alice@example.org/x' to='portcullis.example.org'><body>still there</body></message>").await;
        let received = self.stanza().await;
        assert_eq!(received.kind, StanzaKind::Message);
        assert_eq!(received.payload().unwrap().text(), "still there");
    }
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn message(body: &str) -> tokio_xmpp::Stanza {
    Message::chat(jid("alice@example.org/x"))
        .with_body(Lang::default(), body.to_owned())
        .into()
}

fn condition(iq: &Element) -> String {
    let error = iq
        .get_child("error", "jabber:component:accept")
        .expect("no error in the answer");
    error.children().next().unwrap().name().to_owned()
}

#[tokio::test(start_paused = true)]
async fn stanzas_pass_both_ways_after_the_handshake() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    assert!(scene.wire.is_up());
    scene.check_alive(&mut peer).await;
    scene.wire.send(message("hello")).await.unwrap();
    let element = peer.element().await;
    assert_eq!(element.attr("from"), Some(DOMAIN));
    assert_eq!(element.attr("to"), Some("alice@example.org/x"));
    let tally = scene.wire.tally();
    assert_eq!((tally.received, tally.sent, tally.sessions), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_grant_in_the_same_packet_as_the_handshake_is_not_lost() {
    let mut scene = scene();
    let mut peer = scene.server.accept().await;
    peer.greet().await;
    peer.say("<handshake/><message from='example.org' to='portcullis.example.org'><privilege xmlns='urn:xmpp:privilege:2'/></message>").await;
    assert!(matches!(scene.next().await, Incoming::Up));
    assert!(
        scene
            .stanza()
            .await
            .payload()
            .unwrap()
            .is("privilege", "urn:xmpp:privilege:2")
    );
}

#[tokio::test(start_paused = true)]
async fn no_hostile_stanza_costs_the_link() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let nested = format!(
        "<x xmlns='u:x'>{}{}</x>",
        "<a>".repeat(4_000),
        "</a>".repeat(4_000)
    );
    assert!(nested.len() > 28_000);
    let bodies = [
        (nested, "not-acceptable"),
        (
            format!("<x xmlns='u:x' y='{}'/>", "z".repeat(20_000)),
            "not-acceptable",
        ),
        (
            format!("<x xmlns='u:x'>{}</x>", "z".repeat(3_000_000)),
            "policy-violation",
        ),
        (
            format!("<x xmlns='u:x'>{}</x>", "<a/>".repeat(10_000)),
            "not-acceptable",
        ),
        (
            format!(
                "<x xmlns='u:x'{}/>",
                (0..100).map(|n| format!(" a{n}='1'")).collect::<String>()
            ),
            "not-acceptable",
        ),
        ("<x xmlns='u:x'>&nosuch;</x>".to_owned(), "bad-request"),
        ("<x xmlns='u:x'></y>".to_owned(), "bad-request"),
        ("<p:x/>".to_owned(), "bad-request"),
        ("<x/><y/>".to_owned(), "bad-request"),
        (String::new(), "bad-request"),
    ];
    for (body, expected) in &bodies {
        let from = "from='eve@example.org/x' to='bot@portcullis.example.org'";
        peer.say(&format!("<iq {from} type='set' id='i&amp;1'>{body}</iq>"))
            .await;
        let answer = peer.element().await;
        assert_eq!(answer.attr("id"), Some("i&1"));
        assert_eq!(answer.attr("to"), Some("eve@example.org/x"));
        assert_eq!(answer.attr("from"), Some("bot@portcullis.example.org"));
        assert_eq!(condition(&answer), *expected, "{:.60}", body);
        scene.check_alive(&mut peer).await;
    }
    let from = "from='eve@example.org/x' to='portcullis.example.org'";
    for (body, _) in &bodies[..7] {
        // Neither answers nor messages get an answer: the next stanza is the answer to the marker.
        peer.say(&format!(
            "<iq {from} type='result' id='1'>{body}</iq><iq {from} type='error' id='2'>{body}</iq>"
        ))
        .await;
        peer.say(&format!(
            "<message {from}>{body}</message><presence {from}>{body}</presence>"
        ))
        .await;
        peer.say(&format!("<iq {from} type='get' id='marker'/>"))
            .await;
        assert_eq!(peer.element().await.attr("id"), Some("marker"));
        scene.check_alive(&mut peer).await;
    }
    peer.say("stray text \0 &&; ]]> ").await;
    scene.check_alive(&mut peer).await;
    assert_eq!(scene.wire.tally().refused, 17);
    assert_eq!(scene.wire.tally().dropped, 28);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_answered_is_dropped_and_counted() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    peer.say("<iq from='@' to='portcullis.example.org' type='get' id='1'><x/></iq>")
        .await;
    peer.say("<iq from='a@b' to='portcullis.example.org' type='get'><x/></iq>")
        .await;
    peer.say("<message from='a@b' to='@'/><other xmlns='u'/><stream:features/>")
        .await;
    // Stanzas with a malformed address still get an answer, from our domain.
    peer.say("<iq from='a@b' to='@' type='get' id='2'><x/></iq><iq from='a@b' to='else.where' type='got' id='3'><x/></iq>").await;
    let answer = peer.element().await;
    assert_eq!(
        (answer.attr("from"), condition(&answer).as_str()),
        (Some(DOMAIN), "jid-malformed")
    );
    let answer = peer.element().await;
    assert_eq!(
        (answer.attr("from"), condition(&answer).as_str()),
        (Some(DOMAIN), "bad-request")
    );
    scene.check_alive(&mut peer).await;
    assert_eq!(
        (scene.wire.tally().dropped, scene.wire.tally().refused),
        (3, 2)
    );
}

/// What a user stores must not silence the questions about it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_an_answer_to_whoever_asked() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let asker = Asker::new(scene.wire.clone());
    let alice = jid("alice@example.org");
    let ask = || {
        let (asker, to) = (asker.clone(), alice.clone());
        tokio::spawn(async move {
            let limit = Duration::from_secs(600);
            let payload = Element::bare("query", "u");
            asker
                .ask(IqRequest::new(to, Verb::Get, payload, limit))
                .await
        })
    };
    let nested = "<a>".repeat(70) + &"</a>".repeat(70);
    let wide = "<a/>".repeat(10_000);
    let long = "x".repeat(STANZA_BYTES);
    for inside in [nested.as_str(), &wide, &long, "<x></y>", "&nbsp;"] {
        for type_ in ["result", "error"] {
            let question = ask();
            let asked = peer.element().await;
            let id = asked.attr("id").unwrap();
            // A guess of somebody else is no answer.
            for from in [
                "mallory@example.org",
                "alice@example.org/x",
                "alice@example.org",
            ] {
                peer.say(&format!(
                    "<iq from='{from}' to='portcullis.example.org' type='{type_}' id='{id}'>{inside}</iq>"
                ))
                .await;
            }
            for from in [
                "mallory@example.org",
                "alice@example.org/x",
                "alice@example.org",
            ] {
                assert_eq!(asker.waiting(), 1, "{from}");
                match scene.next().await {
                    Incoming::Unreadable { from, id } => asker.unreadable(&from, &id),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(question.await.unwrap(), Err(Unanswered::Unreadable));
        }
    }
    scene.check_alive(&mut peer).await;
}

/// The link of these tests with one trusted sender, which answers `<check/>` at once.
fn wary_scene() -> Scene {
    let (server, dial) = Scripted::pipes();
    let (link, wire, incoming) = Link::over(settings(), dial);
    let link = link
        .trusting(Trust::new(|head| match head.from.as_deref() {
            Some("example.org/portcullis") => Sender::Module,
            Some("admin@example.org/x") => Sender::Known,
            _ => Sender::Stranger,
        }))
        .answering(|frame| {
            let is_check = frame.windows(6).any(|bytes| bytes == b"<check");
            is_check.then(|| b"<iq type='result' id='check' to='example.org/portcullis'/>".to_vec())
        });
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(link.run(shutdown.clone()));
    Scene {
        server,
        wire,
        incoming,
        shutdown,
        run,
    }
}

fn from(from: &str, inside: &str) -> String {
    format!("<iq from='{from}' to='{DOMAIN}' type='set' id='q'><x xmlns='u'>{inside}</x></iq>")
}

#[tokio::test(start_paused = true)]
async fn strangers_are_refused_what_is_large_before_it_is_parsed() {
    let mut scene = wary_scene();
    let mut peer = scene.up().await;
    let (small, large) = ("x".repeat(STRANGER_BYTES - 200), "x".repeat(STRANGER_BYTES));
    let (few, many) = ("<a/>".repeat(250), "<a/>".repeat(256));
    let huge = "x".repeat(STANZA_BYTES - 200);
    for inside in [&large, &many, &huge] {
        for stranger in [
            "eve@example.org/x",
            "evil.example/portcullis",
            "example.org",
        ] {
            peer.say(&from(stranger, inside)).await;
            let answer = peer.element().await;
            assert_eq!(answer.attr("to"), Some(stranger));
            let told = condition(&answer);
            assert!(
                told == "policy-violation" || told == "not-acceptable",
                "{told}"
            );
        }
        for known in ["example.org/portcullis", "admin@example.org/x"] {
            peer.say(&from(known, inside)).await;
            assert_eq!(scene.stanza().await.header.from.as_str(), known);
        }
    }
    // Only a module passes on what clients wrote, however long that is.
    let long = format!("<a b='{}'/>", "x".repeat(17_000));
    peer.say(&from("admin@example.org/x", &long)).await;
    assert_eq!(condition(&peer.element().await), "not-acceptable");
    peer.say(&from("example.org/portcullis", &long)).await;
    assert_eq!(
        scene.stanza().await.header.from.as_str(),
        "example.org/portcullis"
    );
    for inside in [&small, &few] {
        peer.say(&from("eve@example.org/x", inside)).await;
        assert_eq!(
            scene.stanza().await.header.from.as_str(),
            "eve@example.org/x"
        );
    }
    // The address of the trusted in another place helps nobody.
    for head in [
        format!("<iq a='example.org/portcullis' to='{DOMAIN}' type='set' id='q'>"),
        format!(
            "<iq from='eve@example.org/x' from='example.org/portcullis' to='{DOMAIN}' type='set' id='q'>"
        ),
    ] {
        peer.say(&format!("{head}<x xmlns='u'>{large}</x></iq>"))
            .await;
    }
    scene.check_alive(&mut peer).await;
    assert_eq!(scene.wire.tally().received, 6 + 1 + 2 + 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_what_came_behind_its_question() {
    for stranger in [
        from("eve@example.org/x", &"<a/>".repeat(20)),
        from("eve@example.org/x", &"&amp;".repeat(190)),
    ] {
        let mut scene = wary_scene();
        let mut peer = scene.up().await;
        // All of it is in the pipe before the link reads.
        let behind = PIPE / stranger.len() - 2;
        let check = "<iq from='example.org/portcullis' to='x' type='get' id='check'><check xmlns='u'/></iq>";
        peer.say(&(check.to_owned() + &stranger.repeat(behind)))
            .await;
        let answer = peer.element().await;
        assert_eq!(answer.attr("id"), Some("check"));
        let received = usize::try_from(scene.wire.tally().received).unwrap();
        assert!(
            received < behind / 2,
            "{received} of {behind} were parsed first"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_program_is_bounded_by_its_memory() {
    let mut scene = wary_scene();
    let mut peer = scene.up().await;
    let large = from("example.org/portcullis", &"<a b=''/>".repeat(8_000));
    let least = 8_000 * 500;
    let flood = tokio::spawn(async move {
        for _ in 0..20 {
            peer.say(&large).await;
        }
        peer
    });
    let mut taken = Vec::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let waiting = scene.incoming.len();
        assert!(waiting * least <= INCOMING_BYTES, "{waiting} wait");
        match scene.next().await {
            Incoming::Stanza(received, in_hand) => {
                taken.push(received);
                drop(in_hand);
            }
            other => panic!("{other:?}"),
        }
    }
    let mut peer = flood.await.unwrap();
    scene.check_alive(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn unknown_requests_are_left_to_the_router() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let asker = Asker::new(scene.wire.clone());
    peer.say("<iq from='a@b/c' to='portcullis.example.org' type='get' id='1'><query xmlns='urn:nobody'/></iq>").await;
    let received = scene.stanza().await;
    assert!(received.is_request());
    assert_eq!(asker.route(received.clone()), Routed::NotMine(received));
}

#[tokio::test(start_paused = true)]
async fn restricted_xml_ends_the_connection_but_not_the_link() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    peer.say("<!DOCTYPE x [<!ENTITY a 'b'>]>").await;
    assert!(matches!(scene.down().await, Cause::Stream { .. }));
    let mut peer = scene.up().await;
    scene.check_alive(&mut peer).await;
}

/// The server answers the first handshake with this stream error; returns the cause that the link reports.
async fn check_fatal_at_first(condition: &str) -> Cause {
    let scene = scene();
    let mut server = scene.server;
    let mut peer = server.accept().await;
    peer.greet().await;
    peer.bail(condition).await;
    scene.run.await.unwrap().unwrap_err().0
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_at_the_first_connect_ends_the_program_and_says_both_possibilities() {
    let cause = check_fatal_at_first("not-authorized").await;
    assert!(matches!(cause, Cause::WrongSecret { .. }));
    let text = cause.to_string();
    assert!(
        text.contains("component.secret") && text.contains("component.domain"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_host_or_a_wrong_port_at_the_first_connect_ends_the_program() {
    assert!(matches!(
        check_fatal_at_first("host-unknown").await,
        Cause::HostUnknown { .. }
    ));
    assert!(matches!(
        check_fatal_at_first("invalid-namespace").await,
        Cause::InvalidNamespace { .. }
    ));

    // Prosody reports an unknown name at once, with an empty stream id.
    let mut prosody = scene();
    let mut peer = prosody.server.accept().await;
    peer.hear().await;
    peer.say("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id=''>").await;
    peer.bail("host-unknown").await;
    assert!(matches!(
        prosody.run.await.unwrap(),
        Err(Fatal(Cause::HostUnknown { .. }))
    ));

    let mut clients = scene();
    let mut peer = clients.server.accept().await;
    peer.hear().await;
    peer.say("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'>").await;
    assert!(matches!(
        clients.run.await.unwrap(),
        Err(Fatal(Cause::InvalidNamespace { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn plain_tcp_to_another_machine_is_refused_before_a_byte_is_sent() {
    let mut settings = settings();
    settings.server = "192.0.2.1:5347".to_owned();
    let (link, _wire, _incoming) = Link::new(settings);
    let ended = link.run(CancellationToken::new()).await;
    assert!(
        matches!(ended, Err(Fatal(Cause::PlainRemote { .. }))),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn after_having_been_up_a_refused_secret_is_retried_slowly() {
    let mut scene = scene();
    let peer = scene.up().await;
    drop(peer);
    assert!(matches!(scene.down().await, Cause::Closed));
    let mut peer = scene.server.accept().await;
    peer.greet().await;
    let refused = Instant::now();
    peer.bail("not-authorized").await;
    scene.up().await;
    assert!(
        refused.elapsed() >= Duration::from_secs(30),
        "{:?}",
        refused.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_conflict_waits_long_and_longer_and_is_never_fatal() {
    let mut scene = scene();
    let mut last = Duration::ZERO;
    for _ in 0..3 {
        let mut peer = scene.server.accept().await;
        peer.greet().await;
        let start = Instant::now();
        peer.bail("conflict").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let trouble = scene.wire.trouble().unwrap();
        assert!(
            trouble.contains("connected already") && trouble.contains("because"),
            "{trouble}"
        );
        assert!(scene.wire.conflict().borrow().is_some());
        let mut peer = scene.server.accept().await;
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_secs(30) && waited > last,
            "{waited:?} after {last:?}"
        );
        last = waited;
        peer.greet().await;
        peer.bail("conflict").await;
    }
    scene.up().await;
    assert_eq!(scene.wire.trouble(), None);
}

/// With `kick_old` of Prosody two programs replace each other: each is connected for some time, then away for some time.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_taken_over_is_a_conflict_until_it_stays_for_a_minute() {
    let mut scene = scene();
    let conflict = scene.wire.conflict();
    for _ in 0..3 {
        let peer = scene.up().await;
        tokio::time::sleep(Duration::from_secs(40)).await;
        peer.bail("conflict").await;
        assert!(matches!(scene.down().await, Cause::Conflict { .. }));
        assert!(conflict.borrow().is_some());
    }
    let _peer = scene.up().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(conflict.borrow().is_some());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(conflict.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_restored_soon_and_fails_open_requests() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let asker = Asker::new(scene.wire.clone());
    let question = tokio::spawn(async move {
        let payload = Element::bare("query", "u");
        asker
            .ask(IqRequest::new(
                jid("example.org/x"),
                Verb::Get,
                payload,
                Duration::from_secs(600),
            ))
            .await
    });
    assert_eq!(peer.element().await.attr("type"), Some("get"));
    let cut = Instant::now();
    drop(peer);
    assert!(matches!(scene.down().await, Cause::Closed));
    assert_eq!(question.await.unwrap(), Err(Unanswered::LinkDown));
    assert_eq!(scene.wire.send(message("x")).await, Err(Unsent::Down));
    let mut peer = scene.up().await;
    assert!(
        cut.elapsed() <= Duration::from_millis(100),
        "{:?}",
        cut.elapsed()
    );
    scene.check_alive(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_meant_for_the_lost_connection_does_not_leave_on_the_next() {
    let mut scene = scene();
    let _peer = scene.up().await;
    // More than the pipe and one batch hold, so that some stay in the queue.
    for _ in 0..20 {
        scene
            .wire
            .send(message(&"x".repeat(PIPE / 4)))
            .await
            .unwrap();
    }
    drop(_peer);
    scene.down().await;
    let mut peer = scene.up().await;
    scene.wire.send(message("fresh")).await.unwrap();
    assert_eq!(
        peer.element().await.children().next().unwrap().text(),
        "fresh"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_tried_less_and_less_often_but_often_on_this_machine() {
    assert!((60..150).contains(&tries_in_ten_minutes("xmpp.example.org:5347").await));
    assert!((1_200..2_500).contains(&tries_in_ten_minutes("127.0.0.1:5347").await));
}

async fn tries_in_ten_minutes(address: &str) -> usize {
    let (mut server, dial) = Scripted::pipes();
    let settings = Settings {
        server: address.into(),
        ..settings()
    };
    let (link, wire, _incoming) = Link::over(settings, dial);
    tokio::spawn(link.run(CancellationToken::new()));
    let start = Instant::now();
    let mut tries = 0;
    while start.elapsed() < Duration::from_secs(600) {
        drop(server.accept().await);
        tries += 1;
    }
    assert!(wire.trouble().is_some());
    tries
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_the_handshake_is_left() {
    let mut scene = scene();
    let mut peer = scene.server.accept().await;
    peer.hear().await;
    let start = Instant::now();
    assert_eq!(peer.hear().await, Heard::End);
    assert_eq!(start.elapsed().as_secs(), 20);
    scene.up().await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_by_our_ping_and_its_return_keeps_the_link() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    for _ in 0..3 {
        let start = Instant::now();
        let ping = peer.element().await;
        assert_eq!(start.elapsed().as_secs(), 60);
        assert!(ping.has_child("ping", "urn:xmpp:ping"));
        let to = ping.attr("to").unwrap();
        assert_eq!(ping.attr("from"), Some(to));
        assert!(
            to.starts_with("portcullis.example.org/"),
            "bare addresses are dropped by ejabberd 24.12: {to}"
        );
        // The server routes the ping to its receiver, which is us.
        peer.say(&String::from(&ping)).await;
    }
    // The program never sees the pings.
    scene.check_alive(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_for_our_ping_or_a_blank_is_a_sign_of_life_too() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let ping = peer.element().await;
    let to = ping.attr("to").unwrap();
    peer.say(&format!(
        "<iq from='{to}' to='{to}' type='error' id='ping'><error type='cancel'/></iq>"
    ))
    .await;
    peer.element().await;
    peer.say(" ").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    scene.check_alive(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_left_when_the_ping_is_not_answered() {
    let mut scene = scene();
    let _peer = scene.up().await;
    let start = Instant::now();
    assert!(matches!(scene.down().await, Cause::Silent(_)));
    assert_eq!(start.elapsed().as_secs(), 80);
    scene.up().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_is_left_while_reading_goes_on() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let start = Instant::now();
    for _ in 0..20 {
        scene
            .wire
            .send(message(&"x".repeat(PIPE / 4)))
            .await
            .unwrap();
    }
    // The writer is blocked now. Stanzas from the server still arrive, and bad ones are still refused or dropped.
    for _ in 0..200 {
        peer.say("<iq from='a@b' to='portcullis.example.org' type='get' id='1'/>")
            .await;
        scene.check_alive(&mut peer).await;
    }
    assert!(matches!(scene.down().await, Cause::Stuck(_)));
    assert_eq!(start.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_program_holds_the_reader_but_not_the_writer() {
    let mut scene = scene();
    let peer = scene.up().await;
    let (mut reading, mut writing) = (peer, Vec::new());
    // Far more than the channel holds, and nobody reads it yet.
    let flood = "<presence from='a@b/c' to='portcullis.example.org'/>".repeat(600);
    reading.say(&flood).await;
    for n in 0..10 {
        scene.wire.send(message(&n.to_string())).await.unwrap();
        writing.push(reading.element().await);
    }
    assert_eq!(writing.len(), 10);
    // Even after minutes this does not count as a silent server.
    tokio::time::sleep(Duration::from_secs(300)).await;
    for _ in 0..600 {
        assert_eq!(scene.stanza().await.kind, StanzaKind::Presence);
    }
    scene.check_alive(&mut reading).await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_stanza_of_ours_is_refused_alone() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let mut foreign = Message::chat(jid("a@b"));
    foreign.from = Some(jid("admin@example.org"));
    assert_eq!(
        scene.wire.send(foreign.into()).await,
        Err(Unsent::ForeignFrom(jid("admin@example.org")))
    );
    assert_eq!(
        scene.wire.send(Message::chat(None::<Jid>).into()).await,
        Err(Unsent::NoTo)
    );
    assert!(matches!(
        scene.wire.send(message("\u{b}")).await,
        Err(Unsent::NotXml(_))
    ));
    assert!(matches!(
        scene.wire.send(message(&"x".repeat(STANZA_BYTES))).await,
        Err(Unsent::TooLarge { .. })
    ));
    scene.wire.send(message("fine")).await.unwrap();
    assert_eq!(
        peer.element().await.children().next().unwrap().text(),
        "fine"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_flushes_and_ends_the_stream() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    scene.wire.send(message("last words")).await.unwrap();
    scene.shutdown.cancel();
    assert_eq!(
        peer.element().await.children().next().unwrap().text(),
        "last words"
    );
    assert_eq!(peer.hear().await, Heard::Close);
    peer.say("</stream:stream>").await;
    scene.run.await.unwrap().unwrap();
    assert_eq!(
        scene.wire.send(message("too late")).await,
        Err(Unsent::Down)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_answer_to_what_was_taken_and_takes_nothing_more() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    let ask = |id: &str| {
        format!("<iq type='set' from='a@example.org/x' to='{DOMAIN}' id='{id}'><x xmlns='u'/></iq>")
    };
    peer.say(&ask("first")).await;
    let Incoming::Stanza(received, in_hand) = scene.next().await else {
        panic!("no stanza");
    };
    assert_eq!(received.header.id.as_deref(), Some("first"));
    scene.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    peer.say(&ask("second")).await;
    scene.wire.send(message("the answer")).await.unwrap();
    drop(in_hand);
    assert_eq!(
        peer.element().await.children().next().unwrap().text(),
        "the answer"
    );
    assert_eq!(peer.hear().await, Heard::Close);
    peer.say("</stream:stream>").await;
    scene.run.await.unwrap().unwrap();
    while let Ok(late) = scene.incoming.try_recv() {
        assert!(!matches!(late, Incoming::Stanza(..)), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewed_connection_is_closed_before_the_next_one_opens() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    tokio::task::yield_now().await;
    scene.wire.renew();
    assert!(matches!(peer.hear().await, Heard::Close));
    drop(peer);
    assert!(matches!(scene.down().await, Cause::Renewed));
    scene.up().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_server_that_says_nothing() {
    let mut scene = scene();
    let _peer = scene.up().await;
    let start = Instant::now();
    scene.shutdown.cancel();
    scene.run.await.unwrap().unwrap();
    assert!(
        start.elapsed() <= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_program_that_takes_nothing() {
    let mut scene = scene();
    let mut peer = scene.up().await;
    // As many as the channel holds, then the connection is cut: there is no room even for the news of that.
    peer.say(&"<presence from='a@b/c' to='portcullis.example.org'/>".repeat(INCOMING))
        .await;
    drop(peer);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!scene.wire.is_up());
    scene.shutdown.cancel();
    timeout(Duration::from_secs(2), scene.run)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn over_tcp_thousands_of_questions_are_answered_in_order() {
    let (mut server, address) = Scripted::tcp().await;
    let mut settings = settings();
    settings.server = address.to_string();
    let (link, wire, mut incoming) = Link::new(settings);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(link.run(shutdown.clone()));
    let answering = tokio::spawn(async move {
        while let Some(event) = incoming.recv().await {
            if let Incoming::Stanza(received, _) = event {
                wire.send(message(received.header.id.as_deref().unwrap()))
                    .await
                    .unwrap();
            }
        }
    });
    let mut peer = server.admit().await;
    for n in 0..40 {
        let batch: String = (n * 50..(n + 1) * 50)
            .map(|n| format!("<iq from='a@b/c' to='portcullis.example.org' type='get' id='{n}'><q xmlns='u'/></iq>"))
            .collect();
        peer.say(&batch).await;
    }
    for n in 0..2_000 {
        assert_eq!(
            peer.element().await.children().next().unwrap().text(),
            n.to_string()
        );
    }
    shutdown.cancel();
    assert_eq!(peer.hear().await, Heard::Close);
    drop(peer);
    run.await.unwrap().unwrap();
    answering.await.unwrap();
}

/// A TLS listener with a certificate for `xmpp.example.org`, and the file that an operator would set as
/// `tls_ca_file`.
struct TlsServer {
    listener: tokio::net::TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
    ca_file: tempfile::NamedTempFile,
}

impl TlsServer {
    /// `by_authority`: the file holds the authority that signed the certificate. Otherwise the certificate is its own
    /// authority and marked as one, as `openssl req -x509` makes it.
    async fn new(by_authority: bool) -> TlsServer {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        use tokio_rustls::rustls::{ServerConfig, crypto, pki_types::PrivateKeyDer};
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["xmpp.example.org".to_owned()]).unwrap();
        let (made, trusted) = if by_authority {
            let ca_key = KeyPair::generate().unwrap();
            let mut ca = CertificateParams::new(Vec::new()).unwrap();
            ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = ca.self_signed(&ca_key).unwrap().pem();
            (
                params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap(),
                pem,
            )
        } else {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let made = params.self_signed(&key).unwrap();
            let pem = made.pem();
            (made, pem)
        };
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), trusted).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        TlsServer {
            listener,
            acceptor,
            ca_file,
        }
    }

    /// Connects a link that trusts `ca_file`; `Err` is the cause of the failure.
    async fn check(&self, ca_file: &std::path::Path, name: Option<&str>) -> Result<(), String> {
        let mut settings = settings();
        settings.server = self.listener.local_addr().unwrap().to_string();
        settings.tls = Some(Tls {
            ca_file: Some(ca_file.to_owned()),
            name: name.map(str::to_owned),
        });
        let (link, wire, mut incoming) = Link::new(settings);
        let run = tokio::spawn(link.run(CancellationToken::new()));
        let tcp = self.listener.accept().await.unwrap().0;
        let outcome = match self.acceptor.accept(tcp).await {
            Ok(stream) => {
                let mut peer = Peer::new(stream);
                peer.greet().await;
                peer.say("<handshake/>").await;
                assert!(matches!(incoming.recv().await, Some(Incoming::Up)));
                Ok(())
            }
            Err(_) => loop {
                if let Some(trouble) = wire.trouble() {
                    break Err(trouble);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            },
        };
        run.abort();
        outcome
    }
}

#[tokio::test]
async fn direct_tls_verifies_the_name_against_the_given_authority() {
    let server = TlsServer::new(true).await;
    let other = TlsServer::new(true).await;
    let name = Some("xmpp.example.org");
    server.check(server.ca_file.path(), name).await.unwrap();
    for (ca_file, name) in [(&other.ca_file, name), (&server.ca_file, None)] {
        let trouble = server.check(ca_file.path(), name).await.unwrap_err();
        assert!(trouble.contains("component.tls_name"), "{trouble}");
    }
}

#[tokio::test]
async fn the_servers_very_certificate_in_the_ca_file_is_enough() {
    let server = TlsServer::new(false).await;
    let other = TlsServer::new(false).await;
    // The certificate is not for 127.0.0.1 and is marked as an authority. It is accepted because it is exactly the
    // one in the file.
    server.check(server.ca_file.path(), None).await.unwrap();
    server.check(other.ca_file.path(), None).await.unwrap_err();
}
