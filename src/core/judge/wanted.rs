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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::rules::Rules;

    /// Which of these bans are imposed, each given with its subject and its end.
    fn imposed(wanted: &[(RuleKey, &str, i64)]) -> Vec<String> {
        let table = Rules::default().table;
        let rule = |key| table.iter().find(|rule| rule.key == key).unwrap();
        let want = |(key, subject, until): &(RuleKey, &str, i64)| WantedBan {
            rule: rule(*key),
            subject: Subject::parse(subject).unwrap(),
            until: Timestamp::from_millis(*until),
            ordinal: 1,
            id: EventId::default(),
            evidence: String::new(),
        };
        without_the_covered(wanted.iter().map(want).collect())
            .iter()
            .map(|one| format!("{} {}", one.subject, one.until.as_millis()))
            .collect()
    }

    #[test]
    fn a_ban_is_left_out_only_if_a_wider_one_lasts_as_long() {
        use RuleKey::{Account, Address, Network, Pair};
        let (network, here) = ("203.0.113.0/24", "203.0.113.7");
        let pair = "a@example.org from 203.0.113.7";
        let wide = [format!("{network} 10")];
        assert_eq!(
            imposed(&[(Pair, pair, 9), (Address, here, 10), (Network, network, 10)]),
            wide
        );
        assert_eq!(
            imposed(&[(Address, here, 11), (Network, network, 10)]),
            [&wide[..], &[format!("{here} 11")]].concat()
        );
        assert_eq!(
            imposed(&[(Address, "198.51.100.1", 9), (Network, network, 10)]),
            [&wide[..], &["198.51.100.1 9".into()]].concat()
        );
        let guard = "guard of a@example.org";
        assert_eq!(
            imposed(&[(Account, guard, 9), (Network, network, 10)]),
            [&wide[..], &[format!("{guard} 9")]].concat()
        );
        assert_eq!(
            imposed(&[(Address, here, 5), (Address, here, 6)]),
            [format!("{here} 6")]
        );
        assert_eq!(
            imposed(&[(Pair, pair, 5), (Address, here, 5)]),
            [format!("{here} 5")]
        );
    }

    #[test]
    fn chance_is_the_second_half_of_an_id() {
        let id = std::array::from_fn(|at| at as u8);
        assert_eq!(chance(EventId(id)), 0x0809_0a0b_0c0d_0e0f);
    }
}
