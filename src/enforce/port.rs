//! Implements [`Enforcer`]: which server is asked for what, and how.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use ipnet::IpNet;
use tokio::sync::{broadcast, watch};
use xmpp_parsers::jid::BareJid;

use super::XmppServer;
use super::admin;
use super::privilege::Right;
use super::probe::{HostCapabilities, Software};
use crate::core::{Account, Ban, Subject};
use crate::delivery::ports::{Enforcement, Enforcer, Existence, Finding, Held, Recorded, Undone};
use crate::delivery::refusals::{ServerAsked, ServerRefusal, ServerRefusals};
use crate::xmpp::payload::hook;

impl Enforcer for XmppServer {
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

    fn exists<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Existence> {
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

    fn refusals<'a>(
        &'a self,
        account: Option<&'a Account>,
        addresses: &'a [IpAddr],
    ) -> BoxFuture<'a, ServerRefusals> {
        self.refused_by_server(account, addresses).boxed()
    }

    fn unblock(&self, net: IpNet) -> BoxFuture<'_, Option<u64>> {
        self.unblock_by_module(net).boxed()
    }

    fn standing(&self) -> watch::Receiver<Arc<Enforcement>> {
        self.standing.subscribe()
    }
}

/// A request about this account would be one about another. The hook module is told names as they are.
pub(super) fn no_jid(account: &Account) -> Undone {
    Undone(format!(
        "{} has a name that only the hook module can be told: in a request to the server it would be that of another account, or none. `status` shows how to install the module.",
        Subject::Account(account.clone())
    ))
}

/// The module lets the account in, but what an earlier ban left on the server cannot be removed at present.
fn left_behind(host: &HostCapabilities, jid: &BareJid) -> Undone {
    Undone(format!(
        "{} does not let portcullis change accounts any more, and {jid} may still be refused by an earlier ban. `status` shows the lines to add.",
        host.vhost
    ))
}

impl XmppServer {
    async fn enforce_account(&self, ban: &Ban, account: &Account) -> Result<Held, Undone> {
        let (host, jid) = self.place_of(account)?;
        let module = self.module_at(&host.vhost);
        if module.is_none() && jid.is_none() {
            return Err(no_jid(account));
        }
        if let Some(module) = &module {
            // End the sessions first, with the reason; the module lets nobody in again.
            self.kick_by_module(module, &ban.subject, &hook::text_for(ban))
                .await?;
        }
        // Without a JID the module alone refuses the account, which it is told by name.
        let Some(jid) = jid else {
            self.state().ever_enforced.insert(host.vhost);
            return Ok(Held::Enforced);
        };
        match host.kind {
            Software::Prosody if module.is_some() => self.export(&host, &jid, ban, account).await,
            Software::Prosody => self.disable(&host, &jid, ban, account).await?,
            Software::Ejabberd | Software::Unknown
                if module.is_some() && host.record != Right::Both => {}
            Software::Ejabberd | Software::Unknown => {
                let module = module.as_ref();
                self.write_ban(&host, &jid, ban, account, module).await?;
            }
        }
        self.state().ever_enforced.insert(host.vhost);
        Ok(Held::Enforced)
    }

    async fn release_account(&self, account: &Account) -> Result<(), Undone> {
        let (host, jid) = self.place_of(account)?;
        // Nothing was ever written for it.
        let Some(jid) = jid else {
            return Ok(());
        };
        let has_module = self.module_at(&host.vhost).is_some();
        let may_change = match host.kind {
            Software::Prosody => host.offers("reenable-user"),
            Software::Ejabberd | Software::Unknown => host.record == Right::Both,
        };
        if has_module && !may_change {
            // Rights that were lost before the start are not known here; what a ban left is.
            let could_change = self.state().ever_changed.contains(&host.vhost);
            if could_change || self.is_left_behind(account).await {
                return Err(left_behind(&host, &jid));
            }
            if host.kind == Software::Prosody {
                self.clear_export(&host, &jid).await;
            }
            return Ok(());
        }
        match host.kind {
            Software::Prosody => self.reenable(&host, &jid, account).await,
            Software::Ejabberd | Software::Unknown => self.empty_record(&host, &jid, account).await,
        }
    }

    /// Whether the server itself refuses the account for what a ban of ours may have left, as the module says; also if
    /// the module is silent. A module that does not know the question leaves nothing to find out.
    async fn is_left_behind(&self, account: &Account) -> bool {
        let refusals = self.refused_by_server(Some(account), &[]).await;
        match refusals.asked {
            ServerAsked::Silent => true,
            ServerAsked::NoModule | ServerAsked::TooOld => false,
            ServerAsked::Yes => refusals.found.iter().any(|one| {
                matches!(
                    one,
                    ServerRefusal::OurRecord { .. } | ServerRefusal::Disabled
                )
            }),
        }
    }

    async fn find(&self, account: &Account) -> Existence {
        let Ok((host, jid)) = self.place_of(account) else {
            return Existence::Unknown;
        };
        if let Some(module) = self.module_at(&host.vhost) {
            match self.find_by_module(&module, account).await {
                Existence::Unknown => {}
                known => return known,
            }
        }
        let Some(jid) = jid else {
            return Existence::Unknown;
        };
        match host.kind {
            Software::Prosody => self.find_on_prosody(&host, &jid).await,
            Software::Ejabberd | Software::Unknown => self.find_on_ejabberd(&host, &jid).await,
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
        let hosts: Vec<HostCapabilities> = {
            let state = self.state();
            let offering = |host: &&HostCapabilities| {
                host.kind != Software::Prosody && host.offers(admin::DISABLED_USERS)
            };
            state.hosts.values().filter(offering).cloned().collect()
        };
        let mut all = Vec::new();
        for host in hosts {
            let listed = match self.run_command(&host, admin::disabled_users()).await {
                Ok(listed) => listed,
                Err(why) => {
                    tracing::warn!(vhost = %host.vhost, "the accounts the server itself banned could not be listed: {why}");
                    continue;
                }
            };
            let names = listed.values("disableduserjids").unwrap_or_default();
            let accounts = names.iter().filter_map(|name| hook::account(name));
            // A host may only list its own accounts.
            all.extend(accounts.filter(|account| account.domain() == host.vhost));
        }
        all
    }

    pub(super) async fn record_of(&self, account: &Account) -> Option<Recorded> {
        let (host, jid) = self.host_of(account).ok()?;
        if !host.keeps_records() {
            return None;
        }
        let record = self.read(&host, &jid).await.ok()?;
        let told = record.tells(account, &self.keyring)?;
        if told.is_ours {
            return Some(told);
        }
        let told = Recorded {
            needs_server: told.needs_server && !host.offers("reenable-user"),
            ..told
        };
        // Anybody can store a record; only the server's own hash makes it the server's ban.
        match self.native_hash_of(&host, account).await {
            Some(native) if native == record.hash => Some(told),
            _ => {
                tracing::debug!(%account, "a record is not known to be the server's and was left alone");
                None
            }
        }
    }

    /// The hash by which the server refuses an account; `None` if it cannot be known without asking the server to ban
    /// somebody.
    async fn native_hash_of(&self, host: &HostCapabilities, account: &Account) -> Option<String> {
        if let Some(module) = self.module_at(&host.vhost) {
            return self.hash_by_module(&module, account).await;
        }
        self.hash_by_cookie(host, account)
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
            .map(|stats| admin::read_addresses(&stats, host.kind == Software::Ejabberd))
            .unwrap_or_default()
    }
}
