//! What `policy` says.

use crate::command::phrases::{NAMED, clean, count, typed};
use crate::core::policy::Whose;
use crate::core::rules::{Growth, RuleKey};
use crate::core::time::in_words;
use crate::core::{Role, Rule, Term};
use std::time::Duration;

/// The whole of it.
pub(super) fn policy(rules: &[Rule]) -> Vec<String> {
    let dry = rules.iter().filter(|rule| rule.dry_run).count();
    let all = rules.len() - dry;
    let dry = match dry {
        0 => String::new(),
        dry => format!(", {dry} more in dry run"),
    };
    vec![
        format!("{} in force{dry}.", count(all, "rule")),
        String::from(
            "What stands in [brackets] is set in the configuration file; systemctl reload portcullis takes changes over.",
        ),
    ]
}

/// A role.
pub(super) fn role_label(role: Role) -> String {
    match role {
        Role::Viewer => String::from("A viewer may"),
        Role::Moderator => String::from("A moderator also"),
        Role::Admin => String::from("An admin also"),
        Role::Stranger => String::from("A stranger"),
    }
}

/// What a role may: commands and the longest term.
pub(super) fn role_may(
    commands: &[&str],
    longest: Option<Option<Duration>>,
    is_limited: bool,
) -> String {
    let term = match longest {
        None => String::new(),
        Some(longest) => format!("; bans {}", self::longest(longest)),
    };
    let limit = if is_limited { "; no networks" } else { "" };
    format!("{}{term}{limit}", commands.join(", "))
}

/// The term of a ban that names none.
pub(super) fn default_duration(term: Term) -> String {
    format!("{term}, where a ban names no duration")
}

/// The longest term.
pub(super) fn longest(longest: Option<Duration>) -> String {
    match longest {
        None => String::from("of any length, also for ever"),
        Some(most) => format!("of {} at most", in_words(most)),
    }
}

/// The time after an un-ban.
pub(super) fn grace(span: Duration) -> String {
    format!(
        "{} after an un-ban, in which no rule bans the same again",
        in_words(span)
    )
}

/// For how long something can be undone.
pub(super) fn undo_for(span: Duration) -> String {
    format!("undo takes back what is not older than {}", in_words(span))
}

/// Whose bans moderators may end or change.
pub(super) fn moderators_change(whose: Whose) -> String {
    String::from(match whose {
        Whose::Any => {
            "moderators end and change anybody's bans, as far as their own could be as long"
        }
        Whose::Own => "moderators end and change their own bans only",
    })
}

/// A rule.
pub(super) fn rule_label(rule: &Rule) -> String {
    let dry = if rule.dry_run { " (DRY RUN)" } else { "" };
    format!("{}{dry}", clean(&rule.name))
}

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

/// Names, or that there are none.
pub(super) fn exempt_list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| clean(name)).collect();
    match names.len() {
        0 => String::from("none"),
        all if all > NAMED => format!(
            "{} and {} more; {} lists them",
            shown.join(", "),
            all - NAMED,
            typed("allowed")
        ),
        _ => shown.join(", "),
    }
}

/// Exemptions given by command.
pub(super) const ALLOWED_LABEL: &str = "Exempt by command";

/// Exemptions given by command.
pub(super) fn allowed_number(number: usize) -> String {
    match number {
        0 => format!("nobody; {} exempts somebody", typed("allow")),
        _ => format!(
            "{}; {} lists them",
            count(number, "exemption"),
            typed("allowed")
        ),
    }
}

/// The pause of a stale password.
pub(super) fn quiet(span: Duration) -> String {
    format!(
        "failures of one account from one address count once toward the address until they pause for {}",
        in_words(span)
    )
}

/// How much unknown accounts weigh.
pub(super) fn unknown_weight(weight: u32) -> String {
    format!("an account that does not exist counts as {weight} different ones")
}

/// How long logins are remembered.
pub(super) fn known_for(span: Duration) -> String {
    format!(
        "who logged in from a place is known there for {}",
        in_words(span)
    )
}

/// When a source is shared.
pub(super) fn shared_accounts(number: u32) -> String {
    format!("an address from which {number} accounts logged in is shared, and not banned by rules")
}

/// What one source is.
pub(super) fn reach_of_sources(ipv6: u8, ranges: &[String]) -> String {
    match ranges.is_empty() {
        true => format!("one IPv6 source is a /{ipv6}"),
        false => format!("one IPv6 source is a /{ipv6}; else {}", ranges.join(", ")),
    }
}

/// What is asked about once.
pub(super) const ASKED_LABEL: &str = "Asked about once";

/// Which bans and un-bans.
pub(super) fn asked_about(many: usize) -> String {
    format!(
        "bans of networks wider than a /24 or an IPv6 /48, of more than {many} at once, and un-bans by filter"
    )
}
