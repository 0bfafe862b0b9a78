#![allow(clippy::unwrap_used)]
use super::*;
use crate::xmpp::fake_wire::{self, OtherEnd, received};
use tokio::task::JoinHandle;

struct Scene {
    asker: Asker,
    wire: Wire,
    other: OtherEnd,
}

fn scene() -> Scene {
    let (wire, other) = fake_wire::up("bot.example");
    Scene {
        asker: Asker::new(wire.clone()),
        wire,
        other,
    }
}

fn question(to: impl AsRef<str>, seconds: u64) -> IqRequest {
    let (to, payload) = (Jid::new(to.as_ref()).unwrap(), Element::bare("q", "u"));
    IqRequest::new(to, Verb::Get, payload, Duration::from_secs(seconds))
}

impl Scene {
    /// Asks `to`; returns the task and the id that was sent.
    async fn ask(&mut self, to: &str) -> (JoinHandle<IqResult>, String) {
        let (asker, to) = (self.asker.clone(), to.to_owned());
        let task = tokio::spawn(async move { asker.ask(question(to, 5)).await });
        let sent = self.other.next().await.unwrap();
        (task, sent.header.id.unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_matched_by_id_and_sender() {
    let mut scene = scene();
    let (task, id) = scene.ask("Alice@Example.org").await;
    let answer = |from: &str, id: &str| {
        received(&format!(
            "<iq type='result' from='{from}' to='bot.example' id='{id}'><r xmlns='u'/></iq>"
        ))
    };
    assert_eq!(
        scene.asker.route(answer("eve@example.org", &id)),
        Routed::Stray
    );
    assert_eq!(
        scene.asker.route(answer("alice@example.org/phone", &id)),
        Routed::Stray
    );
    assert_eq!(
        scene.asker.route(answer("alice@example.org", "x")),
        Routed::Stray
    );
    assert_eq!(
        scene.asker.route(answer("alice@EXAMPLE.org", &id)),
        Routed::Delivered
    );
    assert!(task.await.unwrap().unwrap().has_child("r", "u"));
    assert_eq!(
        scene.asker.route(answer("alice@example.org", &id)),
        Routed::Stray,
        "answered twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stanza_error_is_told_with_condition_and_text() {
    let mut scene = scene();
    let (task, id) = scene.ask("a@b").await;
    let error = format!(
        "<iq type='error' from='a@b' to='bot.example' id='{id}'><q xmlns='u'/><error type='auth'>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    );
    scene.asker.route(received(&error));
    let refused = StanzaRefusal {
        condition: "forbidden".into(),
        text: Some("no".into()),
        is_wrapped: false,
    };
    assert_eq!(refused.to_string(), "forbidden: no");
    let fault = Unanswered::Refused(refused);
    assert_eq!(task.await.unwrap(), Err(fault));
}

#[tokio::test(start_paused = true)]
async fn an_error_without_an_error_child_is_handed_over_raw() {
    let mut scene = scene();
    let (task, id) = scene.ask("a@b").await;
    scene.asker.route(received(&format!(
        "<iq type='error' from='a@b' to='bot.example' id='{id}'><privilege xmlns='urn:xmpp:privilege:2'/></iq>"
    )));
    let reply = task.await.unwrap().unwrap();
    assert!(reply.has_child("privilege", NS_PRIVILEGE));
}

#[tokio::test(start_paused = true)]
async fn our_privileged_request_coming_back_is_an_echo_and_not_a_request() {
    // As ejabberd 24.12 sends it, and as it looks unwrapped.
    let wrapped = "<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'>\
        <iq xmlns='jabber:client' type='get' id='in7'/></forwarded></privilege>";
    for payload in [wrapped, "<privileged_iq xmlns='urn:xmpp:privilege:2'/>"] {
        let mut scene = scene();
        let (task, id) = scene.ask("a@b").await;
        let echo = |from: &str| {
            received(&format!(
                "<iq type='get' from='{from}' to='bot.example' id='{id}'>{payload}</iq>"
            ))
        };
        assert!(matches!(
            scene.asker.route(echo("eve@b")),
            Routed::NotMine(_)
        ));
        assert_eq!(scene.asker.route(echo("a@b")), Routed::Delivered);
        assert_eq!(task.await.unwrap(), Err(Unanswered::Echoed));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_and_messages_are_left_to_the_router() {
    let mut scene = scene();
    let (task, id) = scene.ask("a@b").await;
    let request = received(&format!(
        "<iq type='get' from='a@b' to='bot.example' id='{id}'><q xmlns='u'/></iq>"
    ));
    assert_eq!(scene.asker.route(request.clone()), Routed::NotMine(request));
    assert_eq!(
        scene.asker.waiting(),
        1,
        "a request must not consume the question"
    );
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_question_times_out_and_leaves_nothing_behind() {
    let mut scene = scene();
    let (task, _) = scene.ask("a@b").await;
    assert_eq!(task.await.unwrap(), Err(Unanswered::Silent));
    assert_eq!(scene.asker.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_question_given_up_leaves_nothing_behind() {
    let mut scene = scene();
    let (task, _) = scene.ask("a@b").await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(scene.asker.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn link_loss_ends_all_questions_at_once() {
    let mut scene = scene();
    let (first, _) = scene.ask("a@b").await;
    let (second, _) = scene.ask("c@d").await;
    let before = tokio::time::Instant::now();
    scene.wire.close(None);
    assert_eq!(first.await.unwrap(), Err(Unanswered::LinkDown));
    assert_eq!(second.await.unwrap(), Err(Unanswered::LinkDown));
    assert_eq!(before.elapsed(), Duration::ZERO);
    let ask = scene.asker.ask(question("a@b", 5));
    assert_eq!(ask.await, Err(Unanswered::LinkDown));
}

#[tokio::test(start_paused = true)]
async fn questions_in_flight_are_bounded() {
    let mut scene = scene();
    let mut tasks = Vec::new();
    for _ in 0..IN_FLIGHT {
        tasks.push(scene.ask("a@b").await);
    }
    let ask = |limit| scene.asker.ask(question("a@b", limit));
    assert_eq!(ask(1).await, Err(Unanswered::busy()));
    assert_eq!(scene.asker.waiting(), IN_FLIGHT);
    let ids: std::collections::HashSet<_> = tasks.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), IN_FLIGHT, "ids repeat");
}
