//! Describes a rule.

use crate::core::Rule;
use crate::core::rules::{Growth, RuleKey};
use crate::core::time::in_words;

/// `5 failures from one address within 10 minutes: the address is banned for 30 minutes, …`
pub(super) fn rule(rule: &Rule) -> String {
    let (by, whom) = match rule.key {
        RuleKey::Address => ("from one address", "strangers there are refused"),
        RuleKey::Network => ("from one network", "strangers there are refused"),
        RuleKey::Account => ("for one account", "its guard goes up"),
        RuleKey::Pair => (
            "for one account from one address",
            "that account is refused from there",
        ),
    };
    let mut text = format!(
        "{} {} {by} within {}: {whom} for {}{}",
        rule.limit,
        rule.counts,
        in_words(rule.window),
        in_words(rule.term(0, None, 0)),
        match &rule.growth {
            None => String::from(", each time"),
            Some(growth) => self::growth(rule, growth),
        }
    );
    if rule.dry_run {
        text.push_str("; DRY RUN: it only tells");
    }
    text
}

fn growth(rule: &Rule, growth: &Growth) -> String {
    let later: Vec<String> = (1..4)
        .map(|before| in_words(rule.term(before, None, 0)))
        .collect();
    let mut text = format!(
        ", then {}, … {} at most",
        later.join(", "),
        in_words(growth.cap)
    );
    if !growth.jitter.is_zero() {
        text.push_str(&format!(
            ", up to {} more by chance",
            in_words(growth.jitter)
        ));
    }
    if growth.known_bad_weight {
        text.push_str("; failures of the known bad weigh more");
    }
    if let Some(decay) = growth.decay {
        text.push_str(&format!(
            "; half of the bans forgotten each {}",
            in_words(decay)
        ));
    }
    if let Some(memory) = growth.memory {
        text.push_str(&format!("; all {} after the last", in_words(memory)));
    }
    text
}
