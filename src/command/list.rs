//! `list`: the bans in force, newest first, page by page.

use std::net::IpAddr;

use futures::FutureExt;

use super::call::{Call, Context};
use super::outcome::{Entry, Outcome, Page, Problem, Row};
use super::spec::{Field, Kind, Place, Spec, Values};
use super::words;
use crate::ban::{Ban, BanId, Ledger, Role, Timestamp};

/// The description.
pub const SPEC: Spec = Spec {
    name: "list",
    title: "List bans",
    summary: "Shows the bans in force, newest first, ten on a page.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            name: "filter",
            label: "Filter",
            kind: Kind::Line,
            required: false,
            desc: "Any of: account, address, network, by:NAME, #10.. (numbers from 10 on), #10..20, an address to find what covers it, or words from subject and reason.",
            place: Place::Rest,
        },
        Field {
            name: "page",
            label: "Page",
            kind: Kind::Line,
            required: false,
            desc: "A number, from 1.",
            place: Place::Last,
        },
        Field {
            name: "table",
            label: "Show as a table",
            kind: Kind::Flag,
            required: false,
            desc: "Nicer where the client draws tables; some show nothing at all.",
            place: Place::Nowhere,
        },
    ],
    usage: "list [FILTER] [PAGE]",
    examples: &[
        ("list", "the newest ten"),
        (
            "list account by:alice 2",
            "page 2 of the accounts banned by alice",
        ),
        ("list 203.0.113.7", "what covers this address"),
    ],
    run: |call, context| async move { run(call, context) }.boxed(),
};

/// Rows on a page.
pub const A_PAGE: usize = 10;

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
            Test::Numbers(from, to) => (*from..=*to).contains(&ban.id.0),
            Test::Covers(address) => ban.subject.net().is_some_and(|net| net.contains(address)),
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

struct List {
    filter: String,
    tests: Vec<Test>,
    page: usize,
    table: bool,
}

impl List {
    fn parse(values: &Values) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let filter = values
            .line("filter")
            .map(|text| words::clean(&text))
            .unwrap_or_default();
        let mut tests = Vec::new();
        for word in filter.split_whitespace() {
            match Test::parse(word) {
                Ok(test) => tests.push(test),
                Err(text) => problems.push(Problem {
                    field: "filter",
                    text,
                }),
            }
        }
        let page = match values.line("page") {
            None => 1,
            Some(text) => text
                .parse()
                .ok()
                .filter(|page| *page > 0)
                .unwrap_or_else(|| {
                    problems.push(Problem {
                        field: "page",
                        text: words::no_page(&text),
                    });
                    1
                }),
        };
        let table = values.flag("table").unwrap_or_else(|| {
            problems.push(Problem {
                field: "table",
                text: words::no_flag("table"),
            });
            false
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(List {
            filter,
            tests,
            page,
            table,
        })
    }

    /// How many bans there are to show, and those on the page.
    fn find(&self, ledger: &Ledger, now: Timestamp) -> (usize, Vec<Ban>) {
        let (mut total, mut page) = (0, Vec::new());
        let skipped = (self.page - 1).saturating_mul(A_PAGE);
        for ban in ledger.newest_first() {
            if ban.is_in_force(now) && self.tests.iter().all(|test| test.holds(ban)) {
                if total >= skipped && page.len() < A_PAGE {
                    page.push(ban.clone());
                }
                total += 1;
            }
        }
        (total, page)
    }
}

fn run(call: &Call, context: &Context) -> Outcome {
    let list = match List::parse(&call.values) {
        Ok(list) => list,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let now = context.gate.now();
    let (total, bans) = context.gate.read(|ledger| list.find(ledger, now));
    let pages = total.div_ceil(A_PAGE).max(1);
    if list.page > pages {
        return Outcome::Invalid(vec![Problem {
            field: "page",
            text: words::too_few_pages(pages),
        }]);
    }
    let next = (list.page < pages).then(|| {
        let page = (list.page + 1).to_string();
        ["list", &list.filter, &page]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    });
    let first = (list.page - 1) * A_PAGE;
    Outcome::Rows(Page {
        title: words::page_title(first, bans.len(), total, !list.tests.is_empty()),
        page: list.page,
        total,
        rows: bans.iter().map(|ban| entry(ban, context)).collect(),
        columns: COLUMNS,
        next,
        table: list.table,
    })
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
            words::clean(ban.by.bare_name()),
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
        assert!(Test::parse("#x..").is_err());
        assert!(Test::parse("by:").is_err());
    }
}
