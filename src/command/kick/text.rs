//! Sentences of `kick`.

use super::Whom;
use crate::command::outcome::{Ask, Row};
use crate::command::phrases;
use crate::delivery::ports::Undone;

/// After sessions were ended.
pub(super) const NOT_BANNED: &str = "They are not banned and can log in again at once.";

/// How many sessions were ended.
pub(super) fn ended(one: &Whom, ended: &Result<Option<u64>, Undone>) -> String {
    match ended {
        Ok(Some(0)) => format!("{one}: nobody was connected, as far as the server tells."),
        Ok(Some(1)) => format!("{one}: 1 session was ended."),
        Ok(Some(number)) => format!("{one}: {number} sessions were ended."),
        Ok(None) => {
            format!("{one}: the server ended what sessions there were; it does not tell how many.")
        }
        Err(Undone(why)) => format!("{one}: NOT done. {why}"),
    }
}

/// The reason in the history, if only one session is ended.
pub(super) fn only(resource: &str, reason: &str) -> String {
    match reason {
        "" => format!("only the session {resource}"),
        reason => format!("only the session {resource}: {reason}"),
    }
}

/// The question before many sessions are ended.
pub(super) fn question(whom: &[Whom]) -> Ask {
    let row = |one: &Whom| match one.resource {
        Some(_) => (
            format!("Session {one}"),
            String::from("this one and no other"),
        ),
        None => (phrases::kind(&one.subject), phrases::reach(&one.subject)),
    };
    let names = phrases::named(whom.iter());
    Ask {
        title: match whom.len() {
            1 => String::from("Really end its sessions?"),
            number => format!("Really end the sessions of {number} subjects?"),
        },
        lines: vec![format!("Nothing is done yet. End the sessions of {names}?")],
        rows: Row::numbered("subject", whom.iter().map(row)),
        values: None,
    }
}
