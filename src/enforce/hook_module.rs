//! Level 2: requests to the hook module on the server (docs/hook-protocol.md 5, 6), and its hellos.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::Jid;

use super::XmppServer;
use super::clock_skew::ClockSkew;
use super::module_nodes::Node;
use crate::core::account::domain_key;
use crate::core::{Account, Ban, Origin, Seq, Subject, Timestamp};
use crate::delivery::ports::{Held, Undone};
use crate::xmpp::iq::{IqRequest, Unanswered, Verb};
use crate::xmpp::payload::hook::{self, Hello};

/// News closer together than this are announced once.
const NEWS_PAUSE: Duration = Duration::from_millis(50);
/// Interval between two searches for silent modules.
const ROUND: Duration = Duration::from_secs(10);
/// Maximum number of untrusted domains that are logged and shown.
const DOUBTED: usize = 64;

impl XmppServer {
    /// Whether an address may speak for a module: a domain in [`OwnDomains`](super::own_domains), alone or with the
    /// resource `portcullis`.
    pub fn believes(&self, from: &Jid) -> bool {
        if from.node().is_some() || from.resource().is_some_and(|r| r.as_str() != "portcullis") {
            return false;
        }
        let own = self.own.load();
        let domain = from.domain().as_str();
        own.contains(domain) || own.contains(&domain_key(domain))
    }

    /// [`XmppServer::believes`] for an address that is not parsed. `false` may only mean that it is spelled
    /// differently.
    pub fn believes_plain(&self, from: &str) -> bool {
        let domain = from.strip_suffix("/portcullis").unwrap_or(from);
        self.own.load().contains(domain)
    }

    /// Logs, once per domain, that a module is not trusted, and the setting that would change that.
    pub fn doubts(&self, from: &Jid) {
        let domain = domain_key(from.domain().as_str());
        if self.doubt_domain(from) {
            tracing::warn!(
                %from,
                "the hello of an untrusted hook module was ignored; if {domain} is on your server, set hosts = [\"{domain}\"] in [hook]"
            );
        }
    }

    /// Remembers a domain that speaks as a virtual host does and is not ours; returns whether it is new.
    pub(super) fn doubt_domain(&self, from: &Jid) -> bool {
        let is_new = {
            let mut doubted = self.doubted();
            doubted.len() < DOUBTED && doubted.insert(domain_key(from.domain().as_str()))
        };
        if is_new {
            self.publish();
        }
        is_new
    }

    /// Handles the hello of a module. `behind` is the number of decisions it has not fetched, `now` our time.
    pub fn heard(&self, from: &Jid, hello: Hello, behind: u64, now: Timestamp) {
        let vhost = domain_key(from.domain().as_str());
        let (is_new, taken) = {
            let mut state = self.state();
            state.spells(from);
            let is_new = state.modules.address(&vhost).is_none();
            let known = state
                .modules
                .nodes(&vhost)
                .find(|node| node.hello.node == hello.node);
            let skew = hello.now.and_then(|theirs| ClockSkew::between(theirs, now));
            log_clock(&hello.node, known.and_then(|node| node.skew), skew);
            if known.is_none() {
                tracing::info!(%from, software = hello.software, version = hello.version,
                    module = hello.module, node = hello.node, "a hook module is there");
            }
            if let Some(trouble) = &hello.trouble {
                tracing::warn!(%from, node = hello.node, "the hook module says: {trouble}");
            }
            let node = Node {
                hello,
                behind,
                skew,
                heard: Instant::now(),
            };
            (is_new, state.modules.heard(&vhost, from, node))
        };
        if !taken {
            tracing::warn!(%from, "too many hook modules; this one is ignored");
        }
        self.publish();
        self.greeted.notify_one();
        if is_new {
            // It may be a virtual host that was not probed yet.
            self.doubt.notify_one();
        }
    }

    /// The address of the module on a virtual host; `None` if there is none.
    pub(super) fn module_at(&self, vhost: &str) -> Option<Jid> {
        self.state().modules.address(vhost).cloned()
    }

    /// The addresses of all modules.
    pub(super) fn all_modules(&self) -> Vec<Jid> {
        let state = self.state();
        let modules = state.modules.addresses();
        modules.map(|(_, address)| address.clone()).collect()
    }

    /// Ends the sessions that a ban refuses, on every virtual host with a module.
    ///
    /// A ban by a rule ends none: some sessions at its source belong to people it does not affect, and the others are
    /// refused at their next check.
    pub(super) async fn enforce_by_module(&self, ban: &Ban) -> Result<Held, Undone> {
        let modules = self.all_modules();
        if modules.is_empty() {
            return Ok(Held::NeedsModule);
        }
        if matches!(ban.origin, Origin::Automatic { .. }) {
            return Ok(Held::Enforced);
        }
        for module in &modules {
            self.kick_by_module(module, &ban.subject, &hook::text_for(ban))
                .await?;
        }
        Ok(Held::Enforced)
    }

    /// Ends sessions with the reason; returns how many, if the module says so. Pairs and lockdowns end none.
    pub(super) async fn kick_by_module(
        &self,
        module: &Jid,
        subject: &Subject,
        text: &str,
    ) -> Result<Option<u64>, Undone> {
        let Some(kick) = hook::kick(subject, text, module.domain().as_str()) else {
            return Ok(Some(0));
        };
        let limit = self.limits.answer;
        match self
            .requests
            .plain(IqRequest::new(module.clone(), Verb::Set, kick, limit))
            .await
        {
            Ok(answer) => {
                let count = answer.as_ref().and_then(hook::kicked);
                tracing::debug!(%module, %subject, ?count, "streams were ended");
                Ok(count)
            }
            Err(why) => Err(self.no_answer(module, "could not end streams", &why)),
        }
    }

    /// The hash by which ejabberd itself refuses an account, from the module, which has the cookie; `None` if it
    /// gives none.
    pub(super) async fn hash_by_module(&self, module: &Jid, account: &Account) -> Option<String> {
        let limit = self.limits.answer;
        let question = hook::hash(account, module.domain().as_str());
        let answer = self
            .requests
            .plain(IqRequest::new(module.clone(), Verb::Get, question, limit))
            .await;
        match answer {
            Ok(answer) => answer.as_ref().and_then(hook::hash_value),
            Err(why) => {
                tracing::warn!(%module, "the hook module did not compute a hash: {why}");
                None
            }
        }
    }

    fn no_answer(&self, module: &Jid, what: &str, why: &Unanswered) -> Undone {
        Undone(format!("The hook module at {module} {what}: {why}."))
    }

    /// Announces changes of the bans to the modules, and forgets silent ones, until told to stop.
    pub async fn tell_news(
        self: Arc<Self>,
        epoch: impl Fn() -> String,
        mut news: watch::Receiver<Seq>,
        stop: CancellationToken,
    ) {
        // A slow module delays no other; it gets the latest news once it has answered.
        let mut told: BTreeMap<Jid, Seq> = BTreeMap::new();
        let mut under_way: JoinSet<Jid> = JoinSet::new();
        let mut busy: Vec<Jid> = Vec::new();
        loop {
            let seq = *news.borrow_and_update();
            let modules: Vec<Jid> = {
                let state = self.state();
                let modules = state.modules.addresses();
                modules.map(|(_, address)| address.clone()).collect()
            };
            told.retain(|module, _| modules.contains(module));
            for module in modules {
                // A module that has just said hello got the number with the welcome.
                let before = *told.entry(module.clone()).or_insert(seq);
                if before < seq && !busy.contains(&module) {
                    told.insert(module.clone(), seq);
                    busy.push(module.clone());
                    under_way.spawn(Arc::clone(&self).tell(module, hook::news(&epoch(), seq)));
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = news.changed() => match changed {
                    Ok(()) => sleep(NEWS_PAUSE).await,
                    Err(_) => return,
                },
                Some(done) = under_way.join_next() => match done {
                    Ok(module) => busy.retain(|other| *other != module),
                    Err(_) => busy.clear(),
                },
                () = self.greeted.notified() => {}
                () = sleep(ROUND) => {
                    if self.state().modules.tidy(Instant::now()) {
                        tracing::warn!("a hook module has not said hello for three minutes");
                        self.publish();
                    }
                }
            }
        }
    }

    async fn tell(self: Arc<Self>, module: Jid, news: minidom::Element) -> Jid {
        let limit = self.limits.probe;
        if let Err(why) = self
            .requests
            .aside(IqRequest::new(module.clone(), Verb::Set, news, limit))
            .await
        {
            // It asks at its next hello.
            tracing::debug!(%module, "the module did not take the news: {why}");
        }
        module
    }
}

/// Logs when a difference begins, and when it is over.
fn log_clock(node: &str, before: Option<ClockSkew>, skew: Option<ClockSkew>) {
    match (before, skew) {
        (None, Some(skew)) => {
            tracing::warn!(node, "the clock of the server is {skew} the clock here");
        }
        (Some(_), None) => tracing::info!(node, "the clock of the server agrees again"),
        _ => {}
    }
}
