//! Sentences of lists and of what they are asked for.

use super::{author, because, by_then_counted, clean, typed};
use crate::command::parts::filter::Word;
use crate::core::{Ban, EndedBan, Timestamp};

/// What a list is of.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// `Bans`
    pub(super) all: &'static str,
    /// `Matching bans`
    pub(super) matching: &'static str,
    /// `No bans in force`
    pub(super) none: &'static str,
    /// `No ban matches`
    pub(super) no_match: &'static str,
}

/// Bans.
pub const BANS: Listed = Listed {
    all: "Bans",
    matching: "Matching bans",
    none: "No bans in force",
    no_match: "No ban matches",
};

/// Failed logins.
pub const FAILURES: Listed = Listed {
    all: "Failed logins",
    matching: "Matching failed logins",
    none: "No failed logins since the start",
    no_match: "No failed login matches",
};

/// Exemptions.
pub const EXEMPTIONS: Listed = Listed {
    all: "Exemptions",
    matching: "Matching exemptions",
    none: "Nobody is exempt",
    no_match: "No exemption matches",
};

/// `Bans 11-20 of 35`
pub fn page_title(
    names: Listed,
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

/// A ban in a list, behind its number and subject.
pub fn in_a_list(ban: &Ban, pending: bool, now: Timestamp) -> String {
    let pending = if pending {
        " (not carried out yet)"
    } else {
        ""
    };
    format!(
        "{}{pending}, by {}{}",
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// When a ban that is over ended: `ended 2026-11-22 04:00 UTC`.
pub fn ended(past: &EndedBan) -> String {
    format!("ended {}", past.ended)
}

/// A ban that is over in a list, behind its number and subject.
pub fn ended_in_a_list(past: &EndedBan) -> String {
    let how = match &past.by {
        None => String::from("its time was over"),
        Some(actor) => format!("by {}", clean(actor.bare_name())),
    };
    format!(
        "{}, {how}; it was by {}{}",
        ended(past),
        author(&past.ban),
        because(&past.ban.reason)
    )
}

/// More has ended than is looked through.
pub fn only_the_last(most: usize) -> String {
    format!(
        "Of those that ended, only the last {most} are looked through; {} tells all of one.",
        typed("show SUBJECT")
    )
}

/// What follows a page.
pub fn more(next: &str) -> String {
    format!("More: {}, or {}", typed("next"), typed(next))
}

/// What follows a page, in a form.
pub fn more_in_form(page: usize) -> String {
    format!("More on page {page}.")
}

/// Beside a table, for whom the client shows nothing.
pub fn no_table() -> String {
    String::from("If you see no rows, your client draws no tables here: ask again without.")
}

/// A word no list knows, or not this one.
pub fn no_such_filter(word: &str, known: &[Word]) -> String {
    let known: Vec<&str> = known.iter().map(|word| written(*word)).collect();
    format!(
        "There is no filter “{}”. Filters are {}, or words.",
        clean(word),
        known.join(", ")
    )
}

/// How a filter is written.
fn written(word: Word) -> &'static str {
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
pub fn no_end_of_forever() -> String {
    String::from("Bans for ever never end; write for example expiring:2h.")
}

/// There is no list to turn a page of.
pub fn no_list() -> String {
    format!(
        "There is no list to turn a page of. Write {}, {} or {} first.",
        typed("list"),
        typed("failures"),
        typed("allowed")
    )
}

/// Behind the last page.
pub fn no_next_page() -> String {
    String::from("That was the last page.")
}

/// Before the first page.
pub fn no_page_before() -> String {
    String::from("That was the first page.")
}

/// Which bans keep out whoever failed.
pub const KEPT_OUT_BY: &str = "Kept out by";
