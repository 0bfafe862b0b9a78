//! The bot and everything behind it, without a real store and a real server.

#[path = "../../tests/it/support/memory.rs"]
#[allow(dead_code, reason = "this target tells the store neither to fail nor to wait")]
mod memory;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use memory::MemoryStore;
use futures::future::BoxFuture;
use portcullis::core::{Account, Ban, Policy, Rights, Role, Subject, Timestamp};
use portcullis::command::Context;
use portcullis::front::{self, Notices, Roles, Router};
use portcullis::engine::Engine;
use portcullis::gate::Gate;
use portcullis::engine::clock::Clock;
use portcullis::delivery::ports::{Held, Enforcer, Enforcement, Undone};
use portcullis::gate::Storage;
use portcullis::xmpp::stanza::{StanzaKind, Received};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::{BareJid, Jid};

/// After this many bans the bot is replaced by a new one.
const MOST_BANS: usize = 500;

struct Obedient(watch::Sender<Arc<Enforcement>>);

impl Enforcer for Obedient {
    fn enforce<'a>(&'a self, _: &'a Ban) -> BoxFuture<'a, Result<Held, Undone>> {
        async { Ok(Held::Enforced) }.boxed()
    }
    fn release<'a>(&'a self, _: &'a Subject) -> BoxFuture<'a, Result<(), Undone>> {
        async { Ok(()) }.boxed()
    }
    fn kick<'a>(&'a self, _: &'a Subject, _: &'a str) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async { Ok(None) }.boxed()
    }
    fn end_session<'a>(
        &'a self,
        _: &'a Account,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async { Ok(None) }.boxed()
    }

    fn exists<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Option<bool>> {
        async { Some(true) }.boxed()
    }
    fn addresses<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Vec<IpAddr>> {
        async { Vec::new() }.boxed()
    }
    fn standing(&self) -> watch::Receiver<Arc<Enforcement>> {
        self.0.subscribe()
    }
}

struct Bot {
    router: Arc<Router>,
    gate: Arc<Engine>,
    stop: CancellationToken,
}

fn bot() -> Bot {
    let standing = Enforcement { linked: true, probed: true, level: 1, ..Enforcement::default() };
    let store = Arc::new(MemoryStore::new());
    let policy = Policy::default();
    let server = Arc::new(Obedient(watch::Sender::new(Arc::new(standing))));
    let clock = Clock::from_fn(|| Timestamp::from_millis(1_795_320_000_000));
    let gate = Gate::open(Storage::of(&store), server, clock, policy).expect("an empty store opens");
    let stop = CancellationToken::new();
    tokio::spawn({
        let (gate, stop) = (Arc::clone(&gate.engine), stop.clone());
        async move { gate.follow(stop).await }
    });
    tokio::spawn(Arc::clone(&gate.delivery).carry_out(stop.clone()));
    let context = Context::new(&gate, gate.engine.now());
    let admin = Account::from_jid(&Jid::new("admin@example.org").expect("a JID")).expect("an account");
    let domain = BareJid::new("portcullis.example.org").expect("a domain");
    let bot = front::Bot::new(domain, context, Roles::new([(admin, Rights::everywhere(Role::Admin))]));
    let notices = Notices::new(Arc::clone(&bot));
    Bot { router: Router::new(bot, notices), gate: gate.engine, stop }
}

/// Gives a stanza to the router and waits for the answers.
pub fn takes(received: &Received) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static BOT: OnceLock<std::sync::Mutex<Bot>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
    runtime.block_on(async {
        let mut here = BOT.get_or_init(|| std::sync::Mutex::new(bot())).lock().expect("no panic before");
        if here.gate.read(|ledger| ledger.bans().len()) > MOST_BANS {
            here.stop.cancel();
            *here = bot();
        }
        let answers = here.router.answer(received).await;
        if received.kind == StanzaKind::Iq && received.is_request() {
            assert_eq!(answers.len(), 1, "a request gets exactly one answer: {received:?}");
        }
    });
}
