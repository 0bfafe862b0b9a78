//! The XMPP server as the gate sees it: makes bans of accounts take hold there, and takes them back.
//!
//! What a virtual host allows is found out when the link comes up ([`probe`](super::probe)) and again every few minutes,
//! for ejabberd may drop rights without a word. Start reading at [`XmppServer`]; what is done on each server is in
//! `ejabberd.rs` and `prosody.rs`, and with our own module there in `module.rs`.

mod ejabberd;
mod kick;
mod module;
mod prosody;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::{BareJid, Jid};

use super::admin;
use super::courier::{Courier, Unanswered};
use super::errand::Errands;
use super::modules::Modules;
use super::payload::hook;
use super::privilege::{Grants, NoGrant, Right, domain_key};
use super::probe::{Capabilities, Kind, probe, still_answers};
use super::remedy::{Names, standing};
use super::secret::Secret;
use super::stanza::{Kind as Stanza, Received};
use crate::ban::seal::Keyring;
use crate::ban::{Account, Ban, BanId, Subject};
use crate::gate::ports::{Finding, Found, Held, Recorded, Server, Standing, Undone};

/// How long after the link came up grants are taken: servers send them at once. Later ones of domains that never sent
/// one before are a stranger's.
const GRANT_WINDOW: Duration = Duration::from_secs(10);
/// Grants come in a burst; this long without another one, it is over.
const GRANT_PAUSE: Duration = Duration::from_millis(200);
/// Findings that may wait to be heard of.
const FINDINGS: usize = 64;

/// What this side of the program needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our domain.
    pub component: BareJid,
    /// Admins; their domains are asked, and one of them may be borrowed for ejabberd 24.12.
    pub admins: Vec<Account>,
    /// The admin to borrow, if not the first one on the virtual host.
    pub act_as: Option<Account>,
    /// Seals records.
    pub keyring: Keyring,
    /// ejabberd's cookie.
    pub cookie: Option<Secret>,
    /// More virtual hosts whose hook modules are believed.
    pub hook_hosts: Vec<String>,
    /// How long things may take.
    pub limits: Limits,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// An answer of the server to one request.
    pub answer: Duration,
    /// The same while probing, where silence is a common answer.
    pub probe: Duration,
    /// From the link to the first grant.
    pub grants: Duration,
    /// From one probing to the next.
    pub again: Duration,
    /// From a probing that misses what was granted before to asking for a new connection.
    pub regrant: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            answer: Duration::from_secs(5),
            probe: Duration::from_secs(2),
            grants: Duration::from_secs(2),
            again: Duration::from_secs(300),
            regrant: Duration::from_secs(30),
        }
    }
}

/// The server. The router tells it what happens on the link ([`link_up`](Self::link_up), [`link_down`](Self::link_down),
/// [`take`](Self::take)); [`run`](Self::run) is its life.
#[derive(Debug)]
pub struct XmppServer {
    component: Jid,
    keyring: Keyring,
    cookie: Option<Secret>,
    limits: Limits,
    errands: Errands,
    state: Mutex<State>,
    /// Number of the connection, 0 for none.
    session: watch::Sender<u64>,
    standing: watch::Sender<Arc<Standing>>,
    /// A grant came.
    granted: Notify,
    /// Something does not fit what was found: look again.
    doubt: Notify,
    reconnect: Notify,
    /// A module said hello.
    greeted: Notify,
    /// The domains whose hook modules are believed.
    believed: ArcSwap<HashSet<String>>,
    /// Those that were named as not believed.
    doubted: Mutex<BTreeSet<String>>,
    /// What others did to records.
    findings: broadcast::Sender<Finding>,
}

#[derive(Debug)]
struct State {
    admins: Vec<Account>,
    act_as: Option<Account>,
    sessions: u64,
    since: Instant,
    grants: Grants,
    hosts: BTreeMap<String, Capabilities>,
    probed: bool,
    modules: Modules,
    /// A connection before this one, or this one, was granted something.
    ever_granted: bool,
}

impl XmppServer {
    /// A server that is asked through `courier`. The link counts as down until [`XmppServer::link_up`].
    pub fn new(courier: Courier, settings: Settings) -> Arc<Self> {
        let component = Jid::from(settings.component);
        let believed = believed(&component, &settings.admins, settings.hook_hosts);
        Arc::new(XmppServer {
            believed: ArcSwap::from_pointee(believed),
            doubted: Mutex::default(),
            component,
            keyring: settings.keyring,
            cookie: settings.cookie,
            limits: settings.limits,
            errands: Errands::new(courier),
            state: Mutex::new(State {
                admins: settings.admins,
                act_as: settings.act_as,
                sessions: 0,
                since: Instant::now(),
                grants: Grants::default(),
                hosts: BTreeMap::new(),
                probed: false,
                modules: Modules::default(),
                ever_granted: false,
            }),
            session: watch::Sender::new(0),
            standing: watch::Sender::default(),
            granted: Notify::new(),
            doubt: Notify::new(),
            reconnect: Notify::new(),
            greeted: Notify::new(),
            findings: broadcast::Sender::new(FINDINGS),
        })
    }

    /// The link came up: grants will follow.
    pub fn link_up(&self) {
        let session = {
            let mut state = self.state();
            state.sessions += 1;
            state.forget();
            state.since = Instant::now();
            state.sessions
        };
        self.session.send_replace(session);
        self.publish();
    }

    /// The link went down: nothing of what was granted holds any more.
    pub fn link_down(&self) {
        self.session.send_replace(0);
        self.state().forget();
        self.publish();
    }

    /// Takes a stanza if it is a message about privileges; `true`: it is dealt with, do not hand it on.
    ///
    /// A fake grant is dealt with too: it goes no further.
    pub fn take(&self, received: &Received) -> bool {
        if received.kind != Stanza::Message {
            return false;
        }
        let (from, to) = (&received.header.from, &received.header.to);
        let late = {
            let mut state = self.state();
            let known = state
                .grants
                .of(&domain_key(from.domain().as_str()))
                .is_some();
            if !known && state.since.elapsed() > GRANT_WINDOW {
                // Taken into a table nobody reads: this only tells grants from other messages.
                match Grants::default().take(&self.component, from, to, &received.element) {
                    Err(NoGrant::OtherMessage) => return false,
                    _ => {
                        tracing::warn!(%from, "ignored a grant of privileges that came out of turn");
                        return true;
                    }
                }
            }
            match state
                .grants
                .take(&self.component, from, to, &received.element)
            {
                Err(NoGrant::OtherMessage) => return false,
                Err(why) => {
                    tracing::warn!(%from, "ignored {why}");
                    return true;
                }
                Ok(_) => state.probed,
            }
        };
        self.granted.notify_one();
        if late {
            self.doubt.notify_one();
        }
        true
    }

    /// Other admins and other hosts of modules, from a reload of the settings.
    pub fn set_admins(
        &self,
        admins: Vec<Account>,
        act_as: Option<Account>,
        hook_hosts: Vec<String>,
    ) {
        let believed = believed(&self.component, &admins, hook_hosts);
        self.believed.store(Arc::new(believed));
        {
            let mut state = self.state();
            state.admins = admins;
            state.act_as = act_as;
        }
        self.doubt.notify_one();
    }

    /// What each virtual host allows, as last seen.
    pub fn capabilities(&self) -> Vec<Capabilities> {
        self.state().hosts.values().cloned().collect()
    }

    /// Resolves when only a new connection can bring our rights back: ejabberd takes them away without a word, for example
    /// when a second connection of the same component ends.
    pub async fn reconnect_wanted(&self) {
        self.reconnect.notified().await;
    }

    /// Probes the server whenever the link comes up, and every few minutes.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.keep_looking() => {}
        }
    }

    async fn keep_looking(&self) {
        let mut sessions = self.session.subscribe();
        loop {
            let session = match sessions.wait_for(|session| *session != 0).await {
                Ok(session) => *session,
                Err(_) => return,
            };
            let mut other = self.session.subscribe();
            tokio::select! {
                _ = other.wait_for(|now| *now != session) => {}
                () = self.look_all_the_time(session) => {}
            }
        }
    }

    async fn look_all_the_time(&self, session: u64) {
        self.wait_for_grants().await;
        loop {
            self.look(session).await;
            let worse = self.is_worse_off();
            let pause = if worse {
                self.limits.regrant
            } else {
                self.limits.again
            };
            tokio::select! {
                () = self.doubt.notified() => {}
                () = sleep(pause) => if worse {
                    tracing::warn!("rights that were granted before are missing; asking for a new connection");
                    self.reconnect.notify_one();
                }
            }
        }
    }

    /// Whether there were grants on an earlier connection and there are none on this one. ejabberd takes the grants of a
    /// new connection away when the old one ends after it began, and only a newer one brings them back.
    fn is_worse_off(&self) -> bool {
        let mut state = self.state();
        let granted = state.grants.vhosts().next().is_some();
        state.ever_granted |= granted;
        state.ever_granted && !granted
    }

    async fn wait_for_grants(&self) {
        let end = Instant::now() + self.limits.grants;
        let mut until = end;
        loop {
            if self.state().grants.vhosts().next().is_some() {
                until = end.min(Instant::now() + GRANT_PAUSE);
            }
            tokio::select! {
                () = self.granted.notified() => {}
                () = sleep_until(until) => return,
            }
        }
    }

    /// Probes every virtual host we know of.
    async fn look(&self, session: u64) {
        if self.has_lost_answers(session).await {
            tracing::warn!(
                "the server no longer answers requests it had allowed; asking for a new connection"
            );
            self.publish();
            self.reconnect.notify_one();
            return;
        }
        let found = self.probe_all().await;
        {
            let mut state = self.state();
            if *self.session.borrow() != session {
                return;
            }
            for mut host in found {
                if let Some(old) = state.hosts.get(&host.vhost) {
                    host.disables = host.disables.or(old.disables);
                    host.cookie = host.cookie.or(old.cookie);
                }
                state.hosts.insert(host.vhost.clone(), host);
            }
            state.probed = true;
        }
        self.publish();
    }

    /// Whether a virtual host that answered before is silent now. ejabberd takes rights away without a word, and then drops
    /// our ordinary requests as well: only a new connection helps.
    async fn has_lost_answers(&self, session: u64) -> bool {
        let asked: Vec<_> = {
            let state = self.state();
            let answering = state.hosts.values().filter(|host| host.answers);
            answering
                .map(|host| (host.clone(), state.borrowed(&host.vhost)))
                .collect()
        };
        let checks = asked.iter().map(|(host, admin)| {
            let admin = admin.as_ref().map(|(admin, _)| admin);
            still_answers(&self.errands, host, admin, self.limits.answer)
        });
        let answers = join_all(checks).await;
        let mut state = self.state();
        if *self.session.borrow() != session {
            return false;
        }
        let silent = asked.iter().zip(&answers).filter(|(_, answers)| !**answers);
        let silent: Vec<&str> = silent.map(|((host, _), _)| host.vhost.as_str()).collect();
        for vhost in &silent {
            if let Some(host) = state.hosts.get_mut(*vhost) {
                host.answers = false;
            }
        }
        !silent.is_empty()
    }

    async fn probe_all(&self) -> Vec<Capabilities> {
        let asked = {
            let state = self.state();
            let granted: BTreeSet<String> = state.grants.vhosts().map(str::to_owned).collect();
            let named = state
                .admins
                .iter()
                .chain(&state.act_as)
                .map(|admin| admin.domain().to_owned());
            let parent = parent(&self.component);
            let with_module = state.modules.addresses();
            let with_module = with_module.map(|(vhost, _)| vhost.to_owned());
            let vhosts: BTreeSet<String> = granted
                .into_iter()
                .chain(named)
                .chain(parent)
                .chain(with_module)
                .collect();
            vhosts
                .into_iter()
                .map(|vhost| {
                    let grant = state.grants.of(&vhost).cloned();
                    let admin = state.borrowed(&vhost);
                    (vhost, grant, admin)
                })
                .collect::<Vec<_>>()
        };
        let probes = asked.iter().map(|(vhost, grant, admin)| {
            let admin = admin.as_ref().map(|(admin, right)| (admin, *right));
            probe(
                &self.errands,
                vhost,
                grant.as_ref(),
                admin,
                self.limits.probe,
            )
        });
        // A link that goes down ends this from outside.
        join_all(probes)
            .await
            .into_iter()
            .filter_map(Result::ok)
            .collect()
    }

    fn publish(&self) {
        let now = {
            let state = self.state();
            let hosts: Vec<&Capabilities> = state.hosts.values().collect();
            let names = Names {
                component: self.component.as_str(),
                has_cookie: self.cookie.is_some(),
            };
            Arc::new(standing(
                *self.session.borrow() != 0,
                state.probed,
                &hosts,
                &state.modules,
                &names,
            ))
        };
        self.standing.send_if_modified(|standing| {
            let differs = *standing != now;
            *standing = now;
            differs
        });
    }

    /// Keeps what was learnt of a virtual host.
    fn learn(&self, vhost: &str, what: impl FnOnce(&mut Capabilities)) {
        if let Some(host) = self.state().hosts.get_mut(vhost) {
            what(host);
        }
        self.publish();
    }

    /// The virtual host of an account, if we may act there.
    fn host_of(&self, account: &Account) -> Result<(Capabilities, BareJid), Undone> {
        let domain = account.domain();
        let state = self.state();
        if *self.session.borrow() == 0 {
            return Err(Undone(String::from(
                "There is no link to the XMPP server just now.",
            )));
        }
        if !state.probed {
            return Err(Undone(String::from(
                "The server is still being asked what it allows.",
            )));
        }
        let jid = account
            .to_jid()
            .ok_or_else(|| Undone(format!("{account} is no address that can be written to.")))?;
        match state.hosts.get(domain) {
            Some(host) if host.is_ours() || state.modules.address(domain).is_some() => {
                Ok((host.clone(), jid))
            }
            None if state.modules.address(domain).is_some() => {
                Ok((Capabilities::unknown(domain), jid))
            }
            _ if !state.hosts.values().any(Capabilities::is_ours) => Err(Undone(String::from(
                "Nothing is enforced: the server gives portcullis no rights. `status` shows the lines to add.",
            ))),
            Some(_) => Err(Undone(format!(
                "{domain} gives portcullis no rights, if it is on this server at all. `status` shows the lines to add."
            ))),
            None => Err(Undone(format!(
                "{domain} is not a virtual host of this server, as far as it tells portcullis."
            ))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sentence for a request without a result, and a second look at the server where that helps.
    fn undone(&self, doing: &str, why: &Unanswered) -> Undone {
        if *why == Unanswered::Silent {
            self.doubt.notify_one();
        }
        Undone(format!("{doing}: {why}."))
    }

    /// Tells of a record that is not what it should be; the same again and again is for the gate to leave out.
    fn found(&self, account: &Account, ban: Option<BanId>, found: Found) {
        tracing::warn!(%account, ?found, "the record of a ban was changed by somebody else");
        // Nobody listens: it is in the log.
        let _ = self.findings.send(Finding {
            account: account.clone(),
            ban,
            found,
        });
    }

    async fn enforce_account(&self, ban: &Ban, account: &Account) -> Result<Held, Undone> {
        let (host, jid) = self.host_of(account)?;
        let module = self.module_at(&host.vhost);
        if let Some(module) = &module {
            // Out first, with the reason; the module lets nobody in again.
            self.kick_by_module(module, &ban.subject, &hook::text_for(ban))
                .await?;
        }
        match host.kind {
            Kind::Prosody if module.is_some() => self.export(&host, &jid, ban, account).await,
            Kind::Prosody => self.disable(&host, &jid, ban, account).await?,
            Kind::Ejabberd | Kind::Unknown if module.is_some() && host.record != Right::Both => {}
            Kind::Ejabberd | Kind::Unknown => {
                let module = module.as_ref();
                self.write_ban(&host, &jid, ban, account, module).await?;
            }
        }
        Ok(Held::Enforced)
    }

    async fn release_account(&self, account: &Account) -> Result<(), Undone> {
        let (host, jid) = self.host_of(account)?;
        let by_module_alone = self.module_at(&host.vhost).is_some();
        match host.kind {
            Kind::Prosody if by_module_alone && !host.offers("reenable-user") => {
                self.clear_export(&host, &jid).await;
                Ok(())
            }
            Kind::Prosody => self.reenable(&host, &jid, account).await,
            Kind::Ejabberd | Kind::Unknown if by_module_alone && host.record != Right::Both => {
                Ok(())
            }
            Kind::Ejabberd | Kind::Unknown => self.empty_record(&host, &jid, account).await,
        }
    }

    async fn find(&self, account: &Account) -> Option<bool> {
        let (host, jid) = self.host_of(account).ok()?;
        match host.kind {
            Kind::Prosody => self.find_on_prosody(&host, &jid).await,
            Kind::Ejabberd | Kind::Unknown => self.find_on_ejabberd(&host, &jid).await,
        }
    }

    async fn record_holds(&self, ban: &Ban) -> Option<bool> {
        let account = ban.subject.account()?;
        let (host, jid) = self.host_of(account).ok()?;
        if !host.keeps_records() {
            return None;
        }
        self.is_in_line(&host, &jid, ban, account).await
    }

    async fn banned_by_the_server(&self) -> Vec<Account> {
        let hosts: Vec<Capabilities> = {
            let state = self.state();
            let offering = |host: &&Capabilities| {
                host.kind != Kind::Prosody && host.offers(admin::DISABLED_USERS)
            };
            state.hosts.values().filter(offering).cloned().collect()
        };
        let mut all = Vec::new();
        for host in hosts {
            let Ok(listed) = self.run_command(&host, admin::disabled_users()).await else {
                continue;
            };
            let names = listed.values("disableduserjids").unwrap_or_default();
            let accounts = names.iter().filter_map(|name| Jid::new(name).ok());
            all.extend(accounts.filter_map(|jid| Account::from_jid(&jid)));
        }
        all
    }

    async fn record_of(&self, account: &Account) -> Option<Recorded> {
        let (host, jid) = self.host_of(account).ok()?;
        if !host.keeps_records() {
            return None;
        }
        let record = self.read(&host, &jid).await.ok()?;
        record.tells(account, &self.keyring)
    }

    async fn seen_at(&self, account: &Account) -> Vec<IpAddr> {
        let Ok((host, jid)) = self.host_of(account) else {
            return Vec::new();
        };
        if !host.offers("user-stats") {
            return Vec::new();
        }
        let stats = self
            .run_command(&host, admin::user_stats(jid.as_str()))
            .await;
        stats
            .map(|stats| admin::read_addresses(&stats, host.kind == Kind::Ejabberd))
            .unwrap_or_default()
    }

    async fn run_command(
        &self,
        host: &Capabilities,
        command: minidom::Element,
    ) -> Result<admin::Completed, Unanswered> {
        let (Some(route), Ok(vhost)) = (&host.route, Jid::new(&host.vhost)) else {
            return Err(Unanswered::Unsent(format!(
                "{} does not let portcullis run admin commands",
                host.vhost
            )));
        };
        self.errands
            .command(&vhost, route, command, self.limits.answer)
            .await
    }
}

/// The domains whose hook modules are believed.
fn believed(component: &Jid, admins: &[Account], more: Vec<String>) -> HashSet<String> {
    let more = more.iter().map(|host| domain_key(host));
    let admins = admins.iter().map(|admin| admin.domain().to_owned());
    more.chain(admins).chain(parent(component)).collect()
}

/// portcullis.example.org most likely serves example.org.
fn parent(component: &Jid) -> Option<String> {
    let (_, parent) = component.domain().as_str().split_once('.')?;
    Some(domain_key(parent))
}

impl State {
    fn forget(&mut self) {
        self.grants.clear();
        self.hosts.clear();
        self.modules.clear();
        self.probed = false;
    }

    /// Whose name can be borrowed for commands at a virtual host, and the right her own host grants for that.
    fn borrowed(&self, vhost: &str) -> Option<(BareJid, Right)> {
        let local = |admin: &&Account| admin.domain() == vhost;
        let admin = self
            .act_as
            .iter()
            .find(local)
            .or_else(|| self.admins.iter().find(local))
            .or(self.act_as.as_ref())
            .or_else(|| self.admins.first())?;
        let right = self
            .grants
            .of(admin.domain())
            .map_or(Right::None, |grant| grant.iq(admin::NS_COMMANDS));
        Some((admin.to_jid()?, right))
    }
}

impl Server for XmppServer {
    fn enforce<'a>(&'a self, ban: &'a Ban) -> BoxFuture<'a, Result<Held, Undone>> {
        match &ban.subject {
            Subject::Account(account) => self.enforce_account(ban, account).boxed(),
            Subject::Address(_) | Subject::Network(_) | Subject::Pair(..) | Subject::Guard(_) => {
                self.enforce_by_module(ban).boxed()
            }
        }
    }

    fn release<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<(), Undone>> {
        match subject {
            Subject::Account(account) => self.release_account(account).boxed(),
            Subject::Address(_) | Subject::Network(_) | Subject::Pair(..) | Subject::Guard(_) => {
                std::future::ready(Ok(())).boxed()
            }
        }
    }

    fn kick<'a>(
        &'a self,
        subject: &'a Subject,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        self.end_sessions(subject, reason).boxed()
    }

    fn end_session<'a>(
        &'a self,
        account: &'a Account,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        self.end_session_of(account, resource).boxed()
    }

    fn exists<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Option<bool>> {
        self.find(account).boxed()
    }

    fn addresses<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Vec<IpAddr>> {
        self.seen_at(account).boxed()
    }

    fn findings(&self) -> broadcast::Receiver<Finding> {
        self.findings.subscribe()
    }

    fn holds<'a>(&'a self, ban: &'a Ban) -> BoxFuture<'a, Option<bool>> {
        self.record_holds(ban).boxed()
    }

    fn banned_there(&self) -> BoxFuture<'_, Vec<Account>> {
        self.banned_by_the_server().boxed()
    }

    fn recorded<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Option<Recorded>> {
        self.record_of(account).boxed()
    }

    fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.standing.subscribe()
    }
}
