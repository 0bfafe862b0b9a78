//! What is said of lines in files of bans.

use crate::command::phrases::clean;
use crate::core::{Account, Subject};

/// A term that has ended.
pub(super) fn is_over(subject: &Subject) -> String {
    format!("The ban of {subject} is over.")
}

/// A name without a domain.
pub(super) fn bare_name(name: &str) -> String {
    format!("{name:?} has no domain; write name@domain, or say the domain once with --host.")
}

/// An address where only accounts can stand.
pub(super) fn is_no_account(subject: &Subject) -> String {
    format!("{subject} is no account.")
}

/// The reason of a ban whose program tells none.
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

/// A line that fail2ban does not print.
pub(super) fn not_fail2ban() -> String {
    String::from(
        "This is no line of `fail2ban-client get JAIL banip --with-time`: an address, a time + seconds = a time.",
    )
}

/// No time.
pub(super) fn no_time(text: &str) -> String {
    format!("{:?} is no time.", clean(text))
}

/// A text that cscli does not print.
pub(super) fn not_crowdsec(why: &str) -> String {
    format!(
        "This is not what `cscli decisions list -o json` prints: {}.",
        clean(why)
    )
}

/// A decision of CrowdSec that bans nobody.
pub(super) fn is_no_ban(value: &str, kind: &str) -> String {
    format!(
        "{:?}: {:?} is no ban, or only a simulated one.",
        clean(value),
        clean(kind)
    )
}

/// A decision about what we do not know.
pub(super) fn is_no_subject(value: &str, kind: &str) -> String {
    format!(
        "{:?}: portcullis knows no bans of the kind {:?}.",
        clean(value),
        clean(kind)
    )
}

/// No duration.
pub(super) fn no_go_duration(text: &str) -> String {
    format!("{:?} is no duration as CrowdSec writes it.", clean(text))
}

/// When the server banned somebody, as a note.
pub(super) fn banned_there(date: &str) -> String {
    format!("Banned by the server itself: {}", clean(date))
}

/// Details without a name.
pub(super) fn whose_details() -> String {
    String::from(
        "These details belong to no account: put the line of list_banned with its name in front of them.",
    )
}

/// No account in front of an old ban.
pub(super) const NOT_LEGACY: &str =
    "A line of an old ban names an account and its password BANNED_ACCOUNT--….";

/// What is left of an old ban, as a note.
pub(super) fn password_is_lost(account: &Account, date: &str) -> String {
    format!(
        "The server replaced the password ({}). After an un-ban give a new one: ejabberdctl change_password {} {} NEW",
        clean(date),
        account.localpart(),
        account.domain()
    )
}

/// A line that is not one of ours.
pub(super) fn not_our_line(why: &str) -> String {
    format!("This is no line of an export: {}.", clean(why))
}

/// A file by a newer portcullis.
pub(super) fn newer_format(version: u32, known: u32) -> String {
    format!("The file is of version {version}; this portcullis reads up to {known}.")
}

/// A line by a newer portcullis.
pub(super) const UNKNOWN_KIND: &str = "Of a kind this portcullis does not know.";

/// An exemption of what cannot be exempt.
pub(super) fn cannot_be_exempt(subject: &Subject) -> String {
    format!("{subject} cannot be exempt.")
}

/// No id of an event.
pub(super) fn no_event_id(text: &str) -> String {
    format!(
        "{:?} is no id of an event: 32 hexadecimal digits.",
        clean(text)
    )
}
