//! Whether the server still accepts the hashes in our records. After a new Erlang cookie it accepts none of them, and
//! every record still looks as we wrote it.
//!
//! The hash that the hook module or the configured cookie gives is compared with the one in the record. A server that
//! bans accounts itself (ejabberd 25.10 and later) is asked once in each connection: it replaces a record whose hash is
//! not its own. Asking is a part of enforcing, because a ban that is lifted meanwhile must not come back by it.

use std::collections::BTreeSet;

use super::XmppServer;
use super::probe::HostCapabilities;
use super::server::ServerState;
use crate::core::{Account, Ban, BanId};
use crate::delivery::ports::{Finding, RecordState};

/// What a connection has shown about the hashes in the records of one virtual host.
#[derive(Debug, Default)]
pub(super) struct HashProof {
    /// The ban whose record is to show it.
    asked: Option<BanId>,
    /// Whether a record from before was accepted; `None`: none has been tried.
    accepted: Option<bool>,
    /// The records that were written since one was not accepted; at most one for each ban.
    renewed: BTreeSet<BanId>,
    /// Whether the log has it.
    is_told: bool,
}

impl HashProof {
    /// Whether the record of a ban must be tried. As long as nothing is known, one at a time, and another one in the
    /// next round if that could not be tried, as of an account that does not exist.
    fn wants(&mut self, ban: BanId) -> bool {
        match (self.accepted, self.asked) {
            (Some(true), _) => false,
            (Some(false), _) => !self.renewed.contains(&ban),
            (None, None) => {
                self.asked = Some(ban);
                true
            }
            (None, Some(asked)) => {
                if asked == ban {
                    self.asked = None;
                }
                false
            }
        }
    }

    fn showed(&mut self, ban: BanId, accepted: bool) {
        self.accepted = Some(accepted && self.accepted != Some(false));
        if self.accepted == Some(false) {
            self.renewed.insert(ban);
        }
    }
}

impl XmppServer {
    /// Whether the server accepts the hash in a record of ours, as far as we know. `false`: it is to be written again.
    pub(super) async fn accepts(
        &self,
        host: &HostCapabilities,
        ban: &Ban,
        account: &Account,
        hash: &str,
    ) -> bool {
        let by_cookie = self.hash_of_configured_cookie(host, account);
        if let Some(module) = self.module_at(&host.vhost) {
            let Some(right) = self.hash_by_module(&module, account).await else {
                return true;
            };
            if let Some(by_cookie) = by_cookie {
                let fits = by_cookie == right;
                if host.cookie != Some(fits) {
                    self.learn(&host.vhost, |host| host.cookie = Some(fits));
                }
            }
            return right == hash || self.is_refused_hash(host, ban, account);
        }
        let is_right = match (host.cookie, by_cookie) {
            (Some(false), Some(wrong)) if hash == wrong => false,
            (Some(true), Some(right)) => hash == right,
            _ if host.offers("disable-user") => {
                let mut state = self.state();
                return !state.hash_proof(host).wants(ban.id);
            }
            (None, Some(right)) => hash == right,
            _ => true,
        };
        is_right || self.is_refused_hash(host, ban, account)
    }

    /// The server accepts the hash that a record has now; `was_there`: the record had it before. If not, the server did not
    /// accept the one from before.
    pub(super) fn hash_is_proven(
        &self,
        host: &HostCapabilities,
        ban: &Ban,
        account: &Account,
        was_there: bool,
    ) {
        self.state().hash_proof(host).showed(ban.id, was_there);
        if !was_there {
            self.is_refused_hash(host, ban, account);
        }
    }

    /// Reports a record with a hash that the server does not accept: in the log once in a connection, because all
    /// records are affected. Always `false`.
    fn is_refused_hash(&self, host: &HostCapabilities, ban: &Ban, account: &Account) -> bool {
        let is_told = std::mem::replace(&mut self.state().hash_proof(host).is_told, true);
        if !is_told {
            tracing::warn!(vhost = %host.vhost, %account,
                "ban records have a hash that the server does not accept (has it a new cookie?); they are written again");
        }
        // Without receivers it is only in the log.
        let _ = self.findings.send(Finding {
            account: account.clone(),
            ban: Some(ban.id),
            found: RecordState::Refused,
        });
        false
    }
}

impl ServerState {
    fn hash_proof(&mut self, host: &HostCapabilities) -> &mut HashProof {
        self.hash_proofs.entry(host.vhost.clone()).or_default()
    }
}
