//! The bot and everything behind it, without a real store and a real server, for the targets that need it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use minidom::Element;
use portcullis::command::Context;
use portcullis::core::{Account, Ban, Ledger, Policy, Rights, Role, Seq, Subject, Timestamp};
use portcullis::delivery::ports::{Enforcement, Enforcer, Existence, Held, Undone};
use portcullis::engine::clock::Clock;
use portcullis::front::{self, Notices, Roles, Router};
use portcullis::gate::{Gate, Storage};
use portcullis::xmpp::stanza::{Header, NS_COMPONENT, Received, StanzaKind};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::{BareJid, Jid};

use super::through_guard;
use crate::support::MemoryStore;

const START: i64 = 1_795_320_000_000;
/// The only person with a role.
pub const ADMIN: &str = "admin@example.org";
const DOMAIN: &str = "portcullis.example.org";

/// A server that carries out everything.
struct Obedient(watch::Sender<Arc<Enforcement>>);

impl Enforcer for Obedient {
    fn enforce<'a>(&'a self, _: &'a Ban) -> BoxFuture<'a, Result<Held, Undone>> {
        async { Ok(Held::Enforced) }.boxed()
    }
    fn release<'a>(&'a self, _: &'a Subject) -> BoxFuture<'a, Result<(), Undone>> {
        async { Ok(()) }.boxed()
    }
    fn kick<'a>(
        &'a self,
        _: &'a Subject,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async { Ok(None) }.boxed()
    }
    fn end_session<'a>(
        &'a self,
        _: &'a Account,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async { Ok(None) }.boxed()
    }
    fn exists<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Existence> {
        async { Existence::Exists }.boxed()
    }
    fn addresses<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Vec<IpAddr>> {
        async { Vec::new() }.boxed()
    }
    fn standing(&self) -> watch::Receiver<Arc<Enforcement>> {
        self.0.subscribe()
    }
}

/// A bot with one admin and an empty store.
pub struct Bot {
    router: Arc<Router>,
    pub context: Context,
    time: Arc<AtomicI64>,
    stop: CancellationToken,
}

/// Runs `work` with a new bot, so that a finding depends on nothing but its input.
pub fn with<R>(work: impl AsyncFnOnce(&Bot) -> R) -> R {
    run(async {
        let bot = Bot::new();
        let result = work(&bot).await;
        bot.stop.cancel();
        result
    })
}

/// Runs a future. Its clock is paused, so that nothing waits for real.
pub fn run<R>(work: impl Future<Output = R>) -> R {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let new = || {
        Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
    };
    RUNTIME
        .get_or_init(|| new().expect("a runtime"))
        .block_on(work)
}

impl Bot {
    /// A new bot; must be called inside of [`run`].
    pub fn new() -> Bot {
        let standing = Enforcement {
            linked: true,
            probed: true,
            level: 1,
            ..Enforcement::default()
        };
        let store = Arc::new(MemoryStore::new());
        let server = Arc::new(Obedient(watch::Sender::new(Arc::new(standing))));
        let time = Arc::new(AtomicI64::new(START));
        let clock = {
            let time = Arc::clone(&time);
            Clock::from_fn(move || Timestamp::from_millis(time.load(Ordering::Relaxed)))
        };
        let gate = Gate::open(Storage::of(&store), server, clock, Policy::default())
            .expect("an empty store opens");
        let stop = CancellationToken::new();
        tokio::spawn({
            let (engine, stop) = (Arc::clone(&gate.engine), stop.clone());
            async move { engine.follow(stop).await }
        });
        tokio::spawn(Arc::clone(&gate.delivery).carry_out(stop.clone()));
        let context = Context::new(&gate, gate.engine.now());
        let admin = Account::from_plain(ADMIN).expect("an account");
        let domain = BareJid::new(DOMAIN).expect("a domain");
        let roles = Roles::new([(admin, Rights::everywhere(Role::Admin))]);
        let bot = front::Bot::new(domain, context.clone(), roles);
        let notices = Notices::new(Arc::clone(&bot));
        Bot {
            router: Router::new(bot, notices),
            context,
            time,
            stop,
        }
    }

    /// Gives a stanza to the router, a second after the last one, and returns the answers as elements. Every answer is
    /// one that our own guard passes, and a request gets exactly one.
    pub async fn answer(&self, received: &Received) -> Vec<Element> {
        self.time.fetch_add(1_000, Ordering::Relaxed);
        let answers = self.router.answer(received).await;
        let answers: Vec<Element> = answers.into_iter().map(sent).collect();
        if received.is_request() {
            assert_eq!(
                answers.len(),
                1,
                "a request gets exactly one answer: {received:?}"
            );
        }
        answers
    }

    /// Says a line to the bot and returns the texts of the answers.
    pub async fn says(&self, line: &str) -> Vec<String> {
        let mut body = Element::bare("body", NS_COMPONENT);
        body.append_text(line);
        let message = from_admin(StanzaKind::Message, "message", "chat", vec![body]);
        let answers = self.answer(&message).await;
        let bodies = answers
            .iter()
            .flat_map(|answer| answer.children().filter(|child| child.name() == "body"));
        bodies.map(Element::text).collect()
    }

    /// The position in the log: if it is the same, nothing was done.
    pub fn head(&self) -> Seq {
        self.context.engine.read(Ledger::folded)
    }
}

/// A stanza of the admin to the bot.
pub fn from_admin(kind: StanzaKind, name: &str, type_: &str, payload: Vec<Element>) -> Received {
    let mut element = Element::bare(name, NS_COMPONENT);
    for child in payload {
        element.append_child(child);
    }
    Received {
        kind,
        header: Header {
            from: Jid::new(&format!("{ADMIN}/desk")).expect("a JID"),
            to: match kind {
                StanzaKind::Message => Jid::new(&format!("bot@{DOMAIN}")).expect("a JID"),
                StanzaKind::Iq | StanzaKind::Presence => Jid::new(DOMAIN).expect("a JID"),
            },
            id: Some(String::from("q1")),
            type_: Some(type_.to_owned()),
            lang: None,
        },
        element,
    }
}

/// A stanza as it arrives at the other side.
fn sent(stanza: tokio_xmpp::Stanza) -> Element {
    let bytes = xso::to_vec(&stanza).expect("a stanza can be written");
    through_guard(&bytes);
    xso::from_bytes(&bytes).expect("what we write can be parsed")
}
