//! What of a subject's past counts when it is judged.

use std::time::Duration;

use crate::core::ledger::Ledger;
use crate::core::policy::Policy;
use crate::core::rules::Rule;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// Failures before this do not count for a subject: since then there was a ban of it, or it, its
/// account or its source was un-banned by hand (with a time of grace) or forgotten.
pub(in crate::core) fn clean_since(
    ledger: &Ledger,
    policy: &Policy,
    subject: &Subject,
    now: Timestamp,
) -> Timestamp {
    let account = subject.whose().cloned().map(Subject::Account);
    let guard = subject.whose().cloned().map(Subject::Guard);
    let place = subject.place().map(Subject::network);
    let network = subject
        .place()
        .and_then(|net| policy.rules.reach.network(net.addr()))
        .map(Subject::network);
    let own = ledger.record(subject, now).map(|record| record.clean);
    [Some(subject.clone()), account, guard, place, network]
        .into_iter()
        .flatten()
        .flat_map(|subject| {
            let pardoned = ledger.pardoned(&subject);
            let pardoned = pardoned.map(|at| at.saturating_add(policy.rules.grace));
            [pardoned, ledger.forgotten(&subject)]
        })
        .chain([own])
        .flatten()
        .max()
        .unwrap_or(Timestamp::from_millis(i64::MIN))
}

/// How many bans of a subject count for a rule, and how long the last one was meant to be.
pub(in crate::core) fn bans_that_count(
    ledger: &Ledger,
    rule: &Rule,
    subject: &Subject,
    now: Timestamp,
) -> (u32, Option<Duration>) {
    let Some(record) = ledger.record(subject, now) else {
        return (0, None);
    };
    let quiet = record.ended.map_or(Duration::ZERO, |end| now.since(end));
    let count = rule.remembered(record.count, quiet);
    // After decay the term is smaller again: the last one is no floor any more.
    (count, record.length.filter(|_| count == record.count))
}
