//! The only place where rooms are joined: build, run, stop in order.
//!
//! All long tasks are born here. They stop from the outside in: first nobody may come in, then
//! work under way is finished, then the link says good-bye, and the store is closed last.

mod doctor;
mod reload;
mod signals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_xmpp::Stanza;

use crate::command::{Context, Recorded};
use crate::config::Config;
use crate::front::hook::Hook;
use crate::front::{Desk, Roles, notices, terminal};
use crate::gate::Gate;
use crate::gate::clock::Clock;
use crate::gate::ports::{EventLog, Outbox, Server, Standing};
use crate::http::{Grants, Http, Logins, Readiness};
use crate::logs::Logs;
use crate::store::{Store, recording};
use crate::xmpp::act::XmppServer;
use crate::xmpp::iq::{Asker, Routed};
use crate::xmpp::link::{Fatal, Incoming, Link};
use crate::xmpp::wire::Wire;

pub use doctor::doctor;

/// Exit code of wrong usage, configuration or secret.
const WRONG: u8 = 2;
/// How long work under way may take after the signal to stop.
const LAST_WORK: Duration = Duration::from_secs(5);
/// How long systemd is asked to wait for the server, again and again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until told to stop. The exit code: 0 stopped, 1 failed, 2 the server refuses the settings.
pub fn run(file: &Path, config: Config) -> ExitCode {
    let logs = match crate::logs::start(config.log.format, &config.log.levels) {
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
            // The log may be far away; whoever started us by hand reads this.
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

/// Tasks and the tokens that end them, in the order in which they are ended.
struct House {
    doors: CancellationToken,
    works: CancellationToken,
    link: CancellationToken,
    log: CancellationToken,
    at_the_doors: Vec<JoinHandle<()>>,
    working: Vec<JoinHandle<()>>,
    routing: JoinHandle<()>,
    linked: JoinHandle<Result<(), Fatal>>,
    following: JoinHandle<anyhow::Result<()>>,
    store: Arc<Store>,
    desk: Arc<Desk>,
    wire: Wire,
}

async fn serve(file: PathBuf, config: Config, logs: Logs) -> anyhow::Result<()> {
    let signals = signals::Signals::take()?;
    // Bound first: a taken port or socket ends the start before anything is touched.
    let (ready_tell, ready) = watch::channel(Readiness::default());
    let http = match config.http {
        Some(address) => Some(Http::bind(address, ready).await?),
        None => None,
    };
    let store = {
        let path = config.store.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(path)).await??;
        Arc::new(store)
    };
    let (link, wire, incoming) = Link::new(link_settings(&config)?);
    let asker = Asker::new(wire.clone());
    let host = XmppServer::new(asker.clone().into(), server_settings(&config));
    let gate = {
        let log = Arc::clone(&store) as Arc<dyn EventLog>;
        let outbox = Arc::clone(&store) as Arc<dyn Outbox>;
        let server = Arc::clone(&host) as Arc<dyn Server>;
        let policy = config.policy();
        tokio::task::spawn_blocking(move || {
            Gate::open(log, outbox, server, Clock::system(), policy)
        })
        .await?
        .context("cannot read the decisions made so far")?
    };
    tracing::info!(
        bans = gate.read(|ledger| ledger.len()),
        snapshot = gate.began_with().0,
        store = %config.store.display(),
        "the decisions made so far are loaded"
    );
    let recorded = config.record_attempts.as_ref();
    let recorded = recorded.map(|settings| Recorded {
        file: settings.file.clone(),
        keep: settings.keep,
    });
    let context = Context::new(Arc::clone(&gate), gate.now()).recording(recorded);
    let desk = Desk::new(wire.domain().clone(), context.clone(), roles(&config));
    desk.rooms().configure(config.rooms.clone());
    let hook = Hook::new(
        wire.domain().clone(),
        Arc::clone(&gate),
        Arc::clone(&host),
        store.id(),
    );
    wire.set_quick({
        let hook = Arc::clone(&hook);
        move |frame| hook.quick(frame)
    });
    let socket = terminal::open(&config.store)
        .with_context(|| format!("cannot open the local socket in {}", config.store.display()))?;

    let (doors, works) = (CancellationToken::new(), CancellationToken::new());
    let (linking, log) = (CancellationToken::new(), CancellationToken::new());
    let mut at_the_doors = vec![tokio::spawn(terminal::serve(
        socket,
        config.store.clone(),
        wire.domain().clone(),
        context,
        doors.clone(),
    ))];
    if let Some(http) = http {
        let logins = Logins::new(Arc::clone(&gate), config.http_token.clone());
        at_the_doors.push(tokio::spawn(http.run(logins, doors.clone())));
    }
    let mut working = vec![
        tokio::spawn(renew(Arc::clone(&host), wire.clone(), works.clone())),
        tokio::spawn({
            let (gate, stop) = (Arc::clone(&gate), works.clone());
            async move { gate.watch_the_clock(stop).await }
        }),
        tokio::spawn(Arc::clone(&gate).carry_out(works.clone())),
        tokio::spawn(Arc::clone(&gate).patrol(config.record.check_every, works.clone())),
        tokio::spawn(Arc::clone(&host).run(works.clone())),
        tokio::spawn(Arc::clone(&host).tell_news(
            hook.epoch().to_owned(),
            gate.news(),
            works.clone(),
        )),
        tokio::spawn({
            let (gate, stop) = (Arc::clone(&gate), works.clone());
            async move { gate.keep_counters(stop).await }
        }),
        tokio::spawn(Arc::clone(&gate).keep_snapshots(works.clone())),
        tokio::spawn(Arc::clone(desk.rooms()).run(wire.clone(), asker.clone(), works.clone())),
        tokio::spawn(announce(host.standing(), ready_tell, works.clone())),
    ];
    working.push(tokio::spawn({
        let (gate, stop) = (Arc::clone(&gate), works.clone());
        async move { gate.watch_the_server(stop).await }
    }));
    desk.set_notices(config.notices);
    if let Some(hearing) = gate.hearing() {
        working.push(tokio::spawn(notices::run(
            Arc::clone(&desk),
            Arc::clone(&gate),
            hearing,
            host.standing(),
            wire.clone(),
            works.clone(),
        )));
    }
    if let Some(settings) = config.record_attempts.clone()
        && let Some(weighings) = gate.weighings()
    {
        tracing::info!(file = %settings.file.display(), "attempts are recorded");
        working.push(tokio::spawn(recording::keep(
            settings,
            weighings,
            works.clone(),
        )));
    }
    let following = tokio::spawn({
        let (gate, stop) = (Arc::clone(&gate), log.clone());
        async move {
            let followed = gate.follow(stop).await;
            followed.context("decisions can no longer be read from the store")
        }
    });
    let routing = tokio::spawn(route(
        incoming,
        asker,
        Arc::clone(&host),
        Arc::clone(&desk),
        hook,
        wire.clone(),
        doors.clone(),
    ));
    let house = House {
        routing,
        linked: tokio::spawn(link.run(linking.clone())),
        doors,
        works,
        link: linking,
        log,
        at_the_doors,
        working,
        following,
        store,
        desk: Arc::clone(&desk),
        wire,
    };
    signals::watch(
        signals,
        house,
        reload::Reload::new(file, config, logs, gate, host, desk),
    )
    .await
}

impl House {
    /// Waits until a part ends that must not end, or for ever.
    async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.linked => match ended {
                Ok(Err(fatal)) => anyhow::Error::new(fatal),
                Ok(Ok(())) => anyhow::anyhow!("the link to the server ended by itself"),
                Err(why) => anyhow::anyhow!("the link to the server failed inside: {why}"),
            },
            ended = &mut self.following => match ended {
                Ok(Err(why)) => why,
                Ok(Ok(())) => anyhow::anyhow!("the log of decisions ended by itself"),
                Err(why) => anyhow::anyhow!("following the log failed inside: {why}"),
            },
        }
    }

    /// Stops everything, from the outside in.
    async fn stop(self) {
        self.doors.cancel();
        send(&self.wire, self.desk.farewell()).await;
        finish(self.at_the_doors).await;
        self.works.cancel();
        finish(self.working).await;
        self.link.cancel();
        // One that broke has been waited for already, and a handle gives its end only once.
        if !self.linked.is_finished() {
            let _ = tokio::time::timeout(LAST_WORK, self.linked).await;
        }
        // Ends with the link, whose last stanzas it takes.
        finish(vec![self.routing]).await;
        self.log.cancel();
        if !self.following.is_finished() {
            let _ = tokio::time::timeout(LAST_WORK, self.following).await;
        }
        let store = self.store;
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

async fn finish(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        let _ = tokio::time::timeout(LAST_WORK, task).await;
    }
}

/// Hands on what the link brings.
async fn route(
    mut incoming: mpsc::Receiver<Incoming>,
    asker: Asker,
    host: Arc<XmppServer>,
    desk: Arc<Desk>,
    hook: Arc<Hook>,
    wire: Wire,
    stop: CancellationToken,
) {
    // The receiver must be emptied to the end: a link that nobody listens to stops.
    while let Some(arrived) = incoming.recv().await {
        match arrived {
            Incoming::Up => {
                host.link_up();
                desk.rooms().link_up();
                send(&wire, desk.greeting()).await;
            }
            Incoming::Down { why } => {
                host.link_down();
                desk.rooms().link_down();
                tracing::warn!(%why, "the link to the server is down");
            }
            Incoming::Stanza(received) => {
                if let Routed::NotMine(received) = asker.route(received)
                    && !host.take(&received)
                    && !stop.is_cancelled()
                {
                    let reply = match hook.receive(&received) {
                        Some(reply) => reply,
                        None => desk.receive(&received),
                    };
                    send(&wire, reply.now).await;
                    if let Some(later) = reply.later {
                        let wire = wire.clone();
                        tokio::spawn(async move { send(&wire, later.await).await });
                    }
                }
                wire.handled();
            }
        }
    }
}

async fn send(wire: &Wire, stanzas: Vec<Stanza>) {
    for stanza in stanzas {
        if let Err(why) = wire.send(stanza).await {
            tracing::warn!(%why, "an answer was not sent");
        }
    }
}

/// Opens a new connection when the server has dropped our rights without a word.
async fn renew(host: Arc<XmppServer>, wire: Wire, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = host.reconnect_wanted() => wire.renew(),
        }
    }
}

/// Tells the world once that we are ready, and `/readyz` at every change.
async fn announce(
    mut standing: watch::Receiver<Arc<Standing>>,
    ready: watch::Sender<Readiness>,
    stop: CancellationToken,
) {
    let mut told = false;
    loop {
        let now = Arc::clone(&standing.borrow_and_update());
        let readiness = readiness(&now);
        if readiness.is_ready() && !told {
            told = true;
            tracing::info!(server = %now.server, level = now.level, "portcullis is ready");
            notify(&[sd_notify::NotifyState::Ready]);
        }
        ready.send_replace(readiness);
        tokio::select! {
            () = stop.cancelled() => break,
            changed = standing.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(PATIENCE / 2), if !told => {
                // A server that starts later is no reason for systemd to give up on us.
                let more = u32::try_from(PATIENCE.as_micros()).unwrap_or(u32::MAX);
                notify(&[
                    sd_notify::NotifyState::ExtendTimeoutUsec(more),
                    sd_notify::NotifyState::Status("waiting for the XMPP server"),
                ]);
            }
        }
    }
    notify(&[sd_notify::NotifyState::Stopping]);
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        tracing::debug!(%why, "cannot tell systemd");
    }
}

fn readiness(standing: &Standing) -> Readiness {
    Readiness {
        link: standing.linked,
        grants: match (standing.probed, standing.level) {
            (false, _) => Grants::Unknown,
            (true, 0) => Grants::Missing,
            (true, _) => Grants::Seen,
        },
        // Nothing listens before the ledger is there.
        ledger: true,
        detail: standing.gaps.iter().map(|gap| gap.what.clone()).collect(),
    }
}

/// `[component]` as the link wants it.
fn link_settings(config: &Config) -> anyhow::Result<crate::xmpp::link::Settings> {
    use crate::xmpp::link::{Settings, Tls};
    let component = &config.component;
    let domain = xmpp_parsers::jid::BareJid::from_parts(None, &component.domain);
    let server = component.server.to_string();
    let mut settings = Settings::new(domain, server, component.secret.clone());
    settings.tls = component.tls.as_ref().map(|tls| Tls {
        ca_file: tls.ca_file.clone(),
        name: Some(tls.name.clone()),
    });
    settings.allow_plain_remote = component.allow_plain_remote;
    Ok(settings)
}

/// What the server's side of the program needs to know.
fn server_settings(config: &Config) -> crate::xmpp::act::Settings {
    crate::xmpp::act::Settings {
        component: xmpp_parsers::jid::BareJid::from_parts(None, &config.component.domain),
        admins: config.admins.clone(),
        act_as: config.act_as.clone(),
        keyring: config.record.keyring.clone(),
        cookie: config.record.cookie.clone(),
        hook_hosts: config.hook_hosts.clone(),
        limits: crate::xmpp::act::Limits::default(),
    }
}

/// Who may do what.
fn roles(config: &Config) -> Roles {
    Roles::new(config.granted())
}
