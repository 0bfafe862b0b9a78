//! What `status` says.

use crate::admission::Unwritten;
use crate::command::front::RoomStatus;
use crate::command::phrases::{clean, count, public_room, sentence, server, trouble, typed};
use crate::core::Timestamp;
use crate::core::time::in_words;
use crate::delivery::ports::Enforcement;

/// Names of rules.
pub(super) fn rule_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(clean).collect();
    match names.is_empty() {
        true => String::from("none"),
        false => names.join(", "),
    }
}

/// What it means that the log takes no decisions.
pub(super) fn unwritten(fault: &Unwritten, now: Timestamp) -> String {
    let since = in_words(now.since(fault.since));
    let bans = count(fault.bans, "ban");
    let why = sentence(&fault.why);
    format!(
        "It takes no decisions, for {since}. {bans} by rules hold in memory only and are lost if portcullis stops. {why}"
    )
}

/// What a table of counters is of.
pub(super) fn fill_label(what: &str) -> String {
    match what {
        "known" => String::from("Good logins remembered"),
        "address" => String::from("Addresses counted"),
        what => {
            let mut what = what.to_owned();
            if let Some(first) = what.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            format!("{what}s counted")
        }
    }
}

/// How full a table of counters is.
pub(super) fn fill(keys: usize, most: usize, evicted: u64) -> String {
    match evicted {
        0 => format!("{keys} of {most}"),
        evicted => format!("{keys} of {most}; {evicted} had to make room before their time"),
    }
}

/// A room, in front of what is the case with it.
pub(super) fn seat_label(seat: &RoomStatus) -> String {
    match seat.nick {
        Some(_) => format!("Room {}", clean(&seat.room)),
        None => format!("NOT IN ROOM {}", clean(&seat.room)),
    }
}

/// What is the case with a room.
pub(super) fn seat(seat: &RoomStatus, now: Timestamp) -> String {
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

/// The level in a few words.
pub(super) fn status_title(standing: &Enforcement) -> String {
    match standing.level {
        0 => String::from("Level 0: NOTHING IS ENFORCED"),
        level => format!("Level {level}"),
    }
}

/// How much work is unfinished.
pub(super) fn pending(number: usize) -> String {
    match number {
        0 => String::from("none"),
        _ => format!("{}, tried again and again", count(number, "subject")),
    }
}

/// How long the program runs.
pub(super) fn uptime(started: Timestamp, now: Timestamp) -> String {
    format!("{}, since {started}", in_words(now.since(started)))
}

/// Name and version.
pub(super) fn version() -> String {
    format!("portcullis {}", env!("CARGO_PKG_VERSION"))
}

/// The status in short.
pub(super) fn status(standing: &Enforcement, pending: usize, outside: usize) -> Vec<String> {
    let mut lines = vec![match standing.level {
        0 => String::from("NOTHING IS ENFORCED (level 0): the server does not let portcullis act."),
        level => format!("Level {level} on {}.", server(standing)),
    }];
    match standing.gaps.len() {
        0 => {}
        number => lines.push(format!(
            "{} missing on the server; the lines to add are below.",
            match number {
                1 => String::from("1 thing is"),
                _ => format!("{number} things are"),
            }
        )),
    }
    if pending > 0 {
        lines.push(format!("Unfinished work: {}.", self::pending(pending)));
    }
    if outside > 0 {
        let rooms = count(outside, "room");
        lines.push(format!("I cannot enter {rooms}; why is below."));
    }
    lines
}

/// How many decisions there are in the log.
pub(super) const DECISIONS_LABEL: &str = "Decisions in the log";

/// Whether attempts are recorded.
pub(super) fn recording(is_on: bool) -> String {
    match is_on {
        true => format!("on; {} plays it", typed("rehearse")),
        false => String::from("off"),
    }
}

/// Messages of ours that came back.
pub(super) const UNDELIVERED_LABEL: &str = "Came back unread";

/// How many, and which was the last.
pub(super) fn undelivered(number: u64, whom: &str, at: Timestamp) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    format!(
        "{}, the last for {} at {at}: is there such an account, and does the server keep messages for who is away?",
        count(number, "message"),
        clean(whom)
    )
}

/// Memory, in MiB.
pub(super) fn memory(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// How many bans there are.
pub(super) const BANS_IN_FORCE: &str = "Bans in force";

/// The rules that ban.
pub(super) const RULES_IN_FORCE: &str = "Rules in force";

/// The rules that only tell.
pub(super) const RULES_IN_DRY_RUN: &str = "Rules in dry run";
