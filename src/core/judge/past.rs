//! Which part of a subject's history counts when a login is judged.

use std::time::Duration;

use crate::core::ledger::Ledger;
use crate::core::policy::Policy;
use crate::core::rules::Rule;
use crate::core::subject::Subject;
use crate::core::time::{CLOCK_SKEW, Timestamp};

/// The time before which failures do not count for a subject. It is the latest of: its last ban; its last un-ban by a
/// person, plus the grace; the last un-ban by a person or `forget` of its account, guard, source or network. These have no
/// grace for it: after the un-ban of an account, strangers' guesses at it are counted at once.
///
/// What is dated later than `now` by more than [`CLOCK_SKEW`] does not count: otherwise one decision with a wrong date
/// would switch the rules off for its subject until then.
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
    let latest = now.saturating_add(CLOCK_SKEW);
    let happened = |at: Option<Timestamp>| at.filter(|at| *at <= latest);
    let own = happened(ledger.history(subject).clean);
    [Some(subject.clone()), account, guard, place, network]
        .into_iter()
        .flatten()
        .flat_map(|about| {
            let history = ledger.history(&about);
            let grace = match about == *subject {
                true => policy.rules.grace,
                false => Duration::ZERO,
            };
            let pardoned = happened(history.pardoned).map(|at| at.saturating_add(grace));
            [pardoned, happened(history.forgotten)]
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
    let history = ledger.history(subject);
    let ended = match ledger.bans().of(subject) {
        Some(ban) => ban.until.filter(|end| *end <= now),
        None => history.last.map(|past| past.ended),
    };
    let quiet = ended.map_or(Duration::ZERO, |end| now.since(end));
    let count = rule.remembered(history.counted, quiet);
    // After decay the term starts lower again, so the last ban is no lower bound any more.
    (count, history.length.filter(|_| count == history.counted))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::actor::Actor;
    use crate::core::event::{Event, EventId, Seq};
    use crate::core::rules::{Growth, Rules};
    use crate::core::{BanChange, Change};

    /// One decision with a wrong date must not switch the rules off until then.
    #[test]
    fn what_is_dated_later_than_now_clears_nothing() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let subject = Subject::parse("a@example.org").unwrap();
        let dated = |seconds, change| {
            let (id, actor, subject) = (EventId::default(), Actor::rules(), subject.clone());
            Event::decided(id, at(seconds), actor, subject, Seq(0), change)
        };
        let policy = Policy::default();
        let forgotten = || Change::History(crate::core::HistoryChange::Forgotten);
        let (now, skew) = (at(1_000), CLOCK_SKEW.as_secs() as i64);
        let clean = |seconds| {
            let mut ledger = Ledger::default();
            ledger.fold(Seq(1), &dated(seconds, forgotten()));
            clean_since(&ledger, &policy, &subject, now)
        };
        assert_eq!(clean(900), at(900));
        assert_eq!(
            clean(1_000 + skew),
            at(1_000 + skew),
            "a clock may be ahead a little"
        );
        let long_ago = Timestamp::from_millis(i64::MIN);
        assert_eq!(clean(1_001 + skew), long_ago);
        let mut ledger = Ledger::default();
        let imposed = BanChange::Imposed {
            reason: String::new(),
            until: None,
        };
        ledger.fold(Seq(1), &dated(0, Change::Ban(imposed)));
        let lifted = BanChange::Lifted {
            reason: String::new(),
        };
        let mut event = dated(99_999, Change::Ban(lifted));
        event.based_on = ledger.version(&subject);
        ledger.fold(Seq(2), &event);
        assert!(ledger.bans().of(&subject).is_none());
        assert_eq!(clean_since(&ledger, &policy, &subject, now), long_ago);
    }

    #[test]
    fn bans_decay_after_the_last_one_has_ended_and_then_the_next_may_be_shorter() {
        let mut rule = Rules::default().table.remove(0);
        rule.growth = Some(Growth {
            decay: Some(Duration::from_secs(10)),
            ..Growth::default()
        });
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let subject = Subject::parse("203.0.113.7").unwrap();
        let change = |change| {
            let subject = subject.clone();
            let (id, actor) = (EventId::default(), Actor::rules());
            Event::decided(id, at(0), actor, subject, Seq(0), Change::Ban(change))
        };
        let mut ledger = Ledger::default();
        let imposed = BanChange::ImposedByRule {
            reason: String::new(),
            until: at(100),
            ordinal: 3,
        };
        ledger.fold(Seq(1), &change(imposed));
        let length = Some(Duration::from_secs(100));
        let expected = [
            (50, (3, length)),
            (109, (3, length)),
            (110, (1, None)),
            (120, (0, None)),
        ];
        for (seconds, counts) in expected {
            assert_eq!(
                bans_that_count(&ledger, &rule, &subject, at(seconds)),
                counts
            );
        }
    }
}
