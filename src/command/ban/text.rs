//! Sentences of `ban`.

use std::time::Duration;

use crate::command::phrases::{
    NAMED, because, by_then_counted, is_wide as wide_line, may_exempt, named, refusal, typed,
    why_refused,
};
use crate::core::time::in_words;
use crate::core::{Account, Ban, Refusal, Role, Subject, Term, Timestamp};

/// The question for confirmation.
pub(super) fn ask(
    subjects: &[Subject],
    is_wide: &dyn Fn(&Subject) -> bool,
    term: Term,
    now: Timestamp,
    reason: Option<&str>,
) -> Vec<String> {
    let mut lines = vec![format!(
        "Nothing is done yet. Ban {} {}{}",
        named(subjects.iter()),
        by_then_counted(term.ends(now), now),
        because(reason.unwrap_or_default()),
    )];
    for subject in subjects
        .iter()
        .filter(|subject| is_wide(subject))
        .take(NAMED)
    {
        lines.push(wide_line(subject));
    }
    if subjects.len() > NAMED {
        lines.push(format!("These are {} subjects at once.", subjects.len()));
    }
    lines
}

/// Why a ban for which no duration was named is shorter than usual.
pub(super) fn shortened(role: Role, longest: Duration) -> String {
    format!(
        "No duration was named, and the longest ban for the role {role} is {}.",
        in_words(longest)
    )
}

/// The question before a ban that only an admin can force; `None`: it cannot be forced.
pub(super) fn ask_by_force(why: &Refusal) -> Option<String> {
    Some(match why {
        Refusal::Exempt(subject, by) | Refusal::Allowed(subject, by) => {
            format!("{subject} is EXEMPT from bans ({by}); with --force it is banned all the same.")
        }
        Refusal::NotHere(subject, _) => format!(
            "{subject} is NOT on this server; with --force the ban is kept in case its server becomes a virtual host here."
        ),
        _ => return None,
    })
}

/// What exempts an account, for people who may know who is an admin.
pub(super) fn exempt_by(is_admin: bool) -> &'static str {
    match is_admin {
        true => "an admin",
        false => "[exempt] accounts",
    }
}

/// Why the rules refuse a ban, for a caller of this role: people who may exempt may also force it.
pub(super) fn refusal_to_ban(why: &Refusal, role: Role) -> String {
    let next = match why {
        _ if !may_exempt(role) => return refusal(why, role),
        Refusal::Exempt(subject, _) if subject.net().is_none() => "If you mean it, add --force",
        Refusal::Allowed(Subject::Account(_) | Subject::Address(_), _) => {
            "Give the command unallow first if you mean it, or add --force"
        }
        _ => return refusal(why, role),
    };
    format!(
        "{} {next} (in the form: “Even if unknown or exempt”).",
        why_refused(why)
    )
}

/// The account does not exist.
pub(super) fn no_account(account: &Account) -> String {
    format!(
        "There is no account {account} on this server. To ban the name before anybody takes it, add --force (in the form: “Even if unknown or exempt”)."
    )
}

/// The server knows nothing of the account, which need not mean that there is none.
pub(super) fn no_trace(account: &Account) -> String {
    format!(
        "The server has seen {account} neither log in nor register. If the account exists, or to ban the name before anybody takes it, add --force (in the form: “Even if unknown or exempt”)."
    )
}

/// The reason before it was changed.
pub(super) fn reason_was(was: &str) -> String {
    let was = if was.is_empty() { "none" } else { was };
    format!("The reason was{}", because(was))
}

/// How to change or end a ban that is there already.
pub(super) fn to_change(ban: &Ban) -> String {
    let change = typed(format_args!("ban {} DURATION REASON", ban.id));
    let end = typed(format_args!("unban {}", ban.id));
    format!("To change it: {change}. To end it: {end}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::command::phrases::plain;
    use crate::core::{Refusal, Role, Subject};

    #[test]
    fn nobody_is_told_to_do_what_they_may_not() {
        let check = |subject: &str, role, expected: [&str; 2]| {
            let subject = Subject::parse(subject).unwrap();
            let why = [
                Refusal::Exempt(subject.clone(), "x".into()),
                Refusal::Allowed(subject.clone(), "x".into()),
            ];
            for (why, expected) in why.iter().zip(expected) {
                let said = plain(&refusal_to_ban(why, role));
                let fact = format!("{subject} is exempt from bans (x). ");
                assert_eq!(said, format!("{fact}{expected}"), "{role}");
            }
        };
        let ask = "Only an admin can change that; policy names them.";
        let force = "add --force (in the form: “Even if unknown or exempt”).";
        let end = "Give the command unallow first if you mean it";
        for whom in ["a@b.example", "203.0.113.7", "203.0.113.0/24"] {
            check(whom, Role::Moderator, [ask, ask]);
        }
        let insist = format!("If you mean it, {force}");
        let either = format!("{end}, or {force}");
        check("a@b.example", Role::Admin, [&insist, &either]);
        let exempt = "Take it out of [exempt] first if you mean it.";
        check("203.0.113.7", Role::Admin, [exempt, &either]);
        let end = format!("{end}.");
        check("203.0.113.0/24", Role::Admin, [exempt, &end]);
    }
}
