//! Joins the rooms: builds them, runs them, and stops them in order. No other file does.
//!
//! All long-running tasks start here. They stop from the outside in: first the listeners close, then work in progress
//! is finished, then the link closes, and finally the store (`runtime.rs`).

mod doctor;
mod reload;
mod runtime;
mod signals;
mod tasks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt;
use tokio::sync::watch;

use crate::command::Context;
use crate::config::Config;
use crate::core::as_written;
use crate::delivery::ports::Enforcer;
use crate::enforce::XmppServer;
use crate::engine::clock::Clock;
use crate::front::hook::Hook;
use crate::front::router::ServerSide;
use crate::front::{Bot, Notices, Roles, Router, notices, terminal};
use crate::gate::Gate;
use crate::gate::Storage;
use crate::http::{Http, Logins, Readiness};
use crate::journal::Journal as _;
use crate::logs::Logs;
use crate::news;
use crate::rehearse::recorded::RecordingFiles;
use crate::store::{Store, recording};
use crate::xmpp::guard::{Sender, Trust};
use crate::xmpp::iq::Asker;
use crate::xmpp::link::{Fatal, Link};
use runtime::{Runtime, Tasks, Vital};
use tasks::{announce, renew, watch_the_name};

pub use doctor::doctor;

/// Exit code for wrong usage, configuration or secret.
const WRONG: u8 = 2;
/// How long a task may take to finish after it was told to stop.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT. Exit code 0: stopped; 1: failed; 2: the server refuses the settings.
pub fn run(file: &Path, config: Config) -> ExitCode {
    let logs = match crate::logs::start(config.log_format, &config.log_levels) {
        Ok(logs) => logs,
        Err(why) => {
            eprintln!("portcullis: cannot start logging: {why}");
            return ExitCode::FAILURE;
        }
    };
    for warning in &config.warnings {
        tracing::warn!(file = %file.display(), "{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(why) => {
            tracing::error!(%why, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(serve(file.to_owned(), config, logs)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why:#}");
            // The log may be written elsewhere; a person who started portcullis by hand reads this line.
            eprintln!("portcullis: {why:#}");
            match why.downcast_ref::<Fatal>() {
                Some(_) => ExitCode::from(WRONG),
                None => ExitCode::FAILURE,
            }
        }
    };
    runtime.shutdown_timeout(LAST_WORK);
    code
}

async fn serve(file: PathBuf, config: Config, logs: Logs) -> anyhow::Result<()> {
    let signals = signals::Signals::take()?;
    // Bind first, so that a port in use ends the start before the store is touched.
    let (ready_tell, ready) = watch::channel(Readiness::default());
    let http = match config.http {
        Some(address) => Some(Http::bind(address, ready).await?),
        None => None,
    };
    let store = {
        let (path, engine) = (config.store.clone(), config.store_engine);
        let store = tokio::task::spawn_blocking(move || Store::open_on(path, engine)).await??;
        Arc::new(store)
    };
    let (link, wire, incoming) = Link::new(config.link.clone());
    let asker = Asker::new(wire.clone());
    let host = XmppServer::new(asker.clone(), config.server.clone());
    let gate = {
        let storage = Storage::of(&store);
        let server = Arc::clone(&host) as Arc<dyn Enforcer>;
        let policy = config.policy.clone();
        tokio::task::spawn_blocking(move || Gate::open(storage, server, Clock::system(), policy))
            .await?
            .context("cannot read the decisions made so far")?
    };
    tracing::info!(
        bans = gate.engine.read(|ledger| ledger.bans().len()),
        snapshot = gate.snapshotter.began_with().0,
        store = %config.store.display(),
        engine = %store.engine(),
        "the decisions made so far are loaded"
    );
    let recorded = config.record_attempts.as_ref();
    let recorded = recorded.map(|settings| RecordingFiles {
        file: settings.file.clone(),
        keep: settings.keep,
    });
    let context = Context::new(&gate, gate.engine.now())
        .recording(recorded)
        .stored_by(store.engine().name(), store.damaged_head());
    let bot = Bot::new(
        wire.domain().clone(),
        context,
        Roles::new(config.granted.clone()),
    );
    bot.rooms().configure(config.rooms.clone());
    let following = Vital::spawn(|stop| {
        let engine = Arc::clone(&gate.engine);
        async move {
            let followed = engine.follow(stop).await;
            followed.context("decisions can no longer be read from the store")
        }
    });
    if let (Some(why), Some(about)) = (store.damaged_head(), bot.subject()) {
        // Before anybody can ask for a ban: the next number may have been given.
        let noted = gate.engine.may_have_lost_its_end(&about, why);
        if let Err(why) = noted.await {
            tracing::error!(%why, "cannot record that the end of the log may be lost");
        }
    }
    let notices = Notices::new(Arc::clone(&bot));
    let hook = Hook::new(
        wire.domain().clone(),
        Arc::clone(&gate.engine),
        Arc::clone(&gate.admission),
        Arc::clone(&host),
        store.id(),
    );
    let link = link.answering({
        let hook = Arc::clone(&hook);
        move |frame| hook.answer_plain(frame)
    });
    let link = link.trusting({
        let (asker, server, bot) = (asker.clone(), Arc::clone(&host), Arc::clone(&bot));
        Trust::new(move |head| {
            let from = head.from.as_deref().and_then(as_written::exact);
            match from {
                Some(from) if server.believes(&from) => Sender::Module,
                Some(from) if asker.awaits(&from) || bot.knows(&from) => Sender::Known,
                _ => Sender::Stranger,
            }
        })
    });
    let socket = match terminal::open(&config.store) {
        Ok(socket) => Some(socket),
        Err(why) if store.trouble().borrow().is_some() => {
            tracing::warn!(%why, "there is no local socket until the disk of the store takes writes");
            None
        }
        Err(why) => {
            let what = format!("cannot open the local socket in {}", config.store.display());
            return Err(anyhow::Error::new(why).context(what));
        }
    };

    let mut listeners = Tasks::new();
    let (path, domain) = (config.store.clone(), wire.domain().clone());
    let context = bot.context().clone();
    listeners.spawn(|stop| async move {
        let socket = match socket {
            Some(socket) => Some(socket),
            None => terminal::open_later(&path, &stop).await,
        };
        if let Some(socket) = socket {
            terminal::serve(socket, path, domain, context, stop).await;
        }
    });
    if let Some(http) = http {
        let logins = Logins::new(&gate, config.http_token.clone());
        listeners.spawn(|stop| http.run(logins, stop));
    }

    let mut workers = Tasks::new();
    workers.spawn(|stop| renew(Arc::clone(&host), wire.clone(), stop));
    workers.spawn(|stop| watch_the_name(Arc::clone(&host), wire.clone(), stop));
    workers.spawn(|stop| {
        let engine = Arc::clone(&gate.engine);
        async move { engine.watch_the_clock(stop).await }
    });
    workers.spawn(|stop| Arc::clone(&gate.delivery).carry_out(stop));
    workers.spawn(|stop| Arc::clone(&gate.delivery).reconcile(config.check_every, stop));
    workers.spawn(|stop| Arc::clone(&host).run(stop));
    workers.spawn(|stop| {
        let hook = Arc::clone(&hook);
        Arc::clone(&host).tell_news(move || hook.epoch(), gate.engine.changes(), stop)
    });
    workers.spawn(|stop| Arc::clone(&gate.snapshotter).keep(stop));
    workers.spawn(|stop| Arc::clone(bot.rooms()).run(wire.clone(), asker.clone(), stop));
    let unwritten = gate.admission.unwritten();
    workers.spawn(|stop| announce(host.standing(), unwritten, ready_tell, stop));
    workers.spawn(|stop| {
        let (server, engine) = (Arc::clone(&host) as _, Arc::clone(&gate.engine));
        news::watch_the_server(server, engine, Arc::clone(&gate.news), stop)
    });
    notices.set(config.notices);
    if let Some(hearing) = gate.news.listen() {
        let (notices, gate) = (Arc::clone(&notices), Arc::clone(&gate.engine));
        workers.spawn(|stop| {
            notices::run(notices, gate, hearing, host.standing(), wire.clone(), stop)
        });
    }
    if let Some(settings) = config.record_attempts.clone()
        && let Some(weighings) = gate.tap.listen()
    {
        tracing::info!(file = %settings.file.display(), "attempts are recorded");
        workers.spawn(|stop| recording::keep(settings, weighings, stop));
    }

    workers.spawn(|stop| {
        let (admission, engine) = (Arc::clone(&gate.admission), Arc::clone(&gate.engine));
        news::watch_the_log(admission.unwritten(), engine, Arc::clone(&gate.news), stop)
    });
    workers.spawn(|stop| {
        let engine = Arc::clone(&gate.engine);
        news::watch_the_clock(engine, Arc::clone(&gate.news), stop)
    });

    let mut counting = Tasks::new();
    counting.spawn(|stop| {
        let admission = Arc::clone(&gate.admission);
        async move { admission.persist(stop).await }
    });
    let mut routing = Tasks::new();
    routing.spawn(|stop| {
        let side = ServerSide {
            asker,
            server: Arc::clone(&host),
            hook,
        };
        let router = Router::new(Arc::clone(&bot), Arc::clone(&notices));
        router.run(incoming, side, wire.clone(), stop)
    });
    let farewell = {
        let bot = Arc::clone(&bot);
        async move { wire.send_all(bot.farewell()).await }
    };
    let runtime = Runtime {
        listeners,
        farewell: farewell.boxed(),
        workers,
        link: Vital::spawn(|stop| link.run(stop)),
        routing,
        counting,
        following,
        close: Box::new(move || store.close()),
    };
    signals::watch(
        signals,
        runtime,
        reload::Reload {
            file,
            config,
            logs,
            engine: gate.engine,
            server: host,
            bot,
            notices,
        },
    )
    .await
}
