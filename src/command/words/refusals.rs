//! What the rules do not allow, and what to do about it: said to whoever may do that.

use super::typed;
use crate::command::{permits, unallow};
use crate::core::{Refusal, Role, Subject};

/// Why the rules do not allow something, to somebody with this role over whom it is about.
pub fn refusal(why: &Refusal, role: Role) -> String {
    let next = match why {
        Refusal::Exempt(..) | Refusal::Allowed(..) if !may_exempt(role) => ask_an_admin(),
        Refusal::Exempt(..) => String::from("Take it out of [exempt] first if you mean it."),
        Refusal::Allowed(..) => String::from("Give the command unallow first if you mean it."),
        Refusal::NotLonger(ban, _) => {
            let shorter = typed(format_args!("ban {ban} DURATION"));
            format!("To shorten it: {shorter}")
        }
        Refusal::OverByNow(ban, _) => {
            let end = typed(format_args!("unban {ban}"));
            format!("{end} ends what stands.")
        }
        Refusal::TooManyWatches(_) => {
            format!("Give {} to some of them first.", typed("watch usual"))
        }
        _ => return why.to_string(),
    };
    format!("{why} {next}")
}

/// The same of a ban, on which who may exempt may insist.
pub fn refusal_to_ban(why: &Refusal, role: Role) -> String {
    let next = match why {
        _ if !may_exempt(role) => return refusal(why, role),
        Refusal::Exempt(subject, _) if subject.net().is_none() => "If you mean it, add --force",
        Refusal::Allowed(Subject::Account(_) | Subject::Address(_), _) => {
            "Give the command unallow first if you mean it, or add --force"
        }
        _ => return refusal(why, role),
    };
    format!("{why} {next} (in the form: “Even if unknown or exempt”).")
}

fn may_exempt(role: Role) -> bool {
    permits(role, &unallow::SPEC)
}

fn ask_an_admin() -> String {
    format!(
        "Only an admin can change that; {} names them.",
        typed("policy")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::plain;
    use super::*;

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
