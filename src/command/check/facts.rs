//! Facts of `check`.

use serde::Serialize;

use crate::command::context::Context;
use crate::command::parts::facts::fact;
use crate::command::parts::login::{evidence, failed_since, keep_out};
use crate::command::parts::on_server::OnServer;
use crate::command::parts::reach::visible;
use crate::command::parts::server_side::{self, ServerReply};
use crate::command::parts::settle::ASK_WAIT;
use crate::core::{Ban, BanId, By, Counting, Rights, Subject, Timestamp, Verdict};
use crate::delivery::ports::Recorded;

/// Whether a login would be let in, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CheckFacts {
    /// When this was so.
    #[serde(serialize_with = "fact")]
    pub(super) at: Timestamp,
    /// The login: an account, an address, or the account at the address.
    #[serde(serialize_with = "fact")]
    pub(super) subject: Subject,
    /// Whether portcullis would let it in.
    pub(super) let_in: bool,
    /// What of the server itself refuses it.
    #[serde(serialize_with = "fact")]
    pub(super) beside: Option<ServerReply>,
    /// Other active bans that keep the account out at single places, or the address by a network.
    #[serde(serialize_with = "fact")]
    pub(super) kept_out_by: Vec<Ban>,
    /// The kind of ban that refuses it.
    #[serde(serialize_with = "fact")]
    pub(super) refused_by: Option<By>,
    /// The ban that refuses it. Its number is 0 while it is in force in memory only.
    #[serde(serialize_with = "fact")]
    pub(super) ban: Option<Ban>,
    /// What the server does about that ban.
    pub(super) server: Option<OnServer>,
    /// Whether the server refuses what that ban refuses; `None` without one.
    pub(super) enforced: Option<bool>,
    /// What led to that ban, if a rule imposed it and the caller may see it.
    pub(super) evidence: Option<String>,
    /// Other active bans that concern the account or the source, newest first.
    #[serde(serialize_with = "fact")]
    pub(super) others: Vec<Ban>,
    /// The exemption of the source, or else of the account.
    pub(super) exempt_by: Option<String>,
    /// Whether the account logged in from this source before.
    pub(super) known: bool,
    /// Number of accounts that logged in from this source.
    pub(super) accounts_there: u32,
    /// Whether many accounts share the source, so that rules do not ban it.
    pub(super) shared: bool,
    /// The ban that only the server's own record of the account holds.
    #[serde(serialize_with = "fact")]
    pub(super) record: Option<Recorded>,
    /// The counts of the rules; those at zero are left out.
    #[serde(serialize_with = "fact")]
    pub(super) counters: Vec<Counting>,
    /// Number of logins that failed since the ban began: the server looked at their passwords.
    pub(super) failed_since: usize,
    /// Until when failures do not count, because of an un-ban.
    #[serde(serialize_with = "fact")]
    pub(super) grace_until: Option<Timestamp>,
}

impl CheckFacts {
    /// The answer for a login, as far as the caller may see it.
    pub(super) async fn gather(subject: Subject, rights: &Rights, context: &Context) -> Self {
        let explanation = context.admission.explain(subject.whose(), subject.place());
        let mut kept_out = keep_out(&subject, &explanation, context);
        let mut beside = server_side::look(&subject, &explanation.homes, context).await;
        let explanation = visible(explanation, rights);
        let refusing = match &explanation.verdict {
            Verdict::LetIn => None,
            Verdict::Refuse { ban, by, .. } => Some((*ban, *by)),
        };
        let number = refusing.map(|(number, _)| number);
        let (refuses, others): (Vec<Ban>, _) = explanation
            .bans
            .into_iter()
            .partition(|ban| Some(ban.id) == number);
        let ban = refuses.into_iter().next();
        let server = ban
            .as_ref()
            .map(|ban| OnServer::about(&ban.subject, context));
        let failed_since = ban.as_ref().map_or(0, |ban| failed_since(ban, context));
        let evidence = match ban.as_ref().filter(|ban| rights.see(&ban.subject)) {
            Some(ban) => evidence(ban, context).await,
            None => None,
        };
        let record = match subject.whose().filter(|_| refusing.is_none()) {
            Some(account) => context.delivery.record_beyond(account, ASK_WAIT).await,
            None => None,
        };
        if record.is_some() {
            beside = beside.map(ServerReply::beside_the_record);
        }
        kept_out.retain(|one| rights.see(&one.subject) && Some(one.id) != number);
        if subject.whose().is_some() && subject.place().is_some() {
            // Of one login the verdict has told all.
            kept_out.clear();
        }
        CheckFacts {
            beside,
            kept_out_by: kept_out,
            at: context.engine.now(),
            let_in: refusing.is_none(),
            refused_by: refusing.map(|(_, by)| by),
            ban,
            enforced: server.as_ref().map(|server| server.is_in_force(context)),
            server,
            evidence,
            others,
            exempt_by: explanation.exempt,
            known: explanation.is_known,
            accounts_there: explanation.accounts_there,
            shared: explanation.is_shared,
            record,
            counters: explanation.counting,
            failed_since,
            grace_until: explanation.grace_until,
            subject,
        }
    }

    /// Whether the server was asked about everything and refuses nothing.
    pub(super) fn is_clear(&self) -> bool {
        let is_clear = |side: &ServerReply| side.refusals.is_clear();
        self.record.is_none() && self.beside.as_ref().is_some_and(is_clear)
    }

    /// Whether the server itself refuses it.
    pub(super) fn is_refused_by_server(&self) -> bool {
        let is_refused = |side: &ServerReply| !side.refusals.found.is_empty();
        self.record.is_some() || self.beside.as_ref().is_some_and(is_refused)
    }

    /// The bans that concern the login.
    pub(super) fn bans(&self) -> impl Iterator<Item = &Ban> {
        self.ban.iter().chain(&self.others)
    }

    /// Whether the ban that refuses it is in force in memory only.
    pub(super) fn is_in_memory(&self) -> bool {
        self.ban.as_ref().is_some_and(|ban| ban.id == BanId(0))
    }
}
