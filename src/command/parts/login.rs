//! Shared by commands about a login: the evidence for a ban, and the other bans that keep somebody out.

use crate::command::context::Context;
use crate::core::{Ban, By, Explanation, Subject, Verdict};

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
