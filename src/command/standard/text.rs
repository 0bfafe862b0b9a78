//! Sentences of the nodes of XEP-0133.

use super::MOST;
use crate::command::phrases::{clean, count};

/// The label of the number in the standard's form.
pub(super) const NUMBER: &str = "The number of disabled users";
/// The label of the list in the standard's form.
pub(super) const LIST: &str = "The list of all disabled users";

/// The subject is not an account.
pub(super) fn no_account(typed: &str) -> String {
    format!(
        "“{}” is no account; here only accounts are taken. The commands ban and unban take addresses and networks too.",
        clean(typed)
    )
}

/// Full JIDs were taken for their accounts.
pub(super) fn left_out(resources: &[String]) -> String {
    format!(
        "The whole account is meant; the resource was left out of {}",
        resources.join(", ")
    )
}

/// The number of rows cannot be read.
pub(super) fn no_maximum(typed: &str) -> String {
    format!("“{typed}” is no maximum; it is a number from 1 to {MOST}, or none.")
}

/// The number of banned accounts, of which the newest are shown.
pub(super) fn newest(total: usize, shown: usize) -> String {
    let mut line = are_banned(total);
    if shown < total {
        line.push_str(&format!(
            " The newest {shown} are shown; the command list shows all, page by page."
        ));
    }
    line
}

/// The number of banned accounts.
pub(super) fn are_banned(total: usize) -> String {
    match total {
        1 => String::from("1 account is banned."),
        _ => format!("{} are banned.", count(total, "account")),
    }
}
