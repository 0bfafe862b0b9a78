//! Sentences about logins and counters.

use crate::command::outcome::Row;
use crate::command::phrases::{
    NAMED, because, by_then, by_then_counted, clean, count, is_banned, typed_about,
};
use crate::core::time::in_words;
use crate::core::{Ban, Counting, Exemption, Subject, Timestamp};

/// A rule banned.
pub(crate) fn banned_by_rule(ban: &Ban, now: Timestamp) -> String {
    format!(
        "Banned {} {} {} by the rule {}, ban no. {} of it{}",
        ban.id,
        ban.subject,
        by_then_counted(ban.until, now),
        clean(ban.origin.rule().unwrap_or("?")),
        ban.ordinal,
        because(&ban.reason)
    )
}

/// What a ban of this kind means, if that is not obvious.
pub(crate) fn meaning(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Pair(..) => Some(String::from(
            "Only this account from there is refused; others there and the account elsewhere are not.",
        )),
        Subject::Guard(_) => Some(String::from(
            "The guard refuses only sources that never logged in to this account before.",
        )),
        _ => None,
    }
}

/// The counter that is nearest to its limit.
pub(crate) fn nearest_limit(counters: &[Counting]) -> Option<String> {
    let share = |one: &Counting| u64::from(one.amount) * 1_000 / u64::from(one.limit.max(1));
    // Of several that are equally near, the first one, which is the narrowest.
    let counting = counters.iter().rev().max_by_key(|one| share(one))?;
    let Counting {
        rule,
        amount,
        limit,
        ..
    } = counting;
    Some(format!(
        "Nearest limit: {amount} of {limit} {} within {} ({}).",
        rule.counts,
        in_words(rule.window),
        clean(&rule.name)
    ))
}

/// Logins that failed although a ban was in force; `None` if there was none.
pub(crate) fn failed_since(number: usize, subject: &Subject) -> Option<String> {
    let logins = match number {
        0 => return None,
        1 => String::from("1 login has failed since it began: the server looked at its password"),
        _ => format!(
            "{number} logins have failed since it began: the server looked at their passwords"
        ),
    };
    let command = typed_about("failures", subject);
    Some(format!("{logins}. To see them: {command}"))
}

/// The evidence for a ban, as a row with this number in its name.
pub(crate) fn evidence(number: u64, text: &str) -> Row {
    Row::new(format!("evidence{number}"), "Evidence", clean(text))
}

/// Further active bans that concern a login.
pub(crate) fn also_in_force(
    bans: &[Ban],
    kept_out_by: &[Ban],
    now: Timestamp,
) -> impl Iterator<Item = Row> {
    let told = kept_out_by.get(..NAMED).unwrap_or(kept_out_by);
    let others = bans.iter().filter(move |ban| !told.contains(ban));
    others.map(move |ban| {
        let var = format!("ban{}", ban.id.0);
        Row::new(var, "Also in force", is_banned(ban, now))
    })
}

/// The counters, one row per rule; one row if all are zero.
pub(crate) fn counters(counters: &[Counting]) -> Vec<Row> {
    if counters.is_empty() {
        let nothing = "nothing is counted at present";
        return vec![Row::new("count", "Counters", nothing)];
    }
    let named = |one: &Counting| (clean(&one.rule.name), counter(one));
    Row::numbered("count", counters.iter().map(named))
}

/// Failures do not count until then.
pub(crate) fn grace(until: Timestamp) -> Row {
    let what = format!("failures before {until} do not count, because of an un-ban");
    Row::new("grace", "Grace", what)
}

/// `3 of 5 failures within 10 minutes; at the limit 203.0.113.7 is banned for 30 minutes`
fn counter(counting: &Counting) -> String {
    let Counting {
        rule,
        subject,
        amount,
        limit,
        term,
    } = counting;
    let dry_run = if rule.dry_run { " (dry run)" } else { "" };
    let then = match (subject, rule.dry_run) {
        (Subject::Guard(_), false) => format!("the {subject} goes up"),
        (Subject::Guard(_), true) => format!("the {subject} would go up"),
        (_, false) => format!("{subject} is banned"),
        (_, true) => format!("{subject} would be banned"),
    };
    format!(
        "{amount} of {limit} {} within {}{dry_run}; at the limit {then} for {}",
        rule.counts,
        in_words(rule.window),
        in_words(*term),
    )
}

/// An exemption began, or was changed.
pub(crate) fn allowed(exemption: &Exemption, before: Option<&Exemption>, now: Timestamp) -> String {
    let Exemption {
        subject,
        until,
        comment,
        ..
    } = exemption;
    let until = by_then_counted(*until, now);
    match before {
        None => format!("Exempt from bans: {subject} {until}{}", because(comment)),
        Some(before) => format!(
            "Changed the exemption of {subject}: was {}, now {until}{}",
            by_then(before.until),
            because(comment)
        ),
    }
}

/// The bans that an exemption lifted.
pub(crate) fn lifted_by_it(lifted: &[Ban]) -> String {
    let names: Vec<String> = lifted
        .iter()
        .take(NAMED)
        .map(|ban| format!("{} {}", ban.id, ban.subject))
        .collect();
    let more = match lifted.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "It covers and so lifted {}: {}{more}.",
        count(lifted.len(), "ban"),
        names.join(", ")
    )
}

/// An exemption was revoked.
pub(crate) fn unallowed(exemption: &Exemption) -> String {
    format!("No longer exempt: {}.", exemption.subject)
}
