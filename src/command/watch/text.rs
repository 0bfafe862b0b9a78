//! Sentences of `watch`.

use crate::command::phrases::{clean, heard, typed};
use crate::core::{Quiet, Subject, Topic, Watch};

/// What the notices of a topic report.
pub(super) fn topic(topic: Topic) -> &'static str {
    match topic {
        Topic::Bans => "a rule banned an address, or an account from one place",
        Topic::Networks => "a rule banned a whole network",
        Topic::Guards => "an account is under attack and its guard is up",
        Topic::Orders => "somebody else banned or changed a ban",
        Topic::Unbans => "somebody else un-banned or exempted",
        Topic::Ends => "the time of a ban is over",
        Topic::Adopted => "the server itself had banned somebody",
        Topic::Records => "a ban record on the server was changed by others",
        Topic::Rights => "the server took rights away, or gave them back",
        Topic::Work => "something is not carried out on the server",
        Topic::Link => "the link to the server was down",
        Topic::Rooms => "a room cannot be joined",
        Topic::DryRun => "a rule in dry run would have banned",
        Topic::Spared => "a rule spared what is exempt or shared",
    }
}

/// The topics that somebody gets.
pub(super) fn hears(whom: Option<&Subject>, watch: &Watch, is_wish: bool) -> String {
    let who = match whom {
        None => String::from("You hear of"),
        Some(whom) => format!("{whom} hears of"),
    };
    let usual = match is_wish || watch.is_off() {
        true => "",
        false => " (the usual)",
    };
    format!("{who}: {}{usual}.", heard(Some(watch)))
}

/// The topics that another person gets by default.
pub(super) fn hears_by_role(whom: &Subject) -> String {
    format!(
        "Nothing is chosen for {whom}: an admin hears the usual then, others and rooms hear nothing."
    )
}

/// What is held back in quiet hours.
pub(super) fn quiet_hours(quiet: Quiet) -> String {
    format!("Between {quiet} UTC nothing is told; what happened then is told at their end.")
}

/// How to change it.
pub(super) fn how_to_watch() -> String {
    let ways = [
        "watch all",
        "watch usual",
        "watch off",
        "watch bans guards",
        "watch +bans",
        "watch -spared",
        "watch quiet 22-7",
    ];
    format!("To change it: {}", ways.map(typed).join(", "))
}

/// Whether a topic is subscribed to, for its row.
pub(super) fn topic_row(is_heard: bool, topic: Topic) -> String {
    let heard = if is_heard { "yes" } else { "no" };
    format!("{heard}; {}", self::topic(topic))
}

/// A word that is not a topic.
pub(super) fn no_topic(word: &str) -> String {
    let names = Topic::ALL.map(Topic::as_str).join(", ");
    format!(
        "“{}” is nothing to hear of. There are {names}; and all, usual, off.",
        clean(word)
    )
}

/// `all`, `usual` or `off` together with other words.
pub(super) fn alone(word: &str) -> String {
    format!("“{}” stands alone.", clean(word))
}

/// Topics without a sign together with some that have one.
pub(super) const NO_MIXTURE: &str =
    "Name either what you hear of, or what comes (+bans) and goes (-bans).";

/// Quiet hours that cannot be read.
pub(super) fn no_hours(text: &str) -> String {
    format!(
        "“{}” are no hours; write 22:00-07:00 (in UTC), or off.",
        clean(text)
    )
}

/// An invalid person or room.
pub(super) const NO_HEARER: &str =
    "Name one person or room by its address (room@conference.example.org).";
