//! Sentences of `status`.

use super::{clean, count, sentence, typed};
use crate::core::Timestamp;
use crate::core::time::in_words;
use crate::gate::ports::{Gap, Standing, Task};

/// The level in a few words.
pub fn status_title(standing: &Standing) -> String {
    match standing.level {
        0 => String::from("Level 0: NOTHING IS ENFORCED"),
        level => format!("Level {level}"),
    }
}

/// The level.
pub fn level(standing: &Standing) -> String {
    let means = match standing.level {
        0 => "NOTHING IS ENFORCED; bans are stored and will be carried out",
        1 => "the server refuses banned accounts; addresses and networks need the hook module",
        _ => "accounts, addresses and networks are refused by the hook module",
    };
    format!("{} ({means})", standing.level)
}

/// The server and the link to it.
pub fn server(standing: &Standing) -> String {
    let name = match clean(&standing.server) {
        name if name.is_empty() => String::from("unknown"),
        name => name,
    };
    match (standing.linked, standing.probed) {
        (true, true) => format!("{name}, connected"),
        (true, false) => format!("{name}, connected, still being asked what it lets us do"),
        (false, _) => format!("{name}, NOT CONNECTED"),
    }
}

/// `3 accounts, 1 address, 0 networks`
pub fn counts(counts: &[(&str, usize)]) -> String {
    let words: Vec<String> = counts
        .iter()
        .filter(|(kind, number)| *number > 0 || !matches!(*kind, "pair" | "guard"))
        .map(|(kind, number)| match (*kind, *number) {
            ("address", number) if number != 1 => format!("{number} addresses"),
            (kind, number) => count(number, kind),
        })
        .collect();
    words.join(", ")
}

/// How much work is unfinished.
pub fn pending(number: usize) -> String {
    match number {
        0 => String::from("none"),
        _ => format!("{}, tried again and again", count(number, "subject")),
    }
}

/// One piece of unfinished work.
pub fn task(task: &Task) -> String {
    let tries = match task.tries {
        0 => String::from("the first try is under way"),
        tries => format!(
            "{} in vain, next {}",
            count(tries as usize, "try").replace("trys", "tries"),
            task.next
        ),
    };
    match &task.fault {
        Some(why) => format!("{tries}: {}", sentence(why)),
        None => format!("{tries}."),
    }
}

/// What is there.
pub fn has_label() -> &'static str {
    "There"
}

/// What is missing.
pub fn gap_label() -> &'static str {
    "MISSING"
}

/// What to do about it.
pub fn remedy_label() -> &'static str {
    "To add"
}

/// What is missing and what that means.
pub fn gap(gap: &Gap) -> String {
    format!("{} {}", sentence(&gap.what), sentence(&gap.effect))
}

/// How long the program runs.
pub fn uptime(started: Timestamp, now: Timestamp) -> String {
    format!("{}, since {started}", in_words(now.since(started)))
}

/// Name and version.
pub fn version() -> String {
    format!("portcullis {}", env!("CARGO_PKG_VERSION"))
}

/// The status in short.
pub fn status(standing: &Standing, pending: usize, outside: usize) -> Vec<String> {
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

/// How many exemptions `allow` gave.
pub fn exemptions_label() -> &'static str {
    "Exemptions given"
}

/// How many decisions there are in the log.
pub fn decisions_label() -> &'static str {
    "Decisions in the log"
}

/// Whether attempts are recorded.
pub fn recording_label() -> &'static str {
    "Recording"
}

/// Whether attempts are recorded.
pub fn recording(is_on: bool) -> String {
    match is_on {
        true => format!("on; {} plays it", typed("rehearse")),
        false => String::from("off"),
    }
}

/// Messages of ours that came back.
pub fn undelivered_label() -> &'static str {
    "Came back unread"
}

/// How many, and which was the last.
pub fn undelivered(number: u64, whom: &str, at: Timestamp) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    format!(
        "{}, the last for {} at {at}: is there such an account, and does the server keep messages for who is away?",
        count(number, "message"),
        clean(whom)
    )
}

/// Memory.
pub fn memory_label() -> &'static str {
    "Memory"
}

/// Memory, in MiB.
pub fn memory(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// How many bans there are.
pub const BANS_IN_FORCE: &str = "Bans in force";
/// The rules that ban.
pub const RULES_IN_FORCE: &str = "Rules in force";
/// The rules that only tell.
pub const RULES_IN_DRY_RUN: &str = "Rules in dry run";
