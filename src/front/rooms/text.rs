//! Messages to rooms that are not answers.

use crate::command::AuditEvent;
use crate::command::phrases::{clean, count, in_a_room};

/// The report of a change made elsewhere, for an audit room.
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

/// Reports that were dropped because there were too many.
pub(super) fn deeds_missed(number: u64) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    format!(
        "{} more were carried out than I could tell here; the log has them all.",
        count(number, "order")
    )
}
