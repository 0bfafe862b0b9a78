//! What the bot says in rooms of its own accord.

use crate::command::AuditEvent;
use crate::command::phrases::{clean, count, in_a_room};

/// What was done through another door, for the room that is told all of it.
pub(super) fn deed(event: &AuditEvent) -> String {
    let caller = &event.caller;
    let place = match &caller.occupant {
        Some(occupant) => format!("{} {}", event.door, clean(occupant.jid.as_str())),
        None => event.door.to_string(),
    };
    format!(
        "{} by {} ({}, {place}): {}",
        event.command,
        clean(&caller.name(event.door)),
        caller.rights,
        in_a_room(&event.told)
    )
}

/// What was done faster than the room could be told.
pub(super) fn deeds_missed(number: u64) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    format!(
        "{} more were carried out than I could tell here; the log has them all.",
        count(number, "order")
    )
}
