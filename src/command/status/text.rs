//! Sentences of `status`.

use super::facts::StatusFacts;
use crate::admission::Unwritten;
use crate::command::front::{RoomStatus, Undelivered};
use crate::command::outcome::{Answer, Grade, Row};
use crate::command::phrases::{
    capital, clean, clock_jump, conflict, count, counts, gap, level, levels, public_room, put_back,
    sentence, server, store_trouble, task, trouble, typed, unlinked,
};
use crate::core::Timestamp;
use crate::core::time::in_words;
use crate::core::tracker::Fill;

/// The answer with these facts.
pub(super) fn answer(facts: &StatusFacts) -> Answer {
    let standing = &facts.enforcement;
    let mut rows = vec![
        Row::new("level", "Level", level(standing)),
        Row::new("server", "Server", server(standing)),
        Row::new("bans", "Bans in force", counts(&facts.bans)),
        Row::new("pending", "Unfinished work", pending(facts.pending)),
    ];
    let found = standing.conflict.as_ref();
    rows.extend(found.map(|found| Row::new("conflict", "CONFLICT", conflict(found))));
    let store = facts.unwritten.as_ref();
    rows.extend(store.map(|fault| Row::new("store", "STORE", unwritten(fault, facts.at))));
    let clock = facts.clock.as_ref();
    rows.extend(clock.map(|jump| Row::new("clock", "CLOCK", clock_jump(jump))));
    rows.extend(facts.put_back.as_ref().map(|fact| {
        let what = put_back(fact.next, fact.lost_end);
        let what = format!("Noticed {}. {what}", fact.noticed);
        let label = match fact.lost_end {
            true => "DAMAGED STORE",
            false => "OLDER STORE",
        };
        Row::new("put_back", label, what)
    }));
    let tasks = facts.tasks.iter();
    let tasks = tasks.map(|one| (one.subject.to_string(), task(one)));
    rows.extend(Row::numbered("pending", tasks));
    let has = standing.has.iter().map(|has| ("There", has));
    rows.extend(Row::numbered("has", has));
    for (place, missing) in standing.gaps.iter().enumerate() {
        let number = place + 1;
        let remedy = missing.remedy.trim_end();
        rows.push(Row::new(format!("gap{number}"), "MISSING", gap(missing)));
        rows.push(Row::new(format!("remedy{number}"), "To add", remedy));
    }
    for (place, warning) in standing.warnings.iter().enumerate() {
        let number = place + 1;
        let remedy = warning.remedy.trim_end();
        let var = format!("warning{number}");
        rows.push(Row::new(var, "WARNING", gap(warning)));
        rows.push(Row::new(format!("advice{number}"), "To do", remedy));
    }
    let rooms = facts.rooms.iter().map(|seat| self::seat(seat, facts.at));
    rows.extend(Row::numbered("room", rooms));
    rows.extend(facts.undelivered.as_ref().and_then(undelivered));
    rows.push(Row::new("rules", "Rules in force", names(&facts.rules)));
    rows.push(Row::new(
        "dry_run",
        "Rules in dry run",
        names(&facts.dry_run),
    ));
    rows.extend(facts.tables.iter().map(table));
    rows.extend(program(facts));
    let grade = match facts.is_fine() {
        true => Grade::Good,
        false => Grade::Warning,
    };
    let (title, lines) = summary(facts);
    Answer::new(grade, title, lines).with_rows(rows)
}

fn pending(number: usize) -> String {
    match number {
        0 => String::from("none"),
        number => format!("{}, tried again and again", count(number, "subject")),
    }
}

fn names(rules: &[String]) -> String {
    let names: Vec<String> = rules.iter().map(|name| clean(name)).collect();
    match names.is_empty() {
        true => String::from("none"),
        false => names.join(", "),
    }
}

fn table(fill: &Fill) -> Row {
    let label = match fill.what {
        "known" => String::from("Good logins remembered"),
        "address" => String::from("Addresses counted"),
        what => format!("{}s counted", capital(what)),
    };
    let mut value = format!("{} of {}", fill.keys, fill.most);
    if fill.evicted > 0 {
        value.push_str(&format!(
            "; {} had to make room before their time",
            fill.evicted
        ));
    }
    Row::new(format!("fill_{}", fill.what), label, value)
}

fn undelivered(bounced: &Undelivered) -> Option<Row> {
    let (whom, at) = bounced.last.as_ref()?;
    let number = usize::try_from(bounced.number).unwrap_or(usize::MAX);
    let value = format!(
        "{}, the last for {} at {at}: is there such an account, and does the server keep messages for who is away?",
        count(number, "message"),
        clean(whom.as_str())
    );
    Some(Row::new("undelivered", "Came back unread", value))
}

/// The program itself: decisions, recording, memory, version.
fn program(facts: &StatusFacts) -> Vec<Row> {
    let recording = match facts.recording {
        true => format!("on; {} plays it", typed("rehearse")),
        false => String::from("off"),
    };
    let decisions = match facts.store {
        Some(engine) => format!("{}, stored by {engine}", facts.decisions),
        None => facts.decisions.to_string(),
    };
    let mut rows = vec![
        Row::new(
            "exemptions",
            "Exemptions given",
            facts.exemptions.to_string(),
        ),
        Row::new("decisions", "Decisions in the log", decisions),
        Row::new("recording", "Recording", recording),
    ];
    let memory = facts.memory;
    let memory = memory.map(|bytes| format!("{} MiB", bytes.div_ceil(1 << 20)));
    rows.extend(memory.map(|memory| Row::new("memory", "Memory", memory)));
    let started = facts.started;
    let running = in_words(facts.at.since(started));
    let uptime = format!("{running}, since {started}");
    rows.push(Row::new("uptime", "Running for", uptime));
    let version = format!("portcullis {}", facts.version);
    rows.push(Row::new("version", "Version", version));
    rows
}

/// Label and value of the row for a room.
fn seat(seat: &RoomStatus, now: Timestamp) -> (String, String) {
    let room = clean(&seat.room);
    match &seat.nick {
        Some(nick) => (format!("Room {room}"), inside(seat, nick)),
        None => (format!("NOT IN ROOM {room}"), outside(seat, now)),
    }
}

/// The effect of a log that stores no decisions.
fn unwritten(fault: &Unwritten, now: Timestamp) -> String {
    let since = in_words(now.since(fault.since));
    format!(
        "It takes no decisions, for {since}. {}",
        store_trouble(fault)
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
fn summary(facts: &StatusFacts) -> (String, Vec<String>) {
    let standing = &facts.enforcement;
    let (title, level) = match standing.level {
        _ if !standing.linked => (String::from("NOT CONNECTED"), unlinked()),
        0 => (
            String::from("Level 0: NOTHING IS ENFORCED"),
            String::from("NOTHING IS ENFORCED (level 0): the server does not let portcullis act."),
        ),
        level => match levels(standing) {
            Some(levels) => (
                format!("Level {levels}"),
                format!("Level {levels}. The server: {}.", server(standing)),
            ),
            None => (
                format!("Level {level}"),
                format!("Level {level} on {}.", server(standing)),
            ),
        },
    };
    let mut lines = vec![level];
    if standing.conflict.is_some() {
        lines.push(String::from(
            "ANOTHER PROGRAM is connected under my name; what to do is below.",
        ));
    }
    let missing = match standing.gaps.len() {
        0 => None,
        1 => Some(String::from("1 thing is")),
        number => Some(format!("{number} things are")),
    };
    lines.extend(
        missing.map(|what| format!("{what} missing on the server; the lines to add are below.")),
    );
    let warnings = standing.warnings.iter();
    lines.extend(warnings.map(|warning| sentence(&warning.what)));
    if facts.unwritten.is_some() {
        lines.push(String::from(
            "THE STORE TAKES NO DECISIONS: commands that change something fail; why is below.",
        ));
    }
    if facts.pending > 0 {
        lines.push(format!("Unfinished work: {}.", pending(facts.pending)));
    }
    let outside = facts.outside();
    if outside > 0 {
        let rooms = count(outside, "room");
        lines.push(format!("I cannot enter {rooms}; why is below."));
    }
    (title, lines)
}
