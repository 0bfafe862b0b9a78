//! The real program from the link to the ledger, with a store in memory, joined as `app.rs` joins it.

use std::sync::Arc;

use portcullis::command::Context;
use portcullis::core::seal::{KEY_BYTES, Keyring, generate_key_line};
use portcullis::core::{Account, Timestamp};
use portcullis::delivery::ports::Enforcer;
use portcullis::enforce::{Settings, Timeouts, XmppServer};
use portcullis::engine::clock::Clock;
use portcullis::front::hook::Hook;
use portcullis::front::router::ServerSide;
use portcullis::front::{Bot, Notices, Router, notices};
use portcullis::gate::{Gate, Storage};
use portcullis::news;
use portcullis::xmpp::iq::Asker;
use portcullis::xmpp::link::Link;
use portcullis::xmpp::secret::Secret;
use portcullis::xmpp::wire::Wire;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::BareJid;

use super::model::COOKIE;
use super::server::Server;
use crate::support::bot::roles;
use crate::support::scripted::{DOMAIN, settings};
use crate::support::{MemoryStore, START, policy};

/// One life of the program. Dropping it is a kill: nothing is finished or saved.
pub(super) struct Program {
    pub(super) gate: Gate,
    pub(super) host: Arc<XmppServer>,
    pub(super) asker: Asker,
    pub(super) wire: Wire,
    _tasks: JoinSet<()>,
}

impl Program {
    /// `begin` is when the simulation began; the wall clock of the program runs with tokio's. `has_cookie`: it knows the
    /// server's cookie.
    pub(super) fn start(
        server: &Server,
        store: &Arc<MemoryStore>,
        seed: u64,
        begin: Instant,
        has_cookie: bool,
    ) -> Program {
        let clock = Clock::from_fn(move || {
            let passed = i64::try_from(begin.elapsed().as_millis()).unwrap();
            Timestamp::from_millis(START + passed)
        });
        let (link, wire, incoming) = Link::over(settings(), server.dial(seed));
        let asker = Asker::new(wire.clone());
        let key = generate_key_line(&"k1".parse().unwrap(), &[1; KEY_BYTES]);
        let host = XmppServer::new(
            asker.clone(),
            Settings {
                component: BareJid::new(DOMAIN).unwrap(),
                admins: vec![Account::from_plain("admin@example.org").unwrap()],
                act_as: None,
                keyring: Keyring::parse(&key).unwrap(),
                cookie: has_cookie.then(|| Secret::new(COOKIE.into())),
                hook_hosts: Vec::new(),
                limits: Timeouts::default(),
            },
        );
        let enforcer = Arc::clone(&host) as Arc<dyn Enforcer>;
        let gate = Gate::open(Storage::of(store), enforcer, clock, policy()).unwrap();
        let context = Context::new(&gate, gate.engine.now());
        let bot = Bot::new(
            BareJid::new(DOMAIN).unwrap(),
            context,
            roles(&["admin@example.org", "watcher@example.org"], &[]),
        );
        let heard = Notices::new(Arc::clone(&bot));
        let hook = Hook::new(
            BareJid::new(DOMAIN).unwrap(),
            Arc::clone(&gate.engine),
            Arc::clone(&gate.admission),
            Arc::clone(&host),
            [7; 16],
        );
        // Nothing is ever told to stop: a program that is dropped was killed.
        let stop = CancellationToken::new;
        let mut tasks = JoinSet::new();
        let engine = Arc::clone(&gate.engine);
        tasks.spawn(async move { engine.follow(stop()).await.unwrap() });
        let engine = Arc::clone(&gate.engine);
        tasks.spawn(async move { engine.watch_the_clock(stop()).await });
        tasks.spawn(Arc::clone(&gate.delivery).carry_out(stop()));
        let every = std::time::Duration::from_secs(600);
        tasks.spawn(Arc::clone(&gate.delivery).reconcile(every, stop()));
        tasks.spawn(Arc::clone(&host).run(stop()));
        let (telling, changes) = (Arc::clone(&hook), gate.engine.changes());
        tasks.spawn(Arc::clone(&host).tell_news(move || telling.epoch(), changes, stop()));
        let (renewing, line) = (Arc::clone(&host), wire.clone());
        tasks.spawn(async move {
            loop {
                renewing.reconnect_wanted().await;
                line.renew();
            }
        });
        let watched = Arc::clone(&host) as Arc<dyn Enforcer>;
        let (engine, feed) = (Arc::clone(&gate.engine), Arc::clone(&gate.news));
        tasks.spawn(news::watch_the_server(watched, engine, feed, stop()));
        let hearing = gate.news.listen().unwrap();
        let engine = Arc::clone(&gate.engine);
        let (standing, out) = (host.standing(), wire.clone());
        tasks.spawn(notices::run(
            Arc::clone(&heard),
            engine,
            hearing,
            standing,
            out,
            stop(),
        ));
        let side = ServerSide {
            asker: asker.clone(),
            server: Arc::clone(&host),
            hook,
        };
        let router = Router::new(bot, heard);
        tasks.spawn(router.run(incoming, side, wire.clone(), stop()));
        tasks.spawn(async move { link.run(stop()).await.unwrap() });
        Program {
            gate,
            host,
            asker,
            wire,
            _tasks: tasks,
        }
    }
}
