//! Shared by commands about a login: the evidence for a ban, and the ban that covers an address.

use crate::command::context::Context;
use crate::core::{Ban, Subject};

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

/// Another active ban that covers an address.
pub(in crate::command) fn covering(subject: &Subject, context: &Context) -> Option<Ban> {
    let Subject::Address(address) = subject else {
        return None;
    };
    let now = context.engine.now();
    context
        .engine
        .read(|ledger| ledger.bans().covering(*address, now).cloned())
        .filter(|ban| ban.subject != *subject)
}
