//! Sentences said in rooms and about them.

use super::{clean, count, forbidden, in_a_room, sentence};
use crate::command::AuditEvent;
use crate::command::front::{RoomStatus, RoomTrouble};
use crate::core::Role;
use crate::core::Timestamp;
use crate::core::time::in_words;

/// What is said to one occupant for all to read.
pub fn to_nick(nick: &str, text: &str) -> String {
    format!("{}: {text}", clean(nick))
}

/// An answer that is too long for a room, in its place.
pub fn rest_in_private(first: &str, lines: usize) -> String {
    format!("{first}\nThe whole answer has {lines} lines; I sent it to you in private.")
}

/// In a room that does not show us who anybody is.
pub fn faceless() -> String {
    String::from(
        "I cannot see who you are, so I take no orders here. Let the room show real JIDs to everybody, or make me a moderator of it. Nothing was done.",
    )
}

/// To an occupant without a role; `needs`: what the command they gave takes, if it was one.
pub fn stranger_in_room(needs: Option<Role>) -> String {
    let whose = "I take orders from the server's admins and from those to whom this room grants a role; you are neither.";
    match needs {
        Some(needs) => format!("{} {whose}", forbidden(needs)),
        None => String::from(whose),
    }
}

/// What was done through another door, for the room that is told all of it.
pub fn deed(event: &AuditEvent) -> String {
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
pub fn deeds_missed(number: u64) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    format!(
        "{} more were carried out than I could tell here; the log has them all.",
        count(number, "order")
    )
}

/// A room, in front of what is the case with it.
pub fn seat_label(seat: &RoomStatus) -> String {
    match seat.nick {
        Some(_) => format!("Room {}", clean(&seat.room)),
        None => format!("NOT IN ROOM {}", clean(&seat.room)),
    }
}

/// What is the case with a room.
pub fn seat(seat: &RoomStatus, now: Timestamp) -> String {
    let Some(nick) = &seat.nick else {
        let why = match &seat.trouble {
            Some(trouble) => sentence(&self::trouble(trouble)),
            None => String::from("Not entered yet."),
        };
        let next = seat.again.filter(|again| now < *again);
        return match next {
            Some(again) => format!("{why} Next try in {}.", in_words(again.since(now))),
            None => why,
        };
    };
    let others = match seat.others {
        1 => String::from("1 other is"),
        number => format!("{number} others are"),
    };
    let mut said = format!("I am {}, {others} there.", clean(nick));
    if seat.faceless > 0 {
        said.push_str(&format!(
            " I cannot see who {} of them are: let the room show real JIDs to everybody, or make me a moderator of it.",
            seat.faceless
        ));
    }
    if seat.public == Some(true) {
        said.push(' ');
        said.push_str(&public_room());
    }
    said
}

/// About a room that has no door.
pub fn public_room() -> String {
    String::from(
        "ANYBODY CAN ENTER IT and read what is said there of accounts and addresses: make it members-only or give it a password.",
    )
}

/// Why we are not in a room, and what to do.
pub fn trouble(trouble: &RoomTrouble) -> String {
    let by = |who: &Option<String>, why: &Option<String>| {
        let who = who.as_ref().map(|who| format!(" by {}", clean(who)));
        let why = why.as_ref().map(|why| format!(": {}", clean(why)));
        format!("{}{}", who.unwrap_or_default(), why.unwrap_or_default())
    };
    match trouble {
        RoomTrouble::Missing => String::from(
            "there is no such room; create it with your client, members-only, persistent, showing real JIDs to everybody",
        ),
        RoomTrouble::Destroyed(why) => format!("the room was closed{}", by(&None, why)),
        RoomTrouble::NickTaken => String::from(
            "somebody else has my nick there, and those I tried instead; set another `nick`",
        ),
        RoomTrouble::Password => {
            String::from("it wants a password, or another one; set `password_file` of the room")
        }
        RoomTrouble::MembersOnly => {
            String::from("it is for members only; make this component's bot a member of it")
        }
        RoomTrouble::Banned(who, why) => format!("I am banned from it{}", by(who, why)),
        RoomTrouble::Kicked(who, why) => format!("I was kicked out{}", by(who, why)),
        RoomTrouble::Full => String::from("it is full"),
        RoomTrouble::Unreachable => String::from("its server is out of reach, or just starting"),
        RoomTrouble::Silent => String::from("it does not answer"),
        RoomTrouble::Lost => String::from("I was no longer in it, and nobody had told me"),
        RoomTrouble::Refused(why) => format!("it refuses me: {}", clean(why)),
    }
}
