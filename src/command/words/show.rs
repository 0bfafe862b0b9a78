//! Sentences of `show` and of a history.

use super::{author, because, by_then, by_then_counted, clean, count, heard, typed};
use crate::core::{
    Actor, Ban, BanChange, Change, Door, Event, ExemptionChange, HistoryChange, Subject, Timestamp,
};

/// `spam@host is banned (#17)`
pub fn is_banned_title(ban: &Ban) -> String {
    format!("{} is banned ({})", ban.subject, ban.id)
}

/// `spam@host is not banned`
pub fn not_banned_title(subject: &Subject) -> String {
    format!("{subject} is not banned")
}

/// A ban in force.
pub fn is_banned(ban: &Ban, now: Timestamp) -> String {
    format!(
        "{} is {}: {} {}, by {}{}",
        ban.subject,
        match ban.subject {
            Subject::Guard(_) => "up",
            _ => "banned",
        },
        ban.id,
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// How to end what is shown.
pub fn how_to_end(subject: &Subject) -> String {
    format!("To end it: {}", typed(format_args!("unban {subject}")))
}

/// One event of a history.
pub fn happened(event: &Event) -> String {
    let who = by(&event.actor);
    match &event.change {
        Change::Ban(BanChange::Imposed { reason, until }) => {
            format!("banned {} {who}{}", by_then(*until), because(reason))
        }
        Change::Ban(BanChange::Forced { reason, until }) => format!(
            "banned though exempt, {} {who}{}",
            by_then(*until),
            because(reason)
        ),
        Change::History(HistoryChange::Annotated { replaces: false }) => {
            format!("noted something {who}.")
        }
        Change::History(HistoryChange::Annotated { replaces: true }) => {
            format!("took the notes away or replaced them {who}.")
        }
        Change::History(HistoryChange::Kicked { reason }) => {
            format!("sessions ended {who}{}", because(reason))
        }
        Change::Undone => format!("what is told below was undone {who}."),
        Change::Ban(BanChange::Amended { reason, until }) => {
            format!("changed: {} {who}{}", by_then(*until), because(reason))
        }
        Change::Ban(BanChange::Lifted { reason }) => format!("un-banned {who}{}", because(reason)),
        Change::Ban(BanChange::Expired) => String::from("ended: its time was over."),
        Change::Ban(BanChange::ImposedByRule {
            reason,
            until,
            ordinal,
        }) => {
            let rule = match event.origin.rule() {
                Some(rule) => format!("by the rule {}", clean(rule)),
                None => String::from("by a rule"),
            };
            format!(
                "banned {} {rule}{}, ban no. {ordinal} of it{}",
                by_then(Some(*until)),
                match event.actor.door {
                    Door::Hook => String::new(),
                    _ => format!(", called upon {}", by(&event.actor)),
                },
                because(reason)
            )
        }
        Change::Exemption(ExemptionChange::Granted { comment, until }) => {
            format!(
                "exempt from bans {} {who}{}",
                by_then(*until),
                because(comment)
            )
        }
        Change::Exemption(ExemptionChange::Revoked) => format!("no longer exempt {who}."),
        Change::History(HistoryChange::Forgotten) => format!("its history counts no more {who}."),
        Change::Subscribed { watch } => format!("hears {} {who}.", heard(watch.as_ref())),
    }
}

/// Who gave a ban, in full.
pub fn giver(actor: &Actor) -> String {
    let name = clean(&actor.name);
    match actor.door {
        Door::Server => format!("the server ({name})"),
        _ => name,
    }
}

/// Who, and through which door: `by admin@example.org/desk (chat)`, `(room ops@rooms.example.org/Al)`.
fn by(actor: &Actor) -> String {
    let place = match &actor.occupant {
        Some(occupant) => format!("{} {}", actor.door, clean(occupant)),
        None => actor.door.to_string(),
    };
    match actor.door {
        Door::Server => format!("by {}", giver(actor)),
        _ => format!("by {} ({place})", giver(actor)),
    }
}

/// What private notes are called.
pub fn note_label() -> &'static str {
    "Private note"
}

/// What the rest of a history is called.
pub fn older_label() -> &'static str {
    "Before that"
}

/// The rest of a history.
pub fn older(number: usize) -> String {
    format!("{} more", count(number, "event"))
}

/// What the server made of a ban.
pub const ON_THE_SERVER: &str = "On the server";
