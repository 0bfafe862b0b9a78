//! Messages of the local socket.

use crate::command::phrases::{clean, sentence};
use crate::command::spec::Spec;

/// The user is neither root nor our own.
pub(super) const NOT_YOUR_SOCKET: &str =
    "Only root and the user portcullis runs as may speak with it here.";

/// A program runs on the store, and has no socket.
pub(super) const NO_SOCKET: &str = "portcullis runs there without its local socket: it is just starting, or the disk of the store takes no writes (GET /readyz and its log say which). Chat commands work meanwhile.";

/// A line that is longer than the limit.
pub(super) fn line_too_long(most: usize) -> String {
    format!("A question may have {most} bytes; ask in several.")
}

/// A line in another version of the protocol.
pub(super) fn other_version(theirs: u32, ours: u32) -> String {
    format!(
        "This portcullis speaks version {ours} here, not {theirs}: restart it after an upgrade, or use the program that belongs to it."
    )
}

/// A line that is not a request.
pub(super) fn no_question(why: &serde_json::Error) -> String {
    format!("This is no question: {}", sentence(&why.to_string()))
}

/// A field that the command does not have.
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
