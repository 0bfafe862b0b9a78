//! Sessions that are ended without a ban: by the module with the reason, or an account's by the server's own command.

use super::XmppServer;
use crate::ban::{Account, Subject};
use crate::gate::ports::Undone;
use crate::xmpp::admin;
use crate::xmpp::payload::hook;
use crate::xmpp::probe::Kind;

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
        let (host, jid) = self.host_of(account)?;
        if let Some(module) = self.module_at(&host.vhost) {
            let subject = Subject::Account(account.clone());
            let text = hook::text_for_kick(reason);
            return self.kick_by_module(&module, &subject, &text).await;
        }
        if !host.offers("end-user-session") {
            return Err(Undone(format!(
                "{} does not let portcullis close open sessions. `status` shows the lines to add.",
                host.vhost
            )));
        }
        // The command itself does not tell how many there were.
        let before = match host.offers("user-stats") {
            true => self
                .run_command(&host, admin::user_stats(jid.as_str()))
                .await
                .ok(),
            false => None,
        };
        let before = before.as_ref().and_then(admin::sessions);
        let doing = format!("The sessions of {jid} could not be closed");
        let command = match host.kind {
            Kind::Prosody => admin::end_user_sessions(jid.as_str()),
            Kind::Ejabberd | Kind::Unknown => admin::end_user_session(jid.as_str()),
        };
        let done = self.run_command(&host, command);
        match done.await {
            Ok(done) => match done.complaint() {
                None => Ok(before),
                Some(_) if before == Some(0) => Ok(before),
                Some(complaint) => Err(Undone(format!("{doing}: {complaint}."))),
            },
            Err(why) => Err(self.undone(&doing, &why)),
        }
    }

    /// From an address or network, on every virtual host that has a module.
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
