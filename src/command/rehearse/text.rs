//! Sentences of `rehearse`.

use crate::command::parts::pages::ListTitle;
use crate::command::phrases::{clean, count, typed, why_refused};
use crate::rehearse::Note;

/// The columns, with their names for scripts.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("subject", "Subject"),
    ("from", "From"),
    ("until", "Until"),
    ("rule", "Rule"),
    ("ordinal", "Ban no."),
];

/// The headings.
pub(super) const REHEARSED: ListTitle = ListTitle {
    all: "Rehearsed bans",
    matching: "Rehearsed bans",
    none: "No ban would have been",
    no_match: "No ban would have been",
};

/// There is no recording.
pub(super) const NOT_RECORDED: &str = "Nothing is recorded, so there is nothing to rehearse. Set [record_attempts] file in the configuration and restart; it keeps names and addresses of everybody who logs in.";

/// Only one replay runs at a time.
pub(super) const ANOTHER_RUNS: &str = "Another rehearsal is running; try again in a moment.";

/// A line of the recording cannot be read.
pub(super) fn no_event(why: &str) -> String {
    format!(
        "The recording holds a line that is no event: {}.",
        clean(why)
    )
}

/// Why a line led to no ban.
pub fn rehearsal_note(note: &Note) -> String {
    match note {
        Note::Spared(notice) => notice.to_string(),
        Note::Refused(why) => why_refused(why),
    }
}

/// A rule without a change.
pub(super) fn change_of_what(rule: &str) -> String {
    format!(
        "Say what should be other of {}: limit=10, window=5m, ban=1h or dry_run=no.",
        clean(rule)
    )
}

/// A change without a rule.
pub(super) fn which_rule(word: &str) -> String {
    format!(
        "Say of which rule: {}; {} lists the rules.",
        typed(format_args!("rehearse RULE {}", clean(word))),
        typed("policy")
    )
}

/// A key that does not exist or cannot be changed.
pub(super) fn no_such_change(word: &str) -> String {
    format!(
        "“{}” is nothing that can be changed here: write limit=, window=, ban=, dry_run= or last=.",
        clean(word)
    )
}

/// No rule has this name.
pub(super) fn no_such_rule<'a>(name: &str, rules: impl Iterator<Item = &'a str>) -> String {
    let rules: Vec<String> = rules.map(clean).collect();
    format!(
        "There is no rule “{}”. The rules are {}.",
        clean(name),
        rules.join(", ")
    )
}

/// An invalid limit.
pub(super) fn no_limit(text: &str, most: u32) -> String {
    format!("“{}” is no limit: a number from 1 to {most}.", clean(text))
}

/// An invalid number of lines.
pub(super) fn no_last(text: &str, most: usize) -> String {
    format!("“{}” is no number of lines: from 1 to {most}.", clean(text))
}

/// An invalid duration.
pub(super) fn no_span(text: &str) -> String {
    format!(
        "“{}” is no length of time; write for example 10m.",
        clean(text)
    )
}

/// What was replayed.
pub(super) fn played(lines: usize, most: usize, span: Option<&(String, String)>) -> String {
    let newest = if lines == most { "the newest " } else { "" };
    match span {
        None => String::from("The recording is empty."),
        Some((first, last)) => format!(
            "Played {newest}{} of the recording, from {} to {}.",
            count(lines, "line"),
            clean(first),
            clean(last)
        ),
    }
}

/// The bans that the rules would have made.
pub(super) fn would_have(
    bans: usize,
    subjects: usize,
    rules: &[(&str, usize)],
    unchanged: Option<usize>,
) -> String {
    let of = match bans {
        0 => String::new(),
        _ => {
            let rules: Vec<String> = rules
                .iter()
                .map(|(rule, number)| format!("{} {number}", clean(rule)))
                .collect();
            format!(" of {} ({})", count(subjects, "subject"), rules.join(", "))
        }
    };
    let beside = match unchanged {
        None => String::new(),
        Some(number) => format!("; without the change {}", count(number, "ban")),
    };
    format!(
        "The rules would have made {}{of}{beside}.",
        count(bans, "ban")
    )
}

/// Notices that would have been sent.
pub(super) fn would_have_told(notices: usize) -> Option<String> {
    let notices = (notices > 0).then(|| count(notices, "notice"))?;
    Some(format!(
        "They would have told {notices}: of dry runs, shared sources, or what is exempt."
    ))
}

/// One ban of the replay, after its subject.
pub(super) fn played_ban(from: &str, until: &str, rule: &str, ordinal: u32) -> String {
    format!(
        "from {} until {}, by the rule {rule}, ban no. {ordinal} of it.",
        clean(from),
        clean(until)
    )
}
