//! Bans on Prosody: accounts are disabled and enabled (XEP-0133); the record is only an export.

use xmpp_parsers::jid::BareJid;

use super::XmppServer;
use super::admin;
use super::probe::HostCapabilities;
use super::record::BanRecord;
use crate::core::{Account, Ban};
use crate::delivery::ports::{Existence, Undone};
use crate::xmpp::iq::Unanswered;

impl XmppServer {
    /// Disables an account, which ends its sessions at once.
    pub(super) async fn disable(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        ban: &Ban,
        account: &Account,
    ) -> Result<(), Undone> {
        if !host.offers("disable-user") {
            return Err(Undone(format!(
                "{} does not let portcullis disable accounts. `status` shows the lines to add.",
                host.vhost
            )));
        }
        let doing = format!("{jid} could not be disabled");
        let done = self
            .run_command(host, admin::disable_user(jid.as_str()))
            .await;
        let complaint = done.map_err(|why| self.undone(&doing, &why))?.complaint();
        let Some(complaint) = complaint else {
            if host.disables.is_none() {
                self.learn(&host.vhost, |host| host.disables = Some(true));
            }
            self.export(host, jid, ban, account).await;
            return Ok(());
        };
        match self.find_on_prosody(host, jid).await {
            Existence::Missing => Err(Undone(format!(
                "There is no account {jid}; it will be disabled when there is one."
            ))),
            Existence::Exists
                if host.disables != Some(true) && complaint.contains("could not be") =>
            {
                self.learn(&host.vhost, |host| host.disables = Some(false));
                Err(Undone(format!(
                    "{jid} could not be disabled: the way {} stores passwords knows no disabled accounts. `status` shows the line to change.",
                    host.vhost
                )))
            }
            _ => Err(Undone(format!("{doing}: {complaint}."))),
        }
    }

    /// Writes the record. Best effort: the ban is in force without it.
    pub(super) async fn export(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        ban: &Ban,
        account: &Account,
    ) {
        if !host.keeps_records() {
            return;
        }
        let record = BanRecord::of(
            ban,
            account,
            self.keyring.fallback_hash(account),
            &self.keyring,
        );
        if let Err(why) = self.write(host, jid, &record).await {
            tracing::warn!(%jid, "the account is banned, but its record was not written: {why}");
        }
    }

    /// Empties the record, best effort.
    pub(super) async fn clear_export(&self, host: &HostCapabilities, jid: &BareJid) {
        if !host.keeps_records() {
            return;
        }
        let empty = BanRecord::default();
        match self.read(host, jid).await {
            Ok(record) if record.is_empty() => {}
            Ok(_) => {
                if let Err(why) = self.write(host, jid, &empty).await {
                    tracing::warn!(%jid, "the account is free, but its record was not emptied: {why}");
                }
            }
            Err(why) => {
                tracing::warn!(%jid, "the account is free, but its record was not read: {why}")
            }
        }
    }

    /// Enables an account again.
    pub(super) async fn reenable(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        account: &Account,
    ) -> Result<(), Undone> {
        if !host.offers("reenable-user") {
            return Err(Undone(format!(
                "{} does not let portcullis enable accounts. `status` shows the lines to add.",
                host.vhost
            )));
        }
        let doing = format!("{jid} could not be enabled again");
        let done = self
            .run_command(host, admin::reenable_user(jid.as_str()))
            .await;
        let complaint = done.map_err(|why| self.undone(&doing, &why))?.complaint();
        let record = match host.keeps_records() {
            true => self.read(host, jid).await.unwrap_or_default(),
            false => BanRecord::default(),
        };
        if let Some(complaint) = complaint {
            // If accounts cannot be disabled, this one was not; we write a record only after disabling worked.
            let cannot = complaint.contains("could not be") && host.disables != Some(true);
            let never_was =
                host.disables == Some(false) || !record.is_sealed(account, &self.keyring);
            if !(cannot && never_was) && self.find_on_prosody(host, jid).await != Existence::Missing
            {
                return Err(Undone(format!("{doing}: {complaint}.")));
            }
        }
        if !record.is_empty()
            && let Err(why) = self.write(host, jid, &BanRecord::default()).await
        {
            tracing::warn!(%jid, "the account is enabled, but its record was not emptied: {why}");
        }
        Ok(())
    }

    /// Whether the account exists.
    pub(super) async fn find_on_prosody(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
    ) -> Existence {
        let by_record = self.find_by_record(host, jid).await;
        if by_record == Existence::Exists {
            return by_record;
        }
        if host.offers("user-stats") {
            let stats = self
                .run_command(host, admin::user_stats(jid.as_str()))
                .await;
            match stats {
                Ok(stats) if stats.says_no_account() => return Existence::Missing,
                Ok(stats) if stats.complaint().is_none() => return Existence::Exists,
                _ => {}
            }
        }
        // The refusal counts only if the grant still holds, as the record of an admin shows.
        match self.local_admin(host) {
            Some(admin)
                if by_record == Existence::Missing
                    && self.find_by_record(host, &admin).await == Existence::Exists =>
            {
                Existence::Missing
            }
            _ => Existence::Unknown,
        }
    }

    /// Reads the record of an account to see whether there is one. `Missing` may also mean that the grant is gone.
    async fn find_by_record(&self, host: &HostCapabilities, jid: &BareJid) -> Existence {
        if !host.keeps_records() {
            return Existence::Unknown;
        }
        match self
            .requests
            .read_record(jid, host.spelling, self.limits.answer)
            .await
        {
            Ok(_) => Existence::Exists,
            Err(Unanswered::Refused(refused))
                if !refused.is_wrapped && refused.condition == "forbidden" =>
            {
                Existence::Missing
            }
            Err(_) => Existence::Unknown,
        }
    }
}
