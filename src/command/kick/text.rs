//! What `kick` says.

use crate::command::outcome::Grade;
use crate::command::phrases::{clean, named};
use crate::delivery::ports::Undone;

/// What came of ending sessions.
pub(super) fn kicked(subject: &str, outcome: &Result<Option<u64>, Undone>) -> (Grade, String) {
    match outcome {
        Ok(Some(0)) => (
            Grade::Good,
            format!("{subject}: nobody was connected, as far as the server tells."),
        ),
        Ok(Some(number)) => (
            Grade::Good,
            format!("{subject}: {} ended.", count_were(*number)),
        ),
        Ok(None) => (
            Grade::Good,
            format!(
                "{subject}: the server ended what sessions there were; it does not tell how many."
            ),
        ),
        Err(Undone(why)) => (Grade::Bad, format!("{subject}: NOT done. {why}")),
    }
}

fn count_were(number: u64) -> String {
    match number {
        1 => String::from("1 session was"),
        _ => format!("{number} sessions were"),
    }
}

/// They are not banned.
pub(super) const MAY_COME_BACK: &str = "They are not banned and can log in again at once.";

/// `End the sessions of 6 subjects?`
pub(super) fn ask_kick_title(number: usize) -> String {
    match number {
        1 => String::from("Really end its sessions?"),
        _ => format!("Really end the sessions of {number} subjects?"),
    }
}

/// What would be ended.
pub(super) fn ask_kick(whom: &[String]) -> String {
    format!(
        "Nothing is done yet. End the sessions of {}?",
        named(whom.iter())
    )
}

/// `Session alice@example.org/phone`
pub(super) fn session(jid: &str) -> String {
    format!("Session {jid}")
}

/// How much that is.
pub(super) const ONE_SESSION: &str = "this one and no other";

/// In front of the reason, where one session was ended and others not: for the history.
pub(super) fn only_the_session(resource: &str, reason: &str) -> String {
    let resource: String = clean(resource).chars().take(60).collect();
    match reason {
        "" => format!("only the session {resource}"),
        reason => format!("only the session {resource}: {reason}"),
    }
}
