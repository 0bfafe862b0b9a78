#![allow(clippy::unwrap_used)]
use super::*;
use futures::FutureExt;
use minidom::Element;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;

fn wire(most: usize) -> (Wire, mpsc::UnboundedReceiver<Outgoing>) {
    let (wire, waiting) = Wire::new(BareJid::new("bot.example").unwrap(), most);
    wire.open();
    (wire, waiting)
}

/// [`Wire::send`], where it need not wait.
fn try_send(wire: &Wire, stanza: Stanza) -> Result<(), Unsent> {
    wire.send(stanza).now_or_never().unwrap()
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn message(to: Option<&str>, body: &str) -> Stanza {
    Message::chat(to.map(jid))
        .with_body(xmpp_parsers::message::Lang::default(), body.to_owned())
        .into()
}

fn written(waiting: &mut mpsc::UnboundedReceiver<Outgoing>) -> String {
    String::from_utf8(waiting.try_recv().unwrap().bytes).unwrap()
}

#[test]
fn a_missing_from_becomes_our_domain_and_the_namespace_is_not_repeated() {
    let (wire, mut waiting) = wire(1_000);
    try_send(&wire, message(Some("a@b"), "x")).unwrap();
    let text = written(&mut waiting);
    assert!(text.contains("from='bot.example'"), "{text}");
    assert!(text.contains("<body>x</body>"), "{text}");
    assert!(!text.contains("xmlns"), "{text}");
}

#[test]
fn words_for_people_say_their_language_and_nothing_else_does() {
    let (wire, mut waiting) = wire(1_000);
    try_send(&wire, message(Some("a@b.example"), "hi")).unwrap();
    let text = written(&mut waiting);
    assert!(text.starts_with("<message xml:lang='en' "), "{text}");
    let mut presence = Presence::available().with_to(jid("a@b.example"));
    presence.statuses.insert("".into(), "Write help".into());
    try_send(&wire, Stanza::Presence(presence.clone())).unwrap();
    let text = written(&mut waiting);
    assert!(text.starts_with("<presence xml:lang='en' "), "{text}");
    presence.statuses.clear();
    try_send(&wire, Stanza::Presence(presence)).unwrap();
    assert!(!written(&mut waiting).contains("lang"));
    let receipt = Message::new(Some(jid("a@b.example")));
    try_send(&wire, Stanza::Message(receipt)).unwrap();
    assert!(!written(&mut waiting).contains("lang"));
}

#[test]
fn payloads_keep_their_namespaces() {
    let (wire, mut waiting) = wire(1_000);
    let payload: Element = "<a xmlns='u'><b xmlns='jabber:component:accept'/></a>"
        .parse()
        .unwrap();
    try_send(
        &wire,
        Stanza::Iq(Iq::Get {
            from: None,
            to: Some(jid("a@b/c")),
            id: "1".into(),
            payload,
        }),
    )
    .unwrap();
    let text = written(&mut waiting);
    let framed = text.replacen("<iq", "<iq xmlns='jabber:component:accept'", 1);
    let back: Element = framed.parse().unwrap();
    let child = back.get_child("a", "u").unwrap();
    assert!(child.has_child("b", NS_COMPONENT), "{text}");
}

#[test]
fn what_would_cost_the_connection_is_refused() {
    let (wire, mut waiting) = wire(1_000);
    assert_eq!(try_send(&wire, message(None, "x")), Err(Unsent::NoTo));
    let mut presence = Presence::available();
    presence.to = Some(jid("a@b"));
    presence.from = Some(jid("bot@example"));
    assert_eq!(
        try_send(&wire, presence.into()),
        Err(Unsent::ForeignFrom(jid("bot@example")))
    );
    assert!(matches!(
        try_send(&wire, message(Some("a@b"), &"x".repeat(1_000))),
        Err(Unsent::TooLarge { most: 1_000, .. })
    ));
    assert!(matches!(
        try_send(&wire, message(Some("a@b"), "\u{0}")),
        Err(Unsent::NotXml(_))
    ));
    assert!(matches!(
        try_send(&wire, message(Some("a@b"), "\u{ffff}")),
        Err(Unsent::NotXml(_))
    ));
    assert!(waiting.try_recv().is_err());
}

#[test]
fn any_address_below_our_domain_may_send() {
    let (wire, mut waiting) = wire(1_000);
    let mut presence = Presence::available();
    presence.to = Some(jid("a@b"));
    presence.from = Some(jid("guard@bot.example/x"));
    try_send(&wire, presence.into()).unwrap();
    assert!(written(&mut waiting).contains("from='guard@bot.example/x'"));
}

#[test]
fn an_answer_that_cannot_be_sent_becomes_an_error_answer() {
    let (wire, mut waiting) = wire(1_000);
    for (text, condition) in [
        ("x".repeat(1_000), "resource-constraint"),
        ("\u{1}".into(), "internal-server-error"),
    ] {
        let mut payload = Element::bare("a", "u");
        payload.append_text(text);
        let answer = Iq::Result {
            from: None,
            to: Some(jid("a@b/c")),
            id: "7".into(),
            payload: Some(payload),
        };
        assert!(try_send(&wire, answer.into()).is_err());
        let text = written(&mut waiting);
        assert!(
            text.contains("type='error'") && text.contains("id='7'") && text.contains(condition),
            "{text}"
        );
        assert!(
            text.contains("from='bot.example'") && text.contains("to='a@b/c'"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn nothing_is_sent_while_the_link_is_down() {
    let (wire, _waiting) = wire(1_000);
    wire.close(Some("cut".into()));
    assert_eq!(
        wire.send(message(Some("a@b"), "x")).await,
        Err(Unsent::Down)
    );
    assert_eq!(wire.trouble().as_deref(), Some("cut"));
    assert!(!wire.is_up());
}

#[tokio::test]
async fn the_queue_is_bounded_and_a_waiting_sender_learns_of_the_loss() {
    let (wire, mut waiting) = wire(300_000);
    let large = || message(Some("a@b"), &"x".repeat(262_000));
    let mut sent = 0;
    while wire.send(large()).now_or_never().is_some() {
        sent += 1;
        assert!(sent < 100, "the queue has no bound");
    }
    let sender = tokio::spawn({
        let (wire, large) = (wire.clone(), large());
        async move { wire.send(large).await }
    });
    tokio::task::yield_now().await;
    wire.close(None);
    assert_eq!(sender.await.unwrap(), Err(Unsent::Down));
    while waiting.try_recv().is_ok() {}
    wire.open();
    wire.send(large()).await.unwrap();
}
