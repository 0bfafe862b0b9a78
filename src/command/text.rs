//! What the audit log says.

use crate::command::outcome::Outcome;
use crate::command::phrases::NAMED;

/// The outcome of a call, for the audit log.
pub(super) fn audit(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(answer) => answer.lines.first().cloned().unwrap_or_default(),
        Outcome::Rows(page) => page.title.clone(),
        Outcome::Ask(ask) => ask.title.clone(),
        Outcome::Invalid { problems } | Outcome::Refused { problems } => problems
            .iter()
            .take(NAMED)
            .map(|problem| problem.text.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        Outcome::Forbidden { text, .. }
        | Outcome::Unknown { text, .. }
        | Outcome::Broken { text, .. } => text.clone(),
    }
}
