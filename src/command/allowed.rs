//! `allowed`: who is exempt from bans, why, by whom and until when.

use std::net::IpAddr;

use futures::FutureExt;

use super::call::{Call, Context};
use super::outcome::{Entry, Outcome, Row};
use super::pages::{Asked, PAGE, TABLE};
use super::spec::{Field, Kind, Place, Spec};
use super::words;
use crate::ban::{Role, Subject, Timestamp};

/// The description.
pub const SPEC: Spec = Spec {
    name: "allowed",
    title: "List exemptions",
    summary: "Shows who is exempt from bans, newest first, ten on a page; behind them those of the configuration.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        Field {
            name: "filter",
            label: "Filter",
            kind: Kind::Line,
            required: false,
            desc: "Any of: account, address, network, by:NAME, an address to find what covers it, or words from subject and comment.",
            place: Place::Rest,
        },
        PAGE,
        TABLE,
    ],
    usage: "allowed [FILTER] [PAGE]",
    examples: &[
        ("allowed", "the newest ten"),
        ("allowed 198.51.100.7", "what covers this address"),
    ],
    run: |call, context| async move { run(call, context) }.boxed(),
};

const COLUMNS: &[(&str, &str)] = &[
    ("subject", "Subject"),
    ("until", "Until"),
    ("by", "By"),
    ("comment", "Comment"),
];

/// One exemption, given by somebody or by the configuration.
struct Exempt {
    subject: Subject,
    until: Option<Timestamp>,
    /// Nobody: the configuration.
    by: Option<String>,
    comment: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Test {
    Kind(&'static str),
    By(String),
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
            _ => {}
        }
        if let Ok(address) = lower.parse::<IpAddr>() {
            return Ok(Test::Covers(address.to_canonical()));
        }
        match lower.split_once(':') {
            Some(("by", name)) if !name.is_empty() => Ok(Test::By(name.to_owned())),
            Some((key, _)) if key.chars().all(char::is_alphabetic) && !key.is_empty() => {
                Err(words::no_such_exempt_filter(word))
            }
            _ => Ok(Test::Text(lower)),
        }
    }

    fn holds(&self, exempt: &Exempt) -> bool {
        match self {
            Test::Kind(kind) => exempt.subject.kind() == *kind,
            Test::By(name) => {
                let by = exempt.by.as_deref().unwrap_or(words::CONFIGURATION);
                by.to_lowercase().contains(name)
            }
            Test::Covers(address) => exempt
                .subject
                .net()
                .is_some_and(|net| net.contains(address)),
            Test::Text(text) => {
                exempt.subject.to_string().contains(text)
                    || exempt.comment.to_lowercase().contains(text)
            }
        }
    }
}

fn run(call: &Call, context: &Context) -> Outcome {
    let asked = match Asked::parse(&call.values, Test::parse) {
        Ok(asked) => asked,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let all = all(context);
    let matching = all
        .iter()
        .filter(|exempt| call.caller.rights.see(&exempt.subject))
        .filter(|exempt| asked.tests.iter().all(|test| test.holds(exempt)));
    let (total, page) = asked.cut(matching);
    let now = context.gate.now();
    let rows = page.into_iter().map(|exempt| entry(exempt, now)).collect();
    asked.page(SPEC.name, words::EXEMPTIONS, total, rows, COLUMNS)
}

fn all(context: &Context) -> Vec<Exempt> {
    let (now, policy) = (context.gate.now(), context.gate.policy());
    let mut given: Vec<_> = context.gate.read(|ledger| {
        let all = ledger.exemptions();
        all.filter(|one| one.is_in_force(now)).cloned().collect()
    });
    given.sort_by_key(|one| std::cmp::Reverse(one.since));
    let given = given.into_iter().map(|one| Exempt {
        by: Some(one.by.bare_name().to_owned()),
        subject: one.subject,
        until: one.until,
        comment: one.comment,
    });
    let configured = |subject, comment: &str| Exempt {
        subject,
        until: None,
        by: None,
        comment: comment.to_owned(),
    };
    let accounts = policy.exempt_accounts.iter().cloned();
    let networks = policy.exempt_networks.iter().copied();
    let proxies = policy.rules.proxies.iter().copied();
    given
        .chain(accounts.map(|account| configured(Subject::Account(account), "")))
        .chain(networks.map(|net| configured(Subject::network(net), "")))
        .chain(proxies.map(|net| configured(Subject::network(net), words::PROXY)))
        .collect()
}

fn entry(exempt: &Exempt, now: Timestamp) -> Entry {
    let by = exempt.by.as_deref().unwrap_or(words::CONFIGURATION);
    Entry {
        row: Row::new(
            exempt.subject.to_string(),
            exempt.subject.to_string(),
            words::exempt_in_a_list(exempt.until, by, &exempt.comment, now),
        ),
        cells: vec![
            exempt.subject.to_string(),
            words::until(exempt.until),
            words::clean(by),
            words::clean(&exempt.comment),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_or_refused_never_ignored() {
        assert_eq!(Test::parse("networks"), Ok(Test::Kind("network")));
        assert_eq!(Test::parse("by:Alice"), Ok(Test::By("alice".into())));
        assert!(matches!(Test::parse("192.0.2.1"), Ok(Test::Covers(_))));
        assert_eq!(Test::parse("office"), Ok(Test::Text("office".into())));
        assert!(Test::parse("rule:x").is_err_and(|text| text.contains("by:NAME")));
        assert!(Test::parse("by:").is_err());
    }
}
