//! `list`: the bans in force, newest first, page by page.

use std::net::IpAddr;

use futures::FutureExt;

use super::call::{Call, Context};
use super::outcome::{Entry, Outcome, Row};
use super::pages::{Asked, PAGE, TABLE};
use super::spec::{Field, Kind, Place, Spec};
use super::words;
use crate::ban::{Ban, BanId, Role};

/// The description.
pub const SPEC: Spec = Spec {
    name: "list",
    title: "List bans",
    summary: "Shows the bans in force, newest first, ten on a page.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        Field {
            name: "filter",
            label: "Filter",
            kind: Kind::Line,
            required: false,
            desc: "Any of: account, address, network, pair, guard, by:NAME, rule:NAME, #10.. (numbers from 10 on), #10..20, an address to find what covers it, or words from subject and reason.",
            place: Place::Rest,
        },
        PAGE,
        TABLE,
    ],
    usage: "list [FILTER] [PAGE]",
    examples: &[
        ("list", "the newest ten"),
        (
            "list account by:alice 2",
            "page 2 of the accounts banned by alice",
        ),
        ("list 203.0.113.7", "what covers this address"),
        ("list rule:pair-failures", "what this rule banned"),
    ],
    run: |call, context| async move { run(call, context) }.boxed(),
};

const COLUMNS: &[(&str, &str)] = &[
    ("number", "Number"),
    ("subject", "Subject"),
    ("until", "Until"),
    ("by", "By"),
    ("reason", "Reason"),
];

/// One condition; a list shows what meets all of them.
#[derive(Debug, PartialEq, Eq)]
enum Test {
    Kind(&'static str),
    By(String),
    Rule(String),
    Numbers(u64, u64),
    Covers(IpAddr),
    Text(String),
}

impl Test {
    fn parse(word: &str) -> Result<Test, String> {
        let lower = word.to_lowercase();
        match lower.as_str() {
            "account" | "accounts" => return Ok(Test::Kind("account")),
            "address" | "addresses" => return Ok(Test::Kind("address")),
            "network" | "networks" => return Ok(Test::Kind("network")),
            "pair" | "pairs" => return Ok(Test::Kind("pair")),
            "guard" | "guards" => return Ok(Test::Kind("guard")),
            _ => {}
        }
        if let Ok(address) = lower.parse::<IpAddr>() {
            return Ok(Test::Covers(address.to_canonical()));
        }
        if let Some(range) = lower.strip_prefix('#') {
            return numbers(range)
                .map(|(from, to)| Test::Numbers(from, to))
                .ok_or_else(|| words::no_range(word));
        }
        match lower.split_once(':') {
            Some(("by", name)) if !name.is_empty() => Ok(Test::By(name.to_owned())),
            Some(("rule", name)) if !name.is_empty() => Ok(Test::Rule(name.to_owned())),
            Some((key, _)) if key.chars().all(char::is_alphabetic) && !key.is_empty() => {
                Err(words::no_such_filter(word))
            }
            _ => Ok(Test::Text(lower)),
        }
    }

    fn holds(&self, ban: &Ban) -> bool {
        match self {
            Test::Kind(kind) => ban.subject.kind() == *kind,
            Test::By(name) => ban.by.name.to_lowercase().contains(name),
            Test::Rule(name) => ban
                .origin
                .rule()
                .is_some_and(|rule| rule.to_lowercase().contains(name)),
            Test::Numbers(from, to) => (*from..=*to).contains(&ban.id.0),
            Test::Covers(address) => {
                let place = ban.subject.place();
                place.is_some_and(|net| net.contains(address))
            }
            Test::Text(text) => {
                ban.subject.to_string().contains(text) || ban.reason.to_lowercase().contains(text)
            }
        }
    }
}

/// `10..20`, `10..`, `..20` or `10`.
fn numbers(range: &str) -> Option<(u64, u64)> {
    let Some((from, to)) = range.split_once("..") else {
        let BanId(one) = BanId::parse(range)?;
        return Some((one, one));
    };
    let end = |text: &str, open| match text.trim_start_matches('#') {
        "" => Some(open),
        number => number.parse().ok(),
    };
    Some((end(from, 0)?, end(to, u64::MAX)?))
}

fn run(call: &Call, context: &Context) -> Outcome {
    let asked = match Asked::parse(&call.values, Test::parse) {
        Ok(asked) => asked,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let now = context.gate.now();
    let (total, bans) = context.gate.read(|ledger| {
        let bans = ledger
            .newest_first()
            .filter(|ban| ban.is_in_force(now) && call.caller.rights.see(&ban.subject))
            .filter(|ban| asked.tests.iter().all(|test| test.holds(ban)));
        let (total, bans) = asked.cut(bans);
        (total, bans.into_iter().cloned().collect::<Vec<Ban>>())
    });
    let rows = bans.iter().map(|ban| entry(ban, context)).collect();
    asked.page(SPEC.name, words::BANS, total, rows, COLUMNS)
}

fn entry(ban: &Ban, context: &Context) -> Entry {
    let now = context.gate.now();
    let pending = context.gate.task(&ban.subject).is_some();
    Entry {
        row: Row::new(
            format!("ban{}", ban.id.0),
            format!("{} {}", ban.id, ban.subject),
            words::in_a_list(ban, pending, now),
        ),
        cells: vec![
            ban.id.0.to_string(),
            ban.subject.to_string(),
            words::until(ban.until),
            words::clean(&words::author(ban)),
            words::clean(&ban.reason),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_or_refused_never_ignored() {
        assert_eq!(Test::parse("Accounts"), Ok(Test::Kind("account")));
        assert_eq!(Test::parse("by:Alice"), Ok(Test::By("alice".into())));
        assert_eq!(Test::parse("#10.."), Ok(Test::Numbers(10, u64::MAX)));
        assert_eq!(Test::parse("#10..20"), Ok(Test::Numbers(10, 20)));
        assert_eq!(Test::parse("#7"), Ok(Test::Numbers(7, 7)));
        assert_eq!(Test::parse("spam"), Ok(Test::Text("spam".into())));
        assert!(matches!(Test::parse("2001:db8::7"), Ok(Test::Covers(_))));
        assert_eq!(Test::parse("2001:db8:"), Ok(Test::Text("2001:db8:".into())));
        assert!(Test::parse("origin:auto").is_err_and(|text| text.contains("by:NAME")));
        assert_eq!(Test::parse("rule:Pair"), Ok(Test::Rule("pair".into())));
        assert_eq!(Test::parse("guard"), Ok(Test::Kind("guard")));
        assert!(Test::parse("#x..").is_err());
        assert!(Test::parse("by:").is_err());
    }
}
