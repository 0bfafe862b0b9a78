//! What the local socket answers by itself.

use crate::command::phrases::{clean, sentence};
use crate::command::spec::Spec;

/// To a user of the machine who is neither root nor our own.
pub(super) const NOT_YOUR_SOCKET: &str =
    "Only root and the user portcullis runs as may speak with it here.";

/// More in one line than is read.
pub(super) fn line_too_long(most: usize) -> String {
    format!("A question may have {most} bytes; ask in several.")
}

/// A line of another version.
pub(super) fn other_version(theirs: u32, ours: u32) -> String {
    format!(
        "This portcullis speaks version {ours} here, not {theirs}: restart it after an upgrade, or use the program that belongs to it."
    )
}

/// A line that is no question.
pub(super) fn no_question(why: &serde_json::Error) -> String {
    format!("This is no question: {}", sentence(&why.to_string()))
}

/// A field the command does not have.
pub(super) fn no_such_field(spec: &Spec, name: &str) -> String {
    let names: Vec<&str> = spec.fields.iter().map(|field| field.name).collect();
    let name: String = clean(name).chars().take(40).collect();
    match names[..] {
        [] => format!("{} takes nothing, and so no “{name}”.", spec.name),
        _ => format!(
            "{} has no field “{name}”; it has {}.",
            spec.name,
            names.join(", ")
        ),
    }
}
