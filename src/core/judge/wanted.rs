//! The bans that several rules want for one attempt, and which of them are needed.

use std::cmp::Reverse;

use crate::core::event::EventId;
use crate::core::rules::{Rule, RuleKey};
use crate::core::subject::{Account, Subject};
use crate::core::time::{Timestamp, in_words};
use crate::core::tracker::LoginOrigin;

/// A ban that a rule wants to impose.
pub(super) struct WantedBan<'a> {
    pub(super) rule: &'a Rule,
    pub(super) subject: Subject,
    pub(super) until: Timestamp,
    pub(super) ordinal: u32,
    pub(super) id: EventId,
    pub(super) evidence: String,
}

/// Keeps one ban per subject, the longest, and drops bans that a wider one covers for as long.
pub(super) fn without_the_covered(mut wanted: Vec<WantedBan<'_>>) -> Vec<WantedBan<'_>> {
    if wanted.len() < 2 {
        return wanted;
    }
    // Wide bans come first, so that narrow ones are compared with those that were kept.
    let width = |wanted: &WantedBan<'_>| match wanted.rule.key {
        RuleKey::Network => 0,
        RuleKey::Address => 1,
        RuleKey::Pair => 2,
        RuleKey::Account => 3,
    };
    wanted.sort_by_key(|one| (width(one), Reverse(one.until)));
    let mut kept: Vec<WantedBan<'_>> = Vec::with_capacity(wanted.len());
    for one in wanted {
        let covered = kept.iter().any(|other| {
            let covers = match (other.subject.net(), one.subject.place()) {
                (Some(net), Some(place)) => net.contains(&place),
                _ => false,
            };
            other.subject == one.subject || (covers && other.until >= one.until)
        });
        if !covered {
            kept.push(one);
        }
    }
    kept
}

/// 64 random bits for the jitter of a term, taken from the event's random id.
pub(super) fn chance(id: EventId) -> u64 {
    id.0.iter()
        .skip(8)
        .fold(0, |chance, byte| chance << 8 | u64::from(*byte))
}

/// The evidence for a ban, for admins: number of failures, window and the last attempt.
pub(super) fn evidence(rule: &Rule, amount: u32, who: &LoginOrigin<'_>, at: Timestamp) -> String {
    let shown = |account: Option<&Account>| account.map_or("?".to_owned(), ToString::to_string);
    let from = match (who.address, who.network) {
        (Some(address), _) => address.to_string(),
        (None, Some(net)) => net.to_string(),
        (None, None) => "?".to_owned(),
    };
    let by_hand = if who.by_hand { ", by hand" } else { "" };
    format!(
        "{amount} {} within {} (limit {}); the last at {at}: {} from {from}{by_hand}",
        rule.counts,
        in_words(rule.window),
        rule.limit,
        shown(who.account),
    )
}
