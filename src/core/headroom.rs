//! Headroom: how many more failures the rules take before they ban. As many logins may be in flight at once. Changes
//! nothing.

use std::net::IpAddr;

use super::judge::{bans_that_count, clean_since};
use super::ledger::Ledger;
use super::policy::Policy;
use super::rules::RuleKey;
use super::subject::{Account, Subject};
use super::time::Timestamp;
use super::tracker::{LoginOrigin, Tracker};

/// The subjects that rules would ban for failures of this login, each with the number of failures that takes if every
/// one counts the most it can. The number is never 0. Empty if no rule applies.
pub fn headroom(
    ledger: &Ledger,
    tracker: &mut Tracker,
    policy: &Policy,
    account: &Account,
    address: IpAddr,
    now: Timestamp,
) -> Vec<(Subject, u32)> {
    tracker.follow(&policy.rules);
    let rules = &policy.rules;
    let mut found: Vec<(Subject, u32)> = Vec::new();
    if policy.is_exempt(address) || ledger.exemptions().holds(address, now) {
        return found;
    }
    let who = LoginOrigin::at(&rules.reach, Some(account), Some(address));
    let trace = tracker.hash_attempt(&who, now, now);
    // As in the tracker: only rules by pair count at a trusted source, and a shared source does not count for
    // addresses and networks.
    let only_pair = rules.pairs_answer() && tracker.is_known(&trace, now);
    let is_shared = tracker.is_shared(address.to_canonical());
    for (number, rule) in rules.table.iter().enumerate() {
        let counts_here = match rule.key {
            RuleKey::Pair => true,
            RuleKey::Account => !only_pair,
            RuleKey::Address | RuleKey::Network => !only_pair && !is_shared,
        };
        let subject = who.subject(rule.key);
        let Some(subject) = subject.filter(|_| counts_here && !rule.dry_run) else {
            continue;
        };
        let since = now.saturating_sub(rule.window);
        let since = clean_since(ledger, policy, &subject, now).max(since);
        let (bans, _) = bans_that_count(ledger, rule, &subject, now);
        let limit = rule.limit.div_ceil(rule.weight(bans).max(1));
        let left = limit.saturating_sub(tracker.amount(number, &trace, since));
        let left = left.div_ceil(rules.heaviest(rule.counts)).max(1);
        match found.iter_mut().find(|(other, _)| *other == subject) {
            Some((_, least)) => *least = left.min(*least),
            None => found.push((subject, left)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::core::rules::Rules;

    /// What the rules would ban for failures of this account at an address where it logged in before.
    fn at_home(rules: Rules) -> Vec<String> {
        let policy = Policy {
            rules: Arc::new(rules),
            ..Policy::default()
        };
        let now = Timestamp::from_millis(1_795_320_000_000);
        let account = Subject::parse("a@example.org").unwrap();
        let account = account.account().unwrap();
        let home: IpAddr = "203.0.113.7".parse().unwrap();
        let bounds = policy.rules.bounds;
        let mut tracker = Tracker::new(Arc::clone(&policy.rules), bounds, [7; 16], now);
        let who = LoginOrigin::at(&policy.rules.reach, Some(account), Some(home));
        tracker.succeed(tracker.hash_attempt(&who, now, now));
        headroom(
            &Ledger::default(),
            &mut tracker,
            &policy,
            account,
            home,
            now,
        )
        .into_iter()
        .map(|(subject, _)| subject.to_string())
        .collect()
    }

    #[test]
    fn where_an_account_logged_in_before_only_rules_by_pair_count_if_there_are_any() {
        let rules = Rules::default();
        assert_eq!(at_home(rules.clone()), ["a@example.org from 203.0.113.7"]);
        let mut others = rules;
        others.table.retain(|rule| rule.key != RuleKey::Pair);
        assert!(at_home(others).contains(&String::from("203.0.113.7")));
    }
}
