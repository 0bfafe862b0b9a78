//! Facts of `check`.

use serde::Serialize;

use crate::command::context::Context;
use crate::command::parts::facts::fact;
use crate::command::parts::login::evidence;
use crate::command::parts::reach::visible;
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
    /// Whether it would be let in.
    pub(super) let_in: bool,
    /// The kind of ban that refuses it.
    #[serde(serialize_with = "fact")]
    pub(super) refused_by: Option<By>,
    /// The ban that refuses it. Its number is 0 while it is in force in memory only.
    #[serde(serialize_with = "fact")]
    pub(super) ban: Option<Ban>,
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
}

impl CheckFacts {
    /// The answer for a login, as far as the caller may see it.
    pub(super) async fn gather(subject: Subject, rights: &Rights, context: &Context) -> Self {
        let explanation = context.admission.explain(subject.whose(), subject.place());
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
        let evidence = match ban.as_ref().filter(|ban| rights.see(&ban.subject)) {
            Some(ban) => evidence(ban, context).await,
            None => None,
        };
        let record = match subject.whose().filter(|_| refusing.is_none()) {
            Some(account) => context.delivery.record_beyond(account, ASK_WAIT).await,
            None => None,
        };
        CheckFacts {
            at: context.engine.now(),
            let_in: refusing.is_none(),
            refused_by: refusing.map(|(_, by)| by),
            ban,
            evidence,
            others,
            exempt_by: explanation.exempt,
            known: explanation.is_known,
            accounts_there: explanation.accounts_there,
            shared: explanation.is_shared,
            record,
            counters: explanation.counting,
            subject,
        }
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
