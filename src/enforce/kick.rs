//! Sessions that are ended without a ban: by the module with the reason, or of an account by the server's own
//! command.

use xmpp_parsers::jid::BareJid;

use super::XmppServer;
use super::admin::{self, Completed};
use super::port::no_jid;
use super::probe::{HostCapabilities, Software};
use crate::core::{Account, Subject};
use crate::delivery::ports::Undone;
use crate::xmpp::payload::hook;

/// The server's own command that ends sessions (XEP-0133, 4.5).
const COMMAND: &str = "end-user-session";

impl XmppServer {
    pub(super) async fn end_sessions(
        &self,
        subject: &Subject,
        reason: &str,
    ) -> Result<Option<u64>, Undone> {
        match subject {
            Subject::Account(account) => self.end_sessions_of(account, reason).await,
            _ => self.end_streams_from(subject, reason).await,
        }
    }

    async fn end_sessions_of(
        &self,
        account: &Account,
        reason: &str,
    ) -> Result<Option<u64>, Undone> {
        let (host, jid) = self.place_of(account)?;
        if let Some(module) = self.module_at(&host.vhost) {
            let subject = Subject::Account(account.clone());
            let text = hook::text_for_kick(reason);
            return self.kick_by_module(&module, &subject, &text).await;
        }
        if !host.offers(COMMAND) {
            return Err(Undone(format!(
                "{} does not let portcullis close open sessions. `status` shows the lines to add.",
                host.vhost
            )));
        }
        let jid = jid.ok_or_else(|| no_jid(account))?;
        // The command itself does not report how many there were.
        let before = self.open_sessions(&host, &jid).await;
        let before = before.as_ref().and_then(admin::sessions);
        self.end_by_command(&host, jid.as_str(), before).await
    }

    /// Ends one session by the server's own command, which accepts a full JID; a module would end all of the account.
    pub(super) async fn end_session_of(
        &self,
        account: &Account,
        resource: &str,
    ) -> Result<Option<u64>, Undone> {
        let (host, jid) = self.host_of(account)?;
        let Ok(full) = jid.with_resource_str(resource) else {
            return Ok(Some(0));
        };
        if !host.offers(COMMAND) {
            return Err(Undone(format!(
                "{} does not let portcullis end single sessions: that takes its command {COMMAND}. Without the resource all sessions of {jid} are meant. `status` shows the lines to add.",
                host.vhost
            )));
        }
        let before = self.open_sessions(&host, &jid).await;
        let before = before.and_then(|stats| admin::has_session(&stats, full.resource().as_str()));
        match before {
            Some(false) => Ok(Some(0)),
            before => {
                let before = before.map(u64::from);
                self.end_by_command(&host, full.as_str(), before).await
            }
        }
    }

    /// The open sessions of an account, if the server reports them.
    async fn open_sessions(&self, host: &HostCapabilities, jid: &BareJid) -> Option<Completed> {
        if !host.offers("user-stats") {
            return None;
        }
        let command = admin::user_stats(jid.as_str());
        self.run_command(host, command).await.ok()
    }

    /// `before` is the number of sessions, which the command does not report.
    async fn end_by_command(
        &self,
        host: &HostCapabilities,
        jid: &str,
        before: Option<u64>,
    ) -> Result<Option<u64>, Undone> {
        let doing = format!("The sessions of {jid} could not be closed");
        let command = match host.kind {
            Software::Prosody => admin::end_user_sessions(jid),
            Software::Ejabberd | Software::Unknown => admin::end_user_session(jid),
        };
        match self.run_command(host, command).await {
            Ok(done) => match done.complaint() {
                None => Ok(before),
                Some(_) if before == Some(0) => Ok(before),
                Some(complaint) => Err(Undone(format!("{doing}: {complaint}."))),
            },
            Err(why) => Err(self.undone(&doing, &why)),
        }
    }

    /// Ends sessions from an address or network, on every virtual host with a module.
    async fn end_streams_from(
        &self,
        subject: &Subject,
        reason: &str,
    ) -> Result<Option<u64>, Undone> {
        let modules = self.all_modules();
        if modules.is_empty() {
            return Err(Undone(String::from(
                "Sessions of an address or network are ended by the hook module, which is not installed; accounts can be named. `status` shows the lines to add.",
            )));
        }
        let text = hook::text_for_kick(reason);
        let mut all = Some(0);
        for module in &modules {
            let ended = self.kick_by_module(module, subject, &text).await?;
            all = all.and_then(|all| Some(all + ended?));
        }
        Ok(all)
    }
}
