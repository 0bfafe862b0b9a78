//! Sentences about logins: what is counted, what would be answered, and who is exempt.

use super::{because, by_then, by_then_counted, clean, count, in_words, named, reach, stop, typed};
use crate::core::{
    Ban, BanRuling, Counting, Exemption, Outlook, Ruling, Subject, Timestamp, Verdict,
};
use crate::gate::counters::Failure;

/// Who gave an exemption that nobody gave.
pub const CONFIGURATION: &str = "the configuration";
/// Why a proxy is exempt.
pub const PROXY: &str = "a proxy";

// Wrong input.

/// Not an account, an address or one from the other.
pub fn no_login() -> String {
    String::from(
        "Name one login: an account (alice@example.org), an address (203.0.113.7), or both with a space between them.",
    )
}

/// A pair with a whole network.
pub fn from_one_address() -> String {
    String::from("An account fails from one address at a time: name an address, not a network.")
}

/// No number of attempts.
pub fn no_times(most: u32) -> String {
    format!("“How often” is a number from 1 to {most}.")
}

// Attempts.

/// The news of an attempt in a few words.
pub fn counted_title(rulings: &[Ruling]) -> String {
    let began = rulings
        .iter()
        .filter(|ruling| matches!(ruling, Ruling::Ban(BanRuling::Banned(_))))
        .count();
    match began {
        0 => String::from("Counted"),
        began => format!("Counted; {} began", count(began, "ban")),
    }
}

/// An attempt that was not counted, in a few words.
pub fn not_counted_title() -> String {
    String::from("Not counted")
}

/// What would be refused is not counted.
pub fn not_counted(subject: &Subject) -> String {
    format!("Not counted: {subject} is refused already, and what is refused does not count.")
}

/// Attempts were counted and no limit was reached.
pub fn counted(subject: &Subject, times: u32, by_nobody: bool) -> String {
    let times = count(times as usize, "failed login");
    match by_nobody {
        true => format!(
            "Counted {times} of {subject}; none of it counts toward a limit now: it was un-banned just now, or no rule counts this."
        ),
        false => format!("Counted {times} of {subject}; no limit is reached."),
    }
}

/// A rule banned.
pub fn banned_by_rule(ban: &Ban, now: Timestamp) -> String {
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

/// What a ban of this kind means, where that is not plain.
pub fn meaning(subject: &Subject) -> Option<String> {
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

/// What led to a ban.
pub fn evidence_label() -> &'static str {
    "Evidence"
}

/// What a rule counts for whom.
pub fn counter_label(counting: Option<&Counting>) -> String {
    match counting {
        Some(counting) => clean(&counting.rule.name),
        None => String::from("Counters"),
    }
}

/// `3 of 5 failures within 10 minutes; at the limit 203.0.113.7 is banned for 30 minutes`
pub fn counter(counting: &Counting) -> String {
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

/// The counter that is nearest to its limit.
pub fn nearest_limit(outlook: &Outlook) -> Option<String> {
    let share = |one: &Counting| u64::from(one.amount) * 1_000 / u64::from(one.limit.max(1));
    // Of several as near, the first: the narrowest one stands in front.
    let counting = outlook.counting.iter().rev().max_by_key(|one| share(one))?;
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

/// No counter.
pub fn nothing_counted() -> String {
    String::from("nothing is counted at present")
}

// Check.

/// The verdict in a few words.
pub fn verdict_title(subject: &Subject, verdict: &Verdict) -> String {
    match verdict {
        Verdict::LetIn => format!("Let in: {subject}"),
        Verdict::Refuse { .. } => format!("Refused: {subject}"),
    }
}

/// The verdict.
pub fn verdict(subject: &Subject, outlook: &Outlook) -> String {
    let by_guard = matches!(
        outlook.verdict,
        Verdict::Refuse {
            by: crate::core::By::Guard,
            ..
        }
    );
    match (&outlook.verdict, subject) {
        (Verdict::LetIn, Subject::Address(_)) => {
            format!("{subject} would be let in; the account may be refused.")
        }
        (Verdict::LetIn, Subject::Account(_)) => {
            format!("{subject} would be let in; its address may be refused.")
        }
        (Verdict::LetIn, _) => format!("{subject} would be let in."),
        (Verdict::Refuse { .. }, Subject::Account(_)) if by_guard => {
            format!("{subject} would be REFUSED from where it never logged in before.")
        }
        (Verdict::Refuse { .. }, _) => format!("{subject} would be REFUSED."),
    }
}

/// Why it is let in, where something stands against it; or that nothing does.
pub fn why_let_in(subject: &Subject, outlook: &Outlook) -> Option<String> {
    if outlook.verdict != Verdict::LetIn {
        return None;
    }
    let against = outlook.bans.iter().any(|ban| match subject {
        // Bans of single pairs do not stand against the whole.
        Subject::Account(_) | Subject::Address(_) => !matches!(ban.subject, Subject::Pair(..)),
        _ => true,
    });
    let is_address = matches!(subject, Subject::Address(_));
    Some(String::from(match (against, &outlook.exempt) {
        (true, _) if is_address && outlook.is_known => {
            "Accounts logged in from there before and still may, so strangers are refused at the password only."
        }
        (false, _) => "Nothing stands against it.",
        (true, _) if outlook.is_known => {
            "It logged in from there before, so what rules decided about strangers does not touch it."
        }
        (true, Some(_)) => "Its place is exempt, so only a ban of the account would refuse it.",
        (true, None) => "What stands below does not touch it.",
    }))
}

/// A ban that has to do with it.
pub fn other_ban_label() -> &'static str {
    "Also in force"
}

/// Who is exempt.
pub fn exempt_label() -> &'static str {
    "Exempt"
}

/// What exempts it.
pub fn exempt(by: &str) -> String {
    clean(by)
}

/// Earlier logins.
pub fn known_label() -> &'static str {
    "Earlier logins"
}

/// Earlier logins from there.
pub fn known(subject: &Subject, outlook: &Outlook) -> String {
    let accounts = match outlook.accounts_there {
        0 => String::from("no account logged in from there"),
        number => format!("{} logged in from there", count(number as usize, "account")),
    };
    let shared = if outlook.is_shared {
        "; so many (or a proxy) that rules refuse guessers there account by account"
    } else {
        ""
    };
    let pair = match (subject.whose(), outlook.is_known) {
        (None, _) => "",
        (Some(_), true) => {
            "a known good pair: this account did, and strangers' bans do not touch it; "
        }
        (Some(_), false) => "no known good pair: this account did not log in from there; ",
    };
    format!("{pair}{accounts}{shared}")
}

/// The guard of an account.
pub fn guard_label() -> &'static str {
    "Guard"
}

/// What the guard of an account does.
pub fn guard(ban: Option<&Ban>) -> String {
    match ban {
        None => String::from("down; the account is not under attack"),
        Some(ban) => format!(
            "UP {} ({}): only sources that logged in before are let in",
            by_then(ban.until),
            ban.id
        ),
    }
}

// Forget.

/// In a few words.
pub fn forgotten_title() -> String {
    String::from("Forgotten")
}

/// `2 bans`
pub fn bans_counted(bans: u32) -> String {
    format!("{} no longer {}", count(bans as usize, "ban"), counts(bans))
}

/// What was forgotten.
pub fn forgotten(subject: &Subject, bans: u32, with: &[(Subject, u32)]) -> String {
    let own = match bans {
        0 => String::from("no earlier ban counted"),
        bans => format!("{} no longer {}", count(bans as usize, "ban"), counts(bans)),
    };
    let more: u32 = with.iter().map(|(_, bans)| bans).sum();
    let with = match with.len() {
        0 => String::new(),
        _ => {
            let names = with.iter().map(|(other, _)| other).collect::<Vec<_>>();
            format!(
                " Forgotten with it: {} of {}.",
                count(more as usize, "ban"),
                named(names.into_iter())
            )
        }
    };
    format!("Forgotten: {subject}; {own}, and its next ban by a rule is its first.{with}")
}

fn counts(number: u32) -> &'static str {
    if number == 1 { "counts" } else { "count" }
}

/// What was counted until now.
pub fn counters_cleared(subject: &Subject, before: &Outlook) -> Option<String> {
    let cleared: Vec<String> = before
        .counting
        .iter()
        // A network's other addresses go on to count.
        .filter(|counting| match (subject, counting.subject.place()) {
            (Subject::Address(_), Some(place)) => subject.net() == Some(place),
            _ => true,
        })
        .map(|counting| {
            format!(
                "{} ({} of {})",
                clean(&counting.rule.name),
                counting.amount,
                counting.limit
            )
        })
        .collect();
    (!cleared.is_empty()).then(|| format!("Counters cleared: {}.", cleared.join(", ")))
}

/// A ban in force stays.
pub fn goes_on(ban: &Ban, now: Timestamp) -> String {
    format!(
        "The ban in force goes on: {} {}; to end it: {}",
        ban.id,
        by_then_counted(ban.until, now),
        typed(format_args!("unban {}", ban.id))
    )
}

/// What is not forgotten.
pub fn log_stays(subject: &Subject) -> String {
    format!(
        "What happened stays on record; to read it: {}",
        typed(format_args!("show {subject}"))
    )
}

// Exemptions.

/// Before a wide one.
pub fn ask_allow_title(subject: &Subject) -> String {
    format!("Really exempt {subject}?")
}

/// What would be done.
pub fn ask_allow(
    subject: &Subject,
    until: Option<Timestamp>,
    now: Timestamp,
    comment: &str,
) -> Vec<String> {
    vec![
        format!(
            "Nothing is done yet. Exempt {subject} from bans {}{}",
            by_then_counted(until, now),
            because(comment)
        ),
        format!(
            "{subject} is wide: {}. Nobody there could be banned, and no failed login there counted.",
            reach(subject)
        ),
    ]
}

/// An exemption began or changed.
pub fn allowed(exemption: &Exemption, before: Option<&Exemption>, now: Timestamp) -> String {
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

/// The bans that ended by an exemption.
pub fn lifted_by_it(lifted: &[Ban]) -> String {
    let names: Vec<String> = lifted
        .iter()
        .take(super::NAMED)
        .map(|ban| format!("{} {}", ban.id, ban.subject))
        .collect();
    let more = match lifted.len().saturating_sub(super::NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "It covers and so lifted {}: {}{more}.",
        count(lifted.len(), "ban"),
        names.join(", ")
    )
}

/// The ban that ended.
pub fn was(ban: &Ban) -> String {
    format!(
        "un-banned; was banned {}, by {}{}",
        by_then(ban.until),
        super::author(ban),
        because(&ban.reason)
    )
}

/// What people could get wrong about it.
pub fn what_exempt_means(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Account(_) => Some(String::from(
            "The account itself cannot be banned; guessers of its password are still refused by address, pair and guard.",
        )),
        _ => None,
    }
}

/// An exemption ended.
pub fn unallowed(exemption: &Exemption) -> String {
    format!("No longer exempt: {}.", exemption.subject)
}

/// There was none.
pub fn not_allowed(subject: &Subject) -> String {
    format!(
        "There is no exemption of {subject}; {} lists them.",
        typed("allowed")
    )
}

/// Something else exempts it.
pub fn still_exempt(by: &str) -> String {
    let mut text = format!("It is still exempt by {}", clean(by));
    stop(&mut text);
    text
}

/// The configuration exempts it.
pub fn by_configuration(by: String) -> String {
    format!("the configuration ({by}); take it out of [exempt] there if you mean it")
}

/// An exemption in a list.
pub fn exempt_in_a_list(
    until: Option<Timestamp>,
    by: &str,
    comment: &str,
    now: Timestamp,
) -> String {
    format!(
        "{}, by {}{}",
        by_then_counted(until, now),
        clean(by),
        because(comment)
    )
}

// Failures.

/// A failed login in a list, behind its time; the names are the attacker's and come last.
pub fn failure(failure: &Failure, bans: &[&Ban]) -> String {
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
pub fn kind_of_failure(failure: &Failure) -> String {
    String::from(match (failure.by_hand, failure.unknown) {
        (true, _) => "by hand",
        (false, true) => "no such account",
        (false, false) => "wrong password",
    })
}

/// What keeps them out now.
pub fn kept_out_by(bans: &[&Ban]) -> String {
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

// Status.

/// Names of rules.
pub fn rule_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(clean).collect();
    match names.is_empty() {
        true => String::from("none"),
        false => names.join(", "),
    }
}

/// What a table of counters is of.
pub fn fill_label(what: &str) -> String {
    match what {
        "known" => String::from("Good logins remembered"),
        "address" => String::from("Addresses counted"),
        what => {
            let mut what = what.to_owned();
            if let Some(first) = what.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            format!("{what}s counted")
        }
    }
}

/// How full a table of counters is.
pub fn fill(keys: usize, most: usize, evicted: u64) -> String {
    match evicted {
        0 => format!("{keys} of {most}"),
        evicted => format!("{keys} of {most}; {evicted} had to make room before their time"),
    }
}
