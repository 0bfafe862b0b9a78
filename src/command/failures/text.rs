//! Sentences of `failures`.

use super::ShownFailure;
use crate::admission::FailedLogin;
use crate::command::outcome::{ListEntry, Row};
use crate::command::parts::facts::Fact as _;
use crate::command::parts::pages::ListTitle;
use crate::command::phrases::clean;
use crate::core::{Ban, Subject};

/// The columns, with their names for scripts.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("at", "When"),
    ("account", "Account"),
    ("place", "From"),
    ("times", "How often"),
    ("kind", "Kind"),
    ("rule", "Kept out by"),
];

/// The headings.
pub(super) const FAILURES: ListTitle = ListTitle {
    all: "Failed logins",
    matching: "Matching failed logins",
    none: "No failed logins since the start",
    no_match: "No failed login matches",
};

/// A failure as a line, as cells, and as JSON.
pub(super) fn entry(number: usize, failed: &ShownFailure<'_>) -> ListEntry {
    let (failure, bans) = (failed.failure, &failed.kept_out);
    let account = failure.account.as_ref().map(ToString::to_string);
    let place = failure.place.map(|net| Subject::network(net).to_string());
    let (kind, kept_out) = (kind_of_failure(failure), kept_out_by(bans));
    let times = match failure.times {
        1 => String::new(),
        times => format!("{times} times"),
    };
    let facts = [kind, &kept_out, &times];
    let facts: Vec<&str> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    // The names come from the attacker, so they are last.
    let who = account.as_deref().map_or_else(|| String::from("?"), clean);
    let from = place.as_deref().unwrap_or("?");
    let value = format!("{}: {who} from {from}", facts.join(", "));
    ListEntry {
        row: Row::new(format!("failure{number}"), failure.at.to_string(), value),
        fact: Some(failed.json()),
        cells: vec![
            failure.at.to_string(),
            account.as_deref().map(clean).unwrap_or_default(),
            place.unwrap_or_default(),
            failure.times.to_string(),
            String::from(kind),
            kept_out,
        ],
    }
}

fn kind_of_failure(failure: &FailedLogin) -> &'static str {
    match (failure.by_hand, failure.unknown) {
        (true, _) => "by hand",
        (false, true) => "no such account",
        (false, false) => "wrong password",
    }
}

fn kept_out_by(bans: &[&Ban]) -> String {
    let bans = bans.iter().map(|ban| match ban.origin.rule() {
        Some(rule) => format!("{} {}", ban.id, clean(rule)),
        None => ban.id.to_string(),
    });
    let bans: Vec<String> = bans.collect();
    match bans.is_empty() {
        true => String::new(),
        false => format!("now kept out by {}", bans.join(" and ")),
    }
}
