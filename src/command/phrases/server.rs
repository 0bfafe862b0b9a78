//! Sentences about the state of the server.

use crate::admission::Unwritten;
use crate::command::front::RoomTrouble;
use crate::command::phrases::{
    ENFORCED, LET_IN, NAMED, NEVER_ENFORCED, RELEASED, clean, count, named, sentence,
};
use crate::core::time::in_words;
use crate::delivery::ports::{Enforcement, Gap, Task};
use crate::engine::ClockJump;
use crate::xmpp::wire::NameConflict;
use std::time::Duration;

/// A room that anybody can enter.
pub(crate) fn public_room() -> String {
    String::from(
        "ANYBODY CAN ENTER IT and read what is said there of accounts and addresses: make it members-only or give it a password.",
    )
}

/// Why we are not in a room, and what to do.
pub(crate) fn trouble(trouble: &RoomTrouble) -> String {
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

/// There is no connection, so nothing is known of the level, and a hook module goes on by itself.
pub(crate) fn unlinked() -> String {
    String::from(
        "There is no connection to the server at present; I keep trying. A hook module refuses by the bans it holds.",
    )
}

/// The level of enforcement.
pub(crate) fn level(standing: &Enforcement) -> String {
    if !standing.linked {
        return format!("not known. {}", unlinked());
    }
    let means = match standing.level {
        0 => "NOTHING IS ENFORCED; bans are stored and will be carried out",
        1 => "the server refuses banned accounts; addresses and networks need the hook module",
        _ => "accounts, addresses and networks are refused by the hook module",
    };
    match levels(standing) {
        Some(levels) => format!("{levels} (on the best of them {means})"),
        None => format!("{} ({means})", standing.level),
    }
}

/// `2 on example.org, 0 on second.test`; `None` if all virtual hosts have the same level.
pub(crate) fn levels(standing: &Enforcement) -> Option<String> {
    if !standing.is_uneven() {
        return None;
    }
    let hosts = standing.hosts.iter();
    let levels: Vec<String> = hosts
        .map(|host| format!("{} on {}", host.level, clean(&host.host)))
        .collect();
    Some(named(levels.iter()))
}

/// Another program is connected under our name: what that means, and what to do.
pub(crate) fn conflict(conflict: &NameConflict) -> String {
    let other = match conflict.other.as_deref().map(clean) {
        Some(other) => format!(" (it calls itself {other})"),
        None => String::new(),
    };
    format!(
        "ANOTHER PROGRAM is connected to the server under my name{other}, or an old connection of mine is not closed there: each gets a part of the questions and answers, and each keeps its own bans. Stop one of the two, or give it another component.domain."
    )
}

/// The server software and the link to it.
pub(crate) fn server(standing: &Enforcement) -> String {
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
pub(crate) fn counts(counts: &[(&str, usize)]) -> String {
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

/// A task that is not finished.
pub(crate) fn task(task: &Task) -> String {
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

/// What is missing, and its effect.
pub(crate) fn gap(gap: &Gap) -> String {
    format!("{} {}", sentence(&gap.what), sentence(&gap.effect))
}

/// Merges the sentences about several subjects: each one once, with the number of subjects.
pub(crate) fn shared<'a>(sentences: impl Iterator<Item = &'a str>, all: usize) -> Vec<String> {
    let mut told: Vec<(&str, usize)> = Vec::new();
    for sentence in sentences {
        match told.iter_mut().find(|(known, _)| *known == sentence) {
            Some((_, times)) => *times += 1,
            None => told.push((sentence, 1)),
        }
    }
    told.into_iter()
        .take(NAMED)
        .map(|(sentence, times)| {
            let sentence = match (times, sentence) {
                (1, one) => one,
                (_, LET_IN) => "They are let in again.",
                (_, ENFORCED) => "The server enforces them.",
                (_, NEVER_ENFORCED) => {
                    "No hook module enforced them, so nothing changes on the server."
                }
                (_, RELEASED) => "The server knows that these bans are over.",
                (_, same) => same,
            };
            if times == all {
                sentence.to_owned()
            } else {
                format!("{times} of {all}: {sentence}")
            }
        })
        .collect()
}

/// What it means that the store takes no decisions.
pub(crate) fn store_trouble(fault: &Unwritten) -> String {
    let held = match fault.bans {
        0 => String::from(
            "Commands that change something fail; a ban by a rule would hold in memory only.",
        ),
        bans => format!(
            "{} by rules {} in memory only and {} lost if portcullis stops.",
            count(bans, "ban"),
            if bans == 1 { "holds" } else { "hold" },
            if bans == 1 { "is" } else { "are" },
        ),
    };
    format!("{held} {}", sentence(&fault.why))
}

/// The clock of this machine was set.
pub(crate) fn clock_jump(jump: &ClockJump) -> String {
    let way = if jump.by < 0 { "back" } else { "ahead" };
    let by = in_words(Duration::from_millis(jump.by.unsigned_abs()));
    format!(
        "The clock of this machine was set {way} by {by}, noticed {} by the old time. Logins are judged by the new time; the ends of bans are not written down until the clock is put right, or has shown the new time for an hour.",
        jump.at
    )
}
