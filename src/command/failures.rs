//! `failures`: the failed logins of late, newest first, page by page.

use futures::FutureExt;

use super::call::{Call, Context};
use super::outcome::{Entry, Outcome, Row};
use super::pages::{Asked, PAGE, TABLE};
use super::spec::{Field, Kind, Place, Spec};
use super::words;
use crate::ban::rules::Key;
use crate::ban::{Ban, Ledger, Policy, Role, Subject, Timestamp};
use crate::gate::counters::Failure;

/// The description.
pub const SPEC: Spec = Spec {
    name: "failures",
    title: "List failed logins",
    summary: "Shows the failed logins of late, newest first, ten on a page, with what came of them.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        Field {
            name: "filter",
            label: "Filter",
            kind: Kind::Line,
            required: false,
            desc: "Any of: an account, an address, a network, rule:NAME (those whom this rule keeps out now), unknown (no such account), by-hand, or a part of the account's name.",
            place: Place::Rest,
        },
        PAGE,
        TABLE,
    ],
    usage: "failures [FILTER] [PAGE]",
    examples: &[
        ("failures", "the newest ten"),
        ("failures 203.0.113.0/24", "from this network"),
        (
            "failures rule:address-spray",
            "of those whom this rule banned",
        ),
    ],
    run: |call, context| async move { run(call, context) }.boxed(),
};

const COLUMNS: &[(&str, &str)] = &[
    ("at", "When"),
    ("account", "Account"),
    ("place", "From"),
    ("times", "How often"),
    ("kind", "Kind"),
    ("rule", "Kept out by"),
];

#[derive(Debug, PartialEq, Eq)]
enum Test {
    Subject(Subject),
    Rule(String),
    Unknown,
    ByHand,
    Text(String),
}

impl Test {
    fn parse(word: &str) -> Result<Test, String> {
        if let Ok(subject) = Subject::parse(word) {
            return Ok(Test::Subject(subject));
        }
        let lower = word.to_lowercase();
        match (lower.as_str(), lower.split_once(':')) {
            ("unknown", _) => Ok(Test::Unknown),
            ("by-hand", _) => Ok(Test::ByHand),
            (_, Some(("rule", name))) if !name.is_empty() => Ok(Test::Rule(name.to_owned())),
            (_, Some((key, _))) if key.chars().all(char::is_alphabetic) && !key.is_empty() => {
                Err(words::no_such_failure_filter(word))
            }
            _ => Ok(Test::Text(lower)),
        }
    }

    fn holds(&self, failure: &Failure, kept_out: &[&Ban]) -> bool {
        match self {
            Test::Subject(subject) => match subject.net() {
                None => failure.account.as_ref() == subject.whose(),
                Some(net) => failure.place.is_some_and(|place| net.contains(&place)),
            },
            Test::Rule(name) => kept_out.iter().any(|ban| {
                let rule = ban.origin.rule();
                rule.is_some_and(|rule| rule.to_lowercase().contains(name))
            }),
            Test::Unknown => failure.unknown,
            Test::ByHand => failure.by_hand,
            Test::Text(text) => failure
                .account
                .as_ref()
                .is_some_and(|account| account.as_str().contains(text)),
        }
    }
}

fn run(call: &Call, context: &Context) -> Outcome {
    let asked = match Asked::parse(&call.values, Test::parse) {
        Ok(asked) => asked,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let (now, policy) = (context.gate.now(), context.gate.policy());
    let failures = context.gate.counters().failures();
    context.gate.read(|ledger| {
        let visible = failures.iter().filter(|failure| {
            let account = failure.account.as_ref();
            call.caller.rights.over_account(account) >= Role::Viewer
        });
        let matching = visible.filter_map(|failure| {
            let bans = kept_out(failure, ledger, &policy, now);
            let holds = asked.tests.iter().all(|test| test.holds(failure, &bans));
            holds.then_some((failure, bans))
        });
        let (total, page) = asked.cut(matching);
        let rows = page
            .into_iter()
            .enumerate()
            .map(|(place, (failure, bans))| entry(place + 1, failure, &bans))
            .collect();
        asked.page(SPEC.name, words::FAILURES, total, rows, COLUMNS)
    })
}

/// The bans in force that keep out whoever failed there: of the account, and what rules ban.
fn kept_out<'a>(
    failure: &Failure,
    ledger: &'a Ledger,
    policy: &Policy,
    now: Timestamp,
) -> Vec<&'a Ban> {
    let account = failure.account.as_ref();
    let address = failure.place.map(|net| net.addr());
    let by_rules = [Key::Pair, Key::Address, Key::Network, Key::Account]
        .into_iter()
        .filter_map(|key| policy.rules.subject(key, account, address));
    let whole = account.cloned().map(Subject::Account);
    let place = failure.place.map(Subject::network);
    let mut bans: Vec<&Ban> = Vec::new();
    for subject in whole.into_iter().chain(place).chain(by_rules) {
        if let Some(ban) = ledger.current(&subject)
            && ban.is_in_force(now)
            && !bans.iter().any(|one| one.id == ban.id)
        {
            bans.push(ban);
        }
    }
    bans
}

fn entry(number: usize, failure: &Failure, bans: &[&Ban]) -> Entry {
    let text = |text: Option<String>| text.map(|text| words::clean(&text)).unwrap_or_default();
    Entry {
        row: Row::new(
            format!("failure{number}"),
            failure.at.to_string(),
            words::failure(failure, bans),
        ),
        cells: vec![
            failure.at.to_string(),
            text(failure.account.as_ref().map(ToString::to_string)),
            failure
                .place
                .map(|net| Subject::network(net).to_string())
                .unwrap_or_default(),
            failure.times.to_string(),
            words::kind_of_failure(failure),
            words::kept_out_by(bans),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_or_refused_never_ignored() {
        assert!(matches!(Test::parse("a@example.org"), Ok(Test::Subject(_))));
        assert!(matches!(Test::parse("192.0.2.0/24"), Ok(Test::Subject(_))));
        assert_eq!(Test::parse("rule:Spray"), Ok(Test::Rule("spray".into())));
        assert_eq!(Test::parse("Unknown"), Ok(Test::Unknown));
        assert_eq!(Test::parse("by-hand"), Ok(Test::ByHand));
        assert_eq!(Test::parse("alice"), Ok(Test::Text("alice".into())));
        assert!(Test::parse("by:alice").is_err_and(|text| text.contains("rule:NAME")));
        assert!(Test::parse("rule:").is_err());
    }
}
