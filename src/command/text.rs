//! What the audit log says.

use crate::command::outcome::Outcome;
use crate::command::phrases::{NAMED, broken, forbidden};

/// What came of a call, for the audit log.
pub(super) fn audit(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(answer) => answer.lines.first().cloned().unwrap_or_default(),
        Outcome::Rows(page) => page.title.clone(),
        Outcome::Ask(ask) => ask.title.clone(),
        Outcome::Invalid(problems) | Outcome::Refused(problems) => problems
            .iter()
            .take(NAMED)
            .map(|problem| problem.text.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        Outcome::Forbidden { needs } => forbidden(*needs),
        Outcome::Unknown { .. } => String::from("No such command."),
        Outcome::Broken(reference) => broken(reference),
    }
}
