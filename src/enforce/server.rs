//! The XMPP server as seen by delivery: puts bans into force and lifts them.
//!
//! What a virtual host allows is probed when the link comes up (`probe.rs`) and again every few minutes, because
//! ejabberd may withdraw rights without notice (`probe_loop.rs`). Start reading at [`XmppServer`] and at the methods
//! of the port (`port.rs`). `ejabberd.rs`, `prosody.rs` and `hook_module.rs` do the work on each server and with our
//! module.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, broadcast, watch};
use xmpp_parsers::jid::{BareJid, Jid};

use super::admin;
use super::diagnosis::{Names, standing};
use super::hash_proof::HashProof;
use super::module_nodes::Modules;
use super::own_domains::OwnDomains;
use super::port::no_jid;
use super::privilege::{Grants, NoGrant, Right};
use super::probe::{self, HostCapabilities, Software};
use super::requests::Requests;
use super::settings::{Settings, Timeouts};
use super::turns::AccountTurns;
use crate::core::account::domain_key;
use crate::core::seal::Keyring;
use crate::core::{Account, BanId, as_written};
use crate::delivery::ports::{Enforcement, Finding, RecordState, Undone};
use crate::xmpp::iq::{Asker, Unanswered};
use crate::xmpp::secret::Secret;
use crate::xmpp::stanza::{Received, StanzaKind};
use crate::xmpp::wire::NameConflict;

/// Maximum number of findings waiting for subscribers.
const FINDINGS: usize = 64;

/// The server. The router reports events of the link ([`link_up`](Self::link_up), [`link_down`](Self::link_down),
/// [`take`](Self::take)); [`run`](Self::run) is its task.
#[derive(Debug)]
pub struct XmppServer {
    pub(super) component: Jid,
    /// Localpart of an account that nobody has.
    pub(super) nobody: String,
    pub(super) keyring: Keyring,
    pub(super) cookie: Option<Secret>,
    pub(super) limits: Timeouts,
    pub(super) requests: Requests,
    pub(super) state: Mutex<ServerState>,
    /// Number of the current connection; 0: none.
    pub(super) session: watch::Sender<u64>,
    pub(super) standing: watch::Sender<Arc<Enforcement>>,
    /// Notified when a grant arrives.
    pub(super) granted: Notify,
    /// Notified when something does not fit what was found, so that it is probed again.
    pub(super) doubt: Notify,
    pub(super) reconnect: Notify,
    /// Notified when a module says hello.
    pub(super) greeted: Notify,
    /// The domains whose grants, hook modules and lists are trusted.
    pub(super) own: ArcSwap<OwnDomains>,
    /// Domains that spoke as a virtual host does on this connection and are not ours.
    pub(super) doubted: Mutex<BTreeSet<String>>,
    /// Who works on the record of which account.
    pub(super) turns: AccountTurns,
    /// Records that were changed by others.
    pub(super) findings: broadcast::Sender<Finding>,
}

#[derive(Debug)]
pub(super) struct ServerState {
    pub(super) admins: Vec<Account>,
    pub(super) act_as: Option<Account>,
    pub(super) sessions: u64,
    pub(super) grants: Grants,
    /// The server's spelling of each virtual host, by our spelling: `xn--bcher-kva.example` by `bücher.example`.
    pub(super) spellings: BTreeMap<String, String>,
    pub(super) hosts: BTreeMap<String, HostCapabilities>,
    pub(super) probed: bool,
    pub(super) modules: Modules,
    /// Virtual hosts that had a grant on this connection or an earlier one.
    pub(super) ever_granted: BTreeSet<String>,
    /// Virtual hosts where a ban was enforced.
    pub(super) ever_enforced: BTreeSet<String>,
    /// Virtual hosts whose accounts we could change ourselves, without the hook module: a ban may have left a record or a
    /// disabled account there.
    pub(super) ever_changed: BTreeSet<String>,
    /// The program that runs each virtual host, as last reported.
    pub(super) kinds: BTreeMap<String, Software>,
    /// What this connection has shown about the hashes in records, by virtual host.
    pub(super) hash_proofs: BTreeMap<String, HashProof>,
    conflict: Option<NameConflict>,
}

impl XmppServer {
    /// A server that is asked through `asker`. The link counts as down until [`XmppServer::link_up`].
    pub fn new(asker: Asker, settings: Settings) -> Arc<Self> {
        let own = settings.own_domains();
        let component = Jid::from(settings.component);
        Arc::new(XmppServer {
            own: ArcSwap::from_pointee(own),
            doubted: Mutex::default(),
            component,
            nobody: probe::nobody(),
            keyring: settings.keyring,
            cookie: settings.cookie,
            limits: settings.limits,
            requests: Requests::new(asker),
            state: Mutex::new(ServerState {
                admins: settings.admins,
                act_as: settings.act_as,
                sessions: 0,
                grants: Grants::default(),
                spellings: BTreeMap::new(),
                hosts: BTreeMap::new(),
                probed: false,
                modules: Modules::default(),
                ever_granted: BTreeSet::new(),
                ever_enforced: BTreeSet::new(),
                ever_changed: BTreeSet::new(),
                kinds: BTreeMap::new(),
                hash_proofs: BTreeMap::new(),
                conflict: None,
            }),
            session: watch::Sender::new(0),
            standing: watch::Sender::default(),
            granted: Notify::new(),
            doubt: Notify::new(),
            reconnect: Notify::new(),
            greeted: Notify::new(),
            turns: AccountTurns::default(),
            findings: broadcast::Sender::new(FINDINGS),
        })
    }

    /// The link came up; grants will follow.
    pub fn link_up(&self) {
        let session = {
            let mut state = self.state();
            state.sessions += 1;
            state.forget();
            state.sessions
        };
        self.doubted().clear();
        self.session.send_replace(session);
        self.publish();
    }

    /// The link went down; all grants end.
    pub fn link_down(&self) {
        self.session.send_replace(0);
        self.state().forget();
        self.publish();
    }

    /// Another connection has our name, or no longer has.
    pub fn set_conflict(&self, conflict: Option<NameConflict>) {
        let is_over = conflict.is_none();
        self.state().conflict = conflict;
        self.publish();
        if is_over {
            // On ejabberd the end of the other connection takes our grants with it.
            self.doubt.notify_one();
        }
    }

    /// Handles a stanza if it is a message about privileges; returns whether it was one. Forged grants are dropped
    /// here.
    pub fn take(&self, received: &Received) -> bool {
        if received.kind != StanzaKind::Message {
            return false;
        }
        let (from, to) = (&received.header.from, &received.header.to);
        let is_own = self
            .own
            .load()
            .contains(&domain_key(from.domain().as_str()));
        let late = {
            let mut state = self.state();
            // Grants of strangers are read into a table that nobody uses, only to distinguish them from other
            // messages.
            let mut strangers = Grants::default();
            let grants = match is_own {
                true => &mut state.grants,
                false => &mut strangers,
            };
            let taken = grants.take(&self.component, from, to, &received.element);
            if is_own && taken.is_ok() {
                state.spells(from);
                state
                    .ever_granted
                    .insert(domain_key(from.domain().as_str()));
            }
            match taken {
                Err(NoGrant::OtherMessage) => return false,
                // At debug level, because anybody can cause these lines.
                Err(why) => {
                    tracing::debug!(%from, "ignored {why}");
                    return true;
                }
                Ok(_) if !is_own => {
                    drop(state);
                    tracing::debug!(%from, "ignored a grant of a domain that is not one of ours");
                    self.doubt_domain(from);
                    return true;
                }
                Ok(is_new) => is_new && state.probed,
            }
        };
        self.granted.notify_one();
        if late {
            self.doubt.notify_one();
        }
        true
    }

    /// Replaces admins and the hosts of modules after a reload.
    pub fn set_admins(
        &self,
        admins: Vec<Account>,
        act_as: Option<Account>,
        hook_hosts: Vec<String>,
    ) {
        let own = OwnDomains::new(&self.component, admins.iter().chain(&act_as), &hook_hosts);
        let has_more = {
            let before = self.own.load();
            own.all().any(|domain| !before.contains(domain))
        };
        {
            let mut state = self.state();
            state.admins = admins;
            state.act_as = act_as;
            state.keep(&own);
        }
        self.own.store(Arc::new(own));
        self.publish();
        if has_more {
            // Grants are sent when a connection begins, and modules say hello then.
            self.reconnect.notify_one();
        }
        self.doubt.notify_one();
    }

    /// The capabilities of each virtual host, as last probed.
    pub fn capabilities(&self) -> Vec<HostCapabilities> {
        self.state().hosts.values().cloned().collect()
    }

    pub(super) fn publish(&self) {
        let now = {
            let state = self.state();
            let hosts: Vec<&HostCapabilities> = state.hosts.values().collect();
            let own = self.own.load();
            let doubted = self.doubted();
            let names = Names {
                component: self.component.as_str(),
                has_cookie: self.cookie.is_some(),
                guessable_cookie: self.cookie.as_ref().is_some_and(is_erlangs_own),
                implied: own.implied(),
                hosts: own.hosts().collect(),
                unnamed: doubted
                    .iter()
                    .map(String::as_str)
                    .filter(|domain| !own.contains(domain))
                    .collect(),
            };
            let mut now = standing(
                *self.session.borrow() != 0,
                state.probed,
                &hosts,
                &state.modules,
                &names,
            );
            now.conflict.clone_from(&state.conflict);
            Arc::new(now)
        };
        self.standing.send_if_modified(|standing| {
            let differs = *standing != now;
            *standing = now;
            differs
        });
    }

    /// Changes what is known about a virtual host, and publishes it.
    pub(super) fn learn(&self, vhost: &str, what: impl FnOnce(&mut HostCapabilities)) {
        if let Some(host) = self.state().hosts.get_mut(vhost) {
            what(host);
        }
        self.publish();
    }

    /// The virtual host of an account, if we may act there.
    pub(super) fn host_of(&self, account: &Account) -> Result<(HostCapabilities, BareJid), Undone> {
        let (host, jid) = self.place_of(account)?;
        let jid = jid.ok_or_else(|| no_jid(account))?;
        Ok((host, jid))
    }

    /// The virtual host of an account, and its JID; `None`: only a module can be asked about the account, because its name
    /// would arrive at the server as that of another.
    ///
    /// # Errors
    /// [`XmppServer::host_of`]'s, without the last.
    pub(super) fn place_of(
        &self,
        account: &Account,
    ) -> Result<(HostCapabilities, Option<BareJid>), Undone> {
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
        let jid = state.jid_of(account);
        match state.hosts.get(domain) {
            // How bans work depends on the program, and a host that grants rights answers some time.
            Some(host) if host.granted && host.is_late && host.kind == Software::Unknown => {
                Err(Undone(format!(
                    "{domain} has not said yet which server it is; it is asked again every half minute."
                )))
            }
            Some(host) if host.is_ours() || state.modules.address(domain).is_some() => {
                Ok((host.clone(), jid))
            }
            None if state.modules.address(domain).is_some() => Ok((
                HostCapabilities::unknown(domain, state.spelled(domain)),
                jid,
            )),
            _ if !state.hosts.values().any(HostCapabilities::is_ours) => Err(Undone(String::from(
                "Nothing is enforced: the server gives portcullis no rights. `status` shows the lines to add.",
            ))),
            Some(_) => Err(Undone(format!(
                "{domain} gives portcullis no rights, if it is on this server at all. `status` shows the lines to add."
            ))),
            None => Err(Undone(format!(
                "{domain} is not a virtual host of this server, as far as portcullis knows. If it is one, name it in hosts of [hook] in portcullis.toml."
            ))),
        }
    }

    pub(super) fn doubted(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A panic while the lock is held leaves the set intact, because each change is a single call.
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ServerState> {
        // A panic while the lock is held leaves the state intact, because each change is a single call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error for a request without a result. Silence also triggers another probe.
    pub(super) fn undone(&self, doing: &str, why: &Unanswered) -> Undone {
        if *why == Unanswered::Silent {
            self.doubt.notify_one();
        }
        Undone(format!("{doing}: {why}."))
    }

    /// Reports a record that is not what it should be. The receiver filters repetitions.
    pub(super) fn found(&self, account: &Account, ban: Option<BanId>, found: RecordState) {
        tracing::warn!(%account, ?found, "the record of a ban is not what was decided");
        // Without receivers it is only in the log.
        let _ = self.findings.send(Finding {
            account: account.clone(),
            ban,
            found,
        });
    }

    pub(super) async fn run_command(
        &self,
        host: &HostCapabilities,
        command: minidom::Element,
    ) -> Result<admin::Completed, Unanswered> {
        let (Some(route), Ok(vhost)) = (&host.route, Jid::new(&host.domain)) else {
            return Err(Unanswered::Unsent(format!(
                "{} does not let portcullis run admin commands",
                host.vhost
            )));
        };
        self.requests
            .command(&vhost, route, command, self.limits.answer)
            .await
    }
}

/// Whether the cookie has the form that Erlang generates if none is set: 20 capital letters, from a generator of 36
/// bits.
fn is_erlangs_own(cookie: &Secret) -> bool {
    let cookie = cookie.expose().trim();
    cookie.len() == 20 && cookie.bytes().all(|byte| byte.is_ascii_uppercase())
}

impl ServerState {
    pub(super) fn forget(&mut self) {
        self.grants.clear();
        self.hosts.clear();
        self.modules.clear();
        self.hash_proofs.clear();
        self.probed = false;
    }

    /// Remembers the server's spelling of a virtual host: the sender of its grant.
    pub(super) fn spells(&mut self, from: &Jid) {
        let domain = from.domain().as_str();
        self.spellings.insert(domain_key(domain), domain.to_owned());
    }

    /// The server's spelling of a virtual host; unchanged if it is not known.
    pub(super) fn spelled<'a>(&'a self, vhost: &'a str) -> &'a str {
        self.spellings.get(vhost).map_or(vhost, String::as_str)
    }

    /// The JID of an account in the server's spelling; `None` if it is not a valid JID.
    pub(super) fn jid_of(&self, account: &Account) -> Option<BareJid> {
        let jid = as_written::exact(&account.spelled(self.spelled(account.domain())))?;
        Some(jid.to_bare())
    }

    /// Forgets everything about other domains.
    fn keep(&mut self, own: &OwnDomains) {
        self.grants.keep(own);
        self.hosts.retain(|vhost, _| own.contains(vhost));
        self.modules.keep(own);
        self.spellings.retain(|vhost, _| own.contains(vhost));
    }

    /// An admin whose name can be borrowed for commands on a virtual host, and the right that her own host grants for
    /// that.
    pub(super) fn borrowed(&self, vhost: &str) -> Option<(BareJid, Right)> {
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
        Some((self.jid_of(admin)?, right))
    }
}
