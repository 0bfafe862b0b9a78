//! What `failures` says.

use crate::admission::FailedLogin;
use crate::command::phrases::{ListTitle, clean};
use crate::core::{Ban, Subject};

/// Failed logins.
pub(super) const FAILURES: ListTitle = ListTitle {
    all: "Failed logins",
    matching: "Matching failed logins",
    none: "No failed logins since the start",
    no_match: "No failed login matches",
};

/// Which bans keep out whoever failed.
pub(super) const KEPT_OUT_BY: &str = "Kept out by";

/// A failed login in a list, behind its time; the names are the attacker's and come last.
pub(super) fn failure(failure: &FailedLogin, bans: &[&Ban]) -> String {
    let facts = [kind_of_failure(failure), kept_out_by(bans)];
    let times = match failure.times {
        1 => String::new(),
        times => format!("{times} times"),
    };
    let facts: Vec<&str> = facts
        .iter()
        .chain([&times])
        .map(String::as_str)
        .filter(|fact| !fact.is_empty())
        .collect();
    let who = failure
        .account
        .as_ref()
        .map_or_else(|| String::from("?"), |account| clean(account.as_str()));
    let from = failure.place.map_or_else(
        || String::from("?"),
        |net| Subject::network(net).to_string(),
    );
    format!("{}: {who} from {from}", facts.join(", "))
}

/// What kind of failure it was.
pub(super) fn kind_of_failure(failure: &FailedLogin) -> String {
    String::from(match (failure.by_hand, failure.unknown) {
        (true, _) => "by hand",
        (false, true) => "no such account",
        (false, false) => "wrong password",
    })
}

/// What keeps them out now.
pub(super) fn kept_out_by(bans: &[&Ban]) -> String {
    let bans: Vec<String> = bans
        .iter()
        .map(|ban| match ban.origin.rule() {
            Some(rule) => format!("{} {}", ban.id, clean(rule)),
            None => ban.id.to_string(),
        })
        .collect();
    match bans.is_empty() {
        true => String::new(),
        false => format!("now kept out by {}", bans.join(" and ")),
    }
}
