//! Sentences about what was done to bans, and the questions before it is done.

use super::{NAMED, because, by_then, by_then_counted, clean, named, task, typed};
use crate::command::outcome::{Grade, Reference};
use crate::core::{Ban, Door, Past, Ruling, Subject, Term, Timestamp};
use crate::gate::Settled;
use crate::gate::ports::{Held, LogFault, Task};
use ipnet::IpNet;

/// A ban began.
pub fn banned(ban: &Ban, now: Timestamp) -> String {
    format!(
        "Banned {} {} {}{}",
        ban.id,
        ban.subject,
        by_then_counted(ban.until, now),
        because(&ban.reason)
    )
}

/// A ban got other terms.
pub fn amended(ban: &Ban, before: Option<Timestamp>, now: Timestamp) -> String {
    let now_until = by_then_counted(ban.until, now);
    if before == ban.until {
        return format!(
            "Changed {} {}: still {now_until}, reason now{}",
            ban.id,
            ban.subject,
            because_or_none(&ban.reason)
        );
    }
    format!(
        "Changed {} {}: was {}, now {now_until}{}",
        ban.id,
        ban.subject,
        by_then(before),
        because(&ban.reason)
    )
}

fn because_or_none(reason: &str) -> String {
    because(if reason.is_empty() { "none" } else { reason })
}

/// The reason before a change.
pub fn reason_was(reason: &str) -> String {
    format!("The reason was{}", because_or_none(reason))
}

/// Nothing to do: the same ban stands.
pub fn already(ban: &Ban, now: Timestamp) -> String {
    format!(
        "{} is already banned: {} {}, by {}{}",
        ban.subject,
        ban.id,
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// How to give a ban other terms.
pub fn how_to_change(ban: &Ban) -> String {
    format!(
        "To change it: {}. To end it: {}",
        typed(format_args!("ban {} DURATION REASON", ban.id)),
        typed(format_args!("unban {}", ban.id))
    )
}

/// Who decided: a person, the server, or `the rule pair-failures`, which a person may have called upon.
pub fn author(ban: &Ban) -> String {
    let name = clean(ban.by.bare_name());
    match (ban.origin.rule(), ban.by.door) {
        (None, Door::Server) => String::from("the server"),
        (None, _) => name,
        (Some(rule), Door::Hook) => format!("the rule {}", clean(rule)),
        (Some(rule), _) => format!("the rule {} (called upon by {name})", clean(rule)),
    }
}

/// A ban ended.
pub fn lifted(ban: &Ban) -> String {
    format!("Un-banned {} {}.", ban.id, ban.subject)
}

/// There was no ban.
pub fn not_banned(subject: &Subject, last: Option<&Past>) -> String {
    match last {
        None => format!("{subject} is not banned. It never was."),
        Some(past) => format!(
            "{subject} is not banned. Its last ban, {}, ended {}.",
            past.id, past.ended
        ),
    }
}

/// Of one that is no account; of several, [`shared`] says it.
const ENFORCED: &str = "The server enforces it.";
/// The same when it is free.
const LET_IN: &str = "It is let in again.";

/// What the server did about a ban that began or, else, was changed or there already.
pub fn held(subject: &Subject, settled: &Settled, level: u8, began: bool) -> (Grade, String) {
    let text = match (settled, subject) {
        _ if level == 0 => return (Grade::Warning, nothing_enforced()),
        (Settled::Pending(why), _) => return (Grade::Warning, not_yet(why.as_deref())),
        (Settled::Done(Held::NeedsModule), _) => return (Grade::Warning, needs_module(subject)),
        (Settled::Done(Held::Enforced), Subject::Account(_)) if began => {
            "Their sessions were ended."
        }
        (Settled::Done(Held::Enforced), Subject::Account(_)) => "The server refuses them.",
        (Settled::Done(Held::Enforced), _) => ENFORCED,
    };
    (Grade::Good, String::from(text))
}

/// What the server did about the end of a ban.
pub fn released(subject: &Subject, settled: &Settled) -> (Grade, String) {
    match (settled, subject) {
        (Settled::Done(_), Subject::Account(_)) => {
            (Grade::Good, String::from("They can log in again."))
        }
        (Settled::Done(_), _) => (Grade::Good, String::from(LET_IN)),
        (Settled::Pending(why), _) => (Grade::Warning, not_yet(why.as_deref())),
    }
}

fn not_yet(why: Option<&str>) -> String {
    let why = why
        .map(|why| format!(": {}", clean(why).trim_end_matches('.')))
        .unwrap_or_default();
    format!("The server has not carried it out yet{why}; I keep trying.")
}

/// Level 0, loudly.
fn nothing_enforced() -> String {
    format!(
        "NOT ENFORCED: the server does not let portcullis act yet (level 0). It is stored and will be carried out; {} shows the missing lines.",
        typed("status")
    )
}

/// What only the module enforces, without it.
fn needs_module(subject: &Subject) -> String {
    let what = match subject {
        Subject::Pair(..) => "bans of an account from one place",
        Subject::Guard(_) => "a guard",
        _ => "address bans",
    };
    format!(
        "Stored and checked, but on this server only the hook module can enforce {what}; it is not installed."
    )
}

/// Where the server stands with a ban.
pub fn on_the_server(subject: &Subject, task: Option<&Task>, level: u8) -> String {
    match (task, subject) {
        (Some(task), _) => format!("Not carried out yet: {}", self::task(task)),
        _ if level == 0 => nothing_enforced(),
        (None, Subject::Account(_)) => String::from("The server refuses them."),
        (None, _) if level < 2 => needs_module(subject),
        (None, _) => String::from(ENFORCED),
    }
}

/// An address is free itself but covered.
pub fn still_covered(ban: &Ban, now: Timestamp) -> String {
    format!(
        "Another ban covers it: {} {} {}{}",
        ban.id,
        ban.subject,
        by_then_counted(ban.until, now),
        because(&ban.reason)
    )
}

/// A ruling that did not do it.
pub fn not_done(subject: &Subject, ruling: &Ruling) -> String {
    match ruling {
        Ruling::Refused(why) => format!("{subject}: {why}"),
        Ruling::Overtaken(deed) => super::overtaken(deed),
        Ruling::Stale => format!("{subject}: somebody else is changing it; try again."),
        _ => format!("{subject}: nothing was changed."),
    }
}

/// The store did not do it.
pub fn failed(subject: &Subject, fault: &LogFault, reference: &Reference) -> String {
    match fault {
        LogFault::Busy => format!("{subject}: too much is being written; try again in a moment."),
        LogFault::Unknown(_) => format!(
            "{subject}: not known yet. The log of decisions does not answer; it may still happen. Look with `show {subject}`."
        ),
        _ => format!("{subject}: NOT stored. {}", broken(reference)),
    }
}

/// A fault of ours.
pub fn broken(reference: &Reference) -> String {
    format!(
        "Something failed here; the log says more under the reference {}.",
        reference.0
    )
}

/// What is to be said of several subjects at once: each sentence once, with how often it holds.
pub fn shared<'a>(sentences: impl Iterator<Item = &'a str>, all: usize) -> Vec<String> {
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

/// `Really ban 10.0.0.0/8?`, `Really ban 6 subjects?`; some clients show nothing else.
pub fn ask_title(subjects: &[Subject]) -> String {
    match subjects {
        [one] => format!("Really ban {one}?"),
        more => format!("Really ban {} subjects?", more.len()),
    }
}

/// What would be done.
pub fn ask(
    subjects: &[Subject],
    is_wide: &dyn Fn(&Subject) -> bool,
    term: Term,
    now: Timestamp,
    reason: Option<&str>,
) -> Vec<String> {
    let mut lines = vec![format!(
        "Nothing is done yet. Ban {} {}{}",
        named(subjects.iter()),
        by_then_counted(term.ends(now), now),
        because(reason.unwrap_or_default()),
    )];
    for subject in subjects
        .iter()
        .filter(|subject| is_wide(subject))
        .take(NAMED)
    {
        lines.push(format!("{subject} is wide: {}.", reach(subject)));
    }
    if subjects.len() > NAMED {
        lines.push(format!("These are {} subjects at once.", subjects.len()));
    }
    lines
}

/// `Account spam@host`
pub fn kind(subject: &Subject) -> String {
    let mut kind = subject.kind().to_owned();
    if let Some(first) = kind.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{kind} {subject}")
}

/// How much a subject covers.
pub fn reach(subject: &Subject) -> String {
    match subject {
        Subject::Account(_) => String::from("one account"),
        Subject::Address(_) => String::from("one address"),
        Subject::Network(IpNet::V4(net)) => {
            format!("{} addresses", 1_u64 << (32 - u32::from(net.prefix_len())))
        }
        Subject::Network(IpNet::V6(net)) => {
            let bits = 128 - u32::from(net.prefix_len());
            match bits.checked_sub(64) {
                None => format!("part of one site (/{})", net.prefix_len()),
                Some(bits) => format!("{} sites (/64)", 1_u128 << bits),
            }
        }
        Subject::Pair(..) => String::from("one account from one place"),
        Subject::Guard(_) => String::from("one account, for sources it never came from"),
    }
}

#[cfg(test)]
mod tests {
    use crate::core::Subject;

    #[test]
    fn networks_tell_how_many_they_hit() {
        let reach = |text| Subject::parse(text).map(|subject| super::reach(&subject));
        assert_eq!(reach("10.0.0.0/8"), Ok("16777216 addresses".into()));
        assert_eq!(reach("0.0.0.0/0"), Ok("4294967296 addresses".into()));
        assert_eq!(reach("2001:db8::/48"), Ok("65536 sites (/64)".into()));
        assert_eq!(reach("2001:db8::/80"), Ok("part of one site (/80)".into()));
        assert!(reach("::/0").is_ok());
    }
}
