//! The built-in rules, used when the configuration has none.

use std::time::Duration;

use super::{Counts, Growth, Reach, Rule, RuleKey, Rules};
use crate::core::tracker::Bounds;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for Rules {
    fn default() -> Self {
        Rules {
            table: default_table(),
            proxies: Vec::new(),
            reach: Reach::default(),
            shared_accounts: 10,
            known_for: DAY * 90,
            quiet: HOUR,
            unknown_weight: 2,
            grace: MINUTE * 5,
            bounds: Bounds::default(),
        }
    }
}

fn default_table() -> Vec<Rule> {
    let growing = |cap| Growth {
        cap,
        memory: Some(DAY * 90),
        decay: Some(DAY * 30),
        ..Growth::default()
    };
    let rule = |name: &str, key, counts, limit, window, ban, growth| Rule {
        name: name.to_owned(),
        key,
        counts,
        limit,
        window,
        ban,
        growth: Some(growth),
        dry_run: false,
    };
    let known_bad = |cap| Growth {
        known_bad_weight: true,
        ..growing(cap)
    };
    vec![
        rule(
            "pair-failures",
            RuleKey::Pair,
            Counts::Failures,
            5,
            MINUTE * 10,
            MINUTE * 10,
            growing(DAY),
        ),
        rule(
            "address-failures",
            RuleKey::Address,
            Counts::Failures,
            5,
            MINUTE * 10,
            MINUTE * 30,
            known_bad(DAY * 7),
        ),
        rule(
            "address-spray",
            RuleKey::Address,
            Counts::Accounts,
            10,
            DAY,
            HOUR,
            known_bad(DAY * 7),
        ),
        rule(
            "network-bad-addresses",
            RuleKey::Network,
            Counts::Addresses,
            20,
            DAY,
            HOUR,
            known_bad(DAY * 7),
        ),
        rule(
            "account-networks",
            RuleKey::Account,
            Counts::Networks,
            10,
            HOUR,
            MINUTE * 15,
            growing(DAY),
        ),
        rule(
            "account-failures",
            RuleKey::Account,
            Counts::Failures,
            30,
            HOUR,
            MINUTE * 15,
            growing(DAY),
        ),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::rules::LIMIT_MAX;

    #[test]
    fn the_default_table_is_sane() {
        for rule in Rules::default().table {
            let growth = rule.growth.as_ref().unwrap();
            assert!(
                rule.limit <= LIMIT_MAX && rule.ban <= growth.cap,
                "{}",
                rule.name
            );
            assert!(rule.counts.varies_within(rule.key), "{}", rule.name);
        }
        assert!(Rules::default().pairs_answer());
    }
}
