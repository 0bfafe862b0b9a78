//! Bans on ejabberd: the record that its own password check obeys.
//!
//! Kick, write, kick again, wait until the sessions are gone, read back, and repeat if the record changed meanwhile.
//! A user with an open session can overwrite the record, and stanzas sent before the kick are still processed after
//! the kick is acknowledged. Nothing that a user stored is believed: an unreadable record is overwritten, and a hash
//! counts as the server's only if the server left it unchanged while the user had no session.

use std::time::Duration;

use tokio::time::sleep;
use xmpp_parsers::jid::{BareJid, Jid};

use super::XmppServer;
use super::admin;
use super::native_hash::native_hash;
use super::probe::{HostCapabilities, Software};
use super::record::{BanRecord, Judgement};
use crate::core::{Account, Ban, BanId};
use crate::delivery::ports::{Existence, RecordState, Undone};
use crate::xmpp::iq::Unanswered;
use crate::xmpp::payload::hook;

/// How often a record is written before giving up for now. To overwrite it again, the user has to log in between two
/// of our steps.
const ROUNDS: u32 = 5;
/// How many times, at intervals of [`LOOK`], we check whether kicked sessions are gone.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(50);
/// The same, before the first record is written.
const FIRST_LOOKS: u32 = 20;

/// The hash in a record.
struct Hash {
    text: String,
    /// Whether the server refuses logins by it, as far as we know.
    is_right: bool,
    /// Whether it was made with the configured cookie.
    from_cookie: bool,
}

impl Hash {
    /// A hash written by the server, or by somebody in its name; it proves nothing until the server has left it
    /// unchanged.
    fn candidate(text: String) -> Hash {
        Hash {
            text,
            is_right: false,
            from_cookie: false,
        }
    }
}

impl XmppServer {
    /// Puts a ban into force.
    ///
    /// Sessions end first, before the record is read: nothing that a user stored may delay that, and the hash that
    /// makes the server refuse logins should not be written while she can still read it (a cookie made by Erlang can
    /// be guessed from the hash).
    pub(super) async fn write_ban(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        ban: &Ban,
        account: &Account,
        module: Option<&Jid>,
    ) -> Result<(), Undone> {
        if !host.keeps_records() {
            return Err(Undone(format!(
                "{} does not let portcullis write ban records. `status` shows the lines to add.",
                host.vhost
            )));
        }
        if module.is_none() {
            self.empty_sessions(host, jid).await;
        }
        let _turn = self.turns.of(jid).await;
        let old = self.read(host, jid).await?;
        self.look_for_strangers(&old, account, Some(ban.id));
        let mut hash = self.hash(host, account, &old, module).await;
        let sealed = old.is_sealed(account, &self.keyring) && old.looks_native();
        let before = sealed.then_some(old.hash);
        let mut kept = old.foreign;
        let mut unknown_account = false;
        for round in 1..=ROUNDS {
            if round > 1 && module.is_none() {
                // She may be back, because the record that replaced ours may ban nobody.
                self.empty_sessions(host, jid).await;
            }
            let expected =
                BanRecord::of(ban, account, hash.text.clone(), &self.keyring).keeping(&kept);
            self.write(host, jid, &expected).await?;
            let asked = match self.wants_proof(host, &hash) {
                true => self.let_the_server_ban(host, jid).await?,
                false => ServerBan::No,
            };
            unknown_account |= asked == ServerBan::NoAccount;
            self.kick(host, jid, ban, module).await?;
            let after = self.read(host, jid).await?;
            if after.holds_password() && !kept.iter().any(|child| child.name() == "password") {
                kept.clone_from(&after.foreign);
            }
            let judgement = after.judge(&expected, account, &self.keyring, None);
            if asked == ServerBan::Done {
                match judgement {
                    // The server leaves a record unchanged only if its hash is right, and no session was left that
                    // could have put ours back.
                    Judgement::Ours if after.looks_native() => {
                        if let Some(before) = before {
                            self.hash_is_proven(host, ban, account, before == hash.text);
                        }
                        if hash.from_cookie {
                            self.learn(&host.vhost, |host| host.cookie = Some(true));
                        } else if self.cookie.is_some() && host.cookie.is_none() {
                            tracing::warn!(vhost = %host.vhost, "the configured cookie is not the server's");
                            self.learn(&host.vhost, |host| host.cookie = Some(false));
                        }
                        return Ok(());
                    }
                    // The server replaced our record by its own, or she by hers; the next round finds out.
                    Judgement::Junk if after.looks_native() && after.hash != hash.text => {
                        hash = Hash::candidate(after.hash);
                        continue;
                    }
                    // The server must have replaced a hash that is not its own.
                    Judgement::Ours if round < ROUNDS => continue,
                    _ => {}
                }
            }
            match judgement {
                Judgement::Ours if hash.is_right => return Ok(()),
                Judgement::Ours if unknown_account => {
                    return Err(Undone(format!(
                        "There is no account {jid} yet, and without the server's cookie its name cannot be kept banned: set `ejabberd_cookie_file` in [record]."
                    )));
                }
                Judgement::Ours => {
                    return Err(Undone(format!(
                        "{jid} was disconnected, but the server will not refuse the next login: set `ejabberd_cookie_file` in [record]."
                    )));
                }
                judgement => {
                    tracing::debug!(%jid, round, ?judgement, "the record was changed right after it was written");
                    self.found(account, Some(ban.id), found(judgement));
                }
            }
        }
        Err(Undone(format!(
            "The record of {jid} was changed each time it was written, although the sessions were closed."
        )))
    }

    /// Ends the sessions of an account and waits a moment until they are gone. Failures are not reported here but by
    /// later steps, so that somebody who reconnects all the time is banned nonetheless.
    async fn empty_sessions(&self, host: &HostCapabilities, jid: &BareJid) {
        let is_online = || async {
            let stats = self
                .run_command(host, admin::user_stats(jid.as_str()))
                .await;
            stats.is_ok_and(|stats| admin::is_online(&stats))
        };
        if !host.offers("end-user-session") || host.offers("user-stats") && !is_online().await {
            return;
        }
        let command = admin::end_user_session(jid.as_str());
        if self.run_command(host, command).await.is_err() || !host.offers("user-stats") {
            return;
        }
        for _ in 0..FIRST_LOOKS {
            if !is_online().await {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Lifts a ban. ejabberd 24.06 to 25.07 keeps the user's password in a record it made itself, and emptying that
    /// record loses the password forever. Such a record is given back to the server, whose own ban then stands until
    /// `unban_account` lifts it.
    pub(super) async fn empty_record(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        account: &Account,
    ) -> Result<(), Undone> {
        if !host.keeps_records() {
            return Err(Undone(format!(
                "{} does not let portcullis change ban records. `status` shows the lines to add.",
                host.vhost
            )));
        }
        let _turn = self.turns.of(jid).await;
        let mut record = self.read(host, jid).await?;
        // A server that does not say what it is may be Prosody, where the record is only a copy.
        let may_be_disabled = host.kind == Software::Unknown && host.offers("reenable-user");
        if record.is_empty() && !may_be_disabled {
            return Ok(());
        }
        self.look_for_strangers(&record, account, None);
        // 25.10 and later: this deletes the row; an emptied record would still be counted as a ban.
        if host.offers("reenable-user") {
            match self
                .run_command(host, admin::reenable_user(jid.as_str()))
                .await
            {
                Ok(_) | Err(Unanswered::Refused(_)) => {}
                Err(why) => {
                    return Err(self.undone(&format!("{jid} could not be enabled again"), &why));
                }
            }
            record = self.read(host, jid).await?;
            if record.is_empty() {
                return Ok(());
            }
        }
        if record.holds_password() {
            return self.give_back(host, jid, record).await;
        }
        self.write(host, jid, &BanRecord::default()).await?;
        match self.read(host, jid).await?.is_empty() {
            true => Ok(()),
            false => Err(Undone(format!(
                "The record of {jid} is still there after it was emptied."
            ))),
        }
    }

    /// Takes our part out of a record in which the server keeps the password.
    async fn give_back(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        record: BanRecord,
    ) -> Result<(), Undone> {
        if record.ours.is_some() {
            self.write(host, jid, &record.without_ours()).await?;
            if self.read(host, jid).await?.ours.is_some() {
                return Err(Undone(format!(
                    "The record of {jid} still holds a ban of portcullis after that was taken out."
                )));
            }
        }
        tracing::info!(%jid, "the server itself banned this account and keeps its password; only `ejabberdctl unban_account` lifts that");
        Ok(())
    }

    /// Whether the account exists. ejabberd reads and writes records of nonexistent accounts in the same way.
    pub(super) async fn find_on_ejabberd(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
    ) -> Existence {
        // Enabling an account that is not banned changes nothing, and fails with `item-not-found` for a nonexistent
        // one. It would lift a ban, so it is only done if the record is empty and nobody writes it meanwhile.
        let mut turn = self.turns.of(jid).await;
        if host.keeps_records()
            && host.offers("reenable-user")
            && self
                .read(host, jid)
                .await
                .is_ok_and(|record| record.is_empty())
        {
            let under_way = turn.command(self.limits.answer);
            let command = admin::reenable_user(jid.as_str());
            let answer = self.run_command(host, command).await;
            if !matches!(answer, Err(Unanswered::Silent | Unanswered::LinkDown)) {
                under_way.answered();
            }
            match answer {
                Ok(done) if done.complaint().is_none() => return Existence::Exists,
                Err(Unanswered::Refused(refused)) if refused.condition == "item-not-found" => {
                    return Existence::Missing;
                }
                // The server did not look; the last activity may tell something.
                _ => {}
            }
        }
        drop(turn);
        match self.has_been_there(host, jid).await {
            Some(true) => return Existence::Exists,
            Some(false) => {}
            None => return Existence::Unknown,
        }
        // ejabberd says `Never` for every account if mod_last is not loaded, so check whether it says anything else
        // for an admin. If it does, this account has no row in mod_last, which most accounts get when they are
        // registered. Imported accounts have none, nor have those of LDAP, and mod_last writes its rows with a delay:
        // the newest are lost if the server is killed.
        match self.local_admin(host) {
            Some(admin)
                if admin != *jid && self.has_been_there(host, &admin).await == Some(true) =>
            {
                Existence::NoTrace
            }
            _ => Existence::Unknown,
        }
    }

    /// An admin account of the virtual host.
    pub(super) fn local_admin(&self, host: &HostCapabilities) -> Option<BareJid> {
        let state = self.state();
        let mut admins = state.admins.iter();
        state.jid_of(admins.find(|admin| admin.domain() == host.vhost)?)
    }

    async fn has_been_there(&self, host: &HostCapabilities, jid: &BareJid) -> Option<bool> {
        let answer = self
            .run_command(host, admin::last_login(jid.as_str()))
            .await
            .ok()?;
        admin::has_been_there(&answer)
    }

    /// Reports a record that claims to be ours and is not. One for earlier terms of the ban is ours.
    fn look_for_strangers(&self, record: &BanRecord, account: &Account, ban: Option<BanId>) {
        if record.ours.is_some() && !record.is_sealed(account, &self.keyring) {
            self.found(account, ban, RecordState::Forged);
        }
    }

    /// The best available hash for an account.
    async fn hash(
        &self,
        host: &HostCapabilities,
        account: &Account,
        old: &BanRecord,
        module: Option<&Jid>,
    ) -> Hash {
        if let Some(module) = module
            && let Some(text) = self.hash_by_module(module, account).await
        {
            return Hash {
                text,
                is_right: true,
                from_cookie: false,
            };
        }
        match self.hash_by_cookie(host, account) {
            Some(text) => Hash {
                text,
                is_right: true,
                from_cookie: true,
            },
            // We sealed it once, and not by the wrong cookie. If the server can be asked, the hash must prove itself
            // again, because the ban may have been left half done.
            _ if old.is_sealed(account, &self.keyring)
                && old.looks_native()
                && self.hash_of_configured_cookie(host, account).as_ref() != Some(&old.hash) =>
            {
                Hash {
                    is_right: !host.offers("disable-user"),
                    ..Hash::candidate(old.hash.clone())
                }
            }
            // Without its hash, the server's own ban could not be lifted by `unban_account`, which restores the password.
            _ if old.holds_password() && old.looks_native() => Hash::candidate(old.hash.clone()),
            _ => Hash {
                text: self.keyring.fallback_hash(account),
                is_right: false,
                from_cookie: false,
            },
        }
    }

    /// The server's hash of an account by the configured cookie; `None` without a cookie, or if it is known to be
    /// another server's.
    pub(super) fn hash_by_cookie(
        &self,
        host: &HostCapabilities,
        account: &Account,
    ) -> Option<String> {
        self.hash_of_configured_cookie(host, account)
            .filter(|_| host.cookie != Some(false))
    }

    /// The same, whatever is known about the cookie.
    pub(super) fn hash_of_configured_cookie(
        &self,
        host: &HostCapabilities,
        account: &Account,
    ) -> Option<String> {
        let cookie = self.cookie.as_ref()?;
        let cookie = cookie.expose().trim_end().as_bytes();
        Some(native_hash(account.localpart(), &host.domain, cookie))
    }

    fn wants_proof(&self, host: &HostCapabilities, hash: &Hash) -> bool {
        let unproven_cookie = hash.from_cookie && host.cookie.is_none();
        host.offers("disable-user") && (!hash.is_right || unproven_cookie)
    }

    /// Lets the server ban the account itself. It leaves a record with a right hash unchanged, and replaces one with
    /// a wrong hash by its own (25.10 and later).
    async fn let_the_server_ban(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
    ) -> Result<ServerBan, Undone> {
        match self
            .run_command(host, admin::disable_user(jid.as_str()))
            .await
        {
            Ok(_) => Ok(ServerBan::Done),
            Err(Unanswered::Refused(refused)) if refused.condition == "item-not-found" => {
                Ok(ServerBan::NoAccount)
            }
            // There is no proof; the hash stays as it is.
            Err(Unanswered::Refused(_)) => Ok(ServerBan::No),
            Err(why) => Err(self.undone(&format!("{jid} could not be disabled"), &why)),
        }
    }

    async fn kick(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        ban: &Ban,
        module: Option<&Jid>,
    ) -> Result<(), Undone> {
        if let Some(module) = module {
            let text = hook::text_for(ban);
            self.kick_by_module(module, &ban.subject, &text).await?;
            return self.wait_until_gone(host, jid).await;
        }
        if !host.offers("end-user-session") {
            return Err(Undone(format!(
                "The record of {jid} is written, but {} does not let portcullis close open sessions. `status` shows the lines to add.",
                host.vhost
            )));
        }
        let doing =
            || format!("The record of {jid} is written, but open sessions could not be closed");
        match self
            .run_command(host, admin::end_user_session(jid.as_str()))
            .await
        {
            Ok(done) => match done.complaint() {
                None => self.wait_until_gone(host, jid).await,
                Some(complaint) => Err(Undone(format!("{}: {complaint}.", doing()))),
            },
            Err(why) => Err(self.undone(&doing(), &why)),
        }
    }

    /// The server acknowledges a kick before the session has processed what its client sent, so a record read then
    /// proves nothing (seen with a client that overwrites its record in a loop).
    async fn wait_until_gone(&self, host: &HostCapabilities, jid: &BareJid) -> Result<(), Undone> {
        if !host.offers("user-stats") {
            return Ok(());
        }
        for _ in 0..LOOKS {
            let stats = self
                .run_command(host, admin::user_stats(jid.as_str()))
                .await;
            let stats = stats.map_err(|why| {
                self.undone(
                    &format!("The sessions of {jid} could not be looked at"),
                    &why,
                )
            })?;
            if !admin::is_online(&stats) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err(Undone(format!(
            "The record of {jid} is written, but its sessions do not end or come back."
        )))
    }

    /// Whether the record of a ban is still as we wrote it, and the server accepts the hash in it as far as we know; if
    /// not, reports what it is.
    pub(super) async fn is_in_line(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        ban: &Ban,
        account: &Account,
    ) -> Option<bool> {
        let record = self.read(host, jid).await.ok()?;
        let expected = BanRecord::of(ban, account, record.hash.clone(), &self.keyring);
        match record.judge(&expected, account, &self.keyring, None) {
            Judgement::Ours => Some(self.accepts(host, ban, account, &record.hash).await),
            judgement => {
                self.found(account, Some(ban.id), found(judgement));
                Some(false)
            }
        }
    }

    pub(super) async fn read(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
    ) -> Result<BanRecord, Undone> {
        let read = self
            .requests
            .read_record(jid, host.spelling, self.limits.answer)
            .await;
        read.map_err(|why| self.undone(&format!("The record of {jid} could not be read"), &why))
    }

    pub(super) async fn write(
        &self,
        host: &HostCapabilities,
        jid: &BareJid,
        record: &BanRecord,
    ) -> Result<(), Undone> {
        let written = self
            .requests
            .write_record(jid, host.spelling, record, self.limits.answer)
            .await;
        written
            .map_err(|why| self.undone(&format!("The record of {jid} could not be written"), &why))
    }
}

/// The state of a record that is not what we just wrote.
fn found(judgement: Judgement) -> RecordState {
    match judgement {
        Judgement::Empty => RecordState::Nothing,
        Judgement::Ours | Judgement::Outdated => RecordState::Older,
        Judgement::Altered => RecordState::Changed,
        Judgement::Forged => RecordState::Forged,
        Judgement::ServerMade | Judgement::Junk => RecordState::Other,
    }
}

/// The server's answer when asked to ban an account itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerBan {
    /// It was not asked, or refused.
    No,
    /// Its own record is there now, or one with a right hash was already.
    Done,
    /// The account does not exist.
    NoAccount,
}
