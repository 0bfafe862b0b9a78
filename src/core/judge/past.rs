//! Which part of a subject's history counts when a login is judged.

use std::time::Duration;

use crate::core::ledger::Ledger;
use crate::core::policy::Policy;
use crate::core::rules::Rule;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// The time before which failures do not count for a subject. It is the latest of: its last ban; the last un-ban by a
/// person (plus the cooldown) or `forget` of the subject, its account or its source.
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

/// Number of bans of a subject that count for a rule, and the intended length of the last one if the next may not be
/// shorter.
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
    // After decay the term starts lower again, so the last ban is no lower bound any more.
    (count, record.length.filter(|_| count == record.count))
}
