//! Sentences of `check`.

use super::facts::CheckFacts;
use crate::command::outcome::{Answer, Grade, Row};
use crate::command::parts::server_side::ServerReply;
use crate::command::phrases::{self, by_then, clean, count};
use crate::core::{Ban, By, Subject};

/// About a ban that is in force in memory only.
const IN_MEMORY: &str = "This ban is not stored yet. It is in force in memory only; status says whether the store takes decisions.";

/// The answer with these facts.
pub(super) fn answer(facts: &CheckFacts) -> Answer {
    let subject = &facts.subject;
    let title = match facts.let_in {
        true if facts.is_refused_by_server() => format!("Refused by the server itself: {subject}"),
        true => format!("Let in: {subject}"),
        false if facts.enforced == Some(false) => format!("Banned, but not enforced: {subject}"),
        false => format!("Refused: {subject}"),
    };
    let mut lines = vec![verdict(facts)];
    let mut rows = Vec::new();
    if let Some(ban) = &facts.ban {
        lines.push(phrases::is_banned(ban, facts.at));
        let unenforced = facts
            .server
            .as_ref()
            .filter(|_| facts.enforced == Some(false));
        lines.extend(unenforced.map(|server| server.sentence(&ban.subject)));
        lines.extend(facts.is_in_memory().then(|| String::from(IN_MEMORY)));
        lines.extend(phrases::failed_since(facts.failed_since, &ban.subject));
        lines.extend(phrases::meaning(&ban.subject));
        let evidence = facts.evidence.as_deref();
        rows.extend(evidence.map(|text| phrases::evidence(ban.id.0, text)));
    }
    lines.extend(why_let_in(facts));
    let record = facts.record.as_ref().zip(subject.whose());
    lines.extend(record.map(|(record, account)| phrases::in_a_record_only(account, record)));
    lines.extend(phrases::still_kept_out(&facts.kept_out_by, facts.at));
    lines.extend(facts.beside.iter().flat_map(ServerReply::lines));
    lines.extend(phrases::nearest_limit(&facts.counters));
    let ban = facts.ban.as_ref();
    lines.extend(ban.map(|ban| phrases::how_to_end(&ban.subject)));
    rows.extend(phrases::also_in_force(
        &facts.others,
        &facts.kept_out_by,
        facts.at,
    ));
    let exempt = facts.exempt_by.as_deref();
    rows.extend(exempt.map(|by| Row::new("exempt", "Exempt", clean(by))));
    if subject.place().is_some() {
        rows.push(Row::new("known", "Earlier logins", known(facts)));
    }
    if let Some(account) = subject.whose() {
        let mut bans = facts.bans();
        let guard = bans.find(|ban| matches!(&ban.subject, Subject::Guard(of) if of == account));
        rows.push(Row::new("guard", "Guard", self::guard(guard)));
    }
    rows.extend(phrases::counters(&facts.counters));
    rows.extend(facts.grace_until.map(phrases::grace));
    let grade = match facts.is_refused_by_server() {
        _ if facts.enforced == Some(false) => Grade::Warning,
        true => Grade::Warning,
        false => Grade::Good,
    };
    Answer::new(grade, title, lines).with_rows(rows)
}

/// The verdict.
fn verdict(facts: &CheckFacts) -> String {
    let subject = &facts.subject;
    match (facts.refused_by, subject) {
        (None, _) if !facts.is_clear() => format!("portcullis would let {subject} in."),
        (None, Subject::Address(_)) => {
            format!("{subject} would be let in; the account may be refused.")
        }
        (None, Subject::Account(_)) => {
            format!("{subject} would be let in; its address may be refused.")
        }
        (None, _) => format!("{subject} would be let in."),
        (Some(_), _) if facts.enforced == Some(false) => {
            format!("portcullis would refuse {subject}, but the server does NOT ENFORCE its ban.")
        }
        (Some(By::Guard), Subject::Account(_)) => {
            format!("{subject} would be REFUSED from where it never logged in before.")
        }
        (Some(_), _) => format!("{subject} would be REFUSED."),
    }
}

/// Why the login is let in although bans concern it, or that none does.
fn why_let_in(facts: &CheckFacts) -> Option<String> {
    if !facts.let_in {
        return None;
    }
    let against = facts.bans().any(|ban| match facts.subject {
        // Bans of single pairs do not concern the whole account or address.
        Subject::Account(_) | Subject::Address(_) => !matches!(ban.subject, Subject::Pair(..)),
        _ => true,
    });
    let is_address = matches!(facts.subject, Subject::Address(_));
    Some(String::from(match (against, &facts.exempt_by) {
        (true, _) if is_address && facts.known => {
            "Accounts logged in from there before and still may, so strangers are refused at the password only."
        }
        (false, _) if facts.is_clear() && facts.kept_out_by.is_empty() => {
            "Nothing stands against it."
        }
        (false, _) => return None,
        (true, _) if facts.known => {
            "It logged in from there before, so what rules decided about strangers does not touch it."
        }
        (true, Some(_)) => "Its place is exempt, so only a ban of the account would refuse it.",
        (true, None) => "What stands below does not touch it.",
    }))
}

/// Earlier logins from the source.
fn known(facts: &CheckFacts) -> String {
    let accounts = match facts.accounts_there {
        0 => String::from("no account logged in from there"),
        number => format!("{} logged in from there", count(number as usize, "account")),
    };
    let shared = if facts.shared {
        "; so many (or a proxy) that rules refuse guessers there account by account"
    } else {
        ""
    };
    let pair = match (facts.subject.whose(), facts.known) {
        (None, _) => "",
        (Some(_), true) => {
            "a known good pair: this account did, and strangers' bans do not touch it; "
        }
        (Some(_), false) => "no known good pair: this account did not log in from there; ",
    };
    format!("{pair}{accounts}{shared}")
}

/// The effect of a lockdown.
fn guard(ban: Option<&Ban>) -> String {
    match ban {
        None => String::from("down; the account is not under attack"),
        Some(ban) => format!(
            "UP {} ({}): only sources that logged in before are let in",
            by_then(ban.until),
            ban.id
        ),
    }
}
