//! Sentences of `check`.

use crate::command::phrases::{by_then, count};
use crate::core::{Ban, Explanation, Subject, Verdict};

/// About a ban with the number 0.
pub(super) const IN_MEMORY: &str = "This ban is not stored yet. It is in force in memory only; status says whether the store takes decisions.";

/// The verdict.
pub(super) fn verdict(subject: &Subject, explanation: &Explanation) -> String {
    let by_guard = matches!(
        explanation.verdict,
        Verdict::Refuse {
            by: crate::core::By::Guard,
            ..
        }
    );
    match (&explanation.verdict, subject) {
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

/// Why the login is let in although bans concern it, or that none does.
pub(super) fn why_let_in(subject: &Subject, explanation: &Explanation) -> Option<String> {
    if explanation.verdict != Verdict::LetIn {
        return None;
    }
    let against = explanation.bans.iter().any(|ban| match subject {
        // Bans of single pairs do not concern the whole account or address.
        Subject::Account(_) | Subject::Address(_) => !matches!(ban.subject, Subject::Pair(..)),
        _ => true,
    });
    let is_address = matches!(subject, Subject::Address(_));
    Some(String::from(match (against, &explanation.exempt) {
        (true, _) if is_address && explanation.is_known => {
            "Accounts logged in from there before and still may, so strangers are refused at the password only."
        }
        (false, _) => "Nothing stands against it.",
        (true, _) if explanation.is_known => {
            "It logged in from there before, so what rules decided about strangers does not touch it."
        }
        (true, Some(_)) => "Its place is exempt, so only a ban of the account would refuse it.",
        (true, None) => "What stands below does not touch it.",
    }))
}

/// Earlier logins from the source.
pub(super) fn known(subject: &Subject, explanation: &Explanation) -> String {
    let accounts = match explanation.accounts_there {
        0 => String::from("no account logged in from there"),
        number => format!("{} logged in from there", count(number as usize, "account")),
    };
    let shared = if explanation.is_shared {
        "; so many (or a proxy) that rules refuse guessers there account by account"
    } else {
        ""
    };
    let pair = match (subject.whose(), explanation.is_known) {
        (None, _) => "",
        (Some(_), true) => {
            "a known good pair: this account did, and strangers' bans do not touch it; "
        }
        (Some(_), false) => "no known good pair: this account did not log in from there; ",
    };
    format!("{pair}{accounts}{shared}")
}

/// The effect of a lockdown.
pub(super) fn guard(ban: Option<&Ban>) -> String {
    match ban {
        None => String::from("down; the account is not under attack"),
        Some(ban) => format!(
            "UP {} ({}): only sources that logged in before are let in",
            by_then(ban.until),
            ban.id
        ),
    }
}
