//! Sentences of `status`.

use crate::admission::Unwritten;
use crate::command::front::RoomStatus;
use crate::command::phrases::{clean, count, public_room, sentence, server, trouble};
use crate::core::Timestamp;
use crate::core::time::in_words;
use crate::delivery::ports::Enforcement;

/// Label and value of the row for a room.
pub(super) fn seat(seat: &RoomStatus, now: Timestamp) -> (String, String) {
    let room = clean(&seat.room);
    match &seat.nick {
        Some(nick) => (format!("Room {room}"), inside(seat, nick)),
        None => (format!("NOT IN ROOM {room}"), outside(seat, now)),
    }
}

/// The effect of a log that stores no decisions.
pub(super) fn unwritten(fault: &Unwritten, now: Timestamp) -> String {
    let since = in_words(now.since(fault.since));
    let bans = count(fault.bans, "ban");
    let why = sentence(&fault.why);
    format!(
        "It takes no decisions, for {since}. {bans} by rules hold in memory only and are lost if portcullis stops. {why}"
    )
}

fn outside(seat: &RoomStatus, now: Timestamp) -> String {
    let why = match &seat.trouble {
        Some(trouble) => sentence(&self::trouble(trouble)),
        None => String::from("Not entered yet."),
    };
    match seat.again.filter(|again| now < *again) {
        Some(again) => format!("{why} Next try in {}.", in_words(again.since(now))),
        None => why,
    }
}

fn inside(seat: &RoomStatus, nick: &str) -> String {
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

/// Title and lines: the level, and the problems.
pub(super) fn status(
    standing: &Enforcement,
    pending: Option<String>,
    outside: usize,
) -> (String, Vec<String>) {
    let (title, level) = match standing.level {
        0 => (
            String::from("Level 0: NOTHING IS ENFORCED"),
            String::from("NOTHING IS ENFORCED (level 0): the server does not let portcullis act."),
        ),
        level => (
            format!("Level {level}"),
            format!("Level {level} on {}.", server(standing)),
        ),
    };
    let mut lines = vec![level];
    let missing = match standing.gaps.len() {
        0 => None,
        1 => Some(String::from("1 thing is")),
        number => Some(format!("{number} things are")),
    };
    lines.extend(
        missing.map(|what| format!("{what} missing on the server; the lines to add are below.")),
    );
    lines.extend(pending.map(|pending| format!("Unfinished work: {pending}.")));
    if outside > 0 {
        let rooms = count(outside, "room");
        lines.push(format!("I cannot enter {rooms}; why is below."));
    }
    (title, lines)
}
