//! Sentences of the parts that several commands share.

use crate::command::front::{HOLDERS, RoomStatus};
use crate::command::parts::filter::Word;
use crate::command::phrases::{ListTitle, clean, named, typed};
use crate::core::time::in_words;
use crate::core::{Counting, Rights, Role, Subject, Term, UndoEntry};

/// The preset that leaves the term open.
pub(super) fn default_term(term: Term) -> String {
    format!("As configured ({term}), or as it is")
}

/// A term.
pub(super) fn term(term: Term) -> String {
    term.to_string()
}

/// Some were not done, for one reason.
pub(super) fn failed_of_many(subjects: &[Subject], why: &str) -> String {
    format!(
        "{} FAILED ({}): {why}",
        subjects.len(),
        named(subjects.iter())
    )
}

/// Why a change of many was not made: others are changing the same all the time.
pub(super) const SOMEBODY_ELSE: &str = "somebody else is changing it; try again.";

/// `Bans 11-20 of 35`
pub(super) fn page_title(
    names: ListTitle,
    first: usize,
    shown: usize,
    total: usize,
    filtered: bool,
) -> String {
    let what = if filtered { names.matching } else { names.all };
    match total {
        0 if filtered => names.no_match.to_owned(),
        0 => names.none.to_owned(),
        _ => format!("{what} {}-{} of {total}", first + 1, first + shown),
    }
}

/// A word no list knows, or not this one.
pub(super) fn no_such_filter(word: &str, known: &[Word]) -> String {
    let known: Vec<&str> = known.iter().map(|word| spelled(*word)).collect();
    format!(
        "There is no filter “{}”. Filters are {}, or words.",
        clean(word),
        known.join(", ")
    )
}

/// How a filter is written.
fn spelled(word: Word) -> &'static str {
    match word {
        Word::Kind => "account, address, network, pair, guard",
        Word::Whom => "an account, an address or a network",
        Word::By => "by:NAME",
        Word::Origin => "origin:hand, origin:rule, origin:import, origin:server",
        Word::Rule => "rule:NAME",
        Word::State => "state:in-force, state:pending, state:ended, state:any",
        Word::Expiring => "expiring:2h",
        Word::Numbers => "#10.. or #10..20",
        Word::Unknown => "unknown",
        Word::ByHand => "by-hand",
    }
}

/// Bans that never end do not end within a time.
pub(super) const NO_END_OF_FOREVER: &str =
    "Bans for ever never end; write for example expiring:2h.";

/// What a rule counts for whom.
pub(super) fn counter_label(counting: Option<&Counting>) -> String {
    match counting {
        Some(counting) => clean(&counting.rule.name),
        None => String::from("Counters"),
    }
}

/// `3 of 5 failures within 10 minutes; at the limit 203.0.113.7 is banned for 30 minutes`
pub(super) fn counter(counting: &Counting) -> String {
    let Counting {
        rule,
        subject,
        amount,
        limit,
        term,
    } = counting;
    let dry_run = if rule.dry_run { " (dry run)" } else { "" };
    let then = match (subject, rule.dry_run) {
        (Subject::Guard(_), false) => format!("the {subject} goes up"),
        (Subject::Guard(_), true) => format!("the {subject} would go up"),
        (_, false) => format!("{subject} is banned"),
        (_, true) => format!("{subject} would be banned"),
    };
    format!(
        "{amount} of {limit} {} within {}{dry_run}; at the limit {then} for {}",
        rule.counts,
        in_words(rule.window),
        in_words(*term),
    )
}

/// No counter.
pub(super) const NOTHING_COUNTED: &str = "nothing is counted at present";

/// A ban that has to do with it.
pub(super) const OTHER_BAN_LABEL: &str = "Also in force";

/// Those with a role: `Admins`, `Moderators on a.example`.
pub(super) fn holders_label(role: Role, host: Option<&str>) -> String {
    let who = match role {
        Role::Admin => "Admins",
        Role::Moderator => "Moderators",
        Role::Viewer => "Viewers",
        Role::Stranger => "Strangers",
    };
    match host {
        Some(host) => format!("{who} on {}", clean(host)),
        None => String::from(who),
    }
}

/// Who they are.
pub(super) fn holders(who: &[String], most: usize) -> String {
    let shown: Vec<String> = who.iter().take(most).map(|name| clean(name)).collect();
    match who.len().checked_sub(most) {
        _ if who.is_empty() => String::from("nobody"),
        Some(more @ 1..) => format!(
            "{} and {more} more; the configuration has them all",
            shown.join(", ")
        ),
        _ => shown.join(", "),
    }
}

/// How many were left out.
pub(super) fn holders_left_out(number: usize) -> String {
    format!("{number} more roles on virtual hosts; [[roles]] in the configuration has them all")
}

/// A room that gives its people roles.
pub(super) fn room_label(seat: &RoomStatus) -> String {
    format!("By the room {}", clean(&seat.room))
}

/// Which roles, and who is there and has one of them now.
pub(super) fn room_holders(seat: &RoomStatus) -> String {
    let people = ["owners", "admins", "members"].into_iter().zip(seat.grants);
    let grants: Vec<String> = people
        .filter(|(_, role)| *role > Role::Stranger)
        .map(|(who, role)| format!("its {who} are {role}s here"))
        .collect();
    let there: Vec<String> = seat
        .holders
        .iter()
        .map(|(who, role)| format!("{} ({role})", clean(who.as_str())))
        .collect();
    let there = match (there.is_empty(), there.len() < HOLDERS) {
        (true, _) => String::from("nobody"),
        (false, true) => there.join(", "),
        (false, false) => format!("{} and maybe more", there.join(", ")),
    };
    format!("{}; now there: {there}", grants.join(", "))
}

/// No subject at all.
pub(super) fn no_subject() -> String {
    String::from(
        "Say whom: an account (spam@example.org), an address (203.0.113.7), a network (203.0.113.0/24) or a number (#17).",
    )
}

/// A number that no ban has.
pub(super) fn no_such_number(word: &str) -> String {
    format!(
        "There is no ban {}; {} shows the numbers.",
        clean(word),
        typed("list")
    )
}

/// A command that takes one.
pub(super) const ONE_AT_A_TIME: &str = "One at a time: name one subject or one number.";

/// No number of a page.
pub(super) fn no_page(text: &str) -> String {
    format!("“{}” is no page; pages are numbers from 1.", clean(text))
}

/// A page behind the last.
pub(super) fn too_few_pages(pages: usize) -> String {
    match pages {
        1 => String::from("There is only one page."),
        _ => format!("There are only {pages} pages."),
    }
}

/// A range we cannot read.
pub(super) fn no_range(word: &str) -> String {
    format!(
        "“{}” is no range of numbers; write #10.. or #10..20.",
        clean(word)
    )
}

/// A role that does not hold over a subject.
pub(super) fn beyond(subject: &Subject, needs: Role, rights: &Rights) -> String {
    match subject.whose() {
        Some(account) => format!(
            "{subject}: that needs the role {needs} on {}. You are {rights}.",
            account.domain()
        ),
        None => format!(
            "{subject}: addresses and networks concern every host, so that needs the role {needs} everywhere. You are {rights}."
        ),
    }
}

/// The same for a number of which no more may be said.
pub(super) fn number_beyond(number: &str, needs: Role, rights: &Rights) -> String {
    format!(
        "{} is not about an account of your hosts; that needs the role {needs} there. You are {rights}.",
        clean(number)
    )
}

/// Why a change of many was not made: another person decided about the same first.
pub(super) fn overtaken_by(deed: &UndoEntry) -> String {
    format!(
        "{} was first; look, then say it again.",
        clean(deed.by.bare_name())
    )
}
