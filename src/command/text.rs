//! What the audit log and the manual say.

use crate::command::outcome::Outcome;
use crate::command::phrases::{NAMED, broken, forbidden};
use crate::command::spec::{DEFAULT_TERM, PRESETS};

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

/// What a preset term means in the manual.
pub(super) fn manual_presets() -> String {
    format!(
        "`{DEFAULT_TERM}` or {}; any other duration is taken too",
        PRESETS.map(|preset| format!("`{preset}`")).join(", ")
    )
}

/// The values of a choice in the manual.
pub(super) fn manual_choices(choices: &[(&str, &str)]) -> String {
    let values: Vec<String> = choices
        .iter()
        .map(|(value, _)| format!("`{value}`"))
        .collect();
    values.join(", ")
}
