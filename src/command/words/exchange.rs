//! Sentences about files of bans: what cannot be read, what is left out, what was taken.

use std::path::Path;

use super::{clean, count};
use crate::core::{Account, Subject};

/// A term that has ended.
pub fn is_over(subject: &Subject) -> String {
    format!("The ban of {subject} is over.")
}

/// A name without a domain.
pub fn bare_name(name: &str) -> String {
    format!("{name:?} has no domain; write name@domain, or say the domain once with --host.")
}

/// An address where only accounts can stand.
pub fn is_no_account(subject: &Subject) -> String {
    format!("{subject} is no account.")
}

/// The reason of a ban whose program tells none.
pub fn from_program(program: &str) -> String {
    String::from(program)
}

/// The reason of a ban by another program.
pub fn from_program_because(program: &str, why: &str) -> String {
    match clean(why) {
        why if why.is_empty() => from_program(program),
        why => format!("{program}: {why}"),
    }
}

/// A line that fail2ban does not print.
pub fn not_fail2ban() -> String {
    String::from(
        "This is no line of `fail2ban-client get JAIL banip --with-time`: an address, a time + seconds = a time.",
    )
}

/// No time.
pub fn no_time(text: &str) -> String {
    format!("{:?} is no time.", clean(text))
}

/// A text that cscli does not print.
pub fn not_crowdsec(why: &str) -> String {
    format!(
        "This is not what `cscli decisions list -o json` prints: {}.",
        clean(why)
    )
}

/// A decision of CrowdSec that bans nobody.
pub fn is_no_ban(value: &str, kind: &str) -> String {
    format!(
        "{:?}: {:?} is no ban, or only a simulated one.",
        clean(value),
        clean(kind)
    )
}

/// A decision about what we do not know.
pub fn is_no_subject(value: &str, kind: &str) -> String {
    format!(
        "{:?}: portcullis knows no bans of the kind {:?}.",
        clean(value),
        clean(kind)
    )
}

/// No duration.
pub fn no_go_duration(text: &str) -> String {
    format!("{:?} is no duration as CrowdSec writes it.", clean(text))
}

/// When the server banned somebody, as a note.
pub fn banned_there(date: &str) -> String {
    format!("Banned by the server itself: {}", clean(date))
}

/// Details without a name.
pub fn whose_details() -> String {
    String::from(
        "These details belong to no account: put the line of list_banned with its name in front of them.",
    )
}

/// No account in front of an old ban.
pub fn not_legacy() -> String {
    String::from("A line of an old ban names an account and its password BANNED_ACCOUNT--….")
}

/// What is left of an old ban, as a note.
pub fn password_is_lost(account: &Account, date: &str) -> String {
    format!(
        "The server replaced the password ({}). After an un-ban give a new one: ejabberdctl change_password {} {} NEW",
        clean(date),
        account.localpart(),
        account.domain()
    )
}

/// A line that is not one of ours.
pub fn not_our_line(why: &str) -> String {
    format!("This is no line of an export: {}.", clean(why))
}

/// A file by a newer portcullis.
pub fn newer_format(version: u32, known: u32) -> String {
    format!("The file is of version {version}; this portcullis reads up to {known}.")
}

/// A line by a newer portcullis.
pub fn unknown_kind() -> String {
    String::from("Of a kind this portcullis does not know.")
}

/// An exemption of what cannot be exempt.
pub fn cannot_be_exempt(subject: &Subject) -> String {
    format!("{subject} cannot be exempt.")
}

/// No id of an event.
pub fn no_event_id(text: &str) -> String {
    format!(
        "{:?} is no id of an event: 32 hexadecimal digits.",
        clean(text)
    )
}

/// What a file holds, and what came of it, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported<'a> {
    /// The format.
    pub format: &'a str,
    /// Subjects in it.
    pub subjects: usize,
    /// Decisions in it.
    pub decisions: usize,
    /// Bans that began.
    pub banned: usize,
    /// Bans that became longer.
    pub prolonged: usize,
    /// Exemptions that began.
    pub exempted: usize,
    /// Decisions that were taken over.
    pub recalled: usize,
    /// What was there already.
    pub there: usize,
    /// Decisions left out for newer ones.
    pub older: usize,
    /// What was not taken.
    pub refused: usize,
    /// Lines left out on purpose.
    pub left_out: usize,
    /// Lines that cannot be read.
    pub bad: usize,
}

/// What came of a file, or would come of it.
pub fn import_summary(file: &Imported<'_>, dry_run: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut head = format!(
        "{} in the file ({})",
        count(file.subjects, "subject"),
        file.format
    );
    if file.decisions > 0 {
        head.push_str(&format!(", and {}", count(file.decisions, "decision")));
    }
    lines.push(format!("{head}."));
    let would = |done: &str, would: &str| String::from(if dry_run { would } else { done });
    let mut tell = |number: usize, text: String| {
        if number > 0 {
            lines.push(format!("{text}."));
        }
    };
    let n = file.banned;
    tell(
        n,
        format!("{} {}", count(n, "ban"), would("began", "would begin")),
    );
    let n = file.prolonged;
    tell(
        n,
        format!(
            "{} {}",
            count(n, "ban"),
            would("became longer", "would become longer")
        ),
    );
    let n = file.exempted;
    tell(
        n,
        format!(
            "{} {}",
            count(n, "exemption"),
            would("began", "would begin")
        ),
    );
    let n = file.recalled;
    let text = would(
        "stand in the history now",
        "would stand in the history, with the bans they end in",
    );
    tell(n, format!("{} made elsewhere {text}", count(n, "decision")));
    let n = file.there;
    tell(n, format!("{n} are here already"));
    let n = file.older;
    tell(
        n,
        format!(
            "{} made elsewhere left out: something newer was decided here",
            count(n, "decision")
        ),
    );
    let n = file.refused;
    tell(
        n,
        format!("{n} {}", would("were not taken", "would not be taken")),
    );
    let n = file.left_out;
    tell(n, format!("{n} left out"));
    let n = file.bad;
    tell(n, format!("{} cannot be read", count(n, "line")));
    if file.banned + file.prolonged + file.exempted + file.recalled == 0 {
        lines.push(would("Nothing was changed.", "Nothing would be changed."));
    }
    lines
}

/// What was not taken.
pub fn refused(subject: &str, why: &str) -> String {
    match why.contains(subject) {
        true => String::from(why),
        false => format!("{}: {why}", clean(subject)),
    }
}

/// `list.txt:7: …`
pub fn line_and_why(file: &Path, line: usize, why: &str) -> String {
    match line {
        0 => format!("{}: {why}", file.display()),
        line => format!("{}:{line}: {why}", file.display()),
    }
}

/// The rest of a long list.
pub fn and_more(number: usize) -> String {
    format!("… and {number} more")
}

/// A file that cannot be opened.
pub fn cannot_open(file: &Path, why: &std::io::Error) -> String {
    format!("cannot open {}: {why}", file.display())
}

/// A file beyond what is read.
pub fn file_too_large(most: u64) -> String {
    format!(
        "the file is too large: at most {} MiB are read; split it.",
        most >> 20
    )
}

/// A file that is no text.
pub fn not_utf8(file: &Path) -> String {
    format!("{} is no text in UTF-8.", file.display())
}
