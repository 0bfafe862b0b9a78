//! Messages about lines of imported files.

use crate::command::phrases::clean;
use crate::core::{Account, Subject};

/// A ban that has ended.
pub(super) fn is_over(subject: &Subject) -> String {
    format!("The ban of {subject} is over.")
}

/// A name without a domain.
pub(super) fn bare_name(name: &str) -> String {
    format!("{name:?} has no domain; write name@domain, or say the domain once with --host.")
}

/// Something else where an account is expected.
pub(super) fn is_no_account(subject: &Subject) -> String {
    format!("{subject} is no account.")
}

/// The reason of a ban that came without one.
pub(super) fn from_program(program: &str) -> String {
    String::from(program)
}

/// The reason of a ban by another program.
pub(super) fn from_program_because(program: &str, why: &str) -> String {
    match clean(why) {
        why if why.is_empty() => from_program(program),
        why => format!("{program}: {why}"),
    }
}

/// A line that is not in fail2ban's format.
pub(super) fn not_fail2ban() -> String {
    String::from(
        "This is no line of `fail2ban-client get JAIL banip --with-time`: an address, a time + seconds = a time.",
    )
}

/// A text that is not a time.
pub(super) fn no_time(text: &str) -> String {
    format!("{:?} is no time.", clean(text))
}

/// A text that is not in cscli's format.
pub(super) fn not_crowdsec(why: &str) -> String {
    format!(
        "This is not what `cscli decisions list -o json` prints: {}.",
        clean(why)
    )
}

/// A decision of CrowdSec that is not a ban.
pub(super) fn is_no_ban(value: &str, kind: &str) -> String {
    format!(
        "{:?}: {:?} is no ban, or only a simulated one.",
        clean(value),
        clean(kind)
    )
}

/// A decision of CrowdSec about a kind of subject that portcullis does not have.
pub(super) fn is_no_subject(value: &str, kind: &str) -> String {
    format!(
        "{:?}: portcullis knows no bans of the kind {:?}.",
        clean(value),
        clean(kind)
    )
}

/// A text that is not a duration in Go's notation.
pub(super) fn no_go_duration(text: &str) -> String {
    format!("{:?} is no duration as CrowdSec writes it.", clean(text))
}

/// The private note that says when the server banned.
pub(super) fn banned_there(date: &str) -> String {
    format!("Banned by the server itself: {}", clean(date))
}

/// Details without an account in front of them.
pub(super) fn whose_details() -> String {
    String::from(
        "These details belong to no account: put the line of list_banned with its name in front of them.",
    )
}

/// A line with an old ban but without an account.
pub(super) const NOT_LEGACY: &str =
    "A line of an old ban names an account and its password BANNED_ACCOUNT--….";

/// The private note of an old ban, whose password is lost.
pub(super) fn password_is_lost(account: &Account, date: &str) -> String {
    format!(
        "The server replaced the password ({}). After an un-ban give a new one: ejabberdctl change_password {} {} NEW",
        clean(date),
        account.localpart(),
        account.domain()
    )
}

/// A line that is not in the export format.
pub(super) fn not_our_line(why: &str) -> String {
    format!("This is no line of an export: {}.", clean(why))
}

/// A file in a newer format.
pub(super) fn newer_format(version: u32, known: u32) -> String {
    format!("The file is of version {version}; this portcullis reads up to {known}.")
}

/// A kind of line that only a newer portcullis knows.
pub(super) const UNKNOWN_KIND: &str = "Of a kind this portcullis does not know.";

/// An exemption for a subject that cannot be exempt.
pub(super) fn cannot_be_exempt(subject: &Subject) -> String {
    format!("{subject} cannot be exempt.")
}

/// A text that is not an event id.
pub(super) fn no_event_id(text: &str) -> String {
    format!(
        "{:?} is no id of an event: 32 hexadecimal digits.",
        clean(text)
    )
}
