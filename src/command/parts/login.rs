//! Shared by commands about a login: the evidence for a ban, logins that failed in spite of it, and the other bans that
//! keep somebody out.

use ipnet::IpNet;

use crate::command::context::Context;
use crate::core::{Account, Ban, By, Explanation, Subject, Verdict, subject};

/// The evidence for a ban by a rule; `None` if there is none, or the history cannot be read.
pub(in crate::command) async fn evidence(ban: &Ban, context: &Context) -> Option<String> {
    let entries = match context.engine.history(&ban.subject).await {
        Ok(entries) => entries,
        Err(why) => {
            tracing::warn!(%why, "cannot read what led to a ban");
            return None;
        }
    };
    let mut newest_first = entries.into_iter().rev();
    newest_first.find_map(|entry| entry.event.personal.evidence)
}

/// How many logins that concern a ban failed since it began, among the last failures, which `failures` lists. The server looked
/// at their passwords, because it does not enforce the ban, or not yet. 0 for a guard, which spares some.
pub(in crate::command) fn failed_since(ban: &Ban, context: &Context) -> usize {
    let failures = context.admission.failures();
    let is_meant =
        |account: Option<&Account>, place: Option<IpNet>| match (&ban.subject, ban.subject.net()) {
            (Subject::Guard(_), _) => false,
            (about, net) => {
                about.whose().is_none_or(|whose| Some(whose) == account)
                    && net.is_none_or(|net| {
                        place.is_some_and(|place| subject::overlaps(&net, &place))
                    })
            }
        };
    failures
        .iter()
        .filter(|one| !one.by_hand && one.at > ban.since)
        .filter(|one| is_meant(one.account.as_ref(), one.place))
        .count()
}

/// The other active bans of portcullis that keep a subject out, or keep it out somewhere: of an account the guard,
/// those of it at single places, and those of places where it logged in before; of an address those of networks around
/// it and of accounts there.
pub(in crate::command) fn keep_out(
    subject: &Subject,
    explanation: &Explanation,
    context: &Context,
) -> Vec<Ban> {
    let now = context.engine.now();
    let mut bans = explanation.bans.clone();
    if let Some(account) = subject.whose() {
        context.engine.read(|ledger| {
            for home in explanation.homes.iter().copied() {
                // It is known there, so only a ban that holds for everybody refuses it.
                let verdict = ledger.check(Some(account), Some(home), || true, now);
                let by_place = matches!(
                    verdict,
                    Verdict::Refuse {
                        by: By::Address | By::Network,
                        ..
                    }
                );
                bans.extend(
                    ledger
                        .bans()
                        .covering(home, now)
                        .filter(|_| by_place)
                        .cloned(),
                );
            }
        });
    }
    let mut told: Vec<Ban> = Vec::new();
    for ban in bans {
        if ban.subject != *subject && !told.contains(&ban) {
            told.push(ban);
        }
    }
    told
}
